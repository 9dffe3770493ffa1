//! `autodev rename`: gives a session without a task another name.

use super::{Context, Status};
use crate::client::unexpected;
use crate::id::SessionName;
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev rename`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The session
    #[arg(value_name = "SESSION", add = super::complete::sessions())]
    session: SessionName,
    /// Its new name: lower-case letters, digits, '.', '_' and '-'
    #[arg(value_name = "NAME")]
    name: SessionName,
}

const EXAMPLES: &str = "\
Sessions of tasks keep their names; 'autodev edit 42 --title' changes a task's title.

Examples:
  autodev rename claude-1 review";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let Args { session, name } = args;
    match ctx.client()?.call(&Request::Rename { session: session.clone(), name: name.clone() })? {
        Reply::Done => {}
        other => return Err(unexpected(&other)),
    }
    if ctx.output.is_json() {
        ctx.output.json(&serde_json::json!({ "session": session, "name": name }))?;
    } else if ctx.output.is_quiet() {
        ctx.output.line(name.as_str())?;
    } else {
        ctx.output.line(&format!("session {session} is now {name}"))?;
    }
    Ok(Status::OK)
}
