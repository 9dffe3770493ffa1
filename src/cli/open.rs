//! `autodev open`: starts a session without a task.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev open`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'open' is not there yet"))
}
