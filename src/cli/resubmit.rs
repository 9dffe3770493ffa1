//! `autodev resubmit`: makes a new task from an ended one.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev resubmit`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'resubmit' is not there yet"))
}
