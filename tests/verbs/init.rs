//! `autodev init`, and `autodev` alone.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::common::Instance;

#[test]
fn settings_are_written_once() {
    let instance = Instance::new();
    assert!(instance.fails(2, &["init"]).contains("--yes"));
    instance.ok(&["init", "--yes"]);
    let file = instance.home().join("config/config.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\nslots = ") && text.contains("\n# on_interrupt = \"resume\"\n"), "{text}");
    instance.ok(&["config", "check"]);
    assert!(instance.fails(6, &["init", "--yes"]).contains("config edit"));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn alone_it_says_how_it_stands_and_what_helps() {
    let instance = Instance::new();
    let next = || instance.json(&[])["next"].as_str().unwrap().to_owned();
    assert_eq!(next(), "autodev init");
    // Nothing was started for that.
    assert!(!instance.state().join("daemon.lock").exists());
    let held = instance.submit(&["--hold"], "true");
    assert!(instance.ok(&[]).contains("1 held"));
    assert!(next().starts_with("autodev submit"));
    instance.wait(instance.submit(&[], "exit 1"));
    assert_eq!(next(), "autodev history --state failed,error,timeout --since 1d");
    instance.ok(&["pause"]);
    assert_eq!(next(), "autodev resume");
    instance.ok(&["resume"]);
    instance.ok(&["release", &held.to_string()]);
}

/// At a terminal it asks, and takes what is answered.
#[test]
fn it_asks() {
    let instance = Instance::new();
    super::script(&instance, "claude", "exit 0");
    let path = super::script(&instance, "codex", "exit 0");
    let mut asked = std::process::Command::new("script");
    let line = format!("{} init", env!("CARGO_BIN_EXE_autodev"));
    asked.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    asked.env_clear().env("PATH", path).env("HOME", instance.home()).env("AUTODEV_HOME", instance.home());
    asked.env("SHELL", "/bin/sh").stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir(instance.work());
    let mut asked = asked.spawn().unwrap();
    // An answer that is none is asked for again.
    asked.stdin.as_mut().unwrap().write_all(b"gemini\ncodex\nmany\n3\n").unwrap();
    let output = asked.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.matches("which agent").count() == 2, "{said}");
    assert_eq!(instance.ok(&["config", "get", "submit.provider"]), "codex\n");
    assert_eq!(instance.ok(&["config", "get", "queue.slots"]), "3\n");
    // Set up, and with nothing there: no list of nothing.
    assert!(instance.json(&[])["next"].as_str().unwrap().starts_with("autodev submit"));
}
