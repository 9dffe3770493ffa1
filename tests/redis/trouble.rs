//! Redis down, killed, flushed, cut, failed over, of yesterday, shared, meddled with: the
//! copy is right afterwards, and nobody has waited for it.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use crate::common::{DEADLINE, Instance};
use crate::server::{Server, free_port};
use crate::{instance, keys, right, settle, until};

/// How often the copy was built anew, and why the last time.
fn rebuilt(instance: &Instance) -> (i64, String) {
    let view = until(instance, |view| (!view["rebuilds"].is_null()).then(|| view.clone()));
    (view["rebuilds"].as_i64().unwrap(), view["rebuilt_because"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_server_that_is_not_there_yet() {
    let Some(mut server) = Server::stopped(&[]) else { return };
    let instance = instance(&server);
    let task = instance.submit(&[], "true");
    assert_eq!(instance.wait(task), "passed");
    let view = instance.run(&["redis", "status", "--json"]);
    let text = String::from_utf8(view.stdout).unwrap();
    assert_eq!(view.status.code(), Some(1));
    assert!(text.contains("\"down\""), "{text}");
    assert!(instance.fails(1, &["redis", "verify"]).contains("down"));
    let doctor = |level: &str| {
        let checks = instance.json(&["doctor"]);
        let check = checks.as_array().unwrap().iter().find(|check| check["name"] == "redis").unwrap().clone();
        assert_eq!(check["level"], level, "{check:#}");
    };
    doctor("warning");
    server.run();
    doctor("ok");
    right(&instance);
}

#[test]
fn a_server_that_says_nothing() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let instance = Instance::configured(&format!("[redis]\nurl = \"redis+unix://{}\"\n", socket.display()));
    instance.ok(&["daemon", "start"]);
    // It is asked, and owes its first answer all the time.
    let asked = listener.accept().unwrap();
    let began = Instant::now();
    let mut tasks = 0;
    while tasks < 5 || began.elapsed() < std::time::Duration::from_secs(1) {
        assert_eq!(instance.wait(instance.submit(&[], "true")), "passed");
        tasks += 1;
    }
    let spent = began.elapsed();
    until(&instance, |view| view["error"].as_str().filter(|error| error.contains("does not answer")).map(drop));
    drop(asked);
    // Each call would have been waited for for five seconds.
    assert!(spent < std::time::Duration::from_secs(5), "{tasks} tasks took {spent:?}");
    instance.ok(&["daemon", "stop"]);
}

#[test]
fn a_server_that_is_killed_and_comes_back() {
    let Some(mut server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    instance.submit(&["--wait"], "true");
    right(&instance);
    server.kill();
    instance.submit(&["--wait"], "true");
    server.run();
    right(&instance);
    // What a server has after it has died is not relied on.
    assert_eq!(rebuilt(&instance), (2, "the server was started anew since".into()));
}

#[test]
fn a_server_that_was_flushed() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    instance.submit(&["--hold"], "true");
    settle(&instance);
    // With nothing to copy it is noticed all the same.
    let () = server.ask(&["FLUSHALL"]);
    until(&instance, |view| (view["rebuilds"] == 2).then_some(()));
    right(&instance);
    // And with something to copy at once.
    let () = server.ask(&["FLUSHALL"]);
    instance.submit(&["--hold"], "true");
    right(&instance);
    // Whose it is is said again as well.
    let whose: Vec<String> = server.ask(&["HKEYS", "autodev:instances"]);
    assert_eq!(whose.len(), 1);
    // Asked at once it does not compare with what is gone.
    let () = server.ask(&["FLUSHALL"]);
    instance.ok(&["redis", "verify"]);
    // Every time, not only the first, when the connection is gone.
    for _ in 0..3 {
        let _: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        instance.ok(&["redis", "verify"]);
    }
    // Scripts are gone after this.
    let () = server.ask(&["SCRIPT", "FLUSH"]);
    instance.submit(&["--hold"], "true");
    right(&instance);
}

#[test]
fn a_log_that_was_cut() {
    let Some(mut server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    for _ in 0..5 {
        instance.submit(&["--hold"], "true");
    }
    settle(&instance);
    server.kill();
    assert!(server.cut_log(1_500));
    server.run();
    // Nothing new has happened: it is seen by what it says of itself.
    right(&instance);
    server.kill();
    assert!(server.cut_log(1_500));
    server.run();
    instance.submit(&["--hold"], "true");
    right(&instance);
}

#[test]
fn an_old_copy_put_back() {
    let Some(mut server) = Server::start(&["--appendonly", "no"]) else { return };
    let instance = instance(&server);
    instance.submit(&["--hold"], "true");
    settle(&instance);
    server.stop();
    let (dump, old) = (server.directory().join("autodev.rdb"), server.directory().join("old"));
    fs::copy(&dump, &old).unwrap();
    server.run();
    let task = instance.submit(&["--hold"], "true");
    instance.ok(&["release", "1"]);
    instance.wait(1);
    settle(&instance);
    server.stop();
    fs::copy(&old, &dump).unwrap();
    server.run();
    right(&instance);
    let state: String = server.ask(&["HGET", &format!("{}:task:{task}", keys(&instance)), "state"]);
    assert_eq!(state, "held");
}

#[test]
fn another_server_takes_over() {
    let Some(mut first) = Server::start(&[]) else { return };
    let instance = instance(&first);
    instance.submit(&["--hold"], "true");
    settle(&instance);
    // A replica that stopped following some time ago, and becomes the master now. Between
    // sockets only a copy of the files can be handed over.
    let () = first.ask(&["BGREWRITEAOF"]);
    let () = first.ask(&["SAVE"]);
    let second = Server::stopped(&["--appendonly", "no"]).unwrap();
    fs::copy(first.directory().join("autodev.rdb"), second.directory().join("autodev.rdb")).unwrap();
    let mut second = second;
    for _ in 0..3 {
        instance.submit(&["--hold"], "true");
    }
    settle(&instance);
    first.kill();
    second.run();
    fs::remove_file(first.socket()).unwrap();
    std::os::unix::fs::symlink(second.socket(), first.socket()).unwrap();
    right(&instance);
    assert!(rebuilt(&instance).1.contains("started anew"));
}

#[test]
fn a_master_that_became_a_replica() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    settle(&instance);
    // Of a master that cannot be reached: it refuses to be written.
    let () = server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    instance.submit(&["--hold"], "true");
    until(&instance, |view| (view["state"] == "down").then_some(()));
    let () = server.ask(&["REPLICAOF", "NO", "ONE"]);
    right(&instance);
}

#[test]
fn two_instances_share_a_server() {
    let Some(server) = Server::start(&[]) else { return };
    let (one, other) = (instance(&server), instance(&server));
    for instance in [&one, &other] {
        instance.submit(&["--hold"], "true");
        instance.submit(&["--wait"], "true");
    }
    assert_ne!(keys(&one), keys(&other));
    right(&one);
    right(&other);
    one.ok(&["redis", "rebuild"]);
    right(&other);
    assert_eq!((rebuilt(&one).0, rebuilt(&other).0), (2, 1));
}

#[test]
fn somebody_meddles_with_the_keys() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    for _ in 0..3 {
        instance.submit(&["--hold"], "true");
    }
    right(&instance);
    let base = keys(&instance);
    let _: i64 = server.ask(&["HSET", &format!("{base}:task:1"), "state", "passed"]);
    let _: i64 = server.ask(&["HSET", &format!("{base}:task:1"), "more", "x"]);
    let _: i64 = server.ask(&["DEL", &format!("{base}:task:2")]);
    let _: i64 = server.ask(&["ZADD", &format!("{base}:state:failed"), "1", "3"]);
    let _: i64 = server.ask(&["HSET", &format!("{base}:task:99"), "state", "held"]);
    let () = server.ask(&["SET", &format!("{base}:task:junk"), "x"]);
    let () = server.ask(&["SET", &format!("{base}:task:3"), "of another kind"]);
    let _: i64 = server.ask(&["HSET", &format!("{base}:task:007"), "state", "held"]);
    let _: i64 = server.ask(&["ZADD", &format!("{base}:state:junk"), "1", "3"]);
    let () = server.ask(&["SET", &format!("{base}:state:cancelled"), "of another kind"]);
    let _: i64 = server.ask(&["XDEL", &format!("{base}:events"), "2-0"]);
    let found = instance.run(&["redis", "verify", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let names = |key: &str, field: Option<&str>| {
        let key = format!("{base}:{key}");
        let all = found["first"].as_array().unwrap();
        all.iter().any(|one| one["key"] == key.as_str() && field.is_none_or(|field| one["field"] == field))
    };
    for (key, field) in [
        ("task:1", Some("state")),
        ("task:1", Some("more")),
        ("task:2", Some("uid")),
        ("state:failed", Some("3")),
        ("task:99", None),
        ("task:junk", None),
        ("task:3", Some("state")),
        ("task:007", None),
        ("state:junk", None),
        ("state:cancelled", None),
        ("events", None),
    ] {
        assert!(names(key, field), "{key} {field:?}: {found:#}");
    }
    instance.ok(&["redis", "rebuild"]);
    right(&instance);
    // What it says of itself is noticed without being asked.
    for words in [
        vec!["HSET", "meta", "seq", "1"],
        vec!["HSET", "meta", "epoch", "another"],
        vec!["DEL", "meta"],
        vec!["SET", "meta", "of another kind"],
        vec!["HSET", "meta", "seq", "\u{fffd}"],
    ] {
        let before = rebuilt(&instance).0;
        let key = format!("{base}:{}", words[1]);
        let words: Vec<&str> = [words[0], key.as_str()].into_iter().chain(words[2..].iter().copied()).collect();
        let _: redis::Value = server.ask(&words);
        until(&instance, |view| (view["rebuilds"].as_i64() > Some(before)).then_some(()));
        right(&instance);
        // So that the next is not too soon after the others.
        instance.ok(&["daemon", "restart"]);
        settle(&instance);
    }
}

#[test]
fn a_restored_database_has_a_new_copy() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    instance.submit(&["--hold"], "true");
    instance.ok(&["backup"]);
    instance.submit(&["--hold"], "true");
    settle(&instance);
    instance.ok(&["daemon", "stop"]);
    fs::write(instance.state().join("autodev.db"), "damaged").unwrap();
    instance.ok(&["restore", "--no-replay"]);
    right(&instance);
    let (_, why) = rebuilt(&instance);
    assert!(why.contains("restore"), "{why}");
    let tasks: Vec<String> = server.ask(&["KEYS", &format!("{}:task:*", keys(&instance))]);
    assert_eq!(tasks.len(), instance.json(&["list", "--all"]).as_array().unwrap().len());
}

/// Bytes that are no text, where text of ours should be.
#[test]
fn bytes_that_are_no_text() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    instance.submit(&["--hold"], "true");
    settle(&instance);
    let base = keys(&instance);
    let put = |command: &str, key: &[u8], rest: &[&[u8]]| {
        let key = [base.as_bytes(), b":", key].concat();
        let mut ask = redis::cmd(command);
        ask.arg(key).arg(rest);
        let _: redis::Value = ask.query(&mut server.client()).unwrap();
    };
    put("SET", b"task:\xff", &[b"x"]);
    put("HSET", b"task:1", &[b"state", b"\xff"]);
    put("ZADD", b"state:held", &[b"1", b"\xff"]);
    let found = instance.run(&["redis", "verify", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["differences"], 3, "{found:#}");
    instance.ok(&["redis", "rebuild"]);
    right(&instance);
    put("HSET", b"meta", &[b"seq", b"\xff"]);
    until(&instance, |view| (view["rebuilds"].as_i64() > Some(2)).then_some(()));
    right(&instance);
}

/// A user who may write and not publish has the copy without hints, and no rebuild for each
/// change.
#[test]
fn a_user_who_may_not_publish() {
    let Some(server) = Server::start(&[]) else { return };
    let rules = ["ACL", "SETUSER", "quiet", "on", ">secret", "~autodev:*", "+@all", "resetchannels"];
    let () = server.ask(&rules);
    let instance = crate::configured(&server, "user = \"quiet\"\npassword = \"env:HOME\"\n");
    let home = instance.home().to_str().unwrap().to_owned();
    let () = server.ask(&["ACL", "SETUSER", "quiet", &format!(">{home}")]);
    for _ in 0..3 {
        instance.submit(&["--hold"], "true");
    }
    right(&instance);
    assert_eq!(rebuilt(&instance).0, 1);
}

/// A server without memory refuses the whole of a change, and has it when it has room again.
#[test]
fn a_server_without_memory() {
    let Some(server) = Server::start(&[]) else { return };
    let instance = instance(&server);
    instance.submit(&["--hold"], "true");
    settle(&instance);
    let base = keys(&instance);
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    instance.submit(&["--hold"], "true");
    until(&instance, |view| view["error"].as_str().filter(|error| error.contains("OOM")).map(drop));
    let second: bool = server.ask(&["EXISTS", &format!("{base}:task:2")]);
    assert!(!second, "a part of the change was written");
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    right(&instance);
    assert_eq!(rebuilt(&instance).0, 1);
}

/// A replica that is behind becomes the master: what it has not heard of is copied again.
#[test]
fn a_replica_that_is_behind_takes_over() {
    let Some(mut first) = Server::start(&[]) else { return };
    let port = free_port();
    let () = first.ask(&["CONFIG", "SET", "port", &port.to_string()]);
    let second = Server::start(&["--replicaof", &format!("127.0.0.1 {port}")]).unwrap();
    let instance = instance(&first);
    instance.submit(&["--hold"], "true");
    settle(&instance);
    let base = keys(&instance);
    let has = |task: i64| -> bool { second.ask(&["EXISTS", &format!("{base}:task:{task}")]) };
    let began = Instant::now();
    while !has(1) {
        assert!(began.elapsed() < DEADLINE, "the replica does not follow");
    }
    // From here on it hears of nothing more.
    let () = second.ask(&["REPLICAOF", "NO", "ONE"]);
    let later = instance.submit(&["--hold"], "true");
    instance.ok(&["release", "1"]);
    instance.wait(1);
    settle(&instance);
    assert!(!has(later));
    first.kill();
    fs::remove_file(first.socket()).unwrap();
    std::os::unix::fs::symlink(second.socket(), first.socket()).unwrap();
    right(&instance);
    assert!(has(later));
}
