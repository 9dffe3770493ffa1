//! The copy in Redis, against a real server that is treated badly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod access;
#[path = "../common/mod.rs"]
mod common;
mod copy;
mod server;
mod storm;
mod trouble;

use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use common::{DEADLINE, Instance};
use server::Server;

/// An instance whose tasks are copied to this server.
fn instance(server: &Server) -> Instance {
    configured(server, "")
}

fn configured(server: &Server, more: &str) -> Instance {
    Instance::configured(&format!("[redis]\nurl = \"{}\"\n{more}", server.url()))
}

/// What the names of the instance's keys begin with.
fn keys(instance: &Instance) -> String {
    until(instance, |view| view["keys"].as_str().map(str::to_owned))
}

/// Waits until the copy is at the end of the history.
fn settle(instance: &Instance) {
    let last = instance.json(&["status"])["last_event"].as_i64().unwrap();
    until(instance, |view| (view["state"] == "following" && view["seq"].as_i64()? >= last).then_some(()));
}

/// Waits until the copy's state is as it should be.
#[track_caller]
fn until<T>(instance: &Instance, check: impl Fn(&serde_json::Value) -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        let Output { stdout, .. } = instance.run(&["redis", "status", "--json"]);
        let view = serde_json::from_slice(&stdout).unwrap_or_default();
        if let Some(found) = check(&view) {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "{view:#}\n{}", instance.log());
        thread::sleep(Duration::from_millis(20));
    }
}

/// The copy is at the end of the history, and right in everything.
#[track_caller]
fn right(instance: &Instance) {
    settle(instance);
    let output = instance.run(&["redis", "verify"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}\n{}", String::from_utf8_lossy(&output.stderr), instance.log());
}
