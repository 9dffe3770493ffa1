use super::{code, one_slot, refused, running};
use crate::common::Instance;

#[test]
fn what_waits_can_be_changed() {
    let instance = one_slot();
    let (_, gate) = running(&instance, "gate");
    instance.submit(&["-l", "old", "--title", "Old"], "exit 1");
    instance.ok(&["submit", "--provider", "shell", "--title", "Old", "exit 1"]);
    let before = instance.task(3);
    assert_eq!(instance.ok(&["edit", "3", "--title", "New"]), "task 3 is queued: New\n");
    instance.ok(&["edit", "3", "--prompt", "echo edited", "--label", "a,b", "--retries", "2", "--timeout", "5m"]);
    let after = instance.task(3);
    assert_eq!((after["title"].as_str(), after["description"].as_str()), (Some("New"), Some("echo edited")));
    assert_eq!(after["labels"], serde_json::json!(["a", "b"]));
    assert_eq!((after["retries"].as_i64(), after["timeout"].as_str()), (Some(2), Some("5m")));
    assert_eq!((&after["uid"], &after["created_at"]), (&before["uid"], &before["created_at"]));
    instance.ok(&["edit", "3", "--in", "1h", "--after", "any:2", "--label", ""]);
    assert!(instance.task(3)["due_at"].is_string());
    assert_eq!(instance.task(3)["labels"], serde_json::json!([]));
    instance.ok(&["edit", "3", "--at", "now", "--after", "", "--timeout", "0"]);
    assert_eq!(instance.task(3)["after"], serde_json::json!([]));
    assert!(instance.task(3)["timeout"].is_null());
    gate.write("\n");
    assert_eq!(instance.wait(3), "passed");
    assert!(instance.ok(&["logs", "3"]).contains("edited"), "what runs is what was edited");
}

#[test]
fn a_title_taken_from_the_prompt_follows_it() {
    let instance = Instance::new();
    let submit = |title: &[&str]| {
        instance.ok(&[&["submit", "--hold", "--provider", "shell"], title, &["echo one"]].concat());
    };
    submit(&[]);
    assert_eq!(instance.ok(&["edit", "1", "--prompt", "echo two\nmore"]), "task 1 is held: echo two\n");
    assert_eq!(instance.task(1)["title"], "echo two");
    assert_eq!(instance.ok(&["history", "-q", "--verify"]), "");
    submit(&["--title", "Mine"]);
    assert_eq!(instance.ok(&["edit", "2", "--prompt", "echo two"]), "task 2 is held: Mine\n");
    assert_eq!(instance.ok(&["edit", "1", "--prompt", "x", "--title", "Both"]), "task 1 is held: Both\n");
}

#[test]
fn what_cannot_be_changed() {
    let instance = one_slot();
    let (_, gate) = running(&instance, "gate");
    instance.submit(&[], "true");
    instance.submit(&["--after", "2"], "true");
    refused(
        &instance,
        &[
            (
                6,
                &["edit", "1", "--title", "x"],
                &["it is running", "only a task that waits", "after 'autodev cancel 1'"],
            ),
            (6, &["edit", "2", "--after", "2"], &["wait for itself"]),
            (6, &["edit", "2", "--after", "3"], &["wait"]),
            (4, &["edit", "9", "--title", "x"], &["no task 9"]),
            (4, &["edit", "2", "--after", "9"], &["no task 9"]),
            (4, &["edit", "2", "--provider", "nope"], &["no provider 'nope'"]),
            (2, &["edit", "2", "--provider", "claude"], &["takes a prompt, not a command"]),
            (2, &["edit", "2", "--mode", "nope"], &["nope"]),
            (6, &["edit", "2", "--prompt", "x"], &["runs a command, which cannot be edited"]),
            (2, &["edit", "2"], &["nothing is to be changed"]),
            (2, &["edit", "2", "--prompt", " "], &["prompt is empty"]),
            (2, &["edit", "2", "--title", ""], &["title is empty"]),
            (2, &["edit", "2", "--retries", "101"], &["101"]),
            (2, &["edit", "2", "--full-access", "--no-full-access"], &["cannot be used with"]),
        ],
    );
    gate.write("\n");
    assert_eq!(instance.wait(3), "passed");
    refused(&instance, &[(6, &["edit", "1", "--title", "x"], &["it is passed"])]);
    assert_eq!(code(&mut instance.autodev(&["edit", "1", "--json"])), Some(2));
}
