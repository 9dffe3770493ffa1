//! `autodev attach`: a session's screen and keys in this terminal.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev attach`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'attach' is not there yet"))
}
