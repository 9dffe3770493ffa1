//! The daemon is killed again and again: agents do not notice, nothing is lost or run
//! twice. `AUTODEV_STORM_KILLS` says how often; the default is quick.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::Instance;
use sha2::{Digest, Sha256};

fn kills() -> usize {
    std::env::var("AUTODEV_STORM_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(15)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The recording is byte for byte what the program wrote, while the daemon is killed as
/// fast as it can be started.
#[test]
fn the_recording_has_no_gap() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    // `tee` keeps a copy of exactly what goes to the terminal; the terminal changes nothing.
    let script = format!(
        "stty -opost; echo > {}; n=0; while [ ! -e stop ]; do n=$((n+1)); echo \"line $n of a program that never waits\"; done | tee copy",
        begun.path()
    );
    let task = instance.submit(&[], &script);
    begun.read();
    for _ in 0..kills() {
        instance.kill_daemon();
        instance.ok(&["status"]);
    }
    fs::write(instance.work().join("stop"), "").unwrap();
    assert_eq!(instance.wait(task), "passed");
    let copy = fs::read(instance.work().join("copy")).unwrap();
    let shown = instance.json(&["show", "1"]);
    let recording = &shown["attempts"][0]["recording"];
    assert_eq!(recording["bytes"].as_u64().unwrap(), copy.len() as u64);
    assert_eq!(recording["sha256"].as_str().unwrap(), sha256(&copy));
    let raw = instance.run(&["logs", "--raw", "1"]).stdout;
    assert!(raw == copy, "{} bytes read back of {}", raw.len(), copy.len());
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
}

/// Submits, starts and ends go on under the storm; every acknowledged task runs, once.
#[test]
fn nothing_acknowledged_is_lost_or_runs_twice() {
    let instance = Instance::configured("[queue]\nslots = 4\n");
    instance.ok(&["status"]);
    let mut acknowledged = Vec::new();
    std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    (0..kills()).map(|_| instance.submit(&[], "echo $AUTODEV_ATTEMPT >> ran")).collect::<Vec<_>>()
                })
            })
            .collect();
        for _ in 0..kills() {
            instance.ok(&["status"]);
            instance.kill_daemon();
        }
        for submitter in submitters {
            acknowledged.extend(submitter.join().unwrap());
        }
    });
    for task in &acknowledged {
        assert_eq!(instance.wait(*task), "passed", "{}", instance.task(*task));
    }
    let ran = fs::read_to_string(instance.work().join("ran")).unwrap();
    let mut by_task: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for attempt in ran.lines() {
        by_task.entry(attempt.split('.').next().unwrap().parse().unwrap()).or_default().push(attempt);
    }
    for task in &acknowledged {
        assert_eq!(by_task.get(task).map(Vec::len), Some(1), "task {task} ran as {:?}", by_task.get(task));
    }
    instance.ok(&["history", "--verify"]);
    // Nothing is left behind, and what ended has been moved away.
    assert_eq!(instance.json(&["sessions"]).as_array().map(Vec::len), Some(0));
}
