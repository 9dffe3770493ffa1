//! `autodev attach` and `detach` without a terminal; with one: tests/attach.

use super::{refused, running};
use crate::common::Instance;

#[test]
fn without_a_terminal_other_verbs_are_named() {
    let instance = Instance::new();
    let (_, gate) = running(&instance, "gate");
    refused(
        &instance,
        &[
            (2, &["attach", "1"], &["needs a terminal", "autodev logs -f"]),
            (2, &["attach"], &["needs a terminal"]),
            (4, &["detach", "nobody"], &["no session 'nobody'"]),
            (4, &["detach", "9"], &["no task 9"]),
        ],
    );
    assert_eq!(instance.ok(&["detach", "1"]), "", "nobody attached is nothing to complain about");
    gate.write("\n");
    instance.wait(1);
    refused(&instance, &[(6, &["detach", "1"], &["session 1.1 has ended", "autodev logs 1.1"])]);
}
