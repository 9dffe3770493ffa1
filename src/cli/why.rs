//! `autodev why`: why a task does not run.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev why`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'why' is not there yet"))
}
