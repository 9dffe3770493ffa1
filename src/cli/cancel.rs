//! `autodev cancel`: ends tasks gently.

use super::{Context, Status};
use crate::protocol::Fault;

/// Arguments of `autodev cancel`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(_ctx: &Context, _args: Args) -> Result<Status, Fault> {
    Err(Fault::internal("'cancel' is not there yet"))
}
