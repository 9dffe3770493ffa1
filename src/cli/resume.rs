//! `autodev resume`: lets frozen tasks run on; without a task, starts new ones again.

use super::pause::admission;
use super::select::SelectArgs;
use super::{Context, Status, act};
use crate::protocol::Fault;
use crate::protocol::request::{Action, Admission};

/// Arguments of `autodev resume`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    select: SelectArgs,
}

const EXAMPLES: &str = "\
Examples:
  Let a frozen task run on:
    autodev resume 42
  Start new tasks again after pause or drain:
    autodev resume";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    if let Some(provider) = args.select.whole_queue() {
        return admission(ctx, Admission::Resume, provider);
    }
    act::run(ctx, Action::Resume, args.select.select()?, act::Way::plain("resume"))
}
