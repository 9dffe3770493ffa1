//! `autodev release`: lets held tasks start.

use super::select::SelectArgs;
use super::{Context, Status, act};
use crate::protocol::Fault;
use crate::protocol::request::Action;

/// Arguments of `autodev release`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    select: SelectArgs,
}

const EXAMPLES: &str = "\
Examples:
  Let a task start that was submitted with --hold:
    autodev release 42
  Release all that are held:
    autodev release --state held";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    act::run(ctx, Action::Release, args.select.select()?, act::Way::plain("release"))
}
