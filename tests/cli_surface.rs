//! What the command line says without a daemon: help, errors, completion.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Home(tempfile::tempdir().unwrap())
    }

    /// `autodev` with these words, in an instance of its own without a daemon.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autodev"));
        command.args(words).env_clear().env("AUTODEV_HOME", self.0.path()).env("PATH", "/usr/bin:/bin");
        // No agent need be installed here.
        command.env("AUTODEV_SUBMIT_PROVIDER", "claude");
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn every_verb_has_help_with_examples() {
    let home = Home::new();
    let all = text(&home.run(&["--help"]).stdout);
    let command = autodev::cli::command();
    for verb in command.get_subcommands().map(clap::Command::get_name) {
        assert!(all.contains(&format!("  {verb} ")), "{verb} is missing in --help");
        let output = home.run(&[verb, "--help"]);
        let help = text(&output.stdout);
        assert_eq!(code(&output), 0, "{verb}");
        assert!(help.contains("Usage: autodev") && help.contains("Examples:"), "{verb}:\n{help}");
    }
}

#[test]
fn every_verb_is_in_one_group_of_the_help() {
    let command = autodev::cli::command();
    let mut verbs: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let mut grouped: Vec<&str> = autodev::cli::GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
    verbs.sort_unstable();
    grouped.sort_unstable();
    assert_eq!(verbs, grouped);
}

#[test]
fn help_can_be_asked_for_as_elsewhere() {
    let home = Home::new();
    for (words, same) in [(&["help"][..], &["--help"][..]), (&["help", "attach"], &["attach", "--help"])] {
        let (asked, expected) = (home.run(words), home.run(same));
        assert_eq!((code(&asked), text(&asked.stdout)), (0, text(&expected.stdout)), "{words:?}");
    }
    assert_eq!(code(&home.run(&["help", "nonsense"])), 2);
}

#[test]
fn the_version_is_the_packages() {
    let output = Home::new().run(&["--version"]);
    assert_eq!((code(&output), text(&output.stdout)), (0, format!("autodev {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn usage_errors_exit_with_2_and_help_on() {
    let home = Home::new();
    for (words, says) in [
        (&["sumbit"][..], "similar subcommand"),
        (&["list", "--sate", "queued"], "--state"),
        (&["list", "--state", "runing"], "running"),
        (&["show"], "<TASK>"),
        (&["show", "0"], "not a task number"),
        (&["cancel"], "no task is named"),
        (&["cancel", "9-3"], "runs backwards"),
        (&["hold", "42.1"], "its task is 42"),
        (&["priority", "42", "1000"], "not a priority"),
        (&["submit"], "the prompt is missing"),
        (&["submit", " "], "the prompt is empty"),
        (&["submit", "x", "--dir", "/no/such/place"], "/no/such/place"),
        (&["submit", "x", "--priority", "101"], "out of range"),
        (&["submit", "x", "--timeout", "soon"], "not a length of time"),
        (&["submit", "x", "--at", "25:00"], "not a time"),
        (&["submit", "x", "--at", "09:00", "--in", "1h"], "cannot be used with"),
        (&["submit", "x", "--after", "maybe:3"], "not something to wait for"),
        (&["submit", "x", "--label", "a b"], "cannot be a label"),
        (&["submit", "--provider", "claude", "--", "true"], "needs provider shell"),
        (&["submit", "-f", "/no/such/file"], "cannot be read"),
        (&["submit", "x", "--exit-code"], "--wait"),
        (&["history", "--since", "tomorrow", "--until", "yesterday"], "nothing lies between"),
        (&["wait", "42", "--timeout", "soon"], "not a length of time"),
        (&["edit", "42"], "nothing is to be changed"),
        (&["completions", "tcsh"], "bash"),
        (&["recover", "0"], "is not a task"),
        (&["answer", "1"], "<TEXT>"),
        (&["answer", "x", "yes"], "invalid value"),
        (&["note"], "<TEXT>"),
        (&["outputs", "add"], "<FILE>"),
        (&["backup", "--list", "--to", "x"], "cannot be used with"),
        (&["requests", "1"], "unexpected argument"),
        (&["doctor", "--depe"], "--deep"),
    ] {
        // Found out before a daemon is looked for: that would be status 3.
        let output = home.run(&[&["--no-start"], words].concat());
        let errors = text(&output.stderr);
        assert_eq!(code(&output), 2, "{words:?}: {errors}");
        assert!(errors.contains(says), "{words:?}: {errors}");
        assert!(output.stdout.is_empty() && !errors.contains("backtrace"), "{words:?}");
    }
    assert!(!home.0.path().join("state").exists());
}

#[test]
fn without_a_daemon_and_not_allowed_to_start_one_it_is_status_3() {
    let home = Home::new();
    for words in [&["status"][..], &["list"], &["submit", "x"], &["wait", "1"], &["daemon", "status"], &["why", "1"]] {
        let output = home.run(&[words, &["--no-start"]].concat());
        let errors = text(&output.stderr);
        assert_eq!(code(&output), 3, "{words:?}: {errors}");
        assert!(errors.starts_with("error: no daemon runs\nhint: 'autodev daemon start'"), "{words:?}: {errors}");
    }
    assert!(!home.0.path().join("state").exists());
}

#[test]
fn under_json_errors_are_objects() {
    let home = Home::new();
    for (words, name) in [
        (&["status", "--no-start", "--json"][..], "unreachable"),
        (&["--json", "cancel"], "usage"),
        (&["--json", "show", "x"], "usage"),
        (&["--json", "no-such-verb"], "usage"),
    ] {
        let output = home.run(words);
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["code"], name, "{words:?}");
        assert!(!error["message"].as_str().unwrap().is_empty() && error.get("hint").is_some(), "{words:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn under_json_usage_errors_say_all_that_people_are_told() {
    let home = Home::new();
    for (words, message, hint) in [
        (&["show", "--json"][..], "the following required arguments were not provided: <TASK>", "VERB --help"),
        (&["list", "--state", "runing", "--json"], "[possible values: queued, ", "'running'"),
        (&["--json", "lst"], "unrecognized subcommand 'lst'", "'list'"),
    ] {
        let output = home.run(words);
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert!(error["message"].as_str().unwrap().contains(message), "{words:?}: {error}");
        assert!(error["hint"].as_str().unwrap().contains(hint), "{words:?}: {error}");
    }
}

#[test]
fn inside_a_session_no_daemon_is_started() {
    let home = Home::new();
    let output = home.command(&["status"]).env("AUTODEV_SESSION", "42.1").output().unwrap();
    let errors = text(&output.stderr);
    assert_eq!(code(&output), 3, "{errors}");
    assert!(errors.contains("inside a session") && errors.contains("42.1"), "{errors}");
    assert!(!home.0.path().join("state").exists());
}

#[test]
fn stopping_what_does_not_run_is_no_error() {
    let home = Home::new();
    let output = home.run(&["daemon", "stop"]);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "no daemon runs\n"));
    let output = home.run(&["daemon", "logs"]);
    assert_eq!(code(&output), 4);
    let output = home.run(&["daemon", "logs", "--path"]);
    assert!(text(&output.stdout).ends_with("state/autodevd.log\n"));
}

#[test]
fn shells_get_code_that_asks_autodev() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = home.run(&["completions", shell]);
        assert_eq!(code(&output), 0, "{shell}");
        assert!(text(&output.stdout).contains("AUTODEV_COMPLETE"), "{shell}");
    }
    // What bash sends for `autodev his<TAB>`, and for a task number without a daemon.
    for (words, index, expected) in [
        (&["autodev", "his"][..], "1", "history\n"),
        (&["autodev", "show", "4"], "2", ""),
        (&["autodev", "config", "get", "providers.claude.s"], "3", "providers.claude.slots\n"),
    ] {
        let mut command = home.command(&[]);
        command.env("AUTODEV_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index);
        command.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true");
        let output = command.arg("--").args(words).output().unwrap();
        assert_eq!(code(&output), 0);
        assert_eq!(text(&output.stdout).trim(), expected.trim(), "{words:?}");
    }
    assert!(!home.0.path().join("state").exists());
}

#[test]
fn a_reader_that_leaves_is_not_complained_about() {
    let home = Home::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = home.command(&["completions", "bash"]).stdout(writer).output().unwrap();
    assert_eq!((code(&output), text(&output.stderr).as_str()), (141, ""));
}

#[test]
fn wrong_settings_are_said_before_anything_is_stored() {
    let home = Home::new();
    let config = home.0.path().join("config");
    std::fs::create_dir(&config).unwrap();
    std::fs::write(config.join("config.toml"), "[queue]\nslotz = 3\n").unwrap();
    let output = home.run(&["submit", "x", "--no-start"]);
    let errors = text(&output.stderr);
    assert_eq!(code(&output), 2, "{errors}");
    assert!(errors.contains("slotz") && errors.contains("autodev config check"), "{errors}");
    // What needs no settings does not mind.
    assert_eq!(code(&home.run(&["status", "--no-start"])), 3);
}

#[test]
fn without_an_agent_it_says_what_to_do() {
    let home = Home::new();
    let output =
        home.command(&["submit", "x"]).env_remove("AUTODEV_SUBMIT_PROVIDER").env("PATH", "/no").output().unwrap();
    let errors = text(&output.stderr);
    assert_eq!(code(&output), 2, "{errors}");
    assert!(errors.contains("no agent is installed") && errors.contains("autodev providers"), "{errors}");
}

#[test]
fn batches_are_checked_as_a_whole_first() {
    let home = Home::new();
    let batch = home.0.path().join("batch.jsonl");
    std::fs::write(&batch, "{\"command\":\"true\"}\n{\"command\":\"true\",\"after\":\"line:7\"}\n").unwrap();
    let output = home.run(&["submit", "--no-start", "--batch", batch.to_str().unwrap()]);
    let errors = text(&output.stderr);
    assert_eq!(code(&output), 2, "{errors}");
    assert!(errors.contains("line 2: line 7 is no earlier line"), "{errors}");
}
