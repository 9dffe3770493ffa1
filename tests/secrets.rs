//! A key that an agent is given is found nowhere afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use autodev::process;
use base64::Engine;
use common::Instance;
use memchr::memmem;

/// Every file below a directory that holds the text.
fn holding(directory: &Path, text: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            holding(&path, text, found);
        } else if kind.is_file() && memmem::find(&fs::read(&path).unwrap(), text.as_bytes()).is_some() {
            found.push(path.display().to_string());
        }
    }
}

/// A tool that prints its key in every way there is.
fn tool(instance: &Instance, name: &str, extra: &str) {
    let providers = instance.home().join("config/providers");
    fs::create_dir_all(&providers).unwrap();
    let program = instance.home().join(name);
    let script = "#!/bin/sh\ncat > /dev/null\n\
                  printf 'whole %s\\n' \"$TOOL_KEY\"\n\
                  half=$(printf %s \"$TOOL_KEY\" | cut -c1-9); rest=${TOOL_KEY#\"$half\"}\n\
                  printf 'cut '; printf %s \"$half\"; sleep 0.2; printf '%s\\n' \"$rest\"\n\
                  printf 'coded %s\\n' \"$(printf %s \"$TOOL_KEY\" | base64)\"\n\
                  printf 'length %s\\n' ${#TOOL_KEY}\n\
                  printf 'header %s\\n' \"$(printf 'me:%s' \"$TOOL_KEY\" | base64 -w0)\"\n\
                  '@' note \"it says $TOOL_KEY\" && '@' note \"$(printf %s \"$TOOL_KEY\" | base64 -w0)\"\n\
                  [ -z \"$WAIT\" ] || { echo > \"$WAIT\"; exec sleep 1000; }\n";
    fs::write(&program, script.replace('@', env!("CARGO_BIN_EXE_autodev"))).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let table = format!("command = ['{}']\n{extra}\n[modes.cli]\nprompt = {{ stdin = [] }}\n", program.display());
    fs::write(providers.join(format!("{name}.toml")), table).unwrap();
}

#[test]
fn a_key_is_found_nowhere_afterwards() {
    // Not in this program either, which is below the same user's eyes.
    let canary = format!("canary-{:x}-{:x}", std::process::id(), std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos());
    let outside = tempfile::tempdir().unwrap();
    let kept = outside.path().join("key");
    fs::write(&kept, format!("{canary}\n")).unwrap();
    let ways = [
        ("inherited", "inherit = ['TOOL_KEY']".to_owned()),
        ("by-variable", "[keys]\nTOOL_KEY = 'env:TOOL_KEY'".to_owned()),
        ("by-file", format!("[keys]\nTOOL_KEY = 'file:{}'", kept.display())),
        ("by-command", format!("[keys]\nTOOL_KEY = 'cmd:cat {}'", kept.display())),
    ];
    for (way, table) in ways {
        let instance = Instance::new();
        tool(&instance, way, &table);
        let start = instance.autodev(&["daemon", "start"]).env("TOOL_KEY", &canary).output().unwrap();
        assert!(start.status.success(), "{start:?}");
        instance.ok(&["submit", "--provider", way, "print it"]);
        assert_eq!(instance.wait(1), "passed", "{way}: {}", instance.log());
        let log = instance.ok(&["logs", "1"]);
        let blot = "*".repeat(canary.len());
        let length = canary.len();
        let coded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&canary);
        for line in [
            format!("whole {blot}"),
            format!("cut {blot}"),
            format!("coded {}", "*".repeat(coded.len())),
            format!("length {length}"),
        ] {
            assert!(log.contains(&line), "{way}: '{line}' is not in\n{log}");
        }
        assert!(!log.contains(&canary) && !log.contains(&coded), "{way}: {log}");

        let notes = instance.json(&["show", "1"])["notes"].clone();
        assert_eq!(notes[0]["text"], format!("it says {blot}"), "{way}");
        assert!(notes[1]["text"].as_str().unwrap().starts_with(&"*".repeat(coded.len())), "{way}: {notes}");

        // While it runs: who watches may see it, nobody finds it.
        let wait = instance.fifo("wait");
        let mut submit = instance.autodev(&["submit", "--provider", way, "print it and wait"]);
        submit.env("WAIT", wait.path());
        let config = instance.home().join("config/config.toml");
        fs::write(&config, "[environment]\nallow = ['WAIT']\n").unwrap();
        instance.ok(&["daemon", "restart"]);
        assert!(submit.output().unwrap().status.success());
        wait.read();
        let text = instance.ok(&["logs", "2"]);
        assert!(!text.contains(&canary), "{way}: {text}");
        // Only the program itself has it, in its environment.
        let own = instance.json(&["sessions"])[0]["pid"].as_u64().unwrap();
        for pid in process::all().unwrap() {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            assert!(memmem::find(&line, canary.as_bytes()).is_none(), "{way}: in the arguments of {pid}");
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let has = memmem::find(&environment, canary.as_bytes()).is_some();
            let daemon = u64::from(pid) == u64::from(instance.daemon_pid());
            let below = process::stat(pid).is_ok_and(|stat| u64::from(stat.parent) == own);
            assert!(!has || daemon || below || u64::from(pid) == own, "{way}: in the environment of {pid}");
        }
        instance.ok(&["backup"]);
        assert!(!instance.ok(&["export", "--cast", "1"]).contains(&canary), "{way}");
        instance.ok(&["kill", "2"]);
        instance.wait(2);
        instance.kill_daemon();
        let mut found = Vec::new();
        holding(instance.home(), &canary, &mut found);
        holding(instance.home(), &coded, &mut found);
        assert_eq!(found, Vec::<String>::new(), "{way}");
        assert!(!instance.ok(&["history", "--events", "--json"]).contains(&canary), "{way}");
    }
}

/// A key that cannot be had keeps the task, until somebody has seen to it.
#[test]
fn a_task_whose_key_cannot_be_had_is_held() {
    let instance = Instance::new();
    let key = instance.home().join("the-key");
    tool(&instance, "tool", &format!("[keys]\nTOOL_KEY = 'file:{}'", key.display()));
    instance.ok(&["submit", "--provider", "tool", "print it"]);
    while instance.task(1)["state"] != "held" {
        instance.run(&["wait", "1", "--timeout", "1s"]);
    }
    let shown = instance.task(1);
    assert_eq!((&shown["outcome"], &shown["reason"]["code"]), (&"auth-needed".into(), &"AuthNeeded".into()));
    assert!(shown["last_error"].as_str().unwrap().contains("lacks its key TOOL_KEY"), "{shown}");
    fs::write(&key, "a key that is long enough\n").unwrap();
    instance.ok(&["release", "1"]);
    assert_eq!(instance.wait(1), "passed");
    let log = instance.ok(&["logs", "1"]);
    assert!(log.contains("length 25") && !log.contains("long enough"), "{log}");
}

/// The key itself in the place of a reference is refused, and not repeated.
#[test]
fn a_key_in_the_place_of_a_reference_is_refused() {
    let instance = Instance::new();
    tool(&instance, "tool", "[keys]\nTOOL_KEY = 'sk-0123456789abcdef'");
    let said = instance.run(&["submit", "--provider", "tool", "x"]);
    let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.contains("keys.TOOL_KEY is not a reference") && !said.contains("sk-0123"), "{said}");
}

/// Neither the daemon nor a keeper leaves its memory behind, or lets it be looked at.
#[test]
fn nobody_reads_their_memory() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    instance.submit(&[], &format!("ulimit -c > limit; echo > {}; exec sleep 1000", begun.path()));
    begun.read();
    let keeper = instance.json(&["sessions"])[0]["keeper_pid"].as_u64().unwrap();
    for pid in [u64::from(instance.daemon_pid()), keeper] {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_ascii_whitespace().nth(4), Some("0"), "{core}");
    }
    // Programs get what the daemon was started with.
    let (soft, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_CORE).unwrap();
    let limit = fs::read_to_string(instance.work().join("limit")).unwrap();
    assert_eq!(limit.trim() == "0", soft == 0, "{limit}");
}
