//! `autodev logs`: what a session has printed.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev logs`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'logs' is not there yet"))
}
