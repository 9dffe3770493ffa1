//! `autodev pause`: freezes running tasks, or starts no new ones.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev pause`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'pause' is not there yet"))
}
