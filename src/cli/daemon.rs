//! `autodev daemon`: starts, stops and looks at the daemon.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev daemon`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'daemon' is not there yet"))
}
