//! `autodev submit --batch`.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::{json, one_slot, refused, text};
use crate::common::Instance;

fn after(instance: &Instance, task: i64) -> String {
    instance.task(task)["after"].to_string()
}

#[test]
fn lines_of_json_with_dependencies_between_them() {
    let instance = one_slot();
    let lines = "{\"title\":\"first\",\"command\":\"echo 1 >> order\"}\n\n\
                 {\"command\":[\"sh\",\"-c\",\"echo 2 >> order; exit 1\"],\"after\":\"line:1\",\"label\":[\"x\",\"y\"]}\n\
                 {\"description\":\"echo 3 >> order\",\"provider\":\"shell\",\"after\":\"not-ok:line:3\",\"priority\":100}\n";
    let mut command = instance.autodev(&["submit", "--batch", "-", "--label", "all"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "submitted 3 tasks: 1-3\n");
    assert_eq!(instance.run(&["wait", "1-3"]).status.code(), Some(1));
    assert_eq!(fs::read_to_string(instance.work().join("order")).unwrap(), "1\n2\n3\n");
    assert!(after(&instance, 2).contains('1') && after(&instance, 3).contains('2'), "{}", after(&instance, 3));
    assert_eq!(instance.task(1)["labels"], serde_json::json!(["all"]));
    assert_eq!(instance.task(2)["labels"], serde_json::json!(["x", "y"]));
}

#[test]
fn tables_of_toml_and_waiting_for_all() {
    let instance = Instance::new();
    let file = instance.work().join("tasks.toml");
    fs::write(
        &file,
        "[[task]]\ntitle = \"one\"\ncommand = \"true\"\n\n[[task]]\ncommand = [\"false\"]\nafter = [\"line:1\"]\n",
    )
    .unwrap();
    let output = instance.run(&["submit", "--batch", "tasks.toml", "--wait", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let states: Vec<_> = json(&output).as_array().unwrap().iter().map(|task| task["state"].clone()).collect();
    assert_eq!(states, ["passed", "failed"]);
    assert_eq!(instance.task(1)["title"], "one");
    assert_eq!(instance.wait(2), "failed");
}

#[test]
fn repeated_by_key_it_is_the_same_batch_and_other_content_a_conflict() {
    let instance = Instance::new();
    let file = instance.work().join("b");
    fs::write(&file, "{\"command\":\"true\"}\n".repeat(300)).unwrap();
    let args = ["submit", "-q", "--hold", "--batch", "b", "--idempotency-key", "k"];
    let first = instance.ok(&args);
    assert_eq!(first.lines().count(), 300);
    assert_eq!(instance.ok(&args), first);
    fs::write(&file, "{\"command\":\"false\"}\n".repeat(300)).unwrap();
    refused(&instance, &[(6, &args, &["key"])]);
    assert_eq!(instance.ok(&["list", "-q", "--limit", "0"]).lines().count(), 300);
}

#[test]
fn what_is_wrong_with_a_line_names_it_and_nothing_is_stored() {
    let instance = Instance::new();
    let file = instance.work().join("b");
    for (code, lines, words) in [
        (2, "{\"command\":\"true\"}\n{\"comand\":\"true\"}\n", &["line 2", "comand"][..]),
        (2, "{\"command\":\"true\"}\n{\"command\":\"true\",\"after\":\"line:9\"}\n", &["line 2", "line 9"]),
        (2, "{\"command\":\"true\",\"dir\":\"/no/such/place\"}\n", &["line 1", "/no/such/place"]),
        (2, "{\"command\":\"true\",\"priority\":1000}\n", &["line 1", "100"]),
        (2, "nonsense\n", &["line 1", "JSON object on each line"]),
        (4, "{\"command\":\"true\"}\n{\"description\":\"x\",\"provider\":\"nope\"}\n", &["nope"]),
        (4, "{\"command\":\"true\",\"after\":77}\n", &["77"]),
        (2, "{\"description\":\"x\"}\n", &["line 1", "no agent is installed"]),
    ] {
        fs::write(&file, lines).unwrap();
        refused(&instance, &[(code, &["submit", "--batch", "b"], words)]);
    }
    // Also when the line is in a later chunk.
    let lines = "{\"command\":\"true\"}\n".repeat(299);
    fs::write(&file, lines + "{\"description\":\"x\",\"provider\":\"sell\"}\n").unwrap();
    refused(&instance, &[(4, &["submit", "--batch", "b"], &["line 300", "no provider 'sell'", "'shell'"])]);
    assert_eq!(instance.ok(&["list", "--all", "-q"]), "");
}
