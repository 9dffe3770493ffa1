use super::{refused, running, state};
use crate::common::Instance;

#[test]
fn the_same_task_runs_again_as_another_attempt() {
    let instance = Instance::new();
    let task = instance.submit(&[], "[ -e again ]");
    assert_eq!(instance.wait(task), "failed");
    std::fs::write(instance.work().join("again"), "").unwrap();
    let said = instance.ok(&["retry", "1"]);
    assert!(said.starts_with("task 1 is queued: "), "{said}");
    assert_eq!(instance.wait(task), "passed");
    assert_eq!(instance.task(1)["attempt"], "1.2");
    assert!(instance.task(1)["last_error"].is_null() || instance.task(1)["outcome"] == "succeeded");
    // What was cancelled may run again when a person says so.
    instance.submit(&["--hold"], "true");
    instance.ok(&["cancel", "2"]);
    instance.ok(&["retry", "--state", "cancelled"]);
    assert_eq!(instance.wait(2), "passed");
    let (running, gate) = running(&instance, "gate");
    refused(
        &instance,
        &[
            (6, &["retry", "3"], &["task 3 has not ended: it is running"]),
            (4, &["retry", "9"], &["no task 9"]),
            (2, &["retry"], &["no task is named"]),
        ],
    );
    gate.write("\n");
    assert_eq!(instance.wait(running), "passed");
    assert_eq!(state(&instance, 3), "passed");
}
