//! `autodev sessions`: the sessions there are.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev sessions`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'sessions' is not there yet"))
}
