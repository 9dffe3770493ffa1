//! `autodev config`: shows, checks and changes settings.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev config`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'config' is not there yet"))
}
