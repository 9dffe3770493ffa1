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
use std::time::{Duration, Instant};

use autodev::process::{self, PidFd};
use common::{DEADLINE, Instance, dies, empties};

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

/// Fifty sessions at once, and the daemon dies at each step of the twenty-fifth: those that
/// are elsewhere in their lives by then are met where they are.
#[test]
fn fifty_sessions_outlive_the_daemon_at_every_step() {
    const SESSIONS: usize = 50;
    for (_, point, _) in STEPS.iter().filter(|(who, ..)| *who == Daemon) {
        let instance = Instance::configured("[queue]\nslots = 50\n");
        arm(&instance, point);
        // The archive takes many sessions at a time.
        let nth = if *point == "to-archive" { 1 } else { SESSIONS / 2 };
        fs::write(instance.home().join("fuse"), nth.to_string()).unwrap();
        let batch = "{\"command\": [\"sh\", \"-c\", \"echo $AUTODEV_TASK_ID >> ran; sleep 0.3\"]}\n".repeat(SESSIONS);
        fs::write(instance.work().join("batch"), batch).unwrap();
        instance.ok(&["submit", "--provider", "shell", "--batch", "batch"]);
        instance.ok(&["wait", "1-50", "--timeout", "60s"]);
        spent(&instance, point);
        let passed = instance.json(&["list", "--all", "--state", "passed", "--limit", "0"]);
        assert_eq!(passed.as_array().unwrap().len(), SESSIONS, "{point}: {}", instance.log());
        let ran = fs::read_to_string(instance.work().join("ran")).unwrap();
        let mut tasks: Vec<usize> = ran.lines().map(|line| line.parse().unwrap()).collect();
        tasks.sort_unstable();
        assert_eq!(tasks, (1..=SESSIONS).collect::<Vec<_>>(), "{point}");
        instance.ok(&["history", "--verify"]);
        empties(&instance.state().join("sessions/live"));
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

/// A keeper that dies while it compresses what its program has printed so far.
#[test]
fn a_recording_half_compressed_is_whole() {
    for (point, left) in [("compressing", "rec-000001.raw.tmp"), ("compressed", "rec-000001.raw")] {
        let instance = Instance::configured("[recording]\nsegment_bytes = '128 KiB'");
        arm(&instance, point);
        // More than a segment, and then the program waits.
        let task = instance.submit(&[], "[ $AUTODEV_ATTEMPT = 1.2 ] || { seq 30000; exec sleep 1000; }");
        assert_eq!(instance.wait(task), "passed", "{point}: {}", instance.log());
        spent(&instance, point);
        assert_eq!(instance.task(task)["attempt"], "1.2", "{point}");
        let all: String = (1..=30_000).map(|n| format!("{n}\r\n")).collect();
        assert!(instance.ok(&["logs", "--raw", "1.1"]) == all, "{point}: {}", instance.log());
        let path = instance.json(&["show", "1"])["attempts"][0]["recording"]["path"].as_str().unwrap().to_owned();
        assert!(Path::new(&path).is_dir() && !Path::new(&path).join(left).exists(), "{point}: {path}/{left}");
    }
}

/// An order that is written down and was never given is given by the next daemon.
#[test]
fn orders_outlive_the_daemon() {
    let instance = armed("order-due");
    let daemon = instance.daemon_pid();
    let begun = instance.fifo("begun");
    instance.submit(&["--timeout", "1h"], &format!("echo $$ > {}; exec sleep 1000", begun.path()));
    let pid: u32 = begun.read().trim().parse().unwrap();
    // Whether the answer came or not.
    instance.run(&["pause", "1"]);
    dies(daemon);
    spent(&instance, "order-due");
    assert_eq!(instance.task(1)["state"], "paused");
    let is_frozen = || process::stat(pid).unwrap().state == 'T';
    // Nothing tells of a process that was stopped, or of one that runs on.
    let until = |frozen: bool| {
        let deadline = Instant::now() + DEADLINE;
        while is_frozen() != frozen {
            assert!(Instant::now() < deadline, "frozen: {}", is_frozen());
            instance.ok(&["status"]);
        }
    };
    until(true);
    instance.kill_daemon();
    instance.ok(&["resume", "1"]);
    until(false);
    instance.kill_daemon();
    instance.ok(&["kill", "1"]);
    assert_eq!(instance.wait(1), "cancelled");
    dies(pid);
}

/// A cancel that finds the task half started, by another daemon than this one.
#[test]
fn what_is_cancelled_while_it_starts_never_runs() {
    for point in ["claimed", "directory-made", "keeper-spawned", "ready", "start-stored"] {
        let instance = Instance::new();
        instance.ok(&["pause"]);
        instance.ok(&["daemon", "stop"]);
        arm(&instance, point);
        let daemon = instance.daemon_pid();
        let task = instance.submit(&[], "exec sleep 1000");
        instance.run(&["resume"]);
        dies(daemon);
        spent(&instance, point);
        // Starts the next daemon, which goes on with the task, or puts it back, meanwhile.
        instance.ok(&["cancel", "1"]);
        assert_eq!(instance.wait(task), "cancelled", "{point}");
        empties(&instance.state().join("sessions/live"));
        instance.ok(&["history", "--verify"]);
    }
}

/// Before and after each commit of a task's life, and after each was witnessed: the n-th,
/// for n = 1, 2, 3… until there are no more. What is acknowledged is there, what runs runs
/// once, and who repeats with the same key gets the same task.
#[test]
fn every_commit_can_be_the_last() {
    for point in ["committing", "committed", "witnessed"] {
        let mut nth = 1;
        loop {
            let instance = Instance::new();
            arm(&instance, point);
            fs::write(instance.home().join("fuse"), nth.to_string()).unwrap();
            let begun = "echo $AUTODEV_ATTEMPT $$ >> ran";
            let submit = ["submit", "-q", "--provider", "shell", "--idempotency-key", "k", "--", "sh", "-c", begun];
            // A lost connection is repeated with the key.
            assert_eq!(instance.ok(&submit).trim(), "1", "{point} {nth}");
            assert_eq!(instance.wait(1), "passed", "{point} {nth}: {}", instance.log());
            assert_eq!(instance.ok(&submit).trim(), "1", "{point} {nth}");
            let ran = fs::read_to_string(instance.work().join("ran")).unwrap();
            assert_eq!(ran.lines().count(), 1, "{point} {nth}: {ran}");
            assert_eq!(instance.json(&["list", "--all"]).as_array().unwrap().len(), 1, "{point} {nth}");
            instance.ok(&["history", "--verify"]);
            empties(&instance.state().join("sessions/live"));
            if instance.home().join("fuse").exists() {
                break;
            }
            nth += 1;
        }
        assert!(nth > 3, "{point}: {nth}");
    }
}

/// A restore that dies at any step is finished by the next start, or has changed nothing.
#[test]
fn a_restore_can_die_at_any_step() {
    let steps = ["restore-built", "restore-kept", "restore-witnessed", "restore-log-gone", "restore-put"];
    for point in steps {
        let instance = Instance::new();
        for _ in 0..5 {
            instance.submit(&["--hold"], "true");
        }
        let backup = instance.json(&["backup"])["path"].as_str().unwrap().to_owned();
        instance.submit(&["--hold"], "true");
        instance.kill_daemon();
        let fuse = instance.home().join("fuse");
        fs::write(&fuse, "").unwrap();
        let mut restore = instance.autodev(&["restore", "--from", &backup, "--no-replay", "--yes"]);
        restore.env("AUTODEV_CRASH_POINT", point).env("AUTODEV_CRASH_FUSE", &fuse);
        assert!(!restore.output().unwrap().status.success(), "{point}");
        spent(&instance, point);
        let before = point == "restore-built" || point == "restore-kept";
        let there = instance.json(&["list", "--all"]).as_array().unwrap().len();
        assert_eq!(there, if before { 6 } else { 5 }, "{point}");
        instance.ok(&["history", "--verify"]);
        // In both cases it can be done once more.
        let again = instance.json(&["restore", "--from", &backup, "--no-replay", "--yes"]);
        assert_eq!(again["from_event"], 5, "{point}: {again}");
        assert_eq!(instance.json(&["list", "--all"]).as_array().unwrap().len(), 5, "{point}");
        assert_eq!(instance.submit(&["--hold"], "true"), 7, "{point}: a number was given out again");
        let doctor = instance.run(&["doctor", "--deep", "--json"]);
        assert!(doctor.status.success(), "{point}: {}", String::from_utf8_lossy(&doctor.stdout));
    }
}

/// A daemon that dies at `point`, the first time anything comes by there.
fn armed(point: &str) -> Instance {
    let instance = Instance::new();
    arm(&instance, point);
    instance
}

fn arm(instance: &Instance, point: &str) {
    let fuse = instance.home().join("fuse");
    fs::write(&fuse, "").unwrap();
    let mut start = instance.autodev(&["daemon", "start"]);
    start.env("AUTODEV_CRASH_POINT", point).env("AUTODEV_CRASH_FUSE", &fuse);
    assert!(start.output().unwrap().status.success(), "{}", instance.log());
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
