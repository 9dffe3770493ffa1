//! `autodev status`: the whole at a glance.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev status`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'status' is not there yet"))
}
