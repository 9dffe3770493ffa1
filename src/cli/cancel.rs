//! `autodev cancel`: ends tasks and sessions gently; what was cancelled never comes back by itself.

use super::end::EndArgs;
use super::{Context, Status, end};
use crate::protocol::Fault;
use crate::protocol::request::Action;

/// Arguments of `autodev cancel`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    end: EndArgs,
}

const EXAMPLES: &str = "\
Running tasks are interrupted, after 5 seconds terminated, after 10 more killed. More
than ten tasks are asked for first, or need --yes.

Examples:
  End one task, or several:
    autodev cancel 42
    autodev cancel 3-9,12
  End a session that was opened without a task:
    autodev cancel claude-1
  See what would be cancelled, then do it:
    autodev cancel --state queued --label nightly --dry-run
    autodev cancel --state queued --label nightly --yes";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    end::run(ctx, args.end, "cancel", Action::Cancel)
}
