//! `autodev` without a verb: how it stands, and what to do next.

use serde_json::json;

use super::{Context, Status, status};
use crate::client::{Client, Start, find, unexpected};
use crate::clock::Timestamp;
use crate::protocol::request::{Filter, ListQuery, Listing};
use crate::protocol::view::StatusView;
use crate::protocol::{Fault, Reply, Request};
use crate::provider::Registry;
use crate::queue::Closed;
use crate::task::Status as State;

/// Runs it. No daemon is started to say that nothing is there.
///
/// # Errors
/// When a daemon is there and does not answer.
pub fn run(ctx: &Context) -> Result<Status, Fault> {
    let out = &ctx.output;
    let (status, failed) = match ctx.daemon_runs() {
        false => (None, false),
        true => {
            let mut client = Client::connect(&ctx.paths, Start::Never)?;
            match client.call(&Request::Status)? {
                Reply::Status(status) => (Some(status), failed_today(&mut client)?),
                other => return Err(unexpected(&other)),
            }
        }
    };
    let (why, command) = next(ctx, status.as_deref(), failed);
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

/// Whether something has gone wrong within a day.
fn failed_today(client: &mut Client) -> Result<bool, Fault> {
    let since = Timestamp(Timestamp::now().0 - 24 * 60 * 60 * 1000);
    let filter =
        Filter { states: vec![State::Failed, State::Error, State::Timeout], since: Some(since), ..Filter::default() };
    match client.call(&Request::List(ListQuery { listing: Listing::History, filter, limit: 1, cursor: None }))? {
        Reply::Tasks(page) => Ok(!page.tasks.is_empty()),
        other => Err(unexpected(&other)),
    }
}

/// To begin with, as this machine is.
fn submit(ctx: &Context) -> (&'static str, &'static str) {
    let path = std::env::var("PATH").ok().map(|path| ("PATH".to_owned(), path));
    let environment = path.into_iter().collect();
    match Registry::load(&ctx.paths).default_agent(&environment) {
        Some(_) => ("to give an agent something to do", "autodev submit \"fix the flaky test\""),
        None => ("no agent is installed ('autodev providers'); to run a command", "autodev submit -- make test"),
    }
}

/// The command that helps most now, and what it is for.
fn next(ctx: &Context, status: Option<&StatusView>, failed: bool) -> (&'static str, &'static str) {
    let Some(status) = status else {
        if find::live(&ctx.paths).is_ok_and(|live| !live.is_empty()) {
            return ("sessions run on; to see one", "autodev attach");
        }
        return match (ctx.paths.config_file().exists(), ctx.paths.database().exists()) {
            (false, false) => ("nothing has been set up yet", "autodev init"),
            (true, false) => submit(ctx),
            (_, true) => ("to see what is there", "autodev list --all"),
        };
    };
    let count = |wanted: State| status.tasks.iter().find(|count| count.state == wanted).map_or(0, |count| count.tasks);
    if status.config_error.is_some() {
        ("the settings are wrong, and nothing new is started", "autodev config check")
    } else if let Some(closed) = status.closed {
        match closed {
            Closed::Paused | Closed::Draining => ("nothing new is started", "autodev resume"),
            Closed::LowDisk | Closed::Config => ("nothing new is started", "autodev doctor"),
        }
    } else if status.requests > 0 {
        ("somebody waits for you", "autodev requests")
    } else if count(State::Running) > 0 {
        ("to see what runs", "autodev attach")
    } else if count(State::Queued) > 0 {
        ("to see why nothing runs", "autodev list")
    } else if failed {
        ("to see what went wrong today", "autodev history --state failed,error,timeout --since 1d")
    } else {
        submit(ctx)
    }
}
