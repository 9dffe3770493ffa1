use super::{refused, state, text};
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

#[test]
fn a_filter_beside_numbers_narrows_them() {
    let instance = Instance::new();
    for label in ["keep", "other", "keep", "keep"] {
        instance.submit(&["--hold", "-l", label], "true");
    }
    assert_eq!(instance.ok(&["kill", "1-2", "--label", "keep", "-q"]), "1\n");
    assert_eq!((state(&instance, 2), state(&instance, 3)), ("held".into(), "held".into()));
    assert_eq!(instance.ok(&["kill", "2,3", "4", "--state", "held", "--label", "keep", "-q"]), "3\n4\n");
    // Who names a task by its number hears why nothing can be done to it.
    let ended = instance.run(&["kill", "1,2", "--label", "keep"]);
    assert_eq!(ended.status.code(), Some(6));
    assert!(text(&ended.stderr).contains("task 1 has ended"), "{ended:?}");
    let none = instance.run(&["kill", "2", "--label", "keep"]);
    assert_eq!((none.status.code(), text(&none.stderr)), (Some(0), "no task matches\n".into()));
    assert_eq!(state(&instance, 2), "held");
}
