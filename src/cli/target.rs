//! Which session a user means: found without the daemon where it lives, else asked for.

use std::io;
use std::time::Duration;

use super::{Context, complete};
use crate::client::keeper_link::Link;
use crate::client::{find, unexpected};
use crate::id::{SessionName, TaskId};
use crate::protocol::keeper::{FromKeeper, ToKeeper};
use crate::protocol::view::{SessionState, SessionView};
use crate::protocol::{Fault, FaultCode, Reply, Request};

/// How long a keeper may take to answer: it never waits for anything itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

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
        Target::Other(view) => Err(not_live(&view.name, view.state, view.task)),
    }
}

/// Asks a session's keeper something.
///
/// # Errors
/// `Conflict` when it refuses or leaves, `Unreachable` when it does not answer.
pub(super) fn ask<T>(
    link: &mut Link,
    session: &SessionName,
    question: &ToKeeper,
    pick: impl FnMut(FromKeeper) -> Option<T>,
) -> Result<T, Fault> {
    link.ask(question, ANSWER_LIMIT, pick).map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => FaultCode::Permission,
            io::ErrorKind::TimedOut | io::ErrorKind::InvalidData => FaultCode::Unreachable,
            // It refuses, or has left: most likely the session has just ended.
            _ => FaultCode::Conflict,
        };
        Fault::new(code, format!("session {session}: {error}")).hint(printed(session))
    })
}

fn printed(session: &SessionName) -> String {
    format!("what it printed: autodev logs {session}")
}

fn not_live(name: &SessionName, state: SessionState, task: Option<TaskId>) -> Fault {
    let (what, hint) = match (state, task) {
        (SessionState::Starting, Some(task)) => ("has not started yet", format!("how it stands: autodev show {task}")),
        (SessionState::Starting, None) => ("has not started yet", "how it stands: autodev sessions".to_owned()),
        (SessionState::Lost, _) => ("was lost: its keeper died", printed(name)),
        _ => ("has ended", printed(name)),
    };
    Fault::conflict(format!("session {name} {what}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_commands_that_there_are() {
        let name: SessionName = "42.1".parse().unwrap();
        for state in [SessionState::Starting, SessionState::Lost, SessionState::Ended] {
            for task in [None, Some(TaskId(42))] {
                let hint = not_live(&name, state, task).hint.unwrap();
                let words = hint.split(' ').skip_while(|word| *word != "autodev");
                assert!(crate::cli::command().try_get_matches_from(words).is_ok(), "{hint}");
            }
        }
    }
}
