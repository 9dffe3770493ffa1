//! How the command line starts a daemon, with daemons made of a few lines of shell.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

struct Place {
    dir: TempDir,
    autodev: PathBuf,
}

impl Place {
    /// A directory with `autodev` and a script beside it in the daemon's place. In the
    /// script `$fd` is the descriptor of the answer.
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let autodev = dir.path().join("autodev");
        // Written by other processes: one that another test starts meanwhile would hold our
        // descriptor, and a file that is open for writing cannot be run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_autodev")).arg(&autodev).status().unwrap();
        assert!(copied.success());
        let daemon = dir.path().join("autodevd");
        let head = "#!/bin/sh\n[ \"$1\" = --ready-fd ] || exit 64\nfd=$2\n";
        let text = format!("{head}echo start >> {}/starts\n{script}\n", dir.path().display());
        let write = "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"";
        let written = Command::new("/bin/sh").args(["-c", write, "sh", &text]).arg(&daemon).status().unwrap();
        assert!(written.success());
        Place { dir, autodev }
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(&self.autodev);
        command.args(words).env_clear().env("PATH", "/usr/bin:/bin").env("AUTODEV_HOME", self.dir.path().join("home"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn starts(&self) -> usize {
        fs::read_to_string(self.dir.path().join("starts")).map_or(0, |text| text.lines().count())
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_daemon_that_says_why_not_is_quoted() {
    let place = Place::new(
        r#"eval "printf '%s\n' '{\"error\":\"the database is damaged\",\"code\":\"permission\",\"hint\":\"look\"}' >&$fd"; exit 1"#,
    );
    let output = place.run(&["status"]);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(5), "{errors}");
    assert_eq!(errors, "error: the daemon does not start: the database is damaged\nhint: look\n");
    assert_eq!(place.starts(), 1);
}

#[test]
fn a_daemon_that_dies_shows_its_last_words() {
    let place = Place::new("echo first; echo 'thread main panicked at boot' >&2; exit 7");
    let output = place.run(&["list"]);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("exit status: 7") && errors.contains("panicked at boot"), "{errors}");
    assert!(errors.contains("hint: its log is ") && errors.contains("autodevd.log"), "{errors}");
}

#[test]
fn a_daemon_that_finds_another_one_is_not_started_for_ever() {
    let place = Place::new(r#"eval "echo '{\"error\":\"another daemon runs\",\"code\":\"conflict\"}' >&$fd"; exit 75"#);
    let output = place.run(&["status"]);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(6), "{errors}");
    assert!(errors.contains("another daemon runs"), "{errors}");
    assert_eq!(place.starts(), 20);
}

#[test]
fn an_answer_nobody_understands_is_an_error() {
    let place = Place::new(r#"eval "echo 'hello there' >&$fd""#);
    let output = place.run(&["status"]);
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    assert!(errors(&output).contains("not understood"), "{}", errors(&output));
}

#[test]
fn the_daemon_has_a_session_of_its_own_and_nothing_of_ours() {
    let place = Place::new(
        r#"read -r pid comm state ppid pgrp session rest < /proc/self/stat
           [ "$pid" = "$session" ] || exit 11
           [ "$(pwd)" = / ] || exit 12
           read -r line && exit 13
           exit 21"#,
    );
    let output = place.run(&["status"]);
    // `read` in sh runs in the shell itself: its own number is the session's.
    assert!(errors(&output).contains("exit status: 21"), "{}", errors(&output));
}

#[test]
fn a_missing_daemon_is_named() {
    let place = Place::new("");
    fs::remove_file(place.dir.path().join("autodevd")).unwrap();
    let output = place.run(&["status"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(errors(&output).contains("install 'autodevd' beside 'autodev'"), "{}", errors(&output));
}
