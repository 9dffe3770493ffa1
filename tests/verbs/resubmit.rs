use super::{refused, running};
use crate::common::Instance;

#[test]
fn a_new_task_with_a_history_of_its_own() {
    let instance = Instance::new();
    instance.submit(&["--title", "T", "-l", "x", "--priority", "4"], "exit 3");
    instance.wait(1);
    assert_eq!(instance.ok(&["resubmit", "1", "--idempotency-key", "k"]), "submitted task 2\n");
    assert_eq!(instance.ok(&["resubmit", "1", "--idempotency-key", "k", "-q"]), "2\n");
    assert_eq!(instance.wait(2), "failed");
    let (old, new) = (instance.task(1), instance.task(2));
    for name in ["title", "description", "command", "provider", "dir", "labels", "priority", "exit_code"] {
        assert_eq!(old[name], new[name], "{name}");
    }
    assert_ne!(old["uid"], new["uid"]);
    assert_eq!(new["attempt"], "2.1");
    let (_, gate) = running(&instance, "gate");
    refused(
        &instance,
        &[
            (6, &["resubmit", "3"], &["has not ended"]),
            (4, &["resubmit", "9"], &["no task 9"]),
            (2, &["resubmit"], &["<TASK>"]),
        ],
    );
    gate.write("\n");
}
