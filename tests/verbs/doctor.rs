//! `autodev doctor`: each thing that can be wrong is made so, and what it advises helps.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, SystemTime};

use autodev::process::PidFd;

use super::{running, script};
use crate::common::Instance;

/// Level, finding and advice of one check.
#[track_caller]
fn check(instance: &Instance, name: &str) -> (String, String, String) {
    let output = instance.run(&["doctor", "--json"]);
    let checks: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let one = checks.as_array().unwrap().iter().find(|check| check["name"] == name);
    let one = one.unwrap_or_else(|| panic!("no {name} in {checks:#}"));
    let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let any_error = checks.as_array().unwrap().iter().any(|check| check["level"] == "error");
    assert_eq!(output.status.code(), Some(i32::from(any_error)), "{checks:#}");
    (text("level"), text("found"), text("hint"))
}

#[track_caller]
fn is(instance: &Instance, name: &str, level: &str, word: &str) -> String {
    let (is, found, hint) = check(instance, name);
    assert!(is == level && found.contains(word), "{name}: {is}: {found} ({hint})");
    hint
}

#[test]
fn rights() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    is(&instance, "rights", "ok", "only you");
    // As a directory below one of a group is made.
    fs::set_permissions(instance.state(), PermissionsExt::from_mode(0o2700)).unwrap();
    is(&instance, "rights", "ok", "only you");
    fs::set_permissions(instance.state().join("witness"), PermissionsExt::from_mode(0o644)).unwrap();
    fs::set_permissions(instance.state(), PermissionsExt::from_mode(0o755)).unwrap();
    let hint = is(&instance, "rights", "error", "witness has mode 644");
    assert!(Command::new("sh").args(["-c", &hint]).status().unwrap().success(), "{hint}");
    is(&instance, "rights", "ok", "only you");
}

#[test]
fn room_and_clock_and_settings() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    is(&instance, "disk", "ok", "MiB are free");
    instance.ok(&["config", "set", "daemon.disk_reserve", "65536 GiB"]);
    is(&instance, "disk", "error", "nothing is started");
    is(&instance, "daemon", "error", "too little room");
    instance.ok(&["config", "unset", "daemon.disk_reserve"]);
    is(&instance, "clock", "ok", "not gone back");
    let witness = File::options().write(true).open(instance.state().join("witness")).unwrap();
    witness.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
    is(&instance, "clock", "warning", "ahead");
    fs::write(instance.home().join("config/config.toml"), "[queue]\nslotz = 3\n").unwrap();
    assert_eq!(is(&instance, "settings", "error", "slotz"), "autodev config check");
}

#[test]
fn backups() {
    let instance = Instance::new();
    instance.submit(&["--hold"], "true");
    is(&instance, "backups", "ok", "none yet");
    let backup = instance.json(&["backup"]);
    is(&instance, "backups", "ok", "1, the newest");
    // As if it were of another year: what has happened since has happened just now.
    let path = std::path::PathBuf::from(backup["path"].as_str().unwrap());
    let name = path.file_name().unwrap().to_str().unwrap();
    let old = path.with_file_name(format!("autodev-2025{}", &name["autodev-2025".len()..]));
    fs::rename(&path, old).unwrap();
    is(&instance, "backups", "ok", "1, the newest");
    instance.submit(&["--hold"], "true");
    is(&instance, "backups", "ok", "1, the newest");
    instance.ok(&["backup"]);
    is(&instance, "backups", "ok", "2, the newest");
}

#[test]
fn who_does_not_answer() {
    let instance = Instance::new();
    let (task, gate) = running(&instance, "gate");
    is(&instance, "keepers", "ok", "1 of this version");
    is(&instance, "daemon", "ok", "serves at");
    let keeper = instance.json(&["sessions"])[0]["keeper_pid"].as_u64().unwrap();
    let keeper = PidFd::open(u32::try_from(keeper).unwrap()).unwrap();
    keeper.signal(libc::SIGSTOP).unwrap();
    is(&instance, "keepers", "warning", "1.1: the session's keeper does not answer");
    keeper.signal(libc::SIGCONT).unwrap();
    is(&instance, "keepers", "ok", "1 of this version");
    let daemon = PidFd::open(instance.daemon_pid()).unwrap();
    daemon.signal(libc::SIGSTOP).unwrap();
    let found = check(&instance, "daemon");
    daemon.signal(libc::SIGCONT).unwrap();
    assert_eq!(found.0, "warning", "{found:?}");
    is(&instance, "daemon", "ok", "serves at");
    gate.write("\n");
    instance.wait(task);
}

#[test]
fn leftovers() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    let path = instance.state().join("autodev.db.restored");
    let left = File::create(&path).unwrap();
    // In the making, for all that is known.
    is(&instance, "leftovers", "ok", "none");
    left.set_modified(SystemTime::now() - Duration::from_secs(2 * 3600)).unwrap();
    is(&instance, "leftovers", "warning", "autodev.db.restored");
    fs::remove_file(path).unwrap();
    is(&instance, "leftovers", "ok", "none");
}

#[test]
fn the_database() {
    let instance = Instance::new();
    instance.submit(&["--hold"], "true");
    is(&instance, "database", "ok", "witness");
    instance.ok(&["backup"]);
    instance.ok(&["daemon", "stop"]);
    fs::remove_file(instance.state().join("autodev.db")).unwrap();
    assert_eq!(is(&instance, "database", "error", "autodev.db"), "autodev restore");
    instance.ok(&["restore", "--yes"]);
    is(&instance, "database", "ok", "witness");
}

#[test]
fn agents() {
    let instance = Instance::new();
    let path = script(&instance, "claude", "exit 0");
    let output = instance.autodev(&["doctor", "--json"]).env("PATH", path).output().unwrap();
    let checks: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = checks.as_array().unwrap().iter().find(|check| check["name"] == "agents").unwrap();
    assert_eq!((&found["level"], &found["found"]), (&"ok".into(), &"claude can be run".into()));
}
