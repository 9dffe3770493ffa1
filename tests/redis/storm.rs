//! Everything at once: Redis killed, flushed, cut and failed over, the daemon killed, a
//! second instance and somebody who meddles, while tasks are submitted, run and changed.
//! Afterwards, in quiet, the copy is right in everything.
//!
//! `make redis-storm` runs many.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::Instance;
use crate::common::random::Random;
use crate::server::{Server, free_port};
use crate::{keys, right};

/// In CI; the long run sets AUTODEV_REDIS_STORMS.
const STORMS: u64 = 3;
/// Blows of one storm.
const BLOWS: u32 = 12;
/// Longest pause between two of them.
const PAUSE: Duration = Duration::from_millis(300);

#[test]
fn storms_leave_a_copy_that_is_right() {
    let storms = std::env::var("AUTODEV_REDIS_STORMS").map_or(STORMS, |storms| storms.parse().unwrap());
    let mut random = Random::new();
    let mut tasks = 0;
    let began = Instant::now();
    for _ in 0..storms {
        match storm(&mut random) {
            Some(more) => tasks += more,
            None => return,
        }
    }
    eprintln!("{storms} storms, {tasks} tasks, 0 differences, {:.0?}", began.elapsed());
}

/// One storm; how many tasks there were.
fn storm(random: &mut Random) -> Option<usize> {
    let server = Server::start(&[])?;
    // Where it is found, whichever server that is; and those that were it before.
    let (address, mut servers) = (server.socket(), vec![server]);
    let server = &servers[0];
    let config = format!("[queue]\nslots = 3\n[redis]\nurl = \"{}\"\n", server.url());
    let (instance, other) = (Instance::configured(&config), Instance::configured(&config));
    let base = keys(&instance);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut wish = Random::seeded(random.below(u64::MAX));
        let (instance, other, over) = (&instance, &other, &over);
        let working = scope.spawn(move || {
            while !over.load(Ordering::Acquire) {
                work(instance, &mut wish);
                other.run(&["submit", "--hold", "--provider", "shell", "true"]);
            }
        });
        for _ in 0..BLOWS {
            thread::sleep(some(PAUSE, random));
            blow(&address, &mut servers, instance, &base, random);
        }
        over.store(true, Ordering::Release);
        working.join().unwrap();
    });
    right(&instance);
    right(&other);
    let server = servers.last().unwrap();
    // As somebody outside sees it.
    let tasks = instance.json(&["list", "--all", "--limit", "1000"]);
    let tasks = tasks.as_array().unwrap();
    for task in tasks {
        // Tasks still run.
        let state = || server.ask::<String>(&["HGET", &format!("{base}:task:{}", task["id"]), "state"]);
        let same = |state: &str| instance.json(&["show", &task["id"].to_string()])["task"]["state"] == state;
        assert!(state() == task["state"].as_str().unwrap() || same(&state()), "task {}", task["id"]);
    }
    Some(tasks.len())
}

/// Tasks come, run and change. Any of it may meet a daemon that has just been killed.
fn work(instance: &Instance, random: &mut Random) {
    match random.below(4) {
        0 => {
            let mut batch = instance.autodev(&["submit", "--batch", "-", "-q"]);
            let mut batch = batch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let mut input = batch.stdin.take().unwrap();
            for task in 0..20 {
                let hold = task % 2 == 0;
                // Fails when the daemon was killed.
                drop(writeln!(input, "{{\"command\":[\"true\"],\"hold\":{hold}}}"));
            }
            drop(input);
            batch.wait().unwrap();
        }
        1 => drop(instance.run(&["submit", "--provider", "shell", "exit 1"])),
        2 => drop(instance.run(&["release", "--state", "held", "--yes"])),
        _ => drop(instance.run(&["cancel", "--state", "queued", "--yes"])),
    }
}

fn some(longest: Duration, random: &mut Random) -> Duration {
    longest.mul_f64(random.below(1_000) as f64 / 1_000.0)
}

fn blow(address: &Path, servers: &mut Vec<Server>, instance: &Instance, base: &str, random: &mut Random) {
    let server = servers.last_mut().unwrap();
    match random.below(9) {
        0 => {
            server.kill();
            thread::sleep(some(PAUSE, random));
            server.run();
        }
        1 => server.ask(&["FLUSHALL"]),
        2 => {
            server.kill();
            server.cut_log(random.below(20_000));
            server.run();
        }
        3 => {
            // An old copy comes back.
            let _: redis::Value = server.ask(&["SAVE"]);
            thread::sleep(PAUSE);
            server.kill();
            drop(fs::remove_dir_all(server.directory().join("appendonlydir")));
            server.run_from_snapshot();
        }
        4 => instance.kill_daemon(),
        5 => {
            // It refuses to be written, as one does that another has replaced.
            let () = server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
            thread::sleep(some(PAUSE, random));
            let () = server.ask(&["REPLICAOF", "NO", "ONE"]);
        }
        6 => {
            // A replica becomes the master, and has not heard of the last.
            let port = free_port();
            let () = server.ask(&["CONFIG", "SET", "port", &port.to_string()]);
            let next = Server::start(&["--replicaof", &format!("127.0.0.1 {port}")]).unwrap();
            thread::sleep(some(PAUSE, random));
            let () = next.ask(&["REPLICAOF", "NO", "ONE"]);
            thread::sleep(some(PAUSE, random));
            server.kill();
            fs::remove_file(address).unwrap();
            std::os::unix::fs::symlink(next.socket(), address).unwrap();
            servers.push(next.alone());
        }
        7 => {
            let _: redis::Value = server.ask(&["HSET", &format!("{base}:meta"), "seq", "3"]);
        }
        _ => {
            let _: redis::Value = server.ask(&["DEL", &format!("{base}:meta"), &format!("{base}:state:passed")]);
        }
    }
}
