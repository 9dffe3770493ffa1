use super::{refused, state};
use crate::common::{Instance, dies};

#[test]
fn a_program_that_ignores_everything_is_gone_at_once() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    let script = format!("trap '' INT TERM HUP; echo $$ > {}; while :; do sleep 1000; done", begun.path());
    instance.submit(&["--retries", "3"], &script);
    let pid: u32 = begun.read().trim().parse().unwrap();
    instance.ok(&["kill", "1"]);
    dies(pid);
    assert_eq!(instance.wait(1), "cancelled");
    assert_eq!(instance.task(1)["attempt"], "1.1", "what was killed does not come back");
    assert_eq!(instance.task(1)["last_error"], "the program was killed by signal 9");
    instance.submit(&["--hold"], "true");
    instance.ok(&["kill", "2"]);
    assert_eq!(state(&instance, 2), "cancelled");
    refused(
        &instance,
        &[
            (6, &["kill", "1"], &["has ended", "autodev retry 1"]),
            (4, &["kill", "9"], &["no task 9"]),
            (2, &["kill"], &["no task is named"]),
        ],
    );
}
