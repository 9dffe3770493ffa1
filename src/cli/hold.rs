//! `autodev hold`: keeps queued tasks from starting.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev hold`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'hold' is not there yet"))
}
