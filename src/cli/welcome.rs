//! `autodev` without a verb: how it stands, and what to do next.

use serde_json::json;

use super::{Context, Status, status};
use crate::client::{Client, Start, unexpected};
use crate::clock::Timestamp;
use crate::protocol::view::StatusView;
use crate::protocol::{Fault, Reply, Request};
use crate::task::Status as State;

/// Runs it. No daemon is started to say that nothing is there.
///
/// # Errors
/// When a daemon is there and does not answer.
pub fn run(ctx: &Context) -> Result<Status, Fault> {
    let out = &ctx.output;
    let status = match ctx.daemon_runs() {
        false => None,
        true => match Client::connect(&ctx.paths, Start::Never)?.call(&Request::Status)? {
            Reply::Status(status) => Some(status),
            other => return Err(unexpected(&other)),
        },
    };
    let (why, command) = next(ctx, status.as_deref());
    if out.is_json() {
        out.json(&json!({ "status": status, "next": command }))?;
        return Ok(Status::OK);
    }
    if out.is_quiet() {
        out.line(command)?;
        return Ok(Status::OK);
    }
    match &status {
        Some(status) => out.text(&status::sheet(status, Timestamp::now()))?,
        None => out.line("no daemon runs; the first command that needs one starts it")?,
    }
    out.text(&format!("\n{why}:\n  {command}\n\n'autodev --help' lists everything\n"))?;
    Ok(Status::OK)
}

/// The command that helps most now, and what it is for.
fn next(ctx: &Context, status: Option<&StatusView>) -> (&'static str, &'static str) {
    let Some(status) = status else {
        return match (ctx.paths.config_file().exists(), ctx.paths.database().exists()) {
            (false, false) => ("nothing has been set up yet", "autodev init"),
            _ => ("to see what is there", "autodev list --all"),
        };
    };
    let count = |wanted: State| status.tasks.iter().find(|count| count.state == wanted).map_or(0, |count| count.tasks);
    if status.config_error.is_some() {
        ("the settings are wrong, and nothing new is started", "autodev config check")
    } else if status.closed.is_some() {
        ("nothing new is started", "autodev resume")
    } else if status.requests > 0 {
        ("somebody waits for you", "autodev requests")
    } else if count(State::Running) > 0 {
        ("to see what runs", "autodev attach")
    } else if count(State::Queued) > 0 {
        ("to see why nothing runs", "autodev list")
    } else if count(State::Failed) + count(State::Error) > 0 {
        ("to see what went wrong", "autodev history --state failed,error")
    } else {
        ("to give an agent something to do", "autodev submit \"fix the flaky test\"")
    }
}
