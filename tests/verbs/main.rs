//! Every verb from outside: real binaries, a real daemon, an instance for each test. One
//! file per verb.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../common/mod.rs"]
mod common;

mod attach;
mod batch;
mod cancel;
mod completions;
mod config;
mod daemon;
mod doctor;
mod edit;
mod grep;
mod history;
mod hold;
mod init;
mod kill;
mod list;
mod logs;
mod metrics;
mod open;
mod pause;
mod priority;
mod providers;
mod rename;
mod replay;
mod resubmit;
mod retry;
mod send;
mod sessions;
mod show;
mod stats;
mod status;
mod submit;
mod wait;
mod watch;
mod why;

use std::fs;
use std::process::{Command, Output};

use common::Instance;
use serde_json::Value;

/// One slot, so that what waits is known.
fn one_slot() -> Instance {
    Instance::configured("[queue]\nslots = 1\n")
}

/// Each command must end with its exit status, say these words on standard error, and
/// nothing on standard output.
#[track_caller]
fn refused(instance: &Instance, cases: &[(i32, &[&str], &[&str])]) {
    for (code, args, words) in cases {
        let output = instance.run(args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {error}\n{}", instance.log());
        assert!(output.stdout.is_empty(), "{args:?} prints {}", text(&output.stdout));
        assert!(error.starts_with("error: "), "{args:?}: {error}");
        for word in *words {
            assert!(error.contains(word), "{args:?} does not say {word:?}: {error}");
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

/// What a task that must exist is, in one word.
#[track_caller]
fn state(instance: &Instance, task: i64) -> String {
    instance.task(task)["state"].as_str().unwrap().to_owned()
}

#[track_caller]
fn code(command: &mut Command) -> Option<i32> {
    command.output().unwrap().status.code()
}

/// A task that runs until `gate` is written to; returns once it runs.
#[track_caller]
fn running(instance: &Instance, name: &str) -> (i64, common::Fifo) {
    let (begun, gate) = (instance.fifo(&format!("{name}-begun")), instance.fifo(name));
    let task = instance.submit(&[], &format!("echo > {}; read x < {}", begun.path(), gate.path()));
    begun.read();
    (task, gate)
}

/// An executable script in the instance's own directory of programs; what the `PATH` must
/// be to find it first.
fn script(instance: &Instance, name: &str, body: &str) -> String {
    let bin = instance.home().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let file = bin.join(name);
    // Written by another process: while this one forks for another test, a child would
    // hold the file open for writing, and it could not be run.
    let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
    assert!(Command::new("sh").args(["-c", write]).arg(&file).arg(body).status().unwrap().success());
    format!("{}:/usr/bin:/bin", bin.display())
}

/// The words of a JSON array of objects under one name.
#[track_caller]
fn column(list: &Value, name: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list.as_array().unwrap().iter().map(|item| text(&item[name])).collect()
}

/// Waits until the process sleeps and has a socket: it has asked something, and waits for
/// the answer.
fn waits_at_socket(pid: u32) {
    let is_socket =
        |fd: fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
    let sleeps = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") S ");
    while !(sleeps() && fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten().any(is_socket)) {
        std::thread::yield_now();
    }
}
