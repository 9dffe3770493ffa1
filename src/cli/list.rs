//! `autodev list`: the tasks that are not finished.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev list`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'list' is not there yet"))
}
