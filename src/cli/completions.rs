//! `autodev completions`: tab completion for your shell.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev completions`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'completions' is not there yet"))
}
