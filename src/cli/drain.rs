//! `autodev drain`: finishes what runs and starts nothing new.

use super::pause::admission;
use super::{Context, Status};
use crate::protocol::Fault;
use crate::protocol::request::Admission;

/// Arguments of `autodev drain`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {}

const EXAMPLES: &str = "\
Tasks can still be submitted; they wait. Retries of what runs wait too.

Examples:
  Empty the machine before it is shut down, and wait until it is idle:
    autodev drain
    autodev wait --state starting,running,paused,completing
  Go on:
    autodev resume";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, _args: Args) -> Result<Status, Fault> {
    admission(ctx, Admission::Drain, None)
}
