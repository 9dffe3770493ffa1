//! `autodev submit`: stores a task.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev submit`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'submit' is not there yet"))
}
