//! `autodev screen`: what a session shows now.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev screen`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'screen' is not there yet"))
}
