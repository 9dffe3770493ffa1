//! `autodev rename`: gives a session another name.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev rename`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'rename' is not there yet"))
}
