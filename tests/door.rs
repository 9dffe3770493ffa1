//! Programs inside sessions are agents for all that can be known: they may say something
//! about their own task and read it, and give no orders. As the user, with the user's own
//! programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;

use common::{Instance, vanishes};
use serde_json::Value;

/// The programs first on the path, so that scripts can call them.
fn with_path(script: &str) -> String {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_autodev")).parent().unwrap();
    format!("PATH={}:$PATH\n{script}", bin.display())
}

/// Runs a script as a task; what it printed.
#[track_caller]
fn inside(instance: &Instance, script: &str) -> String {
    let task = instance.submit(&[], &with_path(script));
    assert_eq!(instance.wait(task), "passed", "{}", instance.run(&["logs", &task.to_string()]).stdout.escape_ascii());
    instance.ok(&["logs", &task.to_string()])
}

fn refusals(instance: &Instance) -> Vec<String> {
    let events = instance.json(&["history", "--events", "--limit", "0"]);
    let refused = events.as_array().unwrap().iter().filter(|event| event["kind"] == "refused");
    refused.map(|event| event["detail"]["what"].as_str().unwrap().to_owned()).collect()
}

/// Every order there is, whichever way the program has left its keeper's tree.
#[test]
fn agents_give_no_orders() {
    let instance = Instance::new();
    instance.ok(&["open", "--detach", "--name", "other", "--", "cat"]);
    let orders = [
        "submit --provider shell -- true",
        "cancel 1",
        "kill 1",
        "hold 1",
        "retry 1",
        "recover 1",
        "edit 1 --title x",
        "pause",
        "resume",
        "open --detach -- true",
        "send other x --enter",
        "screen other",
        "detach other",
        "rename other mine",
        "answer 1 yes",
        "list",
        "status",
        "sessions",
        "requests",
        "watch",
        "wait 1",
        "backup",
        "restore --yes",
        "doctor",
        "config set queue.slots 9",
        "daemon stop",
        "daemon restart",
        "show 1000",
        "history",
        "note --task 1000 x",
    ];
    let script = orders.map(|order| format!("autodev {order} </dev/null >out 2>&1; echo \"$? {order}\"")).join("\n");
    for way in ["", "env -i PATH=$PATH AUTODEV_HOME=$AUTODEV_HOME HOME=$HOME setsid "] {
        let log = inside(&instance, &format!("cat > orders.sh <<'END'\n{script}\nEND\n{way}sh orders.sh"));
        let expected: Vec<String> = orders.iter().map(|order| format!("5 {order}")).collect();
        let got: Vec<&str> = log.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        assert_eq!(got, expected, "{way}");
    }
    // With the session's own terminal, as who wants to type elsewhere would.
    for how in ["", "-r", "--takeover"] {
        let log = inside(&instance, &format!("autodev attach {how} other </dev/tty >/dev/tty; echo status $?"));
        assert!(log.contains("status 5") && log.contains("'attach' is refused"), "{how}: {log}");
    }
    let noted = refusals(&instance);
    for what in ["submit", "cancel", "open", "attach", "send", "config", "restore", "daemon stop", "list", "answer"] {
        // A restore is refused before the daemon hears of it; it is asked for a backup.
        let what = if what == "restore" { "backup" } else { what };
        assert!(noted.iter().any(|noted| noted == what), "{what} is not written down: {noted:?}");
    }
    assert_eq!(instance.json(&["sessions"])[0]["state"], "running", "nobody has touched it");
    instance.ok(&["send", "other", "the user may", "--enter"]);
}

/// What an agent is for.
#[test]
fn agents_speak_of_their_own_task() {
    let instance = Instance::new();
    let script = with_path(
        "echo the report > report.md
         autodev note the tests need a database
         autodev outputs add report.md --name final.md
         autodev show $AUTODEV_TASK_ID | grep -c database
         autodev history $AUTODEV_TASK_ID >/dev/null && echo history
         echo \"answer: $(autodev ask 'may I go on?')\"",
    );
    let task = instance.submit(&[], &script);
    let asked = loop {
        let asked = instance.json(&["requests"]);
        if let Some(first) = asked.as_array().unwrap().first() {
            break first.clone();
        }
        instance.run(&["wait", "1", "--timeout", "1s"]);
    };
    assert_eq!((asked["question"].as_str(), asked["attempt"].as_str()), (Some("may I go on?"), Some("1.1")));
    // The question outlives the daemon that was asked, and the one who asked hears all the same.
    instance.kill_daemon();
    instance.ok(&["answer", &asked["id"].to_string(), "yes, go on"]);
    assert_eq!(instance.wait(task), "passed", "{}", instance.ok(&["logs", "1"]));
    let log = instance.ok(&["logs", "1"]);
    assert!(log.contains("answer: yes, go on") && log.contains("history"), "{log}");

    let shown = instance.json(&["show", "1"]);
    assert_eq!(shown["notes"][0]["text"], "the tests need a database");
    assert_eq!((&shown["notes"][0]["actor"], &shown["notes"][0]["attempt"]), (&"agent".into(), &"1.1".into()));
    assert_eq!(shown["requests"][0]["answer"], "yes, go on");
    let output = &shown["outputs"][0];
    assert_eq!(output["name"], "final.md");
    assert_eq!(fs::read_to_string(output["path"].as_str().unwrap()).unwrap(), "the report\n");
    instance.ok(&["doctor", "--deep"]);
    fs::write(output["path"].as_str().unwrap(), "another report\n").unwrap();
    let found = instance.run(&["doctor", "--deep", "--json"]);
    assert!(String::from_utf8_lossy(&found.stdout).contains("final.md"), "{found:?}");
    // People may, too; and nobody's words are in the history.
    instance.ok(&["note", "--task", "1", "seen"]);
    let trail = instance.ok(&["history", "1", "--json"]);
    assert!(!trail.contains("database") && !trail.contains("go on"), "{trail}");
    assert!(instance.fails(6, &["answer", &asked["id"].to_string(), "no"]).contains("has been answered"));
    assert!(instance.fails(2, &["note", "no task named"]).contains("--task"));
}

/// An agent whose keeper was killed hangs below init, and looks like the user, but for its
/// mark.
#[test]
fn a_dead_keepers_child_is_still_an_agent() {
    orphaned("");
    // The mark can be lowered, and then says no more than that it was there.
    orphaned("ulimit -Sq 0; ulimit -Hq 0");
    orphaned("ulimit -Sq 1000; ulimit -Hq 1000");
}

fn orphaned(first: &str) {
    let instance = Instance::new();
    let (begun, go) = (instance.fifo("begun"), instance.fifo("go"));
    // It outlives the hangup, forgets its names, and waits until its keeper is dead.
    let script = with_path(&format!(
        "cat > orphan.sh <<'END'\ntrap '' HUP TERM\n{first}\necho > {begun}\nread line < {go}\n\
         autodev submit --provider shell -- touch escaped > said 2>&1; echo $? > code\nEND\n\
         env -i PATH=$PATH HOME=$HOME AUTODEV_HOME=$AUTODEV_HOME setsid bash orphan.sh </dev/null >/dev/null 2>&1 &
         exec sleep 1000",
        go = go.path(),
        begun = begun.path()
    ));
    instance.ok(&["open", "--detach", "--name", "nest", "--", "sh", "-c", &script]);
    begun.read();
    // Without a daemon nobody sweeps: the orphan lives on.
    let keeper: Value = serde_json::from_slice(&fs::read(instance.live("nest").join("keeper.json")).unwrap()).unwrap();
    instance.kill_daemon();
    let pid = u32::try_from(keeper["process"]["pid"].as_u64().unwrap()).unwrap();
    let handle = autodev::process::PidFd::open(pid).unwrap();
    handle.signal(libc::SIGKILL).unwrap();
    assert!(autodev::socket::readable(&handle, common::DEADLINE).unwrap());
    go.write("go\n");
    common::appears(&instance.work().join("code"));
    vanishes_or(&instance);
    let said = fs::read_to_string(instance.work().join("said")).unwrap();
    assert!(said.contains("inside a session"), "{said}");
    assert!(!instance.work().join("escaped").exists());
}

/// However far below its keeper a program is, and whoever it says it is.
#[test]
fn nobody_gets_away_from_his_keeper_while_that_lives() {
    let instance = Instance::new();
    let log = inside(
        &instance,
        "cat > deep.sh <<'END'
         if [ $1 -gt 0 ]; then sh deep.sh $(($1 - 1)); exit; fi
         autodev status >/dev/null 2>&1; echo deep $?
END
         cat > lowered.sh <<'END'
         ulimit -Sq 0; ulimit -Hq 0
         sh deep.sh 3; sh deep.sh 1100
END
         bash lowered.sh
         cp $(command -v sh) autodev-keeper
         ./autodev-keeper -c 'autodev note mine; echo disguised $?; true'",
    );
    let lines: Vec<&str> = log.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    // Whoever passes for a keeper only loses his own.
    let refused = "error: a program inside a session does not give orders: 'note' is refused";
    assert_eq!(lines[..3], ["deep 5", "deep 5", refused], "{log}");
    assert_eq!(lines.last(), Some(&"disguised 5"), "{log}");
}

/// Starts the daemon, which ends what the dead keeper has left.
fn vanishes_or(instance: &Instance) {
    instance.ok(&["status"]);
    vanishes(&instance.live("nest"));
}

/// The daemon may read more than an agent may, and says what it is where it reads.
#[test]
fn an_agent_keeps_files_of_its_own_directory_only() {
    let instance = Instance::new();
    fs::write(instance.home().join("outside"), "not the agent's").unwrap();
    let script = format!(
        "echo mine > mine; ln -s {outside} link; mkfifo pipe
         for file in mine {outside} link pipe /proc/self/environ /sys/kernel/uevent_seqnum /dev/zero; do
             autodev outputs add $file --name x >out 2>&1; echo $? $file
         done",
        outside = instance.home().join("outside").display()
    );
    let log = inside(&instance, &script);
    let codes: Vec<&str> = log.lines().filter_map(|line| line.split_once(' ')).map(|(code, _)| code).collect();
    assert_eq!(codes[0], "0", "{log}");
    assert!(codes.len() == 7 && codes[1..].iter().all(|code| *code != "0"), "{log}");
    assert_eq!(instance.json(&["show", "1"])["outputs"].as_array().unwrap().len(), 1);
}

/// With the user's leave an agent may submit what it could do itself, and follow it.
#[test]
fn allowed_to_submit_an_agent_makes_nothing_stronger_than_itself() {
    let instance = Instance::configured("[agents]\nallow_submit = true\n[queue]\nslots = 4\n");
    let script = with_path(
        "mkdir -p below
         child=$(autodev submit -q --provider shell --dir below -- sh -c 'echo from the child; \"$0\" submit --provider shell -- true; echo grandchild $?' $(command -v autodev))
         autodev wait $child >/dev/null && echo child passed
         autodev show $child >/dev/null && echo child shown
         autodev submit --provider shell --full-access -- true >out 2>&1; echo $? full access
         autodev submit --provider shell --dir / -- true >out 2>&1; echo $? elsewhere
         autodev submit --provider shell --priority 5 -- true >out 2>&1; echo $? priority
         API_KEY=x autodev cancel $child >out 2>&1; echo $? cancel
         ln -s / way-out
         autodev submit --provider shell --dir way-out -- true >out 2>&1; echo $? by a link
         mkdir bin; printf '#!/bin/sh\\necho not the real one' > bin/sh; chmod +x bin/sh
         child=$(PATH=$PWD/bin:$PATH autodev submit -q --env OTHER=x --provider shell -- sh -c 'echo $OTHER is the real one')
         autodev wait $child >/dev/null; echo $child",
    );
    let task = instance.submit(&[], &script);
    assert_eq!(instance.wait(task), "passed", "{}", instance.ok(&["logs", "1"]));
    let log = instance.ok(&["logs", "1"]);
    let lines: Vec<&str> = log.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let expected =
        ["child passed", "child shown", "5 full access", "5 elsewhere", "5 priority", "5 cancel", "5 by a link", "3"];
    assert_eq!(lines, expected, "{log}");
    assert_eq!(instance.ok(&["logs", "3"]).trim(), "is the real one");
    let child = instance.json(&["show", "2"]);
    assert_eq!((child["parent"].as_i64(), child["task"]["state"].as_str()), (Some(1), Some("passed")));
    assert!(instance.ok(&["logs", "2"]).contains("grandchild 5"));
    let trail = instance.json(&["history", "2"]);
    assert_eq!((&trail[0]["actor"], trail[0]["detail"]["parent"].as_i64()), (&"agent".into(), Some(1)));
}
