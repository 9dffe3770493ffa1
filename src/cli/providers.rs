//! `autodev providers`: the agents autodev can run, and which are installed.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev providers`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'providers' is not there yet"))
}
