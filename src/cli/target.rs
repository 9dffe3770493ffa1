//! Which session a user means: found without the daemon where it lives, else asked for.

use super::{Context, complete};
use crate::client::find;
use crate::client::unexpected;
use crate::id::SessionName;
use crate::protocol::view::{SessionState, SessionView};
use crate::protocol::{Fault, FaultCode, Reply, Request};

/// The argument that names a session, for verbs that need one.
#[derive(Debug, clap::Args)]
pub struct SessionArg {
    /// The session: a task's number for its last attempt (42), an attempt (42.1) or a
    /// session's name (claude-1)
    #[arg(value_name = "SESSION", add = complete::sessions())]
    pub session: String,
}

/// What a user's word means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A session whose keeper lives.
    Live(SessionName),
    /// A session the daemon knows of, whose keeper does not.
    Other(Box<SessionView>),
}

/// Finds the session that `target` names.
///
/// # Errors
/// `NotFound` when there is none; `Unreachable` when none lives and there is no daemon
/// that knows of others.
pub fn find(ctx: &Context, target: &str) -> Result<Target, Fault> {
    if let Some(name) = find::by_target(find::live(&ctx.paths)?, target) {
        return Ok(Target::Live(name));
    }
    let view = ctx
        .client()
        .and_then(|mut client| match client.call(&Request::Session { target: target.to_owned() })? {
            Reply::Session(view) => Ok(view),
            other => Err(unexpected(&other)),
        })
        .map_err(|fault| match fault.code {
            FaultCode::Unreachable => {
                Fault { message: format!("no live session is called '{target}', and {}", fault.message), ..fault }
            }
            _ => fault,
        })?;
    // Its keeper may have come meanwhile, and the daemon knows it by other words too.
    Ok(if find::is_live(&ctx.paths, &view.name) { Target::Live(view.name) } else { Target::Other(view) })
}

/// Finds a session that can be talked to.
///
/// # Errors
/// As [`find`]; `Conflict` when the session has ended or has not begun.
pub fn live(ctx: &Context, target: &str) -> Result<SessionName, Fault> {
    match find(ctx, target)? {
        Target::Live(name) => Ok(name),
        Target::Other(view) => {
            let name = &view.name;
            let (what, hint) = match view.state {
                SessionState::Starting => ("has not started yet", format!("try again, or: autodev sessions {name}")),
                SessionState::Lost => ("was lost: its keeper died", format!("what it printed: autodev logs {name}")),
                _ => ("has ended", format!("what it printed: autodev logs {name}")),
            };
            Err(Fault::conflict(format!("session {name} {what}")).hint(hint))
        }
    }
}
