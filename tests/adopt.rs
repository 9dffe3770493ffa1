//! A daemon that starts meets the keepers there are, side by side: one that is silent, slow
//! or talks nonsense delays nobody, and is never replaced.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use autodev::lock::FileLock;
use autodev::paths::{KeeperFile, SessionDir};
use autodev::process::{PidFd, ProcessId};
use common::{DEADLINE, Instance, dies};
use serde_json::Value;

const KEEPERS: usize = 50;

/// The directory of a session without a task, by its name.
fn directory(instance: &Instance, name: &str) -> SessionDir {
    SessionDir(fs::canonicalize(instance.live(name)).unwrap())
}

fn keeper(instance: &Instance, name: &str) -> KeeperFile {
    serde_json::from_slice(&fs::read(directory(instance, name).keeper()).unwrap()).unwrap()
}

fn signal(pid: u32, signal: i32) {
    PidFd::open(pid).unwrap().signal(signal).unwrap();
}

/// A session without a keeper that believes to have one.
struct Impostor {
    _lock: FileLock,
    /// Gets the signals that are meant for the keeper.
    body: Child,
}

impl Drop for Impostor {
    fn drop(&mut self) {
        drop(self.body.kill());
        drop(self.body.wait());
    }
}

/// Takes a session over from its keeper, which dies: as long as this is held, it is kept, and
/// its keeper talks as we like.
fn impostor(instance: &Instance, name: &str, talk: fn(UnixStream)) -> Impostor {
    let mut file = keeper(instance, name);
    signal(file.process.pid, libc::SIGKILL);
    dies(file.process.pid);
    let dir = directory(instance, name);
    let lock = FileLock::take(&dir.lock()).unwrap().unwrap();
    let body = Command::new("sleep").arg("1000").spawn().unwrap();
    file.process = ProcessId::of(body.id()).unwrap();
    file.socket = instance.home().join(format!("{name}.sock"));
    let listener = UnixListener::bind(&file.socket).unwrap();
    fs::write(dir.keeper(), serde_json::to_vec(&file).unwrap()).unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(talk));
    Impostor { _lock: lock, body }
}

/// Answers with bytes that are no message.
fn garbage(mut stream: UnixStream) {
    drop(stream.write_all(&[0xff; 4096]));
}

/// Reads, and says nothing, for ever.
fn slow(mut stream: UnixStream) {
    thread::spawn(move || drop(stream.read_to_end(&mut Vec::new())));
}

fn sessions(instance: &Instance) -> Vec<Value> {
    instance.json(&["sessions", "--limit", "0"]).as_array().unwrap().clone()
}

#[test]
fn bad_keepers_delay_nobody() {
    let instance = Instance::new();
    let names: Vec<String> = (0..KEEPERS).map(|number| format!("session-{number}")).collect();
    for name in &names {
        instance.ok(&["open", "--detach", "--name", name, "--", "sleep", "1000"]);
    }
    let keepers: Vec<u32> = names.iter().map(|name| keeper(&instance, name).process.pid).collect();
    instance.kill_daemon();
    let bad = ["session-7", "session-21", "session-35"];
    signal(keepers[7], libc::SIGSTOP);
    let _garbage = impostor(&instance, bad[1], garbage);
    let _slow = impostor(&instance, bad[2], slow);

    // Nothing is asked of a session meanwhile: each is met by itself.
    let begun = Instant::now();
    instance.ok(&["daemon", "start"]);
    let good = |all: &[Value]| all.iter().filter(|one| one["keeper_version"].is_string()).count();
    let adopted = loop {
        let all = sessions(&instance);
        assert_eq!(all.len(), KEEPERS, "{all:?}");
        if good(&all) == KEEPERS - bad.len() {
            break all;
        }
        assert!(begun.elapsed() < DEADLINE, "{} of {KEEPERS} are adopted", good(&all));
    };
    println!("{} keepers were adopted within {:?}", KEEPERS - bad.len(), begun.elapsed());
    for one in &adopted {
        let name = one["name"].as_str().unwrap();
        if !bad.contains(&name) {
            assert_eq!(one["state"], "running", "{one}");
            let number: usize = name.strip_prefix("session-").unwrap().parse().unwrap();
            assert_eq!(one["keeper_pid"].as_u64(), Some(u64::from(keepers[number])), "it is the same as before");
        }
    }
    // Those that cannot be talked to are shown so, and kept.
    let unresponsive = |wanted: usize| loop {
        let all = sessions(&instance);
        let silent: Vec<&Value> = all.iter().filter(|one| one["state"] == "unresponsive").collect();
        if silent.len() == wanted {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{all:?}");
        thread::sleep(Duration::from_millis(20));
    };
    unresponsive(bad.len());
    // One that comes to itself again is met again.
    signal(keepers[7], libc::SIGCONT);
    unresponsive(bad.len() - 1);
    let alive = |pid: u32| PathBuf::from(format!("/proc/{pid}")).exists();
    assert!(keepers.iter().enumerate().all(|(number, pid)| number == 21 || number == 35 || alive(*pid)));
    // Without those that only we could end.
    instance.ok(&["daemon", "stop"]);
}
