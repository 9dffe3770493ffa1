//! What becomes of work whose keeper, daemon or machine went away, with nobody there to
//! decide.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use autodev::paths::KeeperFile;
use autodev::process::{self, PidFd};
use common::random::Random;
use common::{Instance, dies, vanishes};
use serde_json::Value;

/// What a keeper says about itself.
fn keeper(instance: &Instance, session: &str) -> KeeperFile {
    serde_json::from_slice(&fs::read(instance.live(session).join("keeper.json")).unwrap()).unwrap()
}

fn signal(pid: u32, signal: i32) {
    if let Some(handle) = PidFd::open(pid) {
        handle.signal(signal).unwrap();
    }
}

/// A task whose first attempt stays, and whose second one ends well.
fn stays_once(instance: &Instance, options: &[&str]) -> i64 {
    let begun = instance.fifo("begun");
    let script = format!("[ $AUTODEV_ATTEMPT != 1.1 ] || {{ echo > {}; exec sleep 1000; }}", begun.path());
    let task = instance.submit(options, &script);
    begun.read();
    task
}

/// As after a power cut: daemon and keepers are gone at once, and what they left is of
/// another boot.
fn reboot(instance: &Instance, sessions: &[&str]) {
    let keepers: Vec<_> = sessions.iter().map(|session| keeper(instance, session)).collect();
    instance.kill_daemon();
    for (session, mut file) in sessions.iter().zip(keepers) {
        signal(file.process.pid, libc::SIGKILL);
        dies(file.process.pid);
        file.process.boot_id = "an earlier boot".into();
        fs::write(instance.live(session).join("keeper.json"), serde_json::to_vec(&file).unwrap()).unwrap();
    }
}

fn kinds(instance: &Instance, arguments: &[&str]) -> Vec<String> {
    let events = instance.json(arguments);
    events.as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_policy_says_what_becomes_of_an_interrupted_task() {
    for (policy, state) in [("resume", "passed"), ("requeue", "passed"), ("hold", "held"), ("fail", "error")] {
        for way in ["shutdown", "reboot", "lost"] {
            let instance = Instance::new();
            let task = stays_once(&instance, &["--on-interrupt", policy]);
            match way {
                "shutdown" => {
                    let pid = keeper(&instance, "1.1").process.pid;
                    signal(pid, libc::SIGTERM);
                    dies(pid);
                }
                "lost" => signal(keeper(&instance, "1.1").process.pid, libc::SIGKILL),
                _ => reboot(&instance, &["1.1"]),
            }
            if state == "held" {
                // Starts a daemon if there is none.
                instance.ok(&["status"]);
                vanishes(&instance.live("1.1"));
                let shown = instance.task(task);
                assert_eq!(shown["state"], "held", "{way}: {shown}");
                assert!(shown["reason"]["detail"].as_str().unwrap().contains("interrupted"), "{way}: {shown}");
                instance.ok(&["release", "1"]);
                assert_eq!(instance.wait(task), "passed", "{way}");
            } else {
                assert_eq!(instance.wait(task), state, "{policy} {way}: {}", instance.log());
            }
            let shown = instance.json(&["show", "1"]);
            let expected = if way == "lost" { "lost" } else { "interrupted" };
            assert_eq!(shown["attempts"][0]["outcome"], expected, "{policy} {way}");
            let attempts = if policy == "fail" { 1 } else { 2 };
            assert_eq!(shown["attempts"].as_array().unwrap().len(), attempts, "{policy} {way}");
            instance.ok(&["history", "--verify"]);
        }
    }
}

/// The daemon that meets the work of an earlier boot says so, once.
#[test]
fn a_start_says_what_it_has_recovered() {
    let instance = Instance::new();
    stays_once(&instance, &[]);
    instance.ok(&["open", "--detach", "--name", "mine", "--", "sleep", "1000"]);
    reboot(&instance, &["1.1"]);
    assert_eq!(instance.wait(1), "passed");
    let events = instance.json(&["history", "--events"]);
    let recovered: Vec<&Value> =
        events.as_array().unwrap().iter().filter(|event| event["kind"] == "daemon_recovered").collect();
    let [recovered] = recovered.as_slice() else { panic!("{events}") };
    assert_eq!(recovered["detail"], serde_json::json!({ "adopted": 1, "interrupted": 1 }));
    instance.ok(&["daemon", "stop", "--kill-sessions"]);
    instance.ok(&["status"]);
    let after = kinds(&instance, &["history", "--events"]);
    assert_eq!(after.iter().filter(|kind| *kind == "daemon_recovered").count(), 1, "nothing to recover, nothing said");
}

/// What a start would do is what it then does, whether it is asked of a daemon or without.
#[test]
fn a_dry_run_foretells_what_a_start_does() {
    let instance = Instance::configured("[queue]\nslots = 4\n");
    stays_once(&instance, &["--on-interrupt", "requeue"]);
    instance.ok(&["open", "--detach", "--name", "mine", "--", "sleep", "1000"]);
    let actions = |views: &Value| -> BTreeMap<String, String> {
        let word = |view: &Value, field: &str| view[field].as_str().unwrap().to_owned();
        views.as_array().unwrap().iter().map(|view| (word(view, "session"), word(view, "action"))).collect()
    };
    let adopt = BTreeMap::from([("1.1".to_owned(), "adopted".to_owned()), ("mine".to_owned(), "adopted".to_owned())]);
    assert_eq!(actions(&instance.json(&["recover", "--dry-run"])), adopt);
    instance.kill_daemon();
    assert_eq!(actions(&instance.json(&["recover", "--dry-run"])), adopt);
    instance.ok(&["status"]);

    reboot(&instance, &["1.1"]);
    let views = instance.json(&["recover", "--dry-run"]);
    let of_task = views.as_array().unwrap().iter().find(|view| view["session"] == "1.1").unwrap();
    assert_eq!((of_task["action"].as_str(), of_task["task"].as_i64()), (Some("interrupted"), Some(1)));
    assert_eq!(of_task["then"], "queued, to begin anew");
    let text = instance.ok(&["recover", "--dry-run"]);
    assert!(
        text.contains("its program was running before this boot") && text.contains("queued, to begin anew"),
        "{text}"
    );
    assert_eq!(instance.wait(1), "passed");

    let empty = Instance::new();
    assert_eq!(empty.json(&["recover", "--dry-run"]), serde_json::json!([]));
    assert!(!empty.state().join("autodev.db").exists(), "nothing is made by asking");
    assert!(instance.fails(2, &["recover"]).contains("no task is named"));
}

/// A task that kills its own keeper is left alone after a few times, and goes on when a
/// person says so.
#[test]
fn a_crash_loop_is_held() {
    let instance = Instance::new();
    let script = "echo x >> ran; [ -e mended ] || { kill -9 $PPID; exec sleep 1000; }";
    let task = instance.submit(&["--max-restarts", "2"], script);
    instance.run(&["wait", "1", "--timeout", "1s"]);
    for attempt in ["1.1", "1.2", "1.3"] {
        vanishes(&instance.live(attempt));
    }
    while instance.task(task)["state"] != "held" {
        instance.run(&["wait", "1", "--timeout", "1s"]);
    }
    let shown = instance.task(task);
    assert_eq!((shown["attempt"].as_str(), shown["max_restarts"].as_i64()), (Some("1.3"), Some(2)));
    assert!(shown["reason"]["detail"].as_str().unwrap().contains("too often"), "{shown}");
    assert_eq!(fs::read_to_string(instance.work().join("ran")).unwrap().lines().count(), 3);
    fs::write(instance.work().join("mended"), "").unwrap();
    let told = instance.ok(&["recover", "1"]);
    assert!(told.contains("queued"), "{told}");
    assert_eq!(instance.wait(task), "passed");
    assert!(instance.fails(6, &["recover", "1"]).contains("has ended: it is passed"));
    assert!(kinds(&instance, &["history", "1"]).contains(&"recovered".to_owned()));
}

/// A tool that keeps conversations goes on with the one that was interrupted, with the same
/// options, and is not told its task again.
#[test]
fn an_interrupted_conversation_is_gone_on_with() {
    let instance = Instance::new();
    let providers = instance.home().join("config/providers");
    fs::create_dir_all(&providers).unwrap();
    let tool = instance.home().join("talker");
    // Keeps what it was told under the conversation's name, and waits the first time.
    let script = "#!/bin/sh\necho \"$@\" >> \"$HOME/ran\"\n[ \"$1\" = --new ] && { cat > \"$HOME/talk-$2\"; \
                  echo > \"$HOME/begun\"; exec sleep 1000; }\ncat > \"$HOME/again\"\n";
    fs::write(&tool, script).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let table = format!(
        "command = ['{}']\nconversations = ['~/talk-{{conversation}}']\n[modes.cli]\nargv = ['--new', \
         '{{session_uuid}}']\nmild = ['--mild']\nprompt = {{ stdin = [] }}\n[modes.cli.resume]\nargv = ['--go-on', \
         '{{conversation}}']\n",
        tool.display()
    );
    fs::write(providers.join("talker.toml"), table).unwrap();
    let begun = instance.fifo("begun");
    instance.ok(&["submit", "--provider", "talker", "the whole task"]);
    begun.read();
    let shown = instance.json(&["show", "1"]);
    let talk = shown["attempts"][0]["conversation"].as_str().unwrap().to_owned();
    assert_eq!(fs::read_to_string(instance.home().join(format!("talk-{talk}"))).unwrap(), "the whole task");
    signal(keeper(&instance, "1.1").process.pid, libc::SIGKILL);
    assert_eq!(instance.wait(1), "passed", "{}", instance.log());
    let ran = fs::read_to_string(instance.home().join("ran")).unwrap();
    assert_eq!(ran, format!("--new {talk} --mild\n--go-on {talk} --mild\n"));
    let told = fs::read_to_string(instance.home().join("again")).unwrap();
    assert!(told.contains("interrupted") && !told.contains("the whole task"), "{told}");
    let again = &instance.json(&["show", "1"])["attempts"][1];
    assert_eq!((&again["conversation"], again["resumed"].as_bool()), (&Value::String(talk), Some(true)));

    // A conversation that is gone is not asked for.
    instance.ok(&["submit", "--provider", "talker", "another task"]);
    begun.read();
    let talk = instance.json(&["show", "2"])["attempts"][0]["conversation"].as_str().unwrap().to_owned();
    fs::remove_file(instance.home().join(format!("talk-{talk}"))).unwrap();
    signal(keeper(&instance, "2.1").process.pid, libc::SIGKILL);
    begun.read();
    let again = &instance.json(&["show", "2"])["attempts"][1];
    assert_eq!(again["resumed"], false);
    assert_ne!(again["conversation"].as_str(), Some(talk.as_str()));
}

/// A cancel counts, whatever is found afterwards.
#[test]
fn what_was_cancelled_stays_cancelled_after_a_boot() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    // It does not end of an interrupt.
    let task =
        instance.submit(&[], &format!("trap '' INT TERM; echo > {}; while :; do sleep 1000; done", begun.path()));
    begun.read();
    instance.ok(&["cancel", "1"]);
    reboot(&instance, &["1.1"]);
    assert_eq!(instance.wait(task), "cancelled");
    assert_eq!(instance.json(&["show", "1"])["attempts"].as_array().unwrap().len(), 1);
}

/// Into a disk that is nearly full nothing is started; with room again all goes on by itself.
#[test]
fn nothing_is_started_into_a_full_disk() {
    // More than any disk has.
    let instance = Instance::configured("[daemon]\ndisk_reserve = \"65536 GiB\"\n");
    let task = instance.submit(&[], "true");
    let shown = instance.task(task);
    assert_eq!((&shown["state"], &shown["reason"]["code"]), (&"queued".into(), &"LowDisk".into()));
    assert!(instance.ok(&["status"]).contains("too little room"));
    assert_eq!(instance.run(&["wait", "1", "--timeout", "1s"]).status.code(), Some(8));
    // What is asked for is still stored.
    let other = instance.submit(&[], "true");
    instance.ok(&["config", "set", "daemon.disk_reserve", "0"]);
    assert_eq!((instance.wait(task), instance.wait(other)), ("passed".into(), "passed".into()));
}

/// A shutdown sends SIGTERM to everything, in no order. Whoever hears it first: the record
/// says that it was a shutdown, and the tasks wait for what their policy says.
#[test]
fn a_shutdown_is_known_as_one_whoever_hears_of_it_first() {
    let mut random = Random::new();
    let instance = Instance::configured("[queue]\nslots = 100\n");
    // Dies of it; fails of it; says so as a shell does; has children that die of it.
    const PROGRAMS: [&str; 4] = [
        "exec sleep 1000",
        "trap 'exit 1' TERM; sleep 1000 & wait $!",
        "trap 'exit 143' TERM; sleep 1000 & wait $!",
        "sleep 1000 | sleep 1000",
    ];
    const ROUNDS: usize = 10;
    const TASKS: usize = 20;
    let mut first = 1;
    for round in 0..ROUNDS {
        let begun = instance.fifo(&format!("begun-{round}"));
        for task in 0..TASKS {
            let script = format!("echo > {}; {}", begun.path(), PROGRAMS[task % PROGRAMS.len()]);
            instance.submit(&["--on-interrupt", "hold"], &script);
            begun.read();
        }
        let sessions: Vec<String> = (first..first + TASKS).map(|task| format!("{task}.1")).collect();
        first += TASKS;
        let keepers: Vec<u32> = sessions.iter().map(|session| keeper(&instance, session).process.pid).collect();
        let mut all: Vec<u32> = vec![instance.daemon_pid()];
        for keeper in &keepers {
            all.push(*keeper);
            all.extend(process::descendants(*keeper).unwrap().iter().map(|(pid, _)| *pid));
        }
        random.shuffle(&mut all);
        for pid in &all {
            signal(*pid, libc::SIGTERM);
        }
        for pid in &all {
            dies(*pid);
        }
        // Starts the next daemon, which finds what was left.
        instance.ok(&["status"]);
        for session in &sessions {
            vanishes(&instance.live(session));
            let task = session.trim_end_matches(".1");
            let shown = instance.json(&["show", task]);
            let so = (shown["attempts"][0]["outcome"].as_str(), shown["task"]["state"].as_str());
            assert_eq!(so, (Some("interrupted"), Some("held")), "round {round}: {shown}");
        }
    }
}
