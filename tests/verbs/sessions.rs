use super::{column, json, running, text};
use crate::common::{DEADLINE, Instance, vanishes};

/// Every name that a session has in JSON: scripts rely on them.
const FIELDS: [&str; 22] = [
    "name",
    "tool",
    "mode",
    "state",
    "pid",
    "created_at",
    "current_directory",
    "authentication_required",
    "task",
    "writers",
    "watchers",
    "columns",
    "rows",
    "cpu_ms",
    "memory_bytes",
    "processes",
    "peak_memory_bytes",
    "peak_processes",
    "keeper_pid",
    "keeper_version",
    "exit_code",
    "ended_at",
];

#[test]
fn live_ones_and_all() {
    let instance = Instance::new();
    assert_eq!(instance.json(&["sessions"]), serde_json::json!([]));
    let (task, gate) = running(&instance, "gate");
    instance.ok(&["open", "-q", "--name", "mine", "--", "cat"]);
    let list = instance.json(&["sessions"]);
    for session in list.as_array().unwrap() {
        for name in FIELDS {
            assert!(session.get(name).is_some(), "{name} is missing in {session}");
        }
        assert_eq!(session["state"], "running");
        assert_eq!(session["keeper_version"], env!("CARGO_PKG_VERSION"));
    }
    let mut names = column(&list, "name");
    names.sort();
    assert_eq!(names, ["1.1", "mine"]);
    let text = instance.ok(&["sessions"]);
    assert!(text.lines().all(|line| line.split('\t').count() == 13) && !text.contains('\x1b'), "{text}");
    gate.write("\n");
    instance.wait(task);
    let ended = instance.json(&["sessions", "--all"]);
    let ended = ended.as_array().unwrap().iter().find(|s| s["name"] == "1.1").unwrap();
    assert_eq!((ended["state"].as_str(), ended["exit_code"].as_i64()), (Some("ended"), Some(0)));
    // Without the daemon the living ones are named.
    instance.kill_daemon();
    let error = instance.fails(3, &["--no-start", "sessions"]);
    assert!(error.contains("mine"), "{error}");
}

#[test]
fn the_newest_and_a_word_about_the_others() {
    let instance = Instance::new();
    for name in ["one", "two", "three"] {
        instance.ok(&["open", "-q", "--name", name, "--", "cat"]);
    }
    instance.ok(&["kill", "two"]);
    // The link goes after the end is stored.
    vanishes(&instance.live("two"));
    for (args, shown, note) in [
        (&["--limit", "1"][..], "three", "the newest 1 session shown, there are more: --limit N, 0 shows all\n"),
        (&["--limit", "2"], "one three", ""),
        (
            &["--all", "--limit", "2"],
            "two three",
            "the newest 2 sessions shown, there are more: --limit N, 0 shows all\n",
        ),
        (&["--all", "--limit", "0"], "one two three", ""),
        (&["--all"], "one two three", ""),
    ] {
        let output = instance.run(&[&["sessions", "--json"], args].concat());
        assert_eq!(column(&json(&output), "name").join(" "), shown, "{args:?}");
        assert_eq!(text(&output.stderr), note, "{args:?}");
    }
}

/// What is used is asked of the keeper, which knows it whatever becomes of the daemon.
#[test]
fn what_is_used() {
    let instance = Instance::new();
    let (begun, gate) = (instance.fifo("begun"), instance.fifo("gate"));
    // Works, holds 30 MB, and has another process beside it.
    let script = format!(
        "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 1000 & x=$(head -c 30000000 /dev/zero | tr '\\0' x); \
         echo > {}; read y < {}; kill $!",
        begun.path(),
        gate.path()
    );
    let task = instance.submit(&[], &script);
    begun.read();
    instance.kill_daemon();
    // The new daemon meets the keeper first.
    let asked = std::time::Instant::now();
    let live = loop {
        let live = instance.json(&["sessions"])[0].clone();
        if live["cpu_ms"].is_u64() || asked.elapsed() > DEADLINE {
            break live;
        }
    };
    let number = |of: &serde_json::Value, name: &str| of[name].as_u64().unwrap_or_else(|| panic!("{name}: {of:#}"));
    assert!(number(&live, "cpu_ms") > 0 && number(&live, "processes") >= 2, "{live:#}");
    assert!(number(&live, "memory_bytes") > 30_000_000, "{live:#}");
    assert!(number(&live, "peak_memory_bytes") >= number(&live, "memory_bytes"), "{live:#}");
    gate.write("\n");
    assert_eq!(instance.wait(task), "passed");
    let attempt = instance.json(&["show", &task.to_string()])["attempts"][0].clone();
    assert!(number(&attempt, "cpu_ms") >= number(&live, "cpu_ms"), "{attempt:#}");
    assert!(number(&attempt, "peak_memory_bytes") > 30_000_000, "{attempt:#}");
    assert!(number(&attempt, "peak_processes") >= number(&live, "processes"), "{attempt:#}");
    let stats = instance.json(&["stats"]);
    assert_eq!(number(&stats["all"], "cpu_ms"), number(&attempt, "cpu_ms"));
    assert_eq!(number(&stats["all"], "peak_memory_bytes"), number(&attempt, "peak_memory_bytes"));
    let ended = instance.json(&["sessions", "--all"])[0].clone();
    assert_eq!((&ended["cpu_ms"], &ended["memory_bytes"]), (&attempt["cpu_ms"], &serde_json::Value::Null));
}
