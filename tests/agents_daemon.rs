//! Real agents through the whole of it: submitted, run in a terminal by a keeper, ended
//! without a key by a message of their own, which log and history show.
//!
//! `make agents` installs them; a test whose agent is not there says so on
//! standard error and passes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::path::Path;
use std::process::Command;

use common::Instance;

/// The agents' own programs before everything else.
fn with_agents(mut command: Command) -> Option<Command> {
    let agents = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/agents/node_modules/.bin");
    let path = format!("{}:{}", agents.display(), std::env::var("PATH").unwrap());
    command.env("PATH", path);
    agents.is_dir().then_some(command)
}

fn ends_with_its_own_words(agent: &str, code: i64, words: &str) {
    let instance = Instance::new();
    let args = ["submit", "--provider", agent, "--timeout", "120s", "--wait", "say hi"];
    let Some(mut submit) = with_agents(instance.autodev(&args)) else {
        eprintln!("{agent} is not installed: skipped");
        return;
    };
    let output = submit.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let shown = instance.task(1);
    assert_eq!((shown["state"].as_str(), shown["exit_code"].as_i64()), (Some("failed"), Some(code)), "{shown}");
    let log = instance.ok(&["logs", "1"]);
    assert!(log.contains(words), "{log}");
    let ended = instance.json(&["history", "1"]);
    assert!(
        ended.as_array().unwrap().iter().any(|e| e["kind"] == "ended" && e["detail"]["exit_code"] == code),
        "{ended}"
    );
    // Nothing of the agent is left, whatever it had started.
    assert_eq!(instance.json(&["sessions"]).as_array().map(Vec::len), Some(0));
    let home = instance.home().to_str().unwrap().to_owned();
    for pid in autodev::process::all().unwrap() {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let ours = memchr::memmem::find(&environment, home.as_bytes()).is_some();
        let session = memchr::memmem::find(&environment, b"AUTODEV_SESSION=1.1").is_some();
        assert!(!(ours && session), "process {pid} of {agent} is left");
    }
}

#[test]
fn claude() {
    ends_with_its_own_words("claude", 1, "Please run /login");
}

#[test]
fn gemini() {
    ends_with_its_own_words("gemini", 41, "set an Auth method");
}
