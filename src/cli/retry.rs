//! `autodev retry`: runs tasks again that have not passed, as new attempts of the same task.

use super::select::SelectArgs;
use super::{Context, Status, act};
use crate::protocol::Fault;
use crate::protocol::request::Action;

/// Arguments of `autodev retry`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    select: SelectArgs,
}

const EXAMPLES: &str = "\
Examples:
  Run a failed task again:
    autodev retry 42
  Run all failed tasks of one provider again:
    autodev retry --state failed --provider claude";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    act::run(ctx, Action::Retry, args.select.select()?, act::Way::plain("retry"))
}
