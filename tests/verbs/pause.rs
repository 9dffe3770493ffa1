//! `autodev pause`, `resume` and `drain`.

use super::{one_slot, refused, running, state};
use crate::common::Instance;

#[test]
fn the_queue_and_one_provider() {
    let instance = Instance::new();
    assert_eq!(instance.ok(&["pause"]), "the queue is paused\n");
    assert_eq!(instance.ok(&["pause"]), "the queue is paused\n", "asking twice is no error");
    let task = instance.submit(&[], "true");
    assert!(instance.ok(&["why", "1"]).contains("autodev resume"));
    assert_eq!(instance.json(&["resume"])["admission"], "open");
    assert_eq!(instance.wait(task), "passed");
    instance.ok(&["pause", "--provider", "shell"]);
    let task = instance.submit(&[], "true");
    assert!(instance.ok(&["why", "2"]).contains("autodev resume --provider shell"));
    // What a person has closed stays closed over a crash.
    instance.kill_daemon();
    assert_eq!(state(&instance, task), "queued");
    instance.ok(&["resume", "--provider", "shell"]);
    assert_eq!(instance.wait(task), "passed");
    assert_eq!(instance.ok(&["drain"]), "the queue is draining\n");
    let task = instance.submit(&[], "true");
    assert_eq!(instance.task(task)["reason"]["code"], "Held");
    instance.ok(&["resume"]);
    assert_eq!(instance.wait(task), "passed");
}

#[test]
fn a_task_is_frozen_and_thawed() {
    let instance = one_slot();
    let (task, gate) = running(&instance, "gate");
    instance.submit(&[], "true");
    instance.ok(&["pause", "1"]);
    assert_eq!(state(&instance, task), "paused");
    assert_eq!(instance.ok(&["pause", "1"]), "task 1 is paused as before\n");
    assert_eq!(instance.task(2)["reason"]["code"], "Slots", "a frozen task keeps its slot");
    instance.ok(&["resume", "1"]);
    assert_eq!(instance.ok(&["resume", "1"]), "task 1 is running as before\n");
    refused(
        &instance,
        &[
            (6, &["pause", "2"], &["task 2 is not running: it is queued"]),
            (4, &["pause", "9"], &["no task 9"]),
            (4, &["pause", "--provider", "nope"], &["no provider 'nope'"]),
            (4, &["resume", "9"], &["no task 9"]),
            (2, &["drain", "1"], &["unexpected argument"]),
        ],
    );
    gate.write("\n");
    assert_eq!(instance.wait(task), "passed");
    // Cancelling a frozen task ends it.
    let (frozen, _gate) = running(&instance, "other");
    instance.ok(&["pause", &frozen.to_string()]);
    instance.ok(&["cancel", &frozen.to_string()]);
    assert_eq!(instance.wait(frozen), "cancelled");
}
