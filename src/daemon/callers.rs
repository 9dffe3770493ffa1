//! What a caller may ask for. The user may everything; a program inside a session, which is
//! an agent for all that can be known, may say something about its own task and read it,
//! nothing more. Pure: who it is was found at the door.

use crate::door::Inside;
use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::request::{EventsQuery, Request};
use crate::protocol::{Fault, FaultCode};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The user.
    Owner,
    /// A program of a session.
    Agent(Agent),
}

/// A program of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    /// How it was known.
    pub inside: Inside,
    /// Its session, if that is one of ours and lives.
    pub session: Option<Uid>,
    /// The attempt it works on, if its session has one.
    pub attempt: Option<AttemptId>,
}

impl Caller {
    /// The attempt that it works on, when it is an agent.
    pub fn attempt(&self) -> Option<AttemptId> {
        match self {
            Caller::Owner => None,
            Caller::Agent(agent) => agent.attempt,
        }
    }

    /// Its own task, when it is an agent.
    pub fn own_task(&self) -> Option<TaskId> {
        match self {
            Caller::Owner => None,
            Caller::Agent(agent) => agent.attempt.map(|attempt| attempt.task),
        }
    }

    /// Whether it may ask for this.
    ///
    /// # Errors
    /// `Permission`, when it may not.
    pub fn may(&self, request: &Request) -> Result<(), Fault> {
        let Caller::Agent(agent) = self else { return Ok(()) };
        let own = agent.attempt.map(|attempt| attempt.task);
        let allowed = match request {
            Request::Note { task, .. } | Request::Ask { task, .. } | Request::AddOutput { task, .. } => {
                own == Some(*task)
            }
            Request::Show(task) | Request::Outputs(task) => own == Some(*task),
            Request::Events(EventsQuery { task, .. }) => own.is_some() && *task == own,
            // Of its own task: which one that is, is looked at when it is known.
            Request::AwaitAnswer { .. } => own.is_some(),
            _ => false,
        };
        if allowed { Ok(()) } else { Err(self.refusal(request.name())) }
    }

    /// Why it may not.
    pub fn refusal(&self, what: &str) -> Fault {
        let own = match self.own_task() {
            Some(task) => format!("it may note, ask, add outputs and read about its own task {task}"),
            None => "its session has no task that it could say anything about".to_owned(),
        };
        Fault::new(
            FaultCode::Permission,
            format!("a program inside a session does not give orders: '{what}' is refused"),
        )
        .hint(format!("{own}; for all else use a shell of your own"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Act, Action, ListQuery, Select, Wait};

    fn agent(task: Option<i64>) -> Caller {
        let attempt = task.map(|task| AttemptId { task: TaskId(task), number: 1 });
        let inside = Inside { pid: 7, keeper: Some(6) };
        Caller::Agent(Agent { inside, session: Some(Uid::from_bytes([1; 16])), attempt })
    }

    #[test]
    fn the_user_may_everything_and_an_agent_speak_of_its_own_task() {
        let note = |task| Request::Note { task: TaskId(task), text: "x".into() };
        let events = |task| Request::Events(EventsQuery { task, after: 0, limit: 1 });
        let own = [
            note(42),
            Request::Ask { task: TaskId(42), question: "x".into() },
            Request::AddOutput { task: TaskId(42), file: "/x".into(), name: "x".into() },
            Request::Show(TaskId(42)),
            Request::Outputs(TaskId(42)),
            events(Some(TaskId(42))),
            Request::AwaitAnswer { request: 1 },
        ];
        let others = [
            note(41),
            Request::Show(TaskId(41)),
            Request::Outputs(TaskId(41)),
            events(None),
            events(Some(TaskId(41))),
            Request::Status,
            Request::Sessions { all: true, before: None, limit: ListQuery::MAX_LIMIT },
            Request::Watch { after: None },
            Request::Wait(Wait { select: Select::default(), any: false, timeout: None }),
            Request::Act(Act { action: Action::Cancel, select: Select::default(), dry_run: false }),
            Request::Answer { request: 1, text: "yes".into() },
            Request::Backup { to: None },
            Request::Reload,
        ];
        for request in &own {
            assert_eq!(agent(Some(42)).may(request), Ok(()), "{request:?}");
            assert!(agent(None).may(request).is_err(), "{request:?}");
        }
        for request in &others {
            let refused = agent(Some(42)).may(request).unwrap_err();
            assert_eq!((refused.code, refused.code.exit_status()), (FaultCode::Permission, 5), "{request:?}");
        }
        for request in own.iter().chain(&others) {
            assert_eq!(Caller::Owner.may(request), Ok(()));
        }
    }
}
