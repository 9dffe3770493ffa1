//! The scripts that write the copy: each all or nothing, each checking first that the copy
//! is the one it was made for.

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use super::STREAM;
use super::fields::{self, Fields};
use crate::clock::Timestamp;
use crate::protocol::view::EventView;
use crate::store::{Mark, TaskRow};
use crate::task::Status;

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("common.lua"), include_str!($file))))
    };
}

static APPLY: LazyLock<Script> = script!("apply.lua");
static BEGIN: LazyLock<Script> = script!("begin.lua");
static FILL: LazyLock<Script> = script!("fill.lua");
static SWEEP: LazyLock<Script> = script!("sweep.lua");
static FINISH: LazyLock<Script> = script!("finish.lua");

/// What has happened from one place in the history to another.
pub(super) fn apply<'a>(
    base: &str,
    epoch: &str,
    from: &Mark,
    to: &Mark,
    rows: &[TaskRow],
    events: &[EventView],
    titles: bool,
) -> ScriptInvocation<'a> {
    let mut call = APPLY.key(base);
    call.arg(epoch).arg(from.seq).arg(&from.hash);
    call.arg(to.seq).arg(&to.hash).arg(Timestamp::now().to_string()).arg(STREAM);
    put_rows(&mut call, rows, titles);
    put_events(&mut call, events);
    call
}

/// The copy is to be built anew.
pub(super) fn begin<'a>(base: &str, token: &str) -> ScriptInvocation<'a> {
    let mut call = BEGIN.key(base);
    call.arg(token);
    put_states(&mut call);
    call
}

/// Some of what is in it.
pub(super) fn fill<'a>(
    base: &str,
    token: &str,
    rows: &[TaskRow],
    events: &[EventView],
    titles: bool,
) -> ScriptInvocation<'a> {
    let mut call = FILL.key(base);
    call.arg(token).arg(STREAM);
    put_rows(&mut call, rows, titles);
    put_events(&mut call, events);
    call
}

/// Keys of which only those shall stay that are in it.
pub(super) fn sweep<'a>(base: &str, token: &str, keys: &[Vec<u8>]) -> ScriptInvocation<'a> {
    let mut call = SWEEP.key(base);
    call.arg(token);
    for key in keys {
        call.arg(key);
    }
    call
}

/// It is whole, and at this place of the history.
pub(super) fn finish<'a>(
    base: &str,
    token: &str,
    epoch: &str,
    form: &str,
    run: &str,
    at: &Mark,
) -> ScriptInvocation<'a> {
    let mut call = FINISH.key(base);
    call.arg(token).arg(epoch).arg(at.seq).arg(&at.hash).arg(Timestamp::now().to_string()).arg(form).arg(run);
    put_states(&mut call);
    call
}

fn put_states(call: &mut ScriptInvocation<'_>) {
    for state in Status::ALL {
        call.arg(state.name());
    }
}

fn put_rows(call: &mut ScriptInvocation<'_>, rows: &[TaskRow], titles: bool) {
    call.arg(rows.len());
    for row in rows {
        call.arg(row.id.0).arg(row.created_at.0).arg(row.state.name());
        put_fields(call, fields::of_task(row, titles));
    }
}

fn put_events(call: &mut ScriptInvocation<'_>, events: &[EventView]) {
    call.arg(events.len());
    for event in events {
        call.arg(event.seq).arg(fields::hint(event));
        put_fields(call, fields::of_event(event));
    }
}

fn put_fields(call: &mut ScriptInvocation<'_>, fields: Fields) {
    call.arg(fields.len() * 2);
    for (name, value) in fields {
        call.arg(name).arg(value);
    }
}
