use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::{code, json, refused, script, text};
use crate::common::Instance;

#[test]
fn words_files_and_standard_input_are_prompts() {
    let instance = Instance::new();
    let held = ["submit", "-q", "--hold", "--provider", "shell"];
    let prompt = |task: &str| instance.json(&["show", task])["task"]["description"].as_str().unwrap().to_owned();
    let words = instance.ok(&[&held[..], &["echo", "some", "words"]].concat());
    assert_eq!(prompt(words.trim()), "echo some words");
    let file = instance.work().join("prompt.md");
    fs::write(&file, "first line\n\nsecond line\n").unwrap();
    let from_file = instance.ok(&[&held[..], &["-f", "prompt.md"]].concat());
    assert_eq!(prompt(from_file.trim()), "first line\n\nsecond line\n");
    assert_eq!(instance.json(&["show", from_file.trim()])["task"]["title"], "first line");
    for dash in [&["-"][..], &["-f", "-"]] {
        let mut command = instance.autodev(&[&held[..], dash].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all("from a pipe ü".as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(prompt(text(&output.stdout).trim()), "from a pipe ü");
    }
    // A command keeps its words, whatever is in them.
    let command = instance.ok(&["submit", "-q", "--hold", "--", "printf", "%s\n", "a b", "-f", "it's"]);
    let shown = instance.json(&["show", command.trim()]);
    assert_eq!(shown["task"]["command"], serde_json::json!(["printf", "%s\n", "a b", "-f", "it's"]));
    assert_eq!(shown["task"]["provider"], "shell");
    assert_eq!(prompt(command.trim()), "printf '%s\n' 'a b' -f 'it'\\''s'");
}

#[test]
fn every_option_is_stored() {
    let instance = Instance::new();
    let other = instance.home().join("other");
    fs::create_dir(&other).unwrap();
    instance.submit(&["--hold"], "true");
    let args = [
        "submit",
        "--json",
        "--provider",
        "claude",
        "--model",
        "opus",
        "--mode",
        "interactive",
        "--full-access",
        "--dir",
        other.to_str().unwrap(),
        "--title",
        "A title",
        "--role",
        "dev",
        "--label",
        "a,b",
        "-l",
        "c",
        "--hold",
        "--priority",
        "-7",
        "--after",
        "any:1",
        "--in",
        "2h",
        "--retries",
        "3",
        "--timeout",
        "90m",
        "--idempotency-key",
        "k",
        "do",
        "it",
    ];
    let output = instance.run(&args);
    let submitted = json(&output);
    // The agent is not installed here; it may be when the task's turn comes.
    assert!(text(&output.stderr).contains("warning: ") && text(&output.stderr).contains("npm install"), "{output:?}");
    assert_eq!((submitted["task"].as_i64(), submitted["repeated"].as_bool()), (Some(2), Some(false)));
    let task = instance.task(2);
    for (name, value) in [
        ("provider", "\"claude\""),
        ("model", "\"opus\""),
        ("mode", "\"interactive\""),
        ("full_access", "true"),
        ("title", "\"A title\""),
        ("role", "\"dev\""),
        ("labels", "[\"a\",\"b\",\"c\"]"),
        ("state", "\"held\""),
        ("priority", "-7"),
        ("retries", "3"),
        ("timeout", "\"1h 30m\""),
        ("description", "\"do it\""),
        ("command", "[]"),
        ("error_count", "0"),
        ("attempt", "null"),
        ("reason", "{\"code\":\"Held\",\"detail\":\"held: 'autodev release' lets it run\"}"),
    ] {
        assert_eq!(task[name].to_string(), value, "{name}");
    }
    assert_eq!(task["dir"], other.canonicalize().unwrap().to_str().unwrap());
    assert_eq!(task["after"].as_array().unwrap().len(), 1);
    let wait =
        task["due_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().duration_since(jiff::Timestamp::now());
    assert!((7100..=7200).contains(&wait.as_secs()), "{wait}");
    // What counts is what was asked for, not the shell it was asked from.
    let again = instance.autodev(&args).env("LANG", "C").output().unwrap();
    assert_eq!((json(&again)["task"].as_i64(), json(&again)["repeated"].as_bool()), (Some(2), Some(true)));
    assert!(text(&again.stderr).contains("nothing new was made"));
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_stored() {
    let instance = Instance::new();
    fs::write(instance.work().join("file"), "x").unwrap();
    fs::write(instance.work().join("binary"), b"a\xff").unwrap();
    fs::write(instance.work().join("huge"), "x".repeat(2 * 1024 * 1024)).unwrap();
    let error = instance.fails(2, &["submit", "--provider", "\x1b[2Jx", "x"]);
    assert!(error.starts_with("error: ' [2Jx' cannot be a provider"), "what is quoted moves no terminal: {error:?}");
    refused(
        &instance,
        &[
            (4, &["submit", "--provider", "nope", "x"], &["no provider 'nope'", "autodev providers"]),
            (4, &["submit", "--provider", "cluade", "x"], &["did you mean 'claude'"]),
            (4, &["submit", "--after", "99", "--", "true"], &["no task 99", "autodev list"]),
            (2, &["submit", "--after", "line:1", "--", "true"], &["number of a task"]),
            (2, &["submit", "--attach", "--", "true"], &["needs a terminal", "--wait"]),
            (2, &["submit"], &["prompt is missing", "-f FILE"]),
            (2, &["submit", "-f", "none"], &["none cannot be read"]),
            (2, &["submit", "-f", "."], &["directory"]),
            (2, &["submit", "-f", "binary"], &["not UTF-8 from byte 1"]),
            (2, &["submit", "-f", "huge"], &["longer than the limit"]),
            (2, &["submit", "-C", "file", "--", "true"], &["file is not a directory"]),
            (2, &["submit", "--idempotency-key", "", "--", "true"], &["1 to 200 bytes"]),
            (2, &["submit", "--retries", "101", "--", "true"], &["at most 100"]),
            (2, &["submit", "--model", "", "--", "true"], &["cannot be a model"]),
            (2, &["submit", "--batch", "none"], &["none cannot be read"]),
            (2, &["submit", "--batch", "/dev/null"], &["the batch is empty"]),
            (2, &["submit", "--mode", "tui", "x"], &["cli, interactive"]),
            (2, &["submit", "x", "--", "true"], &["a prompt or a command"]),
        ],
    );
    assert_eq!(instance.ok(&["list", "--all", "-q"]), "");
}

#[test]
fn a_command_has_no_model() {
    let instance = Instance::new();
    refused(
        &instance,
        &[
            (2, &["submit", "--model", "x", "--", "true"], &["takes no model"]),
            (2, &["submit", "--provider", "shell", "--model", "x", "true"], &["takes no model"]),
        ],
    );
    instance.submit(&["--hold"], "true");
    refused(&instance, &[(2, &["edit", "1", "--model", "x"], &["takes no model"])]);
    // Beside a batch it is meant for the agents in it.
    fs::write(instance.work().join("b"), "{\"command\":\"true\"}\n").unwrap();
    instance.ok(&["submit", "--model", "x", "--batch", "b"]);
    assert!(instance.task(2)["model"].is_null());
}

#[test]
fn without_a_provider_the_first_installed_agent_is_taken() {
    let instance = Instance::new();
    let without = instance.run(&["submit", "fix", "it"]);
    assert_eq!(without.status.code(), Some(2));
    assert!(text(&without.stderr).contains("no agent is installed\nhint: 'autodev providers'"), "{without:?}");
    let path = script(&instance, "codex", "echo \"codex was told: $(cat)\"");
    let output = instance.autodev(&["submit", "-q", "fix", "it"]).env("PATH", &path).output().unwrap();
    let task: i64 = text(&output.stdout).trim().parse().unwrap();
    assert_eq!(instance.wait(task), "passed");
    assert_eq!(instance.task(task)["provider"], "codex");
    let log = instance.ok(&["logs", "1"]);
    assert!(log.contains("codex was told:") && log.contains("fix it"), "{log}");
    // The settings go first, a batch chooses as well.
    instance.ok(&["config", "set", "submit.provider", "shell"]);
    instance.ok(&["submit", "--wait", "true"]);
    instance.ok(&["config", "unset", "submit.provider"]);
    fs::write(instance.work().join("b"), "{\"description\":\"go\"}\n").unwrap();
    assert_eq!(code(instance.autodev(&["submit", "--batch", "b"]).env("PATH", &path)), Some(0));
    assert_eq!(instance.task(3)["provider"], "codex");
}

#[test]
fn wait_exits_as_the_task_or_as_its_program() {
    let instance = Instance::new();
    let run = |args: &[&str], command: &str| {
        let output = instance.run(&[&["submit"], args, &["--", "sh", "-c", command]].concat());
        (output.status.code().unwrap(), text(&output.stdout))
    };
    assert_eq!(run(&["--wait"], "exit 0"), (0, "submitted task 1\ntask 1 passed\n".into()));
    let (status, said) = run(&["--wait"], "exit 42");
    assert_eq!((status, said.contains("task 2 failed: the program exited 42")), (1, true), "{said}");
    assert_eq!(run(&["--wait", "--exit-code"], "exit 42").0, 42);
    assert_eq!(run(&["--wait", "--exit-code"], "kill -TERM $$").0, 128 + 15);
    assert_eq!(run(&["-q", "--wait", "--exit-code"], "exit 0"), (0, "5\n".into()));
    assert_eq!(run(&["--wait", "--exit-code", "--timeout", "1s"], "exec sleep 1000").0, 124);
    let output = instance.run(&["submit", "--wait", "--json", "--", "sh", "-c", "exit 3"]);
    let waited = json(&output);
    assert_eq!((waited["id"].as_i64(), waited["exit_code"].as_i64()), (Some(7), Some(3)));
    assert_eq!((waited["state"].as_str(), waited["outcome"].as_str()), (Some("failed"), Some("agent-failed")));
}

#[test]
fn the_size_of_a_prompt_has_a_limit_that_is_said() {
    let instance = Instance::new();
    script(&instance, "claude", "for last; do :; done; printf %s \"$last\" | wc -c");
    let path = format!("{}/bin:/usr/bin:/bin", instance.home().display());
    // As long as it may be: it reaches the agent whole, through a file if it must.
    fs::write(instance.work().join("long"), "ü".repeat(autodev::task::spec::MAX_DESCRIPTION / 2)).unwrap();
    let mut command = instance.autodev(&["submit", "-q", "--provider", "claude", "--wait", "-f", "long"]);
    assert_eq!(command.env("PATH", &path).output().unwrap().status.code(), Some(0));
    let shown = instance.task(1);
    assert_eq!(shown["description"].as_str().unwrap().len(), autodev::task::spec::MAX_DESCRIPTION);
    fs::write(instance.work().join("long"), "x".repeat(autodev::task::spec::MAX_DESCRIPTION + 1)).unwrap();
    refused(&instance, &[(2, &["submit", "--provider", "claude", "-f", "long"], &["longer than the limit"])]);
}

#[test]
fn a_secret_the_daemon_does_not_have_is_said() {
    let instance = Instance::configured("[environment]\nallow = [\"MY_TOKEN\"]\n");
    instance.ok(&["daemon", "start"]);
    let mut submit = instance.autodev(&["submit", "--wait", "--", "sh", "-c", "echo token=$MY_TOKEN"]);
    let output = submit.env("MY_TOKEN", "hunter2").output().unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("warning: MY_TOKEN is left out: the daemon's environment has no MY_TOKEN"), "{said}");
    assert_eq!(instance.ok(&["logs", "1"]), "token=\n");
}

#[test]
fn attaching_is_for_people() {
    let instance = Instance::new();
    for words in [["--json", "submit", "--attach", "--", "true"], ["submit", "--json", "--attach", "--", "true"]] {
        let error = instance.fails(2, &words);
        assert!(error.contains("--attach cannot be used with --json"), "{error}");
    }
    assert_eq!(instance.ok(&["list", "--all", "-q"]), "");
}

#[test]
fn a_time_limit_is_exact_in_json() {
    let instance = Instance::new();
    instance.submit(&["--hold", "--timeout", "90061s"], "true");
    assert_eq!(instance.task(1)["timeout"], "1d 1h 1m 1s");
}
