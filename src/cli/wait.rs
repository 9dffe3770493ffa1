//! `autodev wait`: waits until tasks have ended.

use std::time::Instant;

use super::select::SelectArgs;
use super::{Context, Status, exit};
use crate::client::{Client, unexpected};
use crate::clock::Span;
use crate::protocol::reply::Waited;
use crate::protocol::request::{Select, Wait};
use crate::protocol::view::Brief;
use crate::protocol::{Fault, Reply, Request};
use crate::task::Status as State;

/// Arguments of `autodev wait`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    select: SelectArgs,
    /// Return when the first one has ended
    #[arg(long)]
    any: bool,
    /// Wait no longer than this (90s, 15m, 2h), then exit with status 8
    #[arg(short, long, value_name = "TIME")]
    timeout: Option<Span>,
}

const EXAMPLES: &str = "\
Exit status: 0 if all passed; else the worst, in this order: 130 interrupted, 3 no daemon,
1 failed, 7 rejected, 9 cancelled, 124 its own time limit, 75 provider limit, 8 still
pending. A restart of the daemon meanwhile does no harm; when it is stopped, that is 3.

Examples:
  autodev wait 42
  autodev wait 3-9 --timeout 2h
  Wait for whichever of two ends first, and print its number:
    autodev wait 41,42 --any --quiet";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let select = args.select.select()?;
    let one = select.filter.is_none() && select.ranges.is_empty() && select.tasks.len() == 1;
    let waited = wait(&mut ctx.client()?, select, args.any, args.timeout)?;
    if waited.tasks.is_empty() && !ctx.output.is_json() && !ctx.output.is_quiet() {
        ctx.output.note("no task matches: there is nothing to wait for");
    }
    tell(ctx, &waited, one)?;
    Ok(status(&waited, args.any))
}

/// Waits for the tasks that are selected now; a daemon that is restarted meanwhile is
/// asked again.
///
/// # Errors
/// What the daemon refuses.
pub(super) fn wait(client: &mut Client, select: Select, any: bool, timeout: Option<Span>) -> Result<Waited, Fault> {
    let begin = Instant::now();
    let select = match &select.filter {
        None => select,
        // A task that ends meanwhile may not match any more, and is waited for all the same.
        Some(_) => match client.call(&Request::Select(select))? {
            Reply::Selected(tasks) => Select { tasks, ..Select::default() },
            other => return Err(unexpected(&other)),
        },
    };
    loop {
        let left = timeout.map(|Span(limit)| Span(limit.saturating_sub(begin.elapsed())));
        match client.call_or_reconnect(&Request::Wait(Wait { select: select.clone(), any, timeout: left }))? {
            Some(Reply::Waited(waited)) => return Ok(waited),
            Some(other) => return Err(unexpected(&other)),
            None => {}
        }
    }
}

/// What to exit with. With `any`, tasks that have not ended do not count, if one has.
pub(super) fn status(waited: &Waited, any: bool) -> Status {
    let ended = || waited.tasks.iter().filter(|t| t.state.is_final());
    if any && ended().next().is_some() {
        return exit::worst(ended().map(|t| exit::of(t.state)));
    }
    exit::worst(waited.tasks.iter().map(|t| exit::of(t.state)))
}

/// Says how each task ended.
///
/// # Errors
/// When it cannot be written.
pub(super) fn tell(ctx: &Context, waited: &Waited, one: bool) -> Result<(), Fault> {
    let out = &ctx.output;
    if out.is_json() {
        return match waited.tasks.as_slice() {
            [task] if one => out.json(task),
            tasks => out.json(&tasks),
        };
    }
    let text: String = if out.is_quiet() {
        waited.tasks.iter().filter(|t| t.state.is_final()).map(|t| format!("{}\n", t.id)).collect()
    } else {
        waited.tasks.iter().map(|t| format!("{}\n", sentence(t))).collect()
    };
    out.text(&text)
}

/// How a task is, in one line.
pub(super) fn sentence(task: &Brief) -> String {
    let mut line = format!("task {} ", task.id);
    line.push_str(&match task.state {
        state if state.is_final() => state.to_string(),
        state => format!("is still {state}"),
    });
    if task.state.is_final() && task.state != State::Passed {
        match (&task.last_error, task.exit_code) {
            (Some(error), _) => line.push_str(&format!(": {}", super::table::plain(error))),
            (None, Some(code)) => line.push_str(&format!(": exit status {code}")),
            (None, None) => {}
        }
    }
    line
}
