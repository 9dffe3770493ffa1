//! The daemon from outside: the main job, crashes, a second one, the end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use common::{Instance, appears, dies, empties};
use serde_json::Value;

#[test]
fn a_task_runs_in_a_terminal_to_its_end() {
    let instance = Instance::new();
    let task = instance.submit(&["--title", "hello"], "tty; stty size; echo 'in the terminal'; exit 0");
    assert_eq!(instance.wait(task), "passed");
    let log = instance.ok(&["logs", "1"]);
    assert!(log.contains("/dev/pts/") && log.contains("40 120") && log.contains("in the terminal"), "{log}");
    let shown = instance.task(task);
    assert_eq!((shown["exit_code"].as_i64(), shown["outcome"].as_str()), (Some(0), Some("succeeded")));
    assert_eq!(shown["attempt"], "1.1");
    let events = instance.json(&["history", "1"]);
    let kinds: Vec<_> = events.as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["submitted", "claimed", "started", "ended", "settled"]);
    instance.ok(&["history", "--verify"]);
}

#[test]
fn ends_are_typed() {
    let instance = Instance::new();
    let failed = instance.submit(&[], "exit 7");
    let killed = instance.submit(&[], "kill -KILL $$");
    assert_eq!(instance.wait(failed), "failed");
    assert_eq!(instance.wait(killed), "failed");
    assert_eq!(instance.task(failed)["exit_code"], 7);
    assert_eq!(instance.task(killed)["exit_code"], 137);
    let missing = instance.ok(&["submit", "-q", "--provider", "shell", "--", "/no/such/program"]);
    let missing = missing.trim().parse().unwrap();
    assert_eq!(instance.wait(missing), "error");
    let missing = instance.task(missing);
    assert_eq!(missing["outcome"], "launch-failed");
    assert!(missing["last_error"].as_str().unwrap().contains("/no/such/program"), "{missing}");
}

#[test]
fn a_running_agent_outlives_kill_9_of_the_daemon() {
    let instance = Instance::new();
    let (begun, go) = (instance.fifo("begun"), instance.fifo("go"));
    let script =
        format!("echo before; echo $$ > {}; read line < {}; echo after $line; exit 3", begun.path(), go.path());
    let task = instance.submit(&[], &script);
    let pid = begun.read().trim().to_owned();
    instance.kill_daemon();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "the agent died with the daemon");
    // The next daemon meets it again: same attempt, no second start.
    assert_eq!(instance.task(task)["state"], "running");
    instance.kill_daemon();
    // It ends while no daemon is there.
    go.write("x\n");
    dies(pid.parse().unwrap());
    assert_eq!(instance.wait(task), "failed");
    let shown = instance.task(task);
    assert_eq!((shown["exit_code"].as_i64(), shown["attempt"].as_str()), (Some(3), Some("1.1")));
    let log = instance.ok(&["logs", "1"]);
    assert!(log.contains("before") && log.contains("after x"), "{log}");
    instance.ok(&["history", "--verify"]);
}

#[test]
fn a_killed_keeper_is_noticed_its_orphans_end_and_the_task_is_put_back() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    // An orphan that ignores hang-ups and leaves its session must not run beside the next
    // attempt.
    let script = format!("setsid sh -c 'trap \"\" HUP; echo $$ > {}; exec sleep 1000' & wait", begun.path());
    let task = instance.submit(&[], &script);
    let orphan: u32 = begun.read().trim().parse().unwrap();
    let session = instance.json(&["sessions"]);
    let keeper = u32::try_from(session[0]["keeper_pid"].as_u64().unwrap()).unwrap();
    autodev::process::PidFd::open(keeper).unwrap().signal(libc::SIGKILL).unwrap();
    let second: u32 = begun.read().trim().parse().unwrap();
    assert!(autodev::process::ProcessId::of(orphan).is_none(), "the orphan runs beside the second attempt");
    assert_ne!(orphan, second);
    assert_eq!(instance.task(task)["attempt"], "1.2");
    instance.ok(&["kill", "1"]);
    assert_eq!(instance.wait(task), "cancelled");
    dies(second);
}

#[test]
fn cancel_ends_the_whole_tree_and_it_never_comes_back() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    let script = format!("setsid sleep 1000 & echo $! > {}; wait", begun.path());
    let task = instance.submit(&["--retries", "5"], &script);
    let pid: u32 = begun.read().trim().parse().unwrap();
    instance.ok(&["cancel", "1"]);
    assert_eq!(instance.wait(task), "cancelled");
    dies(pid);
    instance.kill_daemon();
    assert_eq!(instance.task(task)["state"], "cancelled");
    instance.fails(6, &["cancel", "1"]);
}

#[test]
fn one_daemon_whoever_starts_it() {
    let instance = Instance::new();
    let children: Vec<_> = (0..8)
        .map(|_| instance.autodev(&["status", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap())
        .collect();
    let pids: std::collections::BTreeSet<_> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            serde_json::from_slice::<Value>(&output.stdout).unwrap()["pid"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(pids.len(), 1);
    let second = instance.program("autodevd").output().unwrap();
    assert_eq!(second.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another daemon runs"));
}

#[test]
fn stop_leaves_sessions_running_and_restart_keeps_them() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    let task = instance.submit(&[], &format!("echo $$ > {}; exec sleep 1000", begun.path()));
    let pid: u32 = begun.read().trim().parse().unwrap();
    instance.ok(&["daemon", "stop"]);
    assert!(autodev::process::ProcessId::of(pid).is_some());
    instance.fails(3, &["--no-start", "status"]);
    instance.ok(&["daemon", "start"]);
    instance.ok(&["daemon", "restart"]);
    assert_eq!(instance.task(task)["state"], "running");
    assert!(autodev::process::ProcessId::of(pid).is_some());
    instance.ok(&["daemon", "stop", "--kill-sessions"]);
    dies(pid);
    assert_eq!(instance.task(task)["state"], "cancelled");
}

/// A daemon started by the command line was given a descriptor, which it does not have
/// after a restart.
#[test]
fn a_restart_is_in_place() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    let before = instance.daemon_pid();
    instance.ok(&["daemon", "restart"]);
    let log = instance.log();
    assert!(!log.contains("unexpected argument") && !log.contains("error"), "{log}");
    assert_eq!(instance.daemon_pid(), before, "it keeps the lock, so nobody else can come in between");
}

/// A session goes on over a restart in place, and leaves no zombie with the daemon whose
/// child it is.
#[test]
fn keepers_of_the_daemon_before_are_reaped() {
    let instance = Instance::new();
    std::fs::create_dir(instance.state()).unwrap();
    let mut daemon = instance.program("autodevd").spawn().unwrap();
    let begun = instance.fifo("begun");
    let pid = daemon.id();
    appears(&instance.state().join("daemon.lock"));
    let task = instance.submit(&[], &format!("echo > {}; exec sleep 1000", begun.path()));
    begun.read();
    let keeper = instance.json(&["sessions"])[0]["keeper_pid"].as_u64().unwrap();
    instance.ok(&["daemon", "restart"]);
    assert_eq!(instance.daemon_pid(), pid);
    instance.ok(&["kill", "1"]);
    assert_eq!(instance.wait(task), "cancelled");
    empties(&instance.state().join("sessions/live"));
    assert!(autodev::process::stat(u32::try_from(keeper).unwrap()).is_err(), "a zombie is left");
    instance.ok(&["daemon", "stop", "--kill-sessions"]);
    daemon.wait().unwrap();
}

/// As after the last logout: the directory is gone and cannot be made again.
#[test]
fn the_daemon_finds_another_place_for_its_socket() {
    let instance = Instance::new();
    let base = instance.home().join("runtime");
    std::fs::create_dir(&base).unwrap();
    let start = instance.autodev(&["daemon", "start"]).env("XDG_RUNTIME_DIR", &base).output().unwrap();
    assert!(start.status.success(), "{start:?}");
    let daemon = instance.daemon_pid();
    std::fs::remove_dir_all(&base).unwrap();
    std::fs::write(&base, "in the way").unwrap();
    instance.ok(&["--no-start", "status"]);
    assert_eq!(instance.daemon_pid(), daemon);
}

#[test]
fn the_runtime_directory_may_vanish() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    instance.submit(&[], &format!("echo $$ > {}; exec sleep 1000", begun.path()));
    begun.read();
    let daemon = instance.daemon_pid();
    std::fs::remove_dir_all(instance.state().join("run")).unwrap();
    assert_eq!(instance.json(&["list"])[0]["state"], "running");
    assert_eq!(instance.daemon_pid(), daemon, "a second daemon was started");
    instance.ok(&["screen", "1"]);
}

#[test]
fn nothing_inside_a_session_starts_a_daemon() {
    let instance = Instance::new();
    let (begun, done, tried) = (instance.fifo("begun"), instance.fifo("done"), instance.fifo("tried"));
    let autodev = env!("CARGO_BIN_EXE_autodev");
    let autodevd = env!("CARGO_BIN_EXE_autodevd");
    let script = format!(
        "echo > {}; read x < {}; {autodev} status; echo status=$?; env -u AUTODEV_SESSION {autodev} status; echo wiped=$?; {autodevd}; echo daemon=$?; echo > {}",
        begun.path(),
        done.path(),
        tried.path()
    );
    let task = instance.submit(&[], &script);
    begun.read();
    instance.kill_daemon();
    done.write("go\n");
    tried.read();
    assert_eq!(instance.wait(task), "passed");
    let log = instance.ok(&["logs", "1"]);
    assert!(log.contains("status=3") && log.contains("wiped=3") && log.contains("daemon=1"), "{log}");
}

#[test]
fn in_a_session_the_command_line_finds_its_own_instance() {
    let instance = Instance::new();
    let script = format!("{} show $AUTODEV_TASK_ID --json > seen", env!("CARGO_BIN_EXE_autodev"));
    let task = instance.submit(&["--title", "looks at itself"], &script);
    assert_eq!(instance.wait(task), "passed");
    let seen = std::fs::read_to_string(instance.work().join("seen")).unwrap();
    assert!(seen.contains("looks at itself"), "{seen}");
}

#[test]
fn programs_find_the_world_as_it_was_when_the_daemon_was_started() {
    use std::os::unix::process::CommandExt;
    let instance = Instance::new();
    let mut daemon = instance.program("autodevd");
    // SAFETY: two system calls with integers.
    unsafe {
        daemon.arg("--daemonize").pre_exec(|| {
            libc::umask(0o027);
            // Left so by a careless parent, children would end unheard.
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            Ok(())
        });
    }
    assert!(daemon.status().unwrap().success());
    let mask = |task: i64| {
        assert_eq!(instance.wait(task), "passed");
        instance.ok(&["logs", &task.to_string()])
    };
    assert_eq!(mask(instance.submit(&[], "umask")), "0027\n");
    instance.ok(&["daemon", "restart"]);
    assert_eq!(mask(instance.submit(&[], "umask")), "0027\n", "after a restart in place");
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let instance = Instance::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    autodev::socket::private_directory(&instance.state()).unwrap();
    let mut daemon = instance.program("autodevd").stderr(full).spawn().unwrap();
    // Else the first command might start one that is quicker.
    common::appears(&instance.state().join("daemon.lock"));
    assert_eq!(instance.wait(instance.submit(&[], "true")), "passed");
    let serves = instance.daemon_pid();
    instance.ok(&["daemon", "stop"]);
    assert!(daemon.wait().unwrap().success());
    assert_eq!(serves, daemon.id());
}

#[test]
fn daemonize_returns_when_it_is_ready() {
    let instance = Instance::new();
    assert!(instance.program("autodevd").arg("--daemonize").status().unwrap().success());
    instance.ok(&["--no-start", "status"]);
    let again = instance.program("autodevd").arg("--daemonize").output().unwrap();
    assert_eq!(again.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&again.stderr).contains("another daemon"), "{again:?}");
}

/// After a backup was put back numbers repeat, and a name may be that of a session of
/// before which still lives.
#[test]
fn a_directory_of_another_session_is_left_alone() {
    let instance = Instance::new();
    let (begun, go) = (instance.fifo("begun"), instance.fifo("go"));
    instance.submit(&[], &format!("echo $$ > {}; read line < {}", begun.path(), go.path()));
    begun.read();
    let launch = std::fs::read_to_string(instance.live("1.1").join("launch.json")).unwrap();
    let taken = instance.live("2.1");
    std::fs::create_dir(&taken).unwrap();
    let uid = serde_json::from_str::<Value>(&launch).unwrap()["uid"].as_str().unwrap().to_owned();
    let other = launch.replace(&uid, &autodev::id::Uid::from_bytes([7; 16]).to_string());
    std::fs::write(taken.join("launch.json"), &other).unwrap();
    let task = instance.submit(&[], "true");
    assert_eq!(instance.wait(task), "error");
    // Archived after whatever the other left would have been.
    go.write("x\n");
    assert_eq!(instance.wait(1), "passed");
    common::vanishes(&instance.live("1.1"));
    assert_eq!(std::fs::read_to_string(taken.join("launch.json")).unwrap(), other);
}
