//! The daemon is killed again and again, and keepers with it: what was acknowledged is not
//! lost, and nothing runs twice at a time. `AUTODEV_STORM_KILLS` says how often; the default
//! is quick. Random choices follow from `AUTODEV_SEED`, which is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::Instance;
use common::random::Random;
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
    // In a long storm it prints more than is kept by default.
    let instance = Instance::configured("[recording]\nmax_bytes = \"64 GiB\"\n");
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
                    (0..kills()).map(|_| submit_surely(&instance, "echo $AUTODEV_ATTEMPT >> ran")).collect::<Vec<_>>()
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

/// Does as the client says when a hundred daemons in a row have died before their answer.
fn submit_surely(instance: &Instance, command: &str) -> i64 {
    let key = autodev::id::Uid::new().to_string();
    loop {
        let submitted = instance.run(&[
            "submit",
            "-q",
            "--provider",
            "shell",
            "--idempotency-key",
            &key,
            "--",
            "sh",
            "-c",
            command,
        ]);
        if submitted.status.success() {
            return String::from_utf8(submitted.stdout).unwrap().trim().parse().unwrap();
        }
        let why = String::from_utf8_lossy(&submitted.stderr);
        assert!(why.contains("not known whether it was stored") && why.contains(&key), "{why}");
    }
}

/// Submitters go on while the daemon and keepers are killed at random. Each attempt looks
/// whether one before it still lives.
#[test]
fn a_random_storm_loses_nothing_and_runs_nothing_beside_itself() {
    const SUBMITTERS: usize = 8;
    let kills = std::env::var("AUTODEV_STORM_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let mut random = Random::new();
    let instance = Instance::configured("[queue]\nslots = 6\n");
    instance.ok(&["status"]);
    // The 22nd field of a process's stat is when it began: with that its number is its own.
    // One that has ended and that nobody has collected yet (`Z`) does nothing any more.
    let script = "me=$(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f20)
        while read -r task attempt pid start; do
            [ $task = $AUTODEV_TASK_ID ] && [ $pid != $$ ] && grep -q \") [^ZX] .* $start \" /proc/$pid/stat 2>/dev/null &&
                echo \"$task: $AUTODEV_ATTEMPT beside $attempt\" >> beside
        done < ran
        echo $AUTODEV_TASK_ID $AUTODEV_ATTEMPT $$ $me >> ran
        sleep 0.1
        echo $AUTODEV_TASK_ID $AUTODEV_ATTEMPT >> ended";
    fs::write(instance.work().join("ran"), "").unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    let (mut daemons, mut keepers) = (0, 0);
    let acknowledged: Vec<i64> = std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..SUBMITTERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut acknowledged = Vec::new();
                    while !over.load(std::sync::atomic::Ordering::Relaxed) {
                        acknowledged.push(instance.submit(&["--max-restarts", "100"], script));
                        // As fast as they are worked off, not faster.
                        let task = acknowledged.last().unwrap().to_string();
                        instance.run(&["wait", &task, "--timeout", "2s"]);
                    }
                    acknowledged
                })
            })
            .collect();
        while daemons + keepers < kills {
            std::thread::sleep(std::time::Duration::from_millis(20 + random.below(130)));
            let victim = keeper_of_some_session(&instance, &mut random).filter(|_| random.below(3) == 0);
            if let Some(keeper) = victim {
                keeper.signal(libc::SIGKILL).unwrap();
                keepers += 1;
            } else if let Some(daemon) = daemon(&instance) {
                daemon.signal(libc::SIGKILL).unwrap();
                daemons += 1;
            }
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        submitters.into_iter().flat_map(|submitter| submitter.join().unwrap()).collect()
    });
    for task in &acknowledged {
        assert_eq!(instance.wait(*task), "passed", "{}\n{}", instance.task(*task), instance.log());
    }
    let beside = fs::read_to_string(instance.work().join("beside")).unwrap_or_default();
    assert_eq!(beside, "", "{}", instance.log());
    let ended = fs::read_to_string(instance.work().join("ended")).unwrap();
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for line in ended.lines() {
        *ends.entry(line).or_default() += 1;
    }
    for task in &acknowledged {
        let passed = instance.task(*task)["attempt"].as_str().unwrap().to_owned();
        assert_eq!(ends.get(format!("{task} {passed}").as_str()), Some(&1), "task {task}");
    }
    assert!(ends.values().all(|count| *count == 1), "{ends:?}");
    instance.ok(&["history", "--verify"]);
    common::empties(&instance.state().join("sessions/live"));
    let state = format!("AUTODEV_STATE={}", instance.state().display());
    for pid in autodev::process::all().unwrap() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        assert!(memchr::memmem::find(&environment, state.as_bytes()).is_none(), "process {pid} is left over");
    }
    let doctor = instance.run(&["doctor", "--deep", "--json"]);
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
    println!("{} tasks, {daemons} kills of the daemon, {keepers} of keepers", acknowledged.len());
}

fn daemon(instance: &Instance) -> Option<autodev::process::PidFd> {
    let text = fs::read(instance.state().join("daemon.lock")).ok()?;
    serde_json::from_slice::<autodev::paths::LockFile>(&text).ok()?.process.open()
}

fn keeper_of_some_session(instance: &Instance, random: &mut Random) -> Option<autodev::process::PidFd> {
    let live: Vec<_> = fs::read_dir(instance.state().join("sessions/live")).ok()?.flatten().collect();
    let some = live.get(usize::try_from(random.below(live.len().max(1) as u64)).ok()?)?;
    let text = fs::read(some.path().join("keeper.json")).ok()?;
    // It may have ended by itself meanwhile, and its number be another's.
    serde_json::from_slice::<autodev::paths::KeeperFile>(&text).ok()?.process.open()
}
