use std::os::unix::process::CommandExt;
use std::process::Stdio;

use super::{code, json, one_slot, refused, running, text};
use crate::common::Instance;

#[test]
fn each_end_has_its_exit_status_and_several_the_worst() {
    let instance = Instance::new();
    let passed = instance.submit(&[], "exit 0");
    let failed = instance.submit(&[], "exit 5");
    let error = instance.ok(&["submit", "-q", "--", "/no/such/program"]);
    let timeout = instance.submit(&["--timeout", "1s"], "exec sleep 1000");
    let cancelled = instance.submit(&["--hold"], "exit 0");
    instance.ok(&["cancel", &cancelled.to_string()]);
    let wait = |tasks: &str| instance.run(&["wait", tasks]).status.code().unwrap();
    assert_eq!(wait(&passed.to_string()), 0);
    assert_eq!(wait(&failed.to_string()), 1);
    assert_eq!(wait(error.trim()), 1);
    assert_eq!(wait(&timeout.to_string()), 124);
    assert_eq!(wait(&cancelled.to_string()), 9);
    assert_eq!(wait("1,4"), 124);
    assert_eq!(wait("1,4,5"), 9);
    assert_eq!(wait("1-5"), 1);
    let all = instance.run(&["wait", "1-2"]);
    assert_eq!(text(&all.stdout), "task 1 passed\ntask 2 failed: the program exited 5\n");
    assert_eq!(json(&instance.run(&["wait", "2", "--json"]))["exit_code"], 5);
    assert_eq!(json(&instance.run(&["wait", "1-2", "--json"])).as_array().unwrap().len(), 2);
    assert_eq!(text(&instance.run(&["wait", "1-2", "-q"]).stdout), "1\n2\n");
    assert_eq!(text(&instance.run(&["wait", "--state", "failed", "-q"]).stdout), "2\n");
}

#[test]
fn still_pending_is_8_and_any_returns_with_the_first() {
    let instance = Instance::new();
    let (first, gate) = running(&instance, "one");
    let (second, other) = running(&instance, "two");
    let (first, second) = (first.to_string(), second.to_string());
    let output = instance.run(&["wait", &first, &second, "--timeout", "0s"]);
    assert_eq!(output.status.code(), Some(8));
    assert_eq!(text(&output.stdout), "task 1 is still running\ntask 2 is still running\n");
    assert_eq!(code(&mut instance.autodev(&["wait", "--any", "1,2", "--timeout", "1ms"])), Some(8));
    gate.write("\n");
    let any = instance.run(&["wait", "1,2", "--any", "-q"]);
    assert_eq!((any.status.code(), text(&any.stdout)), (Some(0), "1\n".into()));
    assert_eq!(instance.run(&["wait", "1,2", "--timeout", "1ms"]).status.code(), Some(8));
    // Who waits does not mind a restart, nor a crash.
    let waiter = instance.autodev(&["wait", "1-2"]).stdout(Stdio::piped()).spawn().unwrap();
    instance.ok(&["daemon", "restart"]);
    instance.kill_daemon();
    other.write("\n");
    let output = waiter.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "task 1 passed\ntask 2 passed\n".into()));
}

#[test]
fn an_interrupt_is_130() {
    let instance = one_slot();
    let (task, gate) = running(&instance, "gate");
    let mut waiter = instance.autodev(&["wait", &task.to_string()]);
    // Whoever runs the tests in the background may have it ignored, and 'wait' respects that.
    // SAFETY: one system call with integers.
    unsafe {
        waiter.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    let waiter = waiter.stdout(Stdio::piped()).spawn().unwrap();
    // It has connected once the daemon counts its connection; any moment will do, though.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(waiter.id().try_into().unwrap()), nix::sys::signal::SIGINT)
        .unwrap();
    let status = waiter.wait_with_output().unwrap().status;
    // Before its handler is in place the signal itself ends it, which a shell calls 130 as well.
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert!(status.code() == Some(130) || signal == Some(libc::SIGINT), "{status:?}");
    gate.write("\n");
    assert_eq!(instance.wait(task), "passed");
}

#[test]
fn wrong_words() {
    let instance = Instance::new();
    refused(
        &instance,
        &[
            (4, &["wait", "9"], &["no task 9"]),
            (2, &["wait"], &["no task is named"]),
            (2, &["wait", "3-1"], &["runs backwards"]),
            (2, &["wait", "1", "--timeout", "soon"], &["not a length of time"]),
        ],
    );
    refused(&instance, &[(4, &["wait", "5-9"], &["no task from 5 to 9", "list --all"])]);
    let none = instance.run(&["wait", "--label", "none"]);
    assert_eq!(none.status.code(), Some(0));
    assert!(text(&none.stderr).contains("nothing to wait for"));
}
