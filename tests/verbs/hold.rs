//! `autodev hold` and `autodev release`.

use super::{one_slot, refused, running, state};

#[test]
fn hold_keeps_from_starting_until_release() {
    let instance = one_slot();
    let (first, gate) = running(&instance, "gate");
    for _ in 0..3 {
        instance.submit(&["-l", "x"], "true");
    }
    instance.ok(&["hold", "2-3"]);
    assert_eq!(instance.ok(&["hold", "2"]), "task 2 is held as before\n");
    gate.write("\n");
    instance.wait(first);
    assert_eq!(instance.wait(4), "passed");
    assert_eq!((state(&instance, 2), state(&instance, 3)), ("held".into(), "held".into()));
    instance.ok(&["release", "--label", "x", "--state", "held"]);
    assert_eq!((instance.wait(2), instance.wait(3)), ("passed".into(), "passed".into()));
    refused(
        &instance,
        &[
            (6, &["hold", "1"], &["has ended"]),
            (6, &["release", "1"], &["has ended"]),
            (4, &["hold", "9"], &["no task 9"]),
            (4, &["release", "9"], &["no task 9"]),
            (2, &["hold"], &["no task is named"]),
            (2, &["release"], &["no task is named"]),
        ],
    );
}

#[test]
fn a_running_task_cannot_be_held_nor_released() {
    let instance = one_slot();
    let (task, gate) = running(&instance, "gate");
    refused(&instance, &[(6, &["hold", "1"], &["task 1 is running"]), (6, &["release", "1"], &["task 1 is running"])]);
    gate.write("\n");
    assert_eq!(instance.wait(task), "passed");
}
