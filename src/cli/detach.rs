//! `autodev detach`: sends away the terminals attached to a session.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev detach`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'detach' is not there yet"))
}
