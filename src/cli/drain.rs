//! `autodev drain`: finishes what runs and starts nothing new.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev drain`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'drain' is not there yet"))
}
