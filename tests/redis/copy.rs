//! What is in the copy, and how it can be read.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::common::Instance;
use crate::server::Server;
use crate::{configured, instance, keys, right, settle};

const MANUAL: &str = include_str!("../../man/autodev-redis.7");

type Fields = HashMap<String, String>;

#[test]
fn a_task_is_there_as_it_is() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    let first = instance.submit(&["--label", "b", "--label", "a", "--title", "a title", "--priority", "7"], "exit 3");
    assert_eq!(instance.wait(first), "failed");
    let held = instance.submit(&["--hold"], "true");
    settle(&instance);
    let base = keys(&instance);
    let task = instance.task(first);
    let copied: Fields = server.ask(&["HGETALL", &format!("{base}:task:{first}")]);
    for name in ["uid", "state", "provider", "mode", "dir", "created_at", "updated_at", "started_at", "ended_at"] {
        assert_eq!(copied[name], task[name].as_str().unwrap(), "{name}");
    }
    for (name, value) in [
        ("id", first.to_string().as_str()),
        ("outcome", "agent-failed"),
        ("exit_code", "3"),
        ("attempt", "1.1"),
        ("priority", "7"),
        ("labels", "[\"a\",\"b\"]"),
        ("full_access", "false"),
    ] {
        assert_eq!(copied[name], value, "{name}");
    }
    for name in copied.keys() {
        assert!(MANUAL.contains(name.as_str()), "man/autodev-redis.7 does not name {name}");
    }
    // Neither what was asked for nor its beginning.
    assert!(copied.values().all(|value| !value.contains("title") && !value.contains("exit 3")), "{copied:?}");
    let failed: Vec<String> = server.ask(&["ZRANGE", &format!("{base}:state:failed"), "0", "-1"]);
    let waiting: Vec<String> = server.ask(&["ZRANGE", &format!("{base}:state:held"), "0", "-1"]);
    assert_eq!((failed, waiting), (vec![first.to_string()], vec![held.to_string()]));
    let whose: Fields = server.ask(&["HGETALL", "autodev:instances"]);
    let (id, about) = whose.iter().next().unwrap();
    assert!(base.contains(id.as_str()) && about.contains(instance.state().to_str().unwrap()), "{whose:?}");
    right(&instance);
}

#[test]
fn the_stream_is_the_history_and_can_be_resumed() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    instance.submit(&["--wait"], "true");
    settle(&instance);
    let base = keys(&instance);
    let stream = format!("{base}:events");
    type Entry = (String, Fields);
    let entries: Vec<Entry> = server.ask(&["XRANGE", &stream, "-", "+"]);
    let history = instance.json(&["history", "--events", "--limit", "100"]);
    let mut history: Vec<_> = history.as_array().unwrap().clone();
    history.sort_by_key(|event| event["seq"].as_i64());
    assert_eq!(entries.len(), history.len());
    for ((id, fields), event) in entries.iter().zip(&history) {
        assert_eq!(*id, format!("{}-0", event["seq"]));
        assert_eq!(
            (fields["kind"].as_str(), fields["at"].as_str()),
            (event["kind"].as_str().unwrap(), event["at"].as_str().unwrap())
        );
    }
    // The same numbers as `watch` goes on from.
    let (last, _) = entries.last().unwrap();
    instance.submit(&["--hold"], "true");
    settle(&instance);
    let more: Vec<Entry> = server.ask(&["XRANGE", &stream, &format!("({last}"), "+"]);
    assert_eq!(more.len(), 1);
    assert_eq!(more[0].1["kind"], "submitted");
}

#[test]
fn who_listens_hears_of_changes() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    settle(&instance);
    let base = keys(&instance);
    let mut client = server.client();
    let mut listener = client.as_pubsub();
    listener.set_read_timeout(Some(crate::common::DEADLINE)).unwrap();
    listener.subscribe(format!("{base}:changes")).unwrap();
    let task = instance.submit(&["--hold"], "true");
    let hint: String = listener.get_message().unwrap().get_payload().unwrap();
    let hint: serde_json::Value = serde_json::from_str(&hint).unwrap();
    assert_eq!((&hint["task"], &hint["state"], &hint["kind"]), (&task.into(), &"held".into(), &"submitted".into()));
    // It is there when it is heard of.
    let state: String = server.ask(&["HGET", &format!("{base}:task:{task}"), "state"]);
    assert_eq!(state, "held");
}

#[test]
fn titles_are_copied_where_they_are_wanted() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = configured(&server, "titles = true\nprefix = \"mine\"\n");
    let task = instance.submit(&["--hold", "--title", "mend the roof"], "true");
    settle(&instance);
    let base = keys(&instance);
    assert!(base.starts_with("mine:{"), "{base}");
    let title: String = server.ask(&["HGET", &format!("{base}:task:{task}"), "title"]);
    assert_eq!(title, "mend the roof");
    right(&instance);
    // Where they are wanted no longer, none stays.
    instance.ok(&["config", "set", "redis.titles", "false"]);
    crate::until(&instance, |view| view["rebuilt_because"].as_str().filter(|why| why.contains("titles")).map(drop));
    right(&instance);
    let title: Option<String> = server.ask(&["HGET", &format!("{base}:task:{task}"), "title"]);
    assert_eq!(title, None);
    instance.ok(&["config", "set", "redis.titles", "true"]);
    let again = |why: &&str| why.ends_with("with titles'");
    crate::until(&instance, |view| view["rebuilt_because"].as_str().filter(again).map(drop));
    right(&instance);
}

#[test]
fn it_begins_and_ends_with_the_setting() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = Instance::new();
    assert_eq!(instance.json(&["redis", "status"])["state"], "off");
    assert!(instance.fails(6, &["redis", "verify"]).contains("redis.url"));
    instance.ok(&["config", "set", "redis.url", &server.url()]);
    instance.submit(&["--hold"], "true");
    right(&instance);
    instance.ok(&["config", "unset", "redis.url"]);
    crate::until(&instance, |view| (view["state"] == "off").then_some(()));
}

/// What the page tells to type works: a server of one's own, and what readers ask of it.
#[test]
fn the_page_can_be_typed() {
    let Some(program) = crate::server::program() else { return };
    let instance = Instance::new();
    let page = MANUAL.replace("\\-", "-").replace("\\(ti", "~").replace("\\(aq", "'");
    let mut blocks = page.split(".nf\n").skip(1).map(|rest| rest.split(".fi").next().unwrap());
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config/redis.conf");
    let begin = blocks.next().unwrap().replace("/PATH/TO/redis.conf", config);
    let socket = instance.home().join(".local/share/autodev-redis/redis.sock");
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_autodev")).parent().unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", bin.display(), program.parent().unwrap().display());
    // As if the server were where the client looks for it, and jq where there is none.
    let tools = instance.home().join("tools");
    fs::create_dir(&tools).unwrap();
    let client = program.with_file_name("redis-cli");
    let tool = |name: &str, script: String| {
        fs::write(tools.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(tools.join(name), Permissions::from_mode(0o755)).unwrap();
    };
    tool("redis-cli", format!("exec {} -s {} \"$@\"", client.display(), socket.display()));
    tool("jq", "sed -n 's/.*\"keys\": *\"\\([^\"]*\\)\".*/\\1/p'".to_owned());
    let path = format!("{}:{path}", tools.display());
    let typed = |lines: &str| {
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -e; {lines}")]).env_clear().env("PATH", &path).env("HOME", instance.home());
        shell.env("AUTODEV_HOME", instance.home()).env("XDG_RUNTIME_DIR", instance.home()).current_dir(instance.work());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{lines}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // Not by that page.
    let _down = Down(tools.join("redis-cli"));
    for _ in 0..42 {
        instance.submit(&["--hold"], "true");
    }
    // The copy may be a moment behind.
    drop(typed(&begin.replace("autodev redis status", "true")));
    right(&instance);
    typed("autodev redis status; autodev redis verify");
    let (last, before) = blocks.collect::<Vec<_>>().split_last().map(|(last, rest)| (*last, rest.concat())).unwrap();
    let said = typed(&format!("{before}\nredis-cli DBSIZE\n{last}\nredis-cli DBSIZE"));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.starts_with(&["held", "0"]) && !said.contains("ERR"), "{said}");
    // What all instances with the prefix share stays.
    assert_eq!(lines.last(), Some(&"1"), "{said}");
}

/// Ends the server that a client's program leads to, however the test ends.
struct Down(PathBuf);

impl Drop for Down {
    fn drop(&mut self) {
        drop(Command::new(&self.0).args(["shutdown", "nosave"]).output());
    }
}
