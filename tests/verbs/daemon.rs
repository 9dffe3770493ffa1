//! `autodev daemon`.

use std::fs::{self, DirBuilder, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::process::Stdio;

use super::{json, refused, running, text, waits_at_socket};
use crate::common::{Instance, dies};

#[test]
fn start_status_restart_stop_and_again() {
    let instance = Instance::new();
    refused(&instance, &[(3, &["daemon", "status"], &["no daemon runs", "autodev daemon start"])]);
    assert!(instance.ok(&["daemon", "start"]).starts_with("the daemon runs: version "));
    let first = instance.json(&["daemon", "status"]);
    assert_eq!((first["running"].as_bool(), first["pid"].as_u64()), (Some(true), Some(instance.daemon_pid().into())));
    assert_eq!(instance.json(&["daemon", "start"])["pid"], first["pid"], "it runs already");
    let (_, gate) = running(&instance, "gate");
    let second = instance.json(&["daemon", "restart"]);
    assert_ne!(second["since"], first["since"]);
    assert_eq!(instance.json(&["status"])["sessions"], 1);
    assert_eq!(instance.ok(&["daemon", "stop"]), "the daemon has ended\n");
    assert_eq!(instance.ok(&["daemon", "stop"]), "no daemon runs\n");
    assert_eq!(json(&instance.run(&["daemon", "stop", "--json"]))["changed"], false);
    gate.write("\n");
    assert_eq!(instance.wait(1), "passed");
}

#[test]
fn kill_sessions_means_those_without_a_daemon_too() {
    let instance = Instance::new();
    let view = json(&instance.run(&["open", "--json", "--", "cat"]));
    let pid = u32::try_from(view["pid"].as_u64().unwrap()).unwrap();
    instance.kill_daemon();
    assert_eq!(instance.ok(&["daemon", "stop", "--kill-sessions"]), "the daemon and all sessions have ended\n");
    dies(pid);
}

#[test]
fn its_log() {
    let instance = Instance::new();
    refused(&instance, &[(4, &["daemon", "logs"], &["no log yet"])]);
    instance.ok(&["daemon", "start"]);
    instance.ok(&["daemon", "restart"]);
    let log = instance.ok(&["daemon", "logs"]);
    assert_eq!(log.matches("ready version=").count(), 2, "{log}");
    assert!(!log.contains("error") && !log.contains("Usage"), "{log}");
    assert_eq!(instance.ok(&["daemon", "logs", "-n", "1"]).lines().count(), 1);
    assert_eq!(instance.json(&["daemon", "logs", "-n", "1"]).as_array().unwrap().len(), 1);
    let path = instance.ok(&["daemon", "logs", "--path"]);
    assert!(path.ends_with("autodevd.log\n"));
    assert_eq!(instance.json(&["daemon", "logs", "--path"])["path"], path.trim_end());
    refused(&instance, &[(2, &["daemon", "sleep"], &["unrecognized subcommand"])]);
}

#[test]
fn stopped_it_stays_stopped_whoever_waits() {
    let instance = Instance::new();
    let (_, _gate) = running(&instance, "gate");
    let begin = |args: &[&str]| instance.autodev(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut watch = begin(&["watch", "--after", "0"]);
    let mut list = begin(&["list", "--watch"]);
    // Both streams are open once something has come.
    for child in [&mut watch, &mut list] {
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
    }
    let wait = begin(&["wait", "1"]);
    waits_at_socket(wait.id());
    // Its question was there before this one.
    instance.json(&["status"]);
    let pid = instance.daemon_pid();
    instance.ok(&["daemon", "stop"]);
    dies(pid);
    for child in [watch, list, wait] {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(text(&output.stderr).contains("the daemon was stopped"), "{output:?}");
    }
    refused(&instance, &[(3, &["daemon", "status"], &["no daemon runs"])]);
}

/// A daemon may run for years: its log does not grow with them.
#[test]
fn a_log_that_is_long_is_set_aside() {
    let instance = Instance::new();
    DirBuilder::new().mode(0o700).create(instance.state()).unwrap();
    let log = instance.state().join("autodevd.log");
    File::create(&log).unwrap().set_len(16 << 20).unwrap();
    instance.ok(&["daemon", "start"]);
    instance.wait(instance.submit(&[], "true"));
    let old = instance.state().join("autodevd.log.1");
    assert!(old.metadata().unwrap().len() > 16 << 20);
    let now = fs::read_to_string(&log).unwrap();
    assert!(now.len() < 1 << 16 && now.contains("ended"), "{now}");
    // What is said on standard error besides goes to the new one as well.
    let errors = fs::read_link(format!("/proc/{}/fd/2", instance.daemon_pid())).unwrap();
    assert_eq!(errors, log.canonicalize().unwrap());
}
