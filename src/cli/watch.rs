//! `autodev watch`: events as they happen.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev watch`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'watch' is not there yet"))
}
