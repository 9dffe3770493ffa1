//! The n-th system call fails, for n = 1, 2, 3… until nothing is left to fail: with an error
//! of the disk, without room, without descriptors, without processes, or by the death of
//! the daemon. Whatever fails: nothing that was acknowledged is lost, nothing is
//! acknowledged that is not stored, nothing panics, and all goes on by itself afterwards.
//!
//! `AUTODEV_FAULTS=all` tries every n; the default is quick.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../common/mod.rs"]
mod common;
mod injector;

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::process::{Output, Stdio};

use common::{Instance, empties};
use injector::{Aim, DESCRIPTORS, DISK, Fault, Injector, Of, PROCESSES, WRITES};
use nix::errno::Errno;

/// A daemon whose system calls we are asked about.
struct Case {
    instance: Instance,
    injector: Injector,
    daemon: std::process::Child,
}

impl Case {
    fn new() -> Case {
        let instance = Instance::new();
        fs::DirBuilder::new().mode(0o700).create(instance.state()).unwrap();
        let log = instance.state().join("autodevd.log");
        let log = File::options().create_new(true).append(true).mode(0o600).open(log).unwrap();
        let mut command = instance.program("autodevd");
        command.stdout(Stdio::null()).stderr(log);
        let (daemon, injector) = Injector::spawn(command).unwrap();
        common::appears(&instance.state().join("INITIALIZED"));
        instance.ok(&["status"]);
        Case { instance, injector, daemon }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        // While we still answer for what its programs want to do.
        drop(self.instance.autodev(&["daemon", "stop", "--kill-sessions"]).output());
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

/// What is done while something fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    /// `submit`.
    Submit,
    /// A task's way from the claim to its end.
    Life,
    /// `backup`.
    Backup,
}

/// Every n, or a few of the many?
fn all() -> bool {
    std::env::var("AUTODEV_FAULTS").is_ok_and(|which| which == "all")
}

/// The errors of a disk; a quick run has those that come most.
fn errors() -> &'static [Errno] {
    if all() { &[Errno::EIO, Errno::ENOSPC] } else { &[Errno::ENOSPC] }
}

/// Runs the work with the n-th call failing; `false` when there were not so many.
fn fails_at(work: Work, aim: Aim) -> bool {
    let case = Case::new();
    let instance = &case.instance;
    let what = format!("{work:?} {aim:?}");
    let script = "echo one; echo $AUTODEV_ATTEMPT >> ran; echo two";
    let mut acknowledged = Vec::new();
    if work == Work::Life {
        instance.ok(&["pause"]);
        acknowledged.push(instance.submit(&[], script));
    }
    case.injector.aim(aim);
    let output = match work {
        Work::Submit => instance.run(&["submit", "-q", "--provider", "shell", "--no-start", "--", "sh", "-c", script]),
        Work::Life => {
            instance.run(&["resume", "--no-start"]);
            instance.run(&["wait", "1", "--timeout", "3s", "--no-start"])
        }
        Work::Backup => instance.run(&["backup", "--no-start"]),
    };
    let hit = case.injector.rest();
    // Whatever has become of the daemon: there is one.
    instance.ok(&["status"]);
    match work {
        Work::Submit => submitted(instance, &output, &mut acknowledged, &what),
        Work::Life => {
            instance.ok(&["resume"]);
        }
        Work::Backup => backed_up(instance, &output, &what),
    }
    if !hit {
        assert!(output.status.success(), "{what}: {output:?}");
    }
    for task in &acknowledged {
        assert_eq!(instance.wait(*task), "passed", "{what}: {}\n{}", instance.task(*task), instance.log());
    }
    let ran = fs::read_to_string(instance.work().join("ran")).unwrap_or_default();
    let mut attempts: Vec<&str> = ran.lines().collect();
    attempts.sort_unstable();
    attempts.dedup();
    assert_eq!(attempts.len(), ran.lines().count(), "{what}: {ran}");
    empties(&instance.state().join("sessions/live"));
    instance.ok(&["history", "--verify"]);
    let doctor = instance.run(&["doctor", "--deep", "--json"]);
    assert!(doctor.status.success(), "{what}: {}", String::from_utf8_lossy(&doctor.stdout));
    let log = fs::read_to_string(instance.state().join("autodevd.log")).unwrap();
    assert!(!log.contains("panicked"), "{what}: {log}");
    hit
}

/// What was said of a submit is so.
fn submitted(instance: &Instance, output: &Output, acknowledged: &mut Vec<i64>, what: &str) {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let all = instance.json(&["list", "--all"]);
    let stored: Vec<i64> = all.as_array().unwrap().iter().map(|task| task["id"].as_i64().unwrap()).collect();
    if output.status.success() {
        acknowledged.push(String::from_utf8_lossy(&output.stdout).trim().parse().unwrap());
        assert_eq!(stored, *acknowledged, "{what}: {told}");
    } else if told.contains("not stored") {
        assert!(stored.is_empty(), "{what}: it is stored, and was said not to be: {told}");
    } else {
        // Not known, or the daemon has died of it.
        assert!(told.contains("not known whether") || told.contains("daemon"), "{what}: {told}");
        acknowledged.extend(stored);
    }
}

/// What is called a backup is one.
fn backed_up(instance: &Instance, output: &Output, what: &str) {
    let backups = instance.json(&["backup", "--list"]);
    if output.status.success() {
        assert_eq!(backups.as_array().unwrap().len(), 1, "{what}");
    }
    for name in fs::read_dir(instance.state().join("backups")).into_iter().flatten().flatten() {
        let name = name.file_name().to_string_lossy().into_owned();
        assert!(name.ends_with(".db") || name.contains(".unfinished"), "{what}: {name}");
    }
    // One that works leaves nothing of one that did not.
    instance.submit(&["--hold"], "true");
    instance.ok(&["backup"]);
}

/// For n = 1, 2, 3… until a run in which nothing failed; in a quick run steps grow.
fn until_clean(work: Work, aim: Aim, most: u64) {
    let mut nth = 1;
    let mut tried = 0;
    while fails_at(work, Aim { nth, ..aim }) {
        tried += 1;
        nth += if all() { 1 } else { 1 + nth / 2 };
        assert!(nth < most, "{work:?} {aim:?} never ends");
    }
    assert!(tried > 0, "{work:?} {aim:?}: nothing to fail");
    println!("{work:?}: {:?} of {:?}: {tried} faults, {} calls", aim.fault, aim.of, nth - 1);
}

fn disk(fault: Fault) -> Aim {
    Aim { of: Of::Itself, calls: &DISK, nth: 1, fault, stays: false }
}

#[test]
fn submit_and_the_disk() {
    for fault in [Fault::Error(Errno::EIO), Fault::Error(Errno::ENOSPC), Fault::Kill] {
        until_clean(Work::Submit, disk(fault), 100);
    }
    // A disk that stays so.
    for errno in [Errno::EIO, Errno::ENOSPC] {
        until_clean(Work::Submit, Aim { stays: true, ..disk(Fault::Error(errno)) }, 100);
    }
}

#[test]
fn backup_and_the_disk() {
    for fault in [Fault::Error(Errno::EIO), Fault::Error(Errno::ENOSPC), Fault::Kill] {
        until_clean(Work::Backup, disk(fault), 2_000);
    }
}

#[test]
fn a_life_and_the_disk() {
    until_clean(Work::Life, disk(Fault::Kill), 500);
    for errno in errors() {
        until_clean(Work::Life, disk(Fault::Error(*errno)), 500);
    }
}

#[test]
fn a_keeper_and_the_disk() {
    until_clean(Work::Life, Aim { of: Of::Children, ..disk(Fault::Kill) }, 500);
    for errno in errors() {
        until_clean(Work::Life, Aim { of: Of::Children, ..disk(Fault::Error(*errno)) }, 500);
    }
}

/// What cannot be recorded is a gap; the program runs on, and to its end.
#[test]
fn a_recording_and_the_disk() {
    for errno in errors() {
        for stays in [false, true] {
            let aim = Aim { of: Of::Children, calls: &WRITES, nth: 1, fault: Fault::Error(*errno), stays };
            until_clean(Work::Life, aim, 500);
        }
    }
}

#[test]
fn no_descriptors_and_no_processes() {
    for (calls, errno) in [(&DESCRIPTORS[..], Errno::EMFILE), (&PROCESSES[..], Errno::EAGAIN)] {
        let aim = Aim { of: Of::Itself, calls, nth: 1, fault: Fault::Error(errno), stays: false };
        until_clean(Work::Life, aim, 500);
    }
}

/// A monitor learns of it before somebody submits in vain.
#[test]
fn a_disk_that_stays_full_is_no_health() {
    let case = Case::new();
    case.instance.ok(&["health"]);
    case.injector.aim(Aim { stays: true, ..disk(Fault::Error(Errno::ENOSPC)) });
    let health = case.instance.run(&["health", "--no-start"]);
    assert!(case.injector.rest());
    let said = String::from_utf8_lossy(&health.stdout);
    assert!(health.status.code() == Some(1) && said.contains("stored"), "{health:?}");
    case.instance.ok(&["health"]);
}
