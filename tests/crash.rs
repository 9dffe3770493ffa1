//! `kill -9` of the daemon and of the keeper at every step of a session's life. Whatever
//! is killed, and wherever: the task passes, its program has run exactly once (or where
//! nobody can know how its first run ended, not beside it), the history holds, and
//! nothing is left over.

// The points are not in a release.
#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use autodev::process::{self, PidFd};
use common::{Instance, dies, empties};

/// What may be known of a run after the crash.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Runs {
    /// The program ran, by this attempt alone.
    Once(&'static str),
    /// How the first run ended is unknown: the second one begins when it is dead.
    Again,
}
use Runs::{Again, Once};

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Daemon,
    Keeper,
}
use Who::{Daemon, Keeper};

/// In the order of a session's life.
const STEPS: [(Who, &str, Runs); 17] = [
    // Claimed, nothing made.
    (Daemon, "claimed", Once("1.2")),
    (Daemon, "directory-made", Once("1.2")),
    // The keeper may have taken its lock by the time the next daemon looks: either is right.
    (Daemon, "keeper-spawned", Once("")),
    (Keeper, "keeper:born", Once("1.2")),
    (Keeper, "keeper:locked", Once("1.2")),
    (Keeper, "keeper:ready", Once("1.2")),
    // From here on the keeper outlives the daemon, and is met again.
    (Daemon, "ready", Once("1.1")),
    (Daemon, "start-stored", Once("1.1")),
    // Marked as started, but not started: for all anybody can know it ran.
    (Keeper, "keeper:marked", Once("1.2")),
    (Daemon, "gone", Once("1.1")),
    (Keeper, "keeper:started", Again),
    (Keeper, "keeper:ended", Again),
    // The record is durable: it needs no keeper.
    (Keeper, "keeper:recorded", Once("1.1")),
    (Daemon, "exit-heard", Once("1.1")),
    (Daemon, "end-stored", Once("1.1")),
    (Daemon, "acknowledged", Once("1.1")),
    (Daemon, "to-archive", Once("1.1")),
];

#[test]
fn every_step_can_be_the_last() {
    for (who, point, runs) in STEPS {
        crash_at(who, point, runs);
    }
}

/// Between the place of a recording, which is stored, and its directory, which is removed;
/// with a recording that goes into a pack and one that is too large for it.
#[test]
fn a_recording_is_where_the_database_says() {
    for bytes in [10, 100_000] {
        let instance = armed("archive-stored");
        let daemon = instance.daemon_pid();
        let task = instance.submit(&[], &format!("head -c {bytes} /dev/zero | tr '\\0' x; echo; echo end of it"));
        dies(daemon);
        assert_eq!(instance.wait(task), "passed");
        empties(&instance.state().join("sessions/live"));
        let log = instance.ok(&["logs", "--raw", "1"]);
        assert!(log.contains("end of it"), "{log}");
        let path = instance.json(&["show", "1"])["attempts"][0]["recording"]["path"].as_str().unwrap().to_owned();
        assert!(Path::new(&path).exists(), "{path}");
        spent(&instance, "archive-stored");
    }
}

/// A daemon that dies at `point`, the first time anything comes by there.
fn armed(point: &str) -> Instance {
    let instance = Instance::new();
    let fuse = instance.home().join("fuse");
    fs::write(&fuse, "").unwrap();
    let mut start = instance.autodev(&["daemon", "start"]);
    start.env("AUTODEV_CRASH_POINT", point).env("AUTODEV_CRASH_FUSE", &fuse);
    assert!(start.output().unwrap().status.success(), "{}", instance.log());
    instance
}

#[track_caller]
fn spent(instance: &Instance, point: &str) {
    assert!(!instance.home().join("fuse").exists(), "nothing has come by '{point}'");
}

fn crash_at(who: Who, point: &str, runs: Runs) {
    let instance = armed(point);
    let daemon = instance.daemon_pid();
    // The first of two runs stays, so that the second one could meet it.
    let stay = if point == "keeper:started" { "[ $AUTODEV_ATTEMPT != 1.1 ] || exec sleep 1000" } else { "true" };
    let script = format!(
        "echo $AUTODEV_ATTEMPT $$ $(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f20) >> ran
         read -r first pid start < ran
         [ $AUTODEV_ATTEMPT = $first ] || ! grep -q \" $start \" /proc/$pid/stat || echo beside >> ran
         {stay}"
    );
    let task = instance.submit(&[], &script);
    if who == Daemon {
        dies(daemon);
    }
    assert_eq!(instance.wait(task), "passed", "{point}: {}\n{}", instance.task(task), instance.log());
    spent(&instance, point);

    let ran = fs::read_to_string(instance.work().join("ran")).unwrap();
    let by: Vec<&str> = ran.lines().map(|line| line.split(' ').next().unwrap()).collect();
    match runs {
        Once("") => assert!(by == ["1.1"] || by == ["1.2"], "{point}: {by:?}"),
        Once(attempt) => assert_eq!(by, [attempt], "{point}"),
        // Killed before its first line it has left none.
        Again => assert!(by == ["1.1", "1.2"] || by == ["1.2"], "{point}: {by:?}"),
    }
    assert_eq!(instance.task(task)["attempt"].as_str(), by.last().copied(), "{point}");
    instance.ok(&["history", "--verify"]);
    empties(&instance.state().join("sessions/live"));
    let leaves = Duration::from_secs(10);
    for keeper in keepers(&instance) {
        let Some(handle) = PidFd::open(keeper) else { continue };
        assert!(autodev::socket::readable(&handle, leaves).unwrap(), "{point}: a keeper is left over");
    }
    assert_eq!(instance.json(&["sessions"]).as_array().map(Vec::len), Some(0), "{point}");
    assert_eq!(instance.json(&["status"])["slots_used"], 0, "{point}");
}

/// Keepers of this instance that live.
fn keepers(instance: &Instance) -> Vec<u32> {
    let home = instance.home().to_str().unwrap();
    let of_ours = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("\0keeper\0") && line.contains(home)
    };
    process::all().unwrap().into_iter().filter(of_ours).collect()
}
