//! `autodev init`, and `autodev` alone.

use std::fs;

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
