use super::{column, one_slot, refused, running, text};
use crate::common::Instance;

/// Every name that a task has in JSON: scripts rely on them.
const FIELDS: [&str; 24] = [
    "id",
    "uid",
    "title",
    "role",
    "state",
    "reason",
    "provider",
    "model",
    "mode",
    "dir",
    "branch",
    "commit_hash",
    "full_access",
    "acceptance",
    "attempt",
    "session",
    "created_at",
    "updated_at",
    "started_at",
    "ended_at",
    "exit_code",
    "outcome",
    "last_error",
    "error_count",
];

fn ids(instance: &Instance, args: &[&str]) -> String {
    instance.ok(&[&["list", "-q"], args].concat()).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn json_has_every_promised_name() {
    let instance = Instance::new();
    assert_eq!(instance.ok(&["list", "--json"]), "[]\n");
    instance.submit(&["--label", "a", "--role", "dev"], "exit 3");
    instance.wait(1);
    instance.submit(&["--hold"], "true");
    let list = instance.json(&["list", "--all"]);
    for task in list.as_array().unwrap() {
        for name in FIELDS.iter().chain(&["labels", "priority", "after", "due_at", "retries", "timeout", "stopping"]) {
            assert!(task.get(name).is_some(), "{name} is missing in {task}");
        }
        for name in ["description", "command"] {
            assert!(task.get(name).is_none(), "{name} is not known here, so it cannot be told: {task}");
        }
        for name in ["created_at", "updated_at"] {
            let time = task[name].as_str().unwrap();
            assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{name}: {time}");
        }
    }
    let failed = &list[1];
    assert_eq!((failed["state"].as_str(), failed["exit_code"].as_i64()), (Some("failed"), Some(3)));
    assert_eq!((failed["outcome"].as_str(), failed["attempt"].as_str()), (Some("agent-failed"), Some("1.1")));
    assert_eq!(failed["last_error"], "the program exited 3");
    assert_eq!(list[0]["reason"]["code"], "Held");
}

#[test]
fn not_a_terminal_is_tabs_whole_cells_and_no_colour() {
    let instance = one_slot();
    let (_, gate) = running(&instance, "gate");
    let title = "a title that is much longer than eighty columns, so that a terminal would have to cut it somewhere";
    instance.submit(&["--title", title, "-l", "x", "--priority", "3"], "true");
    let output = instance.autodev(&["list"]).env("COLUMNS", "40").output().unwrap();
    let list = text(&output.stdout);
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split('\t').collect()).collect();
    assert!(!list.contains('\x1b') && rows.len() == 2, "{list:?}");
    assert_eq!(rows[0][..3], ["1", "running", "shell"]);
    assert_eq!((rows[1].len(), rows[1][0], rows[1][1], rows[1][5], rows[1][6]), (9, "2", "queued", "3", title));
    assert_eq!(rows[1][7..], ["x", "the only slot is taken"]);
    gate.write("\n");
}

#[test]
fn filters_and_pages() {
    let instance = Instance::new();
    instance.ok(&["pause"]);
    instance.submit(&["-l", "a"], "true");
    instance.submit(&["-l", "a,b", "--role", "dev"], "true");
    instance.submit(&["--hold"], "true");
    assert_eq!(ids(&instance, &["--label", "a"]), "1 2");
    assert_eq!(ids(&instance, &["--label", "a", "--label", "b"]), "2");
    assert_eq!(ids(&instance, &["--label", "a,b"]), "2", "as submit takes them");
    assert_eq!(ids(&instance, &["--state", "held"]), "3");
    assert_eq!(ids(&instance, &["--state", "held,queued"]), "1 2 3");
    assert_eq!(ids(&instance, &["--role", "dev"]), "2");
    assert_eq!(ids(&instance, &["--provider", "claude"]), "");
    assert_eq!(ids(&instance, &["--dir", "."]), "1 2 3");
    assert_eq!(ids(&instance, &["--dir", "/tmp"]), "");
    assert_eq!(ids(&instance, &["--since", "1h"]), "1 2 3");
    instance.ok(&["cancel", "2"]);
    assert_eq!(ids(&instance, &[]), "1 3");
    assert_eq!(ids(&instance, &["--all"]), "3 2 1");
    assert_eq!(ids(&instance, &["--state", "cancelled"]), "2", "an ended state needs no --all");
    assert_eq!(ids(&instance, &["--all", "--limit", "0"]), "3 2 1");
    goes_on(&instance, &["list", "--all", "--limit", "2"], "1");
    goes_on(&instance, &["list", "--limit", "1", "--state", "queued,held"], "3");
    let none = instance.run(&["list", "--label", "nobody"]);
    assert_eq!((text(&none.stdout), text(&none.stderr)), (String::new(), "no task matches\n".into()));
    assert_eq!(column(&instance.json(&["list", "--all"]), "id"), ["3", "2", "1"]);
    // Tasks outlive their provider's table, so an unknown one is no error; but it is said.
    for verb in ["list", "history", "hold"] {
        let none = instance.run(&[verb, "--provider", "clade"]);
        let said = text(&none.stderr);
        assert_eq!(none.status.code(), Some(0), "{verb}: {said}");
        assert!(said.ends_with("note: there is no provider 'clade': did you mean 'claude'?\n"), "{verb}: {said}");
    }
}

/// A page's note, taken at its word, gives the rest.
#[track_caller]
pub fn goes_on(instance: &Instance, command: &[&str], rest: &str) {
    let page = instance.run(command);
    let note = text(&page.stderr);
    let cursor = note.trim_end().split("the same command with --limit N, or with ").nth(1);
    let words: Vec<&str> = cursor.unwrap_or_else(|| panic!("{command:?} says {note:?}")).split(' ').collect();
    let next = instance.ok(&[command, &words, &["-q"]].concat());
    assert_eq!(next.split_whitespace().collect::<Vec<_>>().join(" "), rest, "{command:?} {words:?}");
}

#[test]
fn wrong_words() {
    let instance = Instance::new();
    refused(
        &instance,
        &[
            (2, &["list", "--state", "runing"], &["running"]),
            (2, &["list", "--cursor", "x"], &["not the end of a page", "repeat that command"]),
            (2, &["list", "--dir", "/no/such"], &["/no/such"]),
            (2, &["list", "--since", "sometime"], &["not a time"]),
            (2, &["list", "--limit", "some"], &["--limit"]),
            (2, &["list", "--watch", "--quiet"], &["cannot be used with", "autodev watch --json"]),
        ],
    );
    for words in [["--json", "list", "--watch"], ["list", "--watch", "--json"]] {
        let error = instance.fails(2, &words);
        assert!(error.contains("--watch cannot be used with --json"), "{error}");
    }
}
