//! `autodev detach`: sends away the terminals attached to a session.

use serde_json::json;

use super::target::{self, SessionArg};
use super::{Context, Status};
use crate::client::find;
use crate::protocol::Fault;
use crate::protocol::keeper::{FromKeeper, ToKeeper};

/// Arguments of `autodev detach`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    target: SessionArg,
}

const EXAMPLES: &str = "\
The session runs on.

Examples:
  autodev detach 42";

/// Runs the verb.
///
/// # Errors
/// `NotFound` for a session that is not there, `Conflict` for one that has ended.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let session = target::live(ctx, &args.target.session)?;
    let (mut link, _) = find::connect(&ctx.paths, &session)?;
    target::ask(&mut link, &session, &ToKeeper::DetachAll, |message| {
        matches!(message, FromKeeper::Done).then_some(())
    })?;
    if ctx.output.is_json() {
        ctx.output.json(&json!({ "session": session }))?;
    }
    Ok(Status::OK)
}
