//! `autodev history`: finished tasks, and the audit trail of one.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev history`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'history' is not there yet"))
}
