//! `autodev note`: writes something down about a task.

use super::{Context, Status, inside};
use crate::client::unexpected;
use crate::id::TaskId;
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev note`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// What to write down
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
    /// The task; inside a session it is the session's own
    #[arg(short, long, value_name = "TASK", add = super::complete::tasks())]
    task: Option<TaskId>,
}

const EXAMPLES: &str = "\
Notes are kept with the task and shown by 'autodev show'. Agents may write them about the
task they work on, and need not say which that is.

Examples:
  In an agent's session:
    autodev note 'the tests need a database; I use sqlite'
  Anywhere:
    autodev note --task 42 'seen, looks good so far'";

/// Runs the verb.
///
/// # Errors
/// `NotFound`; `Permission` when a program inside a session speaks of another's task.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let task = inside::task(args.task)?;
    match ctx.client()?.call(&Request::Note { task, text: args.text.join(" ") })? {
        Reply::Done => {}
        other => return Err(unexpected(&other)),
    }
    let out = &ctx.output;
    if out.is_json() {
        out.json(&serde_json::json!({ "task": task }))?;
    } else if !out.is_quiet() {
        out.line(&format!("noted about task {task}"))?;
    }
    Ok(Status::OK)
}
