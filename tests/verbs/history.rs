use super::list::goes_on;
use super::{column, json, refused, text};
use crate::common::Instance;

fn ids(instance: &Instance, args: &[&str]) -> String {
    instance.ok(&[&["history", "-q"], args].concat()).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn ended_tasks_filters_search_and_pages() {
    let instance = Instance::configured("[queue]\nslots = 1\n");
    instance.submit(&["--title", "the login page", "-l", "a"], "true");
    instance.submit(&["--title", "the logout page", "--role", "dev"], "exit 1");
    instance.submit(&["--title", "zebra"], "true");
    instance.submit(&["--hold"], "true");
    instance.run(&["wait", "1-3"]);
    assert_eq!(ids(&instance, &[]), "3 2 1", "last ended first, and only what has ended");
    assert_eq!(ids(&instance, &["--state", "failed"]), "2");
    assert_eq!(ids(&instance, &["--label", "a"]), "1");
    assert_eq!(ids(&instance, &["--role", "dev"]), "2");
    assert_eq!(ids(&instance, &["--provider", "shell"]), "3 2 1");
    assert_eq!(ids(&instance, &["--provider", "claude"]), "");
    assert_eq!(ids(&instance, &["--since", "1h"]), "3 2 1");
    assert_eq!(ids(&instance, &["--until", "1h"]), "");
    assert_eq!(ids(&instance, &["--search", "login"]), "1");
    assert_eq!(ids(&instance, &["--search", "page"]), "2 1");
    assert_eq!(ids(&instance, &["--search", "\"unclosed AND (("]), "", "any words may be searched for");
    goes_on(&instance, &["history", "--limit", "2"], "1");
    goes_on(&instance, &["history", "--limit", "1", "--state", "passed"], "1");
    goes_on(&instance, &["history", "--limit", "1", "--search", "page"], "1");
    let list = instance.json(&["history"]);
    assert_eq!(column(&list, "id"), ["3", "2", "1"]);
    assert_eq!(list[1]["exit_code"], 1);
}

#[test]
fn the_audit_trail_of_one_task() {
    let instance = Instance::new();
    instance.submit(&["--hold"], "exit 2");
    instance.ok(&["priority", "1", "5"]);
    instance.ok(&["release", "1"]);
    instance.wait(1);
    let trail = instance.json(&["history", "1"]);
    assert_eq!(
        column(&trail, "kind"),
        ["submitted", "priority_changed", "released", "claimed", "started", "ended", "settled"]
    );
    let actors = column(&trail, "actor");
    assert_eq!(actors[..3], ["user", "user", "user"]);
    assert_eq!(actors[3], "daemon");
    assert_eq!(trail[6]["state"], "failed");
    assert_eq!(trail[5]["detail"]["exit_code"], 2);
    assert!(trail.as_array().unwrap().iter().all(|e| e["hash"].as_str().unwrap().len() == 64));
    assert_eq!(instance.ok(&["history", "1"]).lines().count(), 7);
    // Texts are not in the chain.
    assert!(!trail.to_string().contains("exit 2"));
}

#[test]
fn verify_names_the_row_that_was_changed() {
    let instance = Instance::new();
    instance.submit(&[], "true");
    instance.wait(1);
    let whole = instance.json(&["history", "--verify"]);
    assert!(whole["first_bad"].is_null() && whole["events"].as_i64().unwrap() >= 5, "{whole}");
    // Somebody writes to the database while the daemon has it open.
    let connection = rusqlite::Connection::open(instance.state().join("autodev.db")).unwrap();
    let triggers: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'events'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(!triggers.is_empty());
    assert!(connection.execute("UPDATE events SET at = at + 1 WHERE seq = 3", []).is_err(), "triggers refuse it");
    for trigger in triggers {
        connection.execute_batch(&format!("DROP TRIGGER \"{trigger}\"")).unwrap();
    }
    connection.execute("UPDATE events SET at = at + 1 WHERE seq = 3", []).unwrap();
    drop(connection);
    let output = instance.run(&["history", "--verify"]);
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), error.contains("damaged at entry 3")), (Some(1), true), "{error}");
    let report = instance.run(&["history", "--verify", "--json"]);
    assert_eq!((report.status.code(), json(&report)["first_bad"].as_i64()), (Some(1), Some(3)));
    // A daemon does not begin on top of it, and says what helps.
    instance.ok(&["daemon", "stop"]);
    let error = instance.fails(1, &["list"]);
    assert!(error.contains("entry 3 of the history is damaged") && error.contains("backup"), "{error}");
}

#[test]
fn wrong_words() {
    let instance = Instance::new();
    refused(
        &instance,
        &[
            (4, &["history", "9"], &["no task 9"]),
            (2, &["history", "--since", "1h", "--until", "2h"], &["nothing lies between"]),
            (2, &["history", "--verify", "--state", "failed"], &["cannot be used with"]),
            (2, &["history", "1", "--state", "failed"], &["cannot be used with"]),
            (2, &["history", "1", "--limit", "1"], &["cannot be used with"]),
            (2, &["history", "--cursor", "x"], &["not the end of a page"]),
        ],
    );
    let none = instance.run(&["history"]);
    assert_eq!((none.status.code(), text(&none.stderr)), (Some(0), "no finished task matches\n".into()));
}
