use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::{json, refused, text};
use crate::common::Instance;

#[test]
fn text_last_lines_and_bytes() {
    let instance = Instance::new();
    instance.submit(&[], "printf '\\033[31mred\\033[0m\\n'; printf '10%%\\r100%%\\n'; seq 3; exit 1");
    instance.wait(1);
    instance.ok(&["retry", "1"]);
    instance.wait(1);
    assert_eq!(instance.ok(&["logs", "1"]), "red\n100%\n1\n2\n3\n");
    assert_eq!(instance.ok(&["logs", "-n", "2", "1"]), "2\n3\n");
    assert_eq!(
        instance.ok(&["logs", "-n", "2", "--json", "1"]),
        "{\"line\":\"2\",\"session\":\"1.2\"}\n{\"line\":\"3\",\"session\":\"1.2\"}\n"
    );
    assert_eq!(instance.ok(&["logs", "-n", &usize::MAX.to_string(), "1"]), instance.ok(&["logs", "1"]));
    assert_eq!(instance.ok(&["logs", "1.1"]), instance.ok(&["logs", "1"]), "an attempt of its own");
    let raw = instance.run(&["logs", "--raw", "1.2"]);
    assert_eq!(text(&raw.stdout), "\x1b[31mred\x1b[0m\r\n10%\r100%\r\n1\r\n2\r\n3\r\n");
    refused(
        &instance,
        &[
            (4, &["logs", "9"], &["no task 9"]),
            (4, &["logs", "1.7"], &["1.7"]),
            (4, &["logs", "nobody"], &["no session 'nobody'"]),
            (2, &["logs"], &["<SESSION>"]),
            (2, &["logs", "-n", "x", "1"], &["--lines"]),
        ],
    );
    assert!(instance.fails(2, &["logs", "--raw", "--json", "1"]).contains("JSON cannot hold"));
    instance.submit(&["--hold"], "true");
    refused(&instance, &[(4, &["logs", "2"], &["has not been started", "autodev show 2"])]);
}

/// A name is used again; the identity means one session for ever.
#[test]
fn sessions_that_had_the_same_name() {
    let instance = Instance::new();
    let mut ids = Vec::new();
    for text in ["one", "two"] {
        let script = format!("echo {text}; read go");
        // The name is free as soon as the end is settled.
        let view = loop {
            let output = instance.run(&["open", "--json", "--name", "mine", "--", "sh", "-c", &script]);
            if output.status.success() {
                break json(&output);
            }
        };
        ids.push(view["session_id"].as_str().unwrap().to_owned());
        let mut follower =
            instance.autodev(&["logs", "-f", &ids[ids.len() - 1]]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), text);
        if text == "one" {
            instance.ok(&["send", &ids[0], "go", "--enter"]);
            assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>(), ["go"]);
        }
        follower.kill().unwrap();
        follower.wait().unwrap();
    }
    assert_eq!(instance.ok(&["logs", "mine"]), "two\n");
    assert_eq!(instance.ok(&["logs", &ids[1]]), "two\n");
    assert_eq!(instance.ok(&["logs", &ids[0]]), "one\ngo\n");
    assert_eq!(instance.ok(&["screen", &ids[0]]), "one\ngo\n");
}

#[test]
fn a_long_line_is_one_object() {
    let instance = Instance::new();
    instance.submit(&[], "head -c 20000 /dev/zero | tr '\\0' x; echo; seq 60; printf end");
    instance.wait(1);
    let out = instance.ok(&["logs", "--json", "1"]);
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 62);
    assert_eq!(lines[0]["line"].as_str().map(str::len), Some(20_000));
    assert_eq!((lines[1]["line"].as_str(), lines[61]["line"].as_str()), (Some("1"), Some("end")));
    assert_eq!(instance.ok(&["logs", "--json", "-f", "1"]), out);
}

#[test]
fn follow_goes_on_to_the_end_also_from_before_the_start() {
    let instance = Instance::new();
    instance.ok(&["pause"]);
    let (begun, gate) = (instance.fifo("begun"), instance.fifo("gate"));
    let script = format!("echo one; echo > {}; read x < {}; echo two", begun.path(), gate.path());
    instance.submit(&[], &script);
    let mut follower = instance.autodev(&["logs", "-f", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = follower.stdout.take().unwrap();
    instance.ok(&["resume"]);
    let mut first = [0; 4];
    out.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"one\n");
    begun.read();
    // It follows the keeper, not the daemon.
    instance.kill_daemon();
    gate.write("\n");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "two\n");
    assert!(follower.wait().unwrap().success());
}
