//! `autodev send`: types into a session.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev send`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'send' is not there yet"))
}
