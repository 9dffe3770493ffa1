//! `autodev resubmit`: makes a new task from an ended one.

use super::{Context, Status, submit};
use crate::client::unexpected;
use crate::id::{TaskId, Uid};
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev resubmit`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The task to copy
    #[arg(value_name = "TASK", add = super::complete::tasks())]
    task: TaskId,
    /// Repeating with the same key makes nothing new
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

const EXAMPLES: &str = "\
The new task has its own number and history. To run the same task again, use retry.

Examples:
  autodev resubmit 42";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let key = args.idempotency_key.unwrap_or_else(|| Uid::new().to_string());
    let request = Request::Resubmit { task: args.task, key: key.clone() };
    let reply = ctx.client()?.call_surely(request).map_err(|fault| submit::with_key(fault, &key))?;
    match reply {
        Reply::Submitted(submitted) => submit::tell(ctx, &submitted),
        other => Err(unexpected(&other)),
    }?;
    Ok(Status::OK)
}
