use super::{refused, running};
use crate::common::Instance;

#[test]
fn a_session_without_a_task_gets_another_name() {
    let instance = Instance::new();
    instance.ok(&["open", "--detach", "--name", "one", "--", "cat"]);
    instance.ok(&["open", "--detach", "--name", "two", "--", "cat"]);
    let (_, gate) = running(&instance, "gate");
    assert_eq!(instance.ok(&["rename", "one", "first"]), "session one is now first\n");
    instance.ok(&["send", "first", "hello", "--enter"]);
    refused(
        &instance,
        &[
            (4, &["rename", "one", "x"], &["no session 'one'"]),
            (6, &["rename", "first", "two"], &["'two' is there already"]),
            (6, &["rename", "1.1", "x"], &["named after its task"]),
            (2, &["rename", "first", "77"], &["cannot be named '77'"]),
            (2, &["rename", "first", "1.5"], &["cannot be named '1.5'"]),
            (2, &["rename", "first", "3-9"], &["cannot be named '3-9'"]),
            (2, &["rename", "first", "A B"], &["cannot be a session's name"]),
        ],
    );
    // By its new name it is there without the daemon, and for the next one.
    instance.kill_daemon();
    instance.ok(&["--no-start", "screen", "first"]);
    assert!(instance.ok(&["sessions", "-q"]).lines().any(|name| name == "first"));
    gate.write("\n");
}
