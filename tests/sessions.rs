//! Sessions without a task from outside: names that change and are used again, and what
//! a daemon that was killed or started anew makes of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;

use common::{Instance, dies, empties, vanishes};

/// Opens a session that says who it is and stays until it is told something; its process
/// id.
fn open(instance: &Instance, name: &str) -> u32 {
    let begun = instance.fifo(&format!("begun-{}", fs::read_dir(instance.home()).unwrap().count()));
    let script = format!("echo this is {name}; echo $$ > {}; read -r line", begun.path());
    instance.ok(&["open", "--detach", "--name", name, "--", "sh", "-c", &script]);
    begun.read().trim().parse().unwrap()
}

/// Ends a session; returns when its name is free.
fn end(instance: &Instance, name: &str, pid: u32) {
    instance.ok(&["send", name, "that is all", "--enter"]);
    dies(pid);
    vanishes(&instance.live(name));
}

fn names(instance: &Instance) -> Vec<String> {
    let sessions = instance.json(&["sessions"]);
    sessions.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_name_is_free_as_soon_as_its_session_has_another_or_has_ended() {
    let instance = Instance::new();
    let one = open(&instance, "foo");
    instance.ok(&["rename", "foo", "bar"]);
    let two = open(&instance, "foo");
    assert_eq!(names(&instance), ["bar", "foo"]);
    assert!(instance.ok(&["screen", "bar"]).contains("this is foo"));
    end(&instance, "foo", two);
    assert!(autodev::process::ProcessId::of(one).is_some(), "the wrong one was ended");
    // Its directory may still be there; nobody has to wait for that.
    let three = open(&instance, "foo");
    end(&instance, "bar", one);
    let four = open(&instance, "bar");
    assert!(instance.ok(&["screen", "bar"]).contains("this is bar"));
    for (name, pid) in [("foo", three), ("bar", four)] {
        end(&instance, name, pid);
    }
    // No directory and no name is left.
    empties(&instance.state().join("sessions/live"));
    assert_eq!(names(&instance), [""; 0]);
    let all = instance.json(&["sessions", "--all"]);
    let paths: std::collections::BTreeSet<String> =
        all.as_array().unwrap().iter().map(|s| s["recording"].to_string()).collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
}

#[test]
fn names_are_put_in_order_by_the_next_daemon() {
    let instance = Instance::new();
    let pid = open(&instance, "foo");
    instance.ok(&["rename", "foo", "bar"]);
    instance.kill_daemon();
    // As a daemon leaves it that is killed between the database and the name.
    let live = instance.state().join("sessions/live");
    fs::rename(live.join("bar"), live.join("foo")).unwrap();
    std::os::unix::fs::symlink("@gone", live.join("ended")).unwrap();
    instance.ok(&["status"]);
    let mut left: Vec<_> =
        fs::read_dir(&live).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert!(left.len() == 2 && left[0].starts_with('@') && left[1] == "bar", "{left:?}");
    instance.kill_daemon();
    assert!(instance.ok(&["screen", "bar"]).contains("this is foo"), "it is found without a daemon");
    instance.ok(&["status"]);
    end(&instance, "bar", pid);
    empties(&live);
}

/// However its daemon was started, a keeper is in a session of its own.
#[test]
fn a_keeper_leads_its_session() {
    let instance = Instance::new();
    let pid = open(&instance, "foo");
    let keeper = instance.json(&["sessions"])[0]["keeper_pid"].as_u64().unwrap();
    let keeper = u32::try_from(keeper).unwrap();
    assert_eq!(autodev::process::stat(keeper).unwrap().session, keeper);
    end(&instance, "foo", pid);
}

/// What a lost keeper left is ended by the name it was launched with, and nobody else.
#[test]
fn a_renamed_session_that_is_lost_leaves_nothing_behind() {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    let script = format!("setsid sh -c 'trap \"\" HUP; echo $$ > {}; exec sleep 1000' & wait", begun.path());
    instance.ok(&["open", "--detach", "--name", "foo", "--", "sh", "-c", &script]);
    let orphan: u32 = begun.read().trim().parse().unwrap();
    instance.ok(&["rename", "foo", "bar"]);
    let other = open(&instance, "foo");
    let keeper = instance.json(&["sessions"])[0]["keeper_pid"].as_u64().unwrap();
    instance.kill_daemon();
    autodev::process::PidFd::open(u32::try_from(keeper).unwrap()).unwrap().signal(libc::SIGKILL).unwrap();
    instance.ok(&["status"]);
    dies(orphan);
    assert!(autodev::process::ProcessId::of(other).is_some(), "another session's program was ended");
    end(&instance, "foo", other);
}
