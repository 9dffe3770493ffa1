//! `autodev why`: why a task does not run, and what would unblock it.

use std::collections::HashSet;

use serde_json::json;

use super::{Context, Status, show};
use crate::client::Client;
use crate::clock::{Timestamp, short};
use crate::id::TaskId;
use crate::protocol::Fault;
use crate::protocol::view::{Brief, TaskView};
use crate::queue::ReasonCode;

/// Tasks looked at, one waiting for the next. Longer chains are cut: the first links are
/// those a person can do something about.
const MAX_CHAIN: usize = 20;

/// Arguments of `autodev why`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The task
    #[arg(value_name = "TASK", add = super::complete::tasks())]
    task: TaskId,
}

const EXAMPLES: &str = "\
A task that waits for another is followed to the one that holds up the whole chain.

Examples:
  autodev why 42
  autodev why 42 --json | jq -r '.[0].reason.code'";

/// Runs the verb.
///
/// # Errors
/// `NotFound` when there is no such task.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let chain = chain(&mut ctx.client()?, args.task)?;
    let out = &ctx.output;
    if out.is_json() {
        let links = chain.iter().map(|t| json!({ "task": t.id, "state": t.state, "reason": t.reason }));
        out.json(&links.collect::<Vec<_>>())?;
    } else if out.is_quiet() {
        out.text(&chain.iter().map(|t| format!("{}\n", t.id)).collect::<String>())?;
    } else {
        let now = Timestamp::now();
        out.text(&chain.iter().map(|t| format!("{}\n", sentence(t, now))).collect::<String>())?;
    }
    Ok(Status::OK)
}

/// The task, and the tasks it waits for, each by the first it needs that has not ended
/// as it should.
fn chain(client: &mut Client, task: TaskId) -> Result<Vec<TaskView>, Fault> {
    let mut chain: Vec<TaskView> = Vec::new();
    let mut seen = HashSet::new();
    let mut next = Some(task);
    while let Some(task) = next.take().filter(|t| chain.len() < MAX_CHAIN && seen.insert(*t)) {
        let view = show::ask(client, task)?.task;
        if view.reason.as_ref().is_some_and(|r| r.code == ReasonCode::Dependency) {
            for dependency in &view.after {
                let other = show::ask(client, dependency.task)?.task;
                if !dependency.when.met_by(other.state) {
                    next = Some(dependency.task);
                    break;
                }
            }
        }
        chain.push(view);
    }
    Ok(chain)
}

fn sentence(task: &TaskView, now: Timestamp) -> String {
    let id = task.id;
    let state = task.state;
    let text = match &task.reason {
        Some(reason) => format!("task {id} is {state} ({}): {}", reason.code, reason.detail),
        None if state.is_final() => super::wait::sentence(&Brief::from(task)),
        None => {
            let since = task.started_at.map(|at| format!(" for {}", short(now.since(at)))).unwrap_or_default();
            let session = task.session.as_ref().map(|s| format!(": 'autodev attach {s}' shows it")).unwrap_or_default();
            format!("task {id} is {state}{since}{session}")
        }
    };
    super::table::plain(&text)
}
