//! `autodev cancel`: ends tasks gently; what was cancelled never comes back by itself.

use super::select::SelectArgs;
use super::{Context, Status, act};
use crate::protocol::Fault;
use crate::protocol::request::Action;

/// Arguments of `autodev cancel`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    select: SelectArgs,
    /// Do not ask, however many tasks are ended
    #[arg(short, long)]
    yes: bool,
    /// Only say which tasks would be ended
    #[arg(short = 'n', long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Running tasks are interrupted, after 5 seconds terminated, after 10 more killed. More
than ten tasks are asked for first, or need --yes.

Examples:
  End one task, or several:
    autodev cancel 42
    autodev cancel 3-9,12
  See what would be cancelled, then do it:
    autodev cancel --state queued --label nightly --dry-run
    autodev cancel --state queued --label nightly --yes";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let way = act::Way { verb: "cancel", asks: true, yes: args.yes, dry_run: args.dry_run };
    act::run(ctx, Action::Cancel, args.select.select()?, way)
}
