//! `autodev hold`: keeps queued tasks from starting.

use super::select::SelectArgs;
use super::{Context, Status, act};
use crate::protocol::Fault;
use crate::protocol::request::Action;

/// Arguments of `autodev hold`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    select: SelectArgs,
}

const EXAMPLES: &str = "\
Examples:
  Keep one task from starting, and let it go later:
    autodev hold 42
    autodev release 42
  Hold everything that waits and has a label:
    autodev hold --state queued --label nightly";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    act::run(ctx, Action::Hold, args.select.select()?, act::Way::plain("hold"))
}
