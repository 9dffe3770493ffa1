//! `autodev edit`: changes a task that has not started.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev edit`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'edit' is not there yet"))
}
