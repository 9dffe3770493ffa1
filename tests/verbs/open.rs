use super::{json, refused, script};
use crate::common::Instance;

#[test]
fn a_session_without_a_task() {
    let instance = Instance::new();
    assert_eq!(instance.ok(&["open", "--", "cat"]), "opened session cat-1\n", "without a terminal it is not attached");
    assert_eq!(instance.ok(&["open", "-q", "--", "cat"]), "cat-2\n");
    let view = json(&instance.run(&["open", "--json", "--name", "mine", "--dir", "..", "--", "cat"]));
    assert_eq!((view["name"].as_str(), view["tool"].as_str()), (Some("mine"), Some("cat")));
    assert_eq!((view["state"].as_str(), view["pid"].is_u64()), (Some("running"), true), "{view}");
    assert_eq!(view["current_directory"].as_str(), instance.home().canonicalize().unwrap().to_str());
    assert!(view["task"].is_null());
    let path = script(&instance, "claude", "exec cat");
    let output = instance.autodev(&["open", "claude", "-q"]).env("PATH", path).output().unwrap();
    assert_eq!(output.stdout, b"claude-1\n", "{output:?}");
    refused(
        &instance,
        &[
            (4, &["open", "nope"], &["no provider 'nope'"]),
            (6, &["open", "codex"], &["not installed", "npm install"]),
            (6, &["open", "--name", "mine", "--", "cat"], &["'mine' is there already", "autodev attach mine"]),
            (6, &["open", "--", "/no/such/program"], &["could not be started", "/no/such/program"]),
            (2, &["open", "--name", "42", "--", "cat"], &["cannot be named '42'"]),
            (2, &["open", "--name", "3-9", "--", "cat"], &["cannot be named '3-9'", "put a letter in front"]),
            (2, &["open", "--name", "1.", "--", "cat"], &["cannot be named '1.'"]),
            (2, &["open", "--name", "A B", "--", "cat"], &["cannot be a session's name"]),
            (2, &["open", "shell", "--", "cat"], &["not both"]),
            (2, &["open", "--model", "x"], &["PROVIDER"]),
            (2, &["open", "--full-access"], &["PROVIDER"]),
            (2, &["open", "-C", "/no/such", "--", "cat"], &["/no/such"]),
        ],
    );
}
