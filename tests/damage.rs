//! Damage to the database: nothing is ever lost without a word, and there is a way out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::Instance;
use serde_json::Value;

/// A prompt that can be found in the file.
const WORDS: &str = "words that stand in a page";

/// What is done to the files.
type Damage = fn(&Path);

fn flip(file: &Path, offset: u64, length: usize) {
    let file = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset).unwrap();
    for byte in &mut bytes {
        *byte ^= 0x5a;
    }
    file.write_all_at(&bytes, offset).unwrap();
}

fn cut(file: &Path, length: impl FnOnce(u64) -> u64) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(length(file.metadata().unwrap().len())).unwrap();
}

const DATABASE: &str = "autodev.db";
const LOG: &str = "autodev.db-wal";

/// Bytes of a page of the database; of a frame of its log, those and a header.
const PAGE: u64 = 4096;

const DAMAGES: [(&str, Damage); 14] = [
    ("database cut in half", |state| cut(&state.join(DATABASE), |length| length / 2 / PAGE * PAGE)),
    ("database cut in the middle of a page", |state| cut(&state.join(DATABASE), |length| length / 2 + 100)),
    ("database cut to 100 bytes", |state| cut(&state.join(DATABASE), |_| 100)),
    ("database of no length", |state| cut(&state.join(DATABASE), |_| 0)),
    ("database removed", |state| fs::remove_file(state.join(DATABASE)).unwrap()),
    ("first bytes of the database", |state| flip(&state.join(DATABASE), 0, 16)),
    ("header of the first page", |state| flip(&state.join(DATABASE), 100, 8)),
    ("headers of all other pages", |state| {
        let pages = fs::metadata(state.join(DATABASE)).unwrap().len() / PAGE;
        (1..pages).for_each(|page| flip(&state.join(DATABASE), page * PAGE, 12));
    }),
    ("log cut in half", |state| cut(&state.join(LOG), |length| length / 2)),
    ("middle of the log", |state| {
        let length = fs::metadata(state.join(LOG)).unwrap().len();
        flip(&state.join(LOG), length / 2, 64);
    }),
    ("first frame of the log", |state| flip(&state.join(LOG), 32, 24)),
    ("log removed", |state| fs::remove_file(state.join(LOG)).unwrap()),
    ("witness removed", |state| fs::remove_file(state.join("witness")).unwrap()),
    ("witness unreadable", |state| flip(&state.join("witness"), 0, 1024)),
];

/// An instance with tasks that have ended, tasks that wait and one that runs; some of it in
/// a backup, more in the database's file, the rest in its log only.
struct Case {
    instance: Instance,
    acknowledged: BTreeSet<i64>,
}

impl Case {
    fn new() -> Case {
        let instance = Instance::configured("[queue]\nslots = 1\n");
        let mut acknowledged = BTreeSet::new();
        let mut submit = |instance: &Instance, count: usize| {
            for _ in 0..count {
                acknowledged.insert(instance.submit(&["--hold", "--title", WORDS], "true"));
            }
        };
        submit(&instance, 20);
        instance.ok(&["backup"]);
        submit(&instance, 20);
        // Ends with a checkpoint.
        instance.ok(&["daemon", "stop"]);
        submit(&instance, 20);
        let begun = instance.fifo("begun");
        acknowledged.insert(instance.submit(&[], &format!("echo > {}; exec sleep 1000", begun.path())));
        begun.read();
        instance.kill_daemon();
        Case { instance, acknowledged }
    }

    fn listed(&self) -> BTreeSet<i64> {
        let all = self.instance.json(&["list", "--all", "--limit", "0"]);
        all.as_array().unwrap().iter().map(|task| task["id"].as_i64().unwrap()).collect()
    }
}

#[test]
fn no_damage_is_silent_and_every_one_can_be_mended() {
    for (name, damage) in DAMAGES {
        let case = Case::new();
        let (instance, state) = (&case.instance, case.instance.state());
        damage(&state);
        let files = || [DATABASE, LOG, "witness"].map(|file| (file, fs::read(state.join(file)).ok()));
        let before = files();
        let said = instance.run(&["status"]);
        if said.status.success() {
            // Another copy of what is damaged was at hand: then nothing may be missing.
            assert_eq!(case.listed(), case.acknowledged, "{name}: lost without a word");
            continue;
        }
        let told = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(told.contains("autodev restore") && told.contains("nothing was touched"), "{name}: {told}");
        for ((file, was), (_, is)) in before.iter().zip(files()) {
            // Whoever looks into the database makes an empty log.
            assert!(was.clone().unwrap_or_default() == is.unwrap_or_default(), "{name}: {file} was touched");
        }
        assert!(!instance.run(&["submit", "--provider", "shell", "--", "true"]).status.success(), "{name}");

        let restored = instance.json(&["restore"]);
        let present = case.listed();
        let lost = !restored["lost"].is_null();
        assert!(present.is_subset(&case.acknowledged), "{name}: {restored}");
        assert!(lost || present == case.acknowledged, "{name}: {restored}");
        // Those in the backup are there in any case.
        assert!((1..=20).all(|task| present.contains(&task)), "{name}: {present:?}");
        instance.ok(&["history", "--verify"]);
        let kept = fs::read_dir(restored["quarantine"].as_str().unwrap()).unwrap().count();
        assert!(kept >= 2, "{name}: the damaged files are not kept");
        // What ran was taken back in: as its task's attempt, or, where the task is lost, as
        // a session of its own.
        let sessions = instance.json(&["sessions"]);
        let [session] = sessions.as_array().unwrap().as_slice() else { panic!("{name}: {sessions}") };
        assert_eq!(session["state"], "running", "{name}: {session}");
        assert_eq!(session["task"].as_i64(), present.contains(&61).then_some(61), "{name}");
        // Numbers are not given out again.
        assert_eq!(instance.submit(&["--hold"], "true"), 62, "{name}");
    }
}

/// A bit that has changed within a text is nothing that SQLite would notice.
#[test]
fn a_changed_text_is_not_run() {
    let instance = Instance::new();
    instance.ok(&["pause"]);
    let task = instance.submit(&[], &format!("echo '{WORDS}' > ran"));
    instance.ok(&["daemon", "stop"]);
    let file = instance.state().join(DATABASE);
    let bytes = fs::read(&file).unwrap();
    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, WORDS.as_bytes()).collect();
    assert!(!places.is_empty());
    let writable = File::options().write(true).open(&file).unwrap();
    for at in places {
        writable.write_all_at(b"swords", at as u64).unwrap();
    }
    let shown = instance.json(&["show", "1"]);
    assert!(shown["damage"].is_string(), "{shown}");
    assert!(instance.ok(&["show", "1"]).contains("not what was submitted"));
    instance.ok(&["resume"]);
    while instance.task(task)["state"] == "queued" {
        instance.run(&["wait", "1", "--timeout", "1s"]);
    }
    let shown = instance.task(task);
    assert_eq!((shown["state"].as_str(), shown["attempt"].as_str()), (Some("held"), None), "{shown}");
    assert!(shown["last_error"].as_str().unwrap().contains("has changed on the disk"), "{shown}");
    assert!(!instance.work().join("ran").exists());
    let deep = instance.run(&["doctor", "--deep", "--json"]);
    let found: Value = serde_json::from_slice(&deep.stdout).unwrap();
    assert!(!deep.status.success() && found.to_string().contains("task 1"), "{found}");
}

/// Backup, 20 submits, 5 of them running, and back to the backup: again and again. What runs
/// stays, nothing runs twice, and no number comes again.
#[test]
fn restores_in_a_loop_lose_no_running_agent() {
    const ROUNDS: usize = 4;
    let instance = Instance::configured("[queue]\nslots = 100\n");
    instance.ok(&["status"]);
    let mut numbers = BTreeSet::new();
    let mut running = BTreeSet::new();
    for round in 0..ROUNDS {
        let backup = instance.json(&["backup", "--to", instance.home().join(format!("{round}.db")).to_str().unwrap()]);
        let begun = instance.fifo(&format!("begun-{round}"));
        for number in 0..20 {
            let script = format!("echo $AUTODEV_ATTEMPT >> ran; echo > {}; exec sleep 1000", begun.path());
            let options: &[&str] = if number < 5 { &[] } else { &["--hold"] };
            let task = instance.submit(options, &script);
            assert!(numbers.insert(task), "{task} was given out before");
            if number < 5 {
                begun.read();
                running.insert(task);
            }
        }
        let path = backup["path"].as_str().unwrap();
        if round % 2 == 0 {
            // All that happened after it is gone.
            let restored = instance.json(&["restore", "--from", path, "--no-replay", "--yes"]);
            assert!(restored["lost"].is_array(), "{restored}");
        } else {
            instance.kill_daemon();
            let restored = instance.json(&["restore", "--from", path, "--yes"]);
            assert!(restored["lost"].is_null(), "{restored}");
        }
        instance.ok(&["history", "--verify"]);
        let sessions = instance.json(&["sessions"]);
        assert_eq!(sessions.as_array().unwrap().len(), running.len(), "round {round}: {sessions}");
        assert!(sessions.as_array().unwrap().iter().all(|session| session["state"] == "running"), "{sessions}");
    }
    let ran = fs::read_to_string(instance.work().join("ran")).unwrap();
    let attempts: BTreeSet<&str> = ran.lines().collect();
    assert_eq!((ran.lines().count(), attempts.len()), (running.len(), running.len()), "{ran}");
    let events = instance.json(&["history", "--events", "--limit", "0"]);
    let restores = events.as_array().unwrap().iter().filter(|event| event["kind"] == "database_restored").count();
    // Those of a restore that was gone back behind are gone as well.
    assert!(restores >= 1, "{restores}");
}
