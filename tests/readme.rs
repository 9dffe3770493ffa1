//! The README keeps its word: what stands in its `console` blocks is typed, in order, at a
//! terminal, and shows what the README shows. Blocks marked `sh agent` need an agent:
//! here only their command lines are checked, `examples.rs` types them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "attach/support.rs"]
#[allow(dead_code, reason = "written for more than this")]
mod support;

use std::path::Path;
use std::process::Command;

use support::{Home, User};

const README: &str = include_str!("../README.md");
/// What the README was written at.
const SIZE: (u16, u16) = (160, 50);

/// Blocks of this kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let begin = format!("```{kind}\n");
    README.split(begin.as_str()).skip(1).map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// A command as the README has it, and what it shows.
struct Step {
    command: &'static str,
    shows: Vec<&'static str>,
}

fn tour() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks("console").into_iter().flat_map(str::lines) {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step { command, shows: Vec::new() }),
            None => steps.last_mut().unwrap().shows.push(line),
        }
    }
    steps
}

/// A user's shell on a machine without agents.
fn shell(home: &Home, command: &str) -> Command {
    let programs = Path::new(env!("CARGO_BIN_EXE_autodev")).parent().unwrap().to_str().unwrap();
    let agents = ["claude", "codex", "gemini", "cursor-agent", "opencode"];
    let path = std::env::var("PATH").unwrap();
    let path = path.split(':').filter(|dir| !agents.iter().any(|agent| Path::new(dir).join(agent).exists()));
    let path: Vec<&str> = std::iter::once(programs).chain(path).collect();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).env_clear().env("PATH", path.join(":")).env("HOME", home.path());
    shell.env("AUTODEV_HOME", home.path()).env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env("SHELL", "/bin/sh");
    shell.current_dir(home.path());
    shell
}

/// Whether a word is what the README shows; times differ.
fn same(word: &str, shown: &str) -> bool {
    /// A span (12s), a date or a time of day; nothing else.
    fn form(word: &str) -> Option<&'static str> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if matches!(unit, "ms" | "s" | "m" | "h") && unit != word {
            return Some("span");
        }
        [('-', "date"), (':', "time")]
            .into_iter()
            .find(|(by, _)| word.split(*by).count() == 3 && word.split(*by).all(digits))
            .map(|(_, name)| name)
    }
    word == shown || form(word).is_some_and(|form_of_word| form(shown) == Some(form_of_word))
}

/// Whether lines are what the README shows. `…` stands for the rest of a line, or of all.
fn agree(expected: &[&str], shown: &[&str]) -> bool {
    let line_agrees = |expected: &str, shown: &str| {
        let (expected, open) = expected.strip_suffix('…').map_or((expected, false), |start| (start, true));
        let (words, given): (Vec<_>, Vec<_>) =
            (expected.split_whitespace().collect(), shown.split_whitespace().collect());
        (words.len() == given.len() || open && words.len() < given.len())
            && words.iter().zip(&given).all(|(word, shown)| same(word, shown))
    };
    match expected {
        [] => shown.is_empty(),
        ["…"] => !shown.is_empty(),
        [first, rest @ ..] => shown.first().is_some_and(|line| line_agrees(first, line)) && agree(rest, &shown[1..]),
    }
}

#[test]
fn the_tour_works_as_written() {
    let home = Home::new();
    let steps = tour();
    assert!(steps.len() > 15, "the tour was not found");
    for Step { command, shows } in &steps {
        let mut user = User::run(shell(&home, command), SIZE);
        let attaches = shows.last().is_some_and(|line| line.starts_with("[detached "));
        if attaches {
            for line in &shows[..shows.len() - 1] {
                user.see(line);
            }
            user.type_(b"\x02d");
            user.see(shows.last().unwrap());
        }
        let status = user.ended();
        let screen = user.shown();
        assert!(status.success(), "'{command}': {status}\n{screen}");
        // The first three lines are those of a shell before.
        let shown: Vec<&str> = screen.lines().skip(3).map(str::trim_end).filter(|line| !line.is_empty()).collect();
        assert!(
            attaches || agree(shows, &shown),
            "'{command}' shows\n{}\nand not\n{}",
            shown.join("\n"),
            shows.join("\n")
        );
    }
    assert_eq!(std::fs::read_to_string(home.path().join("notes.txt")).unwrap(), "all is well\n");
}

/// Everything that can be wrong in these lines is found before a daemon is asked for.
#[test]
fn lines_for_agents_are_well_formed() {
    let home = Home::new();
    std::fs::write(home.path().join("prompt.md"), "make it better").unwrap();
    let lines: Vec<&str> = blocks("sh agent").into_iter().flat_map(str::lines).collect();
    assert!(lines.len() > 2);
    for line in lines {
        let mut command = shell(&home, &format!("{line} --no-start"));
        // As in the session of a task, where some of them belong.
        command.env("AUTODEV_SUBMIT_PROVIDER", "claude").env("AUTODEV_TASK_ID", "1");
        let mut user = User::run(command, SIZE);
        let status = user.ended();
        assert_eq!(status.code(), Some(3), "'{line}':\n{}", user.shown());
    }
}

#[test]
fn make_knows_what_is_asked_of_it() {
    let makefile = include_str!("../Makefile");
    for line in blocks("sh setup").into_iter().flat_map(str::lines) {
        let target = line.split_whitespace().nth(1).unwrap();
        assert!(line.starts_with("make ") && makefile.contains(&format!("\n{target}:")), "{line}");
    }
}

#[test]
fn differences_are_seen() {
    assert!(agree(&["1 running 12s 2026-11-22", "…"], &["1  running  3ms 2027-01-01", "x", "y"]));
    assert!(agree(&["whole: …"], &["whole: 12 entries"]));
    assert!(!agree(&["1 running"], &["1 queued"]) && !agree(&["a"], &["a", "b"]) && !agree(&["a", "…"], &["a"]));
    assert!(!agree(&["12s"], &["12"]) && !agree(&["s"], &["m"]) && !agree(&["a b"], &["a"]));
}
