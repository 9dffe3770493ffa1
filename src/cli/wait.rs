//! `autodev wait`: waits until tasks have ended.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev wait`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'wait' is not there yet"))
}
