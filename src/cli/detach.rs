//! `autodev detach`: sends away the terminals attached to a session.

use std::time::Duration;

use super::target::{self, SessionArg};
use super::{Context, Status};
use crate::client::find;
use crate::client::keeper_link::Link;
use crate::id::SessionName;
use crate::protocol::keeper::{FromKeeper, ToKeeper};
use crate::protocol::{Fault, FaultCode};

/// How long a keeper may take to answer: it never waits for anything itself.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

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
    ask(&mut link, &session, &ToKeeper::DetachAll, |message| matches!(message, FromKeeper::Done).then_some(()))?;
    Ok(Status::OK)
}

/// Asks a session's keeper something.
///
/// # Errors
/// `Conflict` when it refuses, `Unreachable` when it does not answer.
pub(super) fn ask<T>(
    link: &mut Link,
    session: &SessionName,
    question: &ToKeeper,
    pick: impl FnMut(FromKeeper) -> Option<T>,
) -> Result<T, Fault> {
    link.ask(question, ANSWER_LIMIT, pick).map_err(|error| match error.kind() {
        std::io::ErrorKind::Other => Fault::conflict(format!("session {session}: {error}")),
        _ => Fault::new(FaultCode::Unreachable, format!("session {session}: {error}")),
    })
}
