use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::waits_at_socket;
use crate::common::Instance;

/// A `watch` that is read line by line, and ends with the test.
struct Watch(Child, BufReader<std::process::ChildStdout>);

impl Watch {
    fn new(instance: &Instance, args: &[&str]) -> Self {
        let mut child = instance.autodev(&[&["watch"], args].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Watch(child, out)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.1.read_line(&mut line).unwrap(), 0, "the stream has ended");
        line
    }

    fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event: Value = serde_json::from_str(&self.line()).unwrap();
            events.push(event);
            if events.last().unwrap()["kind"] == kind {
                return events;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_stream_of_objects_from_any_event_on_without_a_gap() {
    let instance = Instance::new();
    instance.submit(&[], "true");
    instance.wait(1);
    let mut all = Watch::new(&instance, &["--jsonl", "--after", "0"]);
    let events = all.until("settled");
    let seqs: Vec<i64> = events.iter().map(|e| e["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>());
    let last = seqs.last().unwrap().to_string();
    let mut rest = Watch::new(&instance, &["--json", "--after", &last]);
    instance.submit(&[], "exit 1");
    // A daemon that dies in between costs no event.
    instance.wait(2);
    instance.kill_daemon();
    instance.submit(&[], "true");
    let mut next = seqs.last().unwrap() + 1;
    for stream in [&mut all, &mut rest] {
        let mut expected = next;
        for task in [2, 3] {
            let events = stream.until("settled");
            for event in &events {
                assert_eq!(event["seq"].as_i64(), Some(expected), "{event}");
                expected += 1;
            }
            assert_eq!(events.last().unwrap()["task"], task);
        }
        next = next.max(seqs.last().unwrap() + 1);
    }
}

#[test]
fn lines_for_people_have_tabs_when_nobody_looks() {
    let instance = Instance::new();
    instance.submit(&["--hold"], "true");
    let mut watch = Watch::new(&instance, &["--after", "0"]);
    let line = watch.line();
    let cells: Vec<&str> = line.trim_end().split('\t').collect();
    assert_eq!((cells[0], cells[2], cells[3], cells[4], cells[5]), ("1", "1", "submitted", "held", "user"));
    let mut quiet = Watch::new(&instance, &["-q", "--after", "0"]);
    assert_eq!(quiet.line(), "1\n");
}

#[test]
fn a_restart_before_the_first_event_costs_none() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    let mut watch = Watch::new(&instance, &["--jsonl"]);
    waits_at_socket(watch.0.id());
    // Whatever it asked first was answered before these.
    instance.json(&["status"]);
    instance.json(&["status"]);
    let pid = Pid::from_raw(watch.0.id().try_into().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    instance.kill_daemon();
    instance.submit(&[], "true");
    assert_eq!(instance.wait(1), "passed");
    kill(pid, Signal::SIGCONT).unwrap();
    assert_eq!(watch.until("settled")[0]["seq"], 1);
}
