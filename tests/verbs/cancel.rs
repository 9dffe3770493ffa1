use super::{column, json, refused, running, state, text};
use crate::common::{Instance, vanishes};

#[test]
fn tasks_ranges_and_filters() {
    let instance = Instance::new();
    for label in ["a", "a", "b", "b", "c"] {
        instance.submit(&["--hold", "-l", label, "--title", "T"], "true");
    }
    assert_eq!(instance.ok(&["cancel", "1"]), "task 1 is cancelled: T\n");
    assert_eq!(json(&instance.run(&["cancel", "2", "--json"]))["state"], "cancelled");
    let preview = instance.ok(&["cancel", "--label", "b", "--dry-run"]);
    assert_eq!(preview, "task 3 is held: T\ntask 4 is held: T\n");
    assert_eq!(state(&instance, 3), "held");
    assert_eq!(instance.ok(&["cancel", "--label", "b", "-q"]), "3\n4\n");
    let again = instance.run(&["cancel", "--label", "b"]);
    assert_eq!((again.status.code(), text(&again.stderr)), (Some(0), "no task matches\n".into()));
    let mixed = instance.run(&["cancel", "4-5"]);
    assert_eq!(mixed.status.code(), Some(6), "one of them had ended");
    assert_eq!(text(&mixed.stdout), "task 5 is cancelled: T\n");
    assert_eq!(text(&mixed.stderr), "error: task 4 has ended: it is cancelled\n");
    // An empty choice is no failure, but it is said.
    let none = instance.run(&["cancel", "--state", "running"]);
    assert_eq!((none.status.code(), text(&none.stderr)), (Some(0), "no task matches\n".into()));
    assert_eq!(column(&instance.json(&["history"]), "state"), ["cancelled"; 5]);
}

#[test]
fn more_than_ten_are_asked_for() {
    let instance = Instance::new();
    for _ in 0..11 {
        instance.submit(&["--hold"], "true");
    }
    refused(&instance, &[(2, &["cancel", "1-11"], &["cancel 11 tasks", "--yes"])]);
    assert_eq!(instance.ok(&["list", "-q"]).lines().count(), 11);
    instance.ok(&["cancel", "1-10"]);
    for _ in 0..10 {
        instance.submit(&["--hold"], "true");
    }
    instance.ok(&["cancel", "--state", "held", "--yes"]);
    assert_eq!(instance.ok(&["list", "-q"]), "");
}

#[test]
fn a_running_program_is_asked_to_end() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    let script = format!("trap 'echo interrupted; exit 0' INT; echo > {}; while :; do sleep 1000; done", begun.path());
    let task = instance.submit(&[], &script);
    begun.read();
    let said = instance.ok(&["cancel", "1"]);
    assert!(said.starts_with("task 1 is running and has been told to end: "), "{said}");
    assert_eq!(instance.wait(task), "cancelled");
    assert_eq!(instance.run(&["wait", "1"]).status.code(), Some(9));
    assert!(instance.ok(&["logs", "1"]).contains("interrupted"), "it had its chance");
}

#[test]
fn what_cannot_be_cancelled() {
    let instance = Instance::new();
    let (task, gate) = running(&instance, "gate");
    gate.write("\n");
    instance.wait(task);
    refused(
        &instance,
        &[
            (6, &["cancel", "1"], &["task 1 has ended: it is passed", "autodev resubmit 1"]),
            (4, &["cancel", "9"], &["no task 9"]),
            (4, &["cancel", "1,9"], &["no task 9"]),
            (4, &["cancel", "all"], &["no session", "all"]),
            (4, &["cancel", "12x"], &["no session", "12x"]),
            (2, &["cancel", "1,"], &["is not a task"]),
            (2, &["cancel", "1.1"], &["is an attempt", "its task is 1"]),
        ],
    );
}

#[test]
fn sessions_without_a_task_are_ended_by_name() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    for name in ["one", "two"] {
        let script = format!("trap 'exit 7' INT; echo $$ > {}; while :; do read x; done", begun.path());
        instance.ok(&["open", "--detach", "--name", name, "--", "sh", "-c", &script]);
        begun.read();
    }
    assert_eq!(instance.ok(&["cancel", "one", "--dry-run"]), "session one is running\n");
    refused(
        &instance,
        &[
            (2, &["cancel", "one", "3"], &["'one' is a session", "with one 'cancel' each"]),
            (2, &["cancel", "one", "--state", "queued"], &["'one' is a session"]),
            (4, &["cancel", "one", "three"], &["three"]),
        ],
    );
    assert_eq!(instance.ok(&["cancel", "one"]), "session one has been told to end\n");
    assert_eq!(json(&instance.run(&["kill", "two", "--json"]))["session"], "two");
    for name in ["one", "two"] {
        vanishes(&instance.live(name));
    }
    let all = instance.json(&["sessions", "--all"]);
    let one = all.as_array().unwrap().iter().find(|s| s["name"] == "one").unwrap();
    assert_eq!(one["exit_code"], 7, "it was asked, not killed");
    refused(&instance, &[(6, &["kill", "two"], &["session two has ended"])]);
}
