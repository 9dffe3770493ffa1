//! `autodev kill`: ends tasks and sessions at once.

use super::end::EndArgs;
use super::{Context, Status, end};
use crate::protocol::Fault;
use crate::protocol::request::Action;

/// Arguments of `autodev kill`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    end: EndArgs,
}

const EXAMPLES: &str = "\
Every process of the task is killed without being asked. Prefer cancel, which lets
the program finish what it is writing.

Examples:
  End a task that does not react to cancel:
    autodev kill 42
  The same for a session that was opened without a task:
    autodev kill claude-1";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    end::run(ctx, args.end, "kill", Action::Kill)
}
