//! Databases as older versions have left them: each is brought up to date, after a backup,
//! whatever dies in between. `tests/databases/N` holds one of the form N.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::Instance;
use serde_json::json;

/// An instance with the database of an older version.
fn left_by(form: u32) -> Instance {
    let instance = Instance::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/databases/{form}"));
    fs::create_dir_all(instance.state()).unwrap();
    fs::set_permissions(instance.state(), fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["witness", "INITIALIZED"] {
        fs::copy(from.join(name), instance.state().join(name)).unwrap();
    }
    let packed = fs::File::open(from.join("autodev.db.zst")).unwrap();
    fs::write(instance.state().join("autodev.db"), zstd::decode_all(packed).unwrap()).unwrap();
    instance
}

/// Everything that was in it, and what is new works.
fn is_whole(instance: &Instance) {
    let all = instance.json(&["list", "--all", "--limit", "0"]);
    let states: Vec<_> =
        all.as_array().unwrap().iter().map(|task| (task["id"].as_i64(), task["state"].clone())).collect();
    let expected = ["passed", "queued", "held", "passed", "queued", "queued", "queued"];
    let mut sorted = states.clone();
    sorted.sort_by_key(|(id, _)| *id);
    let expected: Vec<_> = (1..).map(Some).zip(expected.map(|state| json!(state))).collect();
    assert_eq!(sorted, expected);
    let first = instance.task(1);
    assert_eq!((&first["title"], &first["labels"]), (&json!("passed before"), &json!(["old"])));
    let held = instance.task(3);
    assert_eq!(
        (&held["priority"], &held["on_interrupt"], &held["max_restarts"]),
        (&json!(5), &json!("resume"), &json!(3))
    );
    instance.ok(&["history", "--verify"]);
    // A key that was used then still means the same task.
    let again = ["submit", "-q", "--provider", "shell", "--idempotency-key", "once", "--dir", "/tmp", "--", "true"];
    assert!(instance.fails(6, &again).contains("once"));
    instance.ok(&["note", "--task", "1", "a new kind of row"]);
    let task = instance.submit(&["--on-interrupt", "hold"], "true");
    assert_eq!(task, 8);
    let deep = instance.run(&["doctor", "--deep", "--json"]);
    let deep: serde_json::Value = serde_json::from_slice(&deep.stdout).unwrap();
    for check in deep.as_array().unwrap() {
        // Its recordings have stayed on the machine that it was made on.
        assert!(check["level"] != "error" || check["name"] == "recordings", "{check:#}");
    }
}

#[test]
fn every_older_form_is_brought_up_to_date() {
    let instance = left_by(1);
    is_whole(&instance);
    // As it was before is in a backup.
    let backups = instance.json(&["backup", "--list"]);
    let [backup] = backups.as_array().unwrap().as_slice() else { panic!("{backups}") };
    let restored = instance.json(&["restore", "--yes", "--no-replay", "--from", backup["path"].as_str().unwrap()]);
    assert_eq!(restored["from_event"], backup["last_event"]);
    assert_eq!(instance.json(&["list", "--all"]).as_array().unwrap().len(), 7);
}

/// The points are not in a release.
#[cfg(debug_assertions)]
#[test]
fn dying_in_the_middle_of_it_loses_nothing() {
    for point in ["backup-copied", "backup-named", "migration-due", "migrating", "migrated"] {
        let instance = left_by(1);
        let fuse = instance.home().join("fuse");
        fs::write(&fuse, "").unwrap();
        let mut start = instance.autodev(&["daemon", "start"]);
        start.env("AUTODEV_CRASH_POINT", point).env("AUTODEV_CRASH_FUSE", &fuse);
        // Whoever starts one that is killed starts another.
        assert!(start.output().unwrap().status.success(), "{point}");
        assert!(!fuse.exists(), "nothing has come by '{point}'");
        is_whole(&instance);
        let backups = instance.json(&["backup", "--list"]);
        assert!(!backups.as_array().unwrap().is_empty(), "{point}");
        for entry in fs::read_dir(instance.state().join("backups")).unwrap().flatten() {
            assert!(!entry.file_name().to_string_lossy().contains("unfinished"), "{point}: {entry:?}");
        }
    }
}
