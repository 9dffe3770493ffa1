//! `autodev show`: everything about one task.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev show`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'show' is not there yet"))
}
