//! `autodev kill`: ends tasks at once.

use super::select::SelectArgs;
use super::{Context, Status, act};
use crate::protocol::Fault;
use crate::protocol::request::Action;

/// Arguments of `autodev kill`.
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
Every process of the task is killed without being asked. Prefer cancel, which lets
the program finish what it is writing.

Examples:
  End a task that does not react to cancel:
    autodev kill 42";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let way = act::Way { verb: "kill", asks: true, yes: args.yes, dry_run: args.dry_run };
    act::run(ctx, Action::Kill, args.select.select()?, way)
}
