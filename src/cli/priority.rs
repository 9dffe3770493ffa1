//! `autodev priority`: moves tasks up or down in the queue.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev priority`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'priority' is not there yet"))
}
