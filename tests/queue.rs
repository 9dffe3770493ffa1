//! The queue from outside: order, limits, dependencies, times, reasons.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use common::Instance;

fn slots(slots: u32) -> Instance {
    Instance::configured(&format!("[queue]\nslots = {slots}\n"))
}

/// Tasks append their name to a file; with one slot that is the order they ran in.
fn order(instance: &Instance) -> Vec<String> {
    let text = std::fs::read_to_string(instance.work().join("order")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn priority_then_age() {
    let instance = slots(1);
    instance.ok(&["pause"]);
    for (name, priority) in [("a", "0"), ("b", "5"), ("c", "0"), ("d", "-5")] {
        instance.submit(&["--priority", priority], &format!("echo {name} >> order"));
    }
    instance.ok(&["priority", "4", "50"]);
    instance.ok(&["resume"]);
    instance.ok(&["wait", "1-4"]);
    assert_eq!(order(&instance), ["d", "b", "a", "c"]);
}

#[test]
fn dependencies_ok_any_and_not_ok() {
    let instance = slots(4);
    instance.ok(&["pause"]);
    let good = instance.submit(&[], "exit 0").to_string();
    let bad = instance.submit(&[], "exit 1").to_string();
    let after_good = instance.submit(&["--after", &good], "exit 0");
    let after_bad = instance.submit(&["--after", &bad], "exit 0");
    let any_bad = instance.submit(&["--after", &format!("any:{bad}")], "exit 0");
    let not_ok_bad = instance.submit(&["--after", &format!("not-ok:{bad}")], "exit 0");
    instance.ok(&["resume"]);
    for task in [after_good, any_bad, not_ok_bad] {
        assert_eq!(instance.wait(task), "passed");
    }
    let waiting = instance.task(after_bad);
    assert_eq!((waiting["state"].as_str(), waiting["reason"]["code"].as_str()), (Some("queued"), Some("Dependency")));
    assert!(instance.ok(&["why", &after_bad.to_string()]).contains(&format!("autodev retry {bad}")));
    instance.fails(4, &["submit", "--after", "999", "--provider", "shell", "--", "true"]);
    // A cycle is refused.
    let held = instance.submit(&["--hold"], "exit 0").to_string();
    let second = instance.submit(&["--hold", "--after", &held], "exit 0").to_string();
    instance.fails(6, &["edit", &held, "--after", &second]);
}

#[test]
fn slots_are_kept_and_every_waiting_task_says_why() {
    let instance = slots(1);
    let gate = instance.fifo("gate");
    let first = instance.submit(&[], &format!("read x < {}", gate.path()));
    let second = instance.submit(&[], "exit 0");
    let later = instance.submit(&["--in", "1h"], "exit 0");
    let held = instance.submit(&["--hold"], "exit 0");
    let reason = |task: i64| instance.task(task)["reason"]["code"].as_str().map(str::to_owned);
    assert_eq!(reason(second).as_deref(), Some("Slots"));
    assert_eq!(reason(later).as_deref(), Some("Begin"));
    assert_eq!(reason(held).as_deref(), Some("Held"));
    gate.write("go\n");
    assert_eq!(instance.wait(first), "passed");
    assert_eq!(reason(first), None);
    assert_eq!(instance.wait(second), "passed");
    instance.ok(&["release", &held.to_string()]);
    assert_eq!(instance.wait(held), "passed");
    instance.ok(&["edit", &later.to_string(), "--at", "now"]);
    assert_eq!(instance.wait(later), "passed");
}

#[test]
fn a_start_time_is_kept_without_anybody_asking() {
    let instance = slots(2);
    let before = jiff::Timestamp::now();
    let task = instance.submit(&["--in", "1s"], "exit 0");
    assert_eq!(instance.wait(task), "passed");
    let started = instance.task(task)["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    // The clock's milliseconds are cut off when they are stored.
    assert!(started.duration_since(before).as_millis() >= 999, "{}", started.duration_since(before));
}

#[test]
fn drain_finishes_what_runs_and_starts_nothing() {
    let instance = slots(4);
    let gate = instance.fifo("gate");
    let begun = instance.fifo("begun");
    let running = instance.submit(&[], &format!("echo > {}; read x < {}", begun.path(), gate.path()));
    begun.read();
    instance.ok(&["drain"]);
    let waiting = instance.submit(&[], "exit 0");
    gate.write("go\n");
    assert_eq!(instance.wait(running), "passed");
    assert_eq!(instance.task(waiting)["reason"]["code"], "Held");
    // A restart does not open what was closed.
    instance.ok(&["daemon", "restart"]);
    assert_eq!(instance.task(waiting)["state"], "queued");
    instance.ok(&["resume"]);
    assert_eq!(instance.wait(waiting), "passed");
}

#[test]
fn a_time_limit_ends_the_task() {
    let instance = slots(1);
    let task = instance.submit(&["--timeout", "1s"], "exec sleep 1000");
    assert_eq!(instance.wait(task), "timeout");
    assert_eq!(instance.task(task)["outcome"], "timed-out");
    assert_eq!(instance.run(&["wait", "1"]).status.code(), Some(124));
}

#[test]
fn a_frozen_task_stands_still_and_goes_on() {
    let instance = slots(1);
    let (begun, gate) = (instance.fifo("begun"), instance.fifo("gate"));
    let task = instance.submit(&[], &format!("echo $$ > {}; read x < {}", begun.path(), gate.path()));
    let pid: u32 = begun.read().trim().parse().unwrap();
    instance.ok(&["pause", "1"]);
    assert_eq!(instance.task(task)["state"], "paused");
    let state = || autodev::process::stat(pid).unwrap().state;
    let deadline = std::time::Instant::now() + common::DEADLINE;
    while state() != 'T' {
        // The kernel gives no event to a stranger when a process stops.
        assert!(std::time::Instant::now() < deadline, "{}", state());
        std::thread::yield_now();
    }
    instance.ok(&["resume", "1"]);
    gate.write("go\n");
    assert_eq!(instance.wait(task), "passed");
}

#[test]
fn a_batch_is_stored_whole_and_repeated_by_key() {
    let instance = slots(4);
    let file = instance.work().join("batch.jsonl");
    let lines: String = (0..600)
        .map(|n| format!("{{\"title\":\"t{n}\",\"provider\":\"shell\",\"command\":[\"true\"],\"hold\":true}}\n"))
        .collect();
    std::fs::write(&file, lines).unwrap();
    let args = ["submit", "-q", "--batch", file.to_str().unwrap(), "--idempotency-key", "k1"];
    let first = instance.ok(&args);
    assert_eq!(first.lines().count(), 600);
    assert_eq!(instance.ok(&args), first, "repeated with its key it is the same batch");
    assert_eq!(instance.ok(&["list", "--all", "-q", "--limit", "1000"]).lines().count(), 600);
    std::fs::write(&file, "{\"title\":\"x\",\"provider\":\"shell\",\"command\":[\"true\"]}\n{\"oops\":1}\n").unwrap();
    let error = instance.fails(2, &["submit", "--batch", file.to_str().unwrap()]);
    assert!(error.contains("line 2") && error.contains("oops"), "{error}");
}

#[test]
fn a_repeated_submit_is_the_same_task_and_other_content_a_conflict() {
    let instance = slots(1);
    let submit = |command: &str| {
        instance.run(&["submit", "-q", "--idempotency-key", "once", "--hold", "--provider", "shell", "--", command])
    };
    let first = submit("true");
    assert_eq!(submit("true").stdout, first.stdout);
    assert_eq!(submit("false").status.code(), Some(6));
    assert_eq!(instance.ok(&["list", "-q"]).lines().count(), 1);
}
