//! What can happen to a task. Every change of a task is one of these, in the history.

use serde::{Deserialize, Serialize};

use super::outcome::{Exit, Outcome};

/// Who caused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A person, through the command line.
    User,
    /// The daemon, by its own rules.
    Daemon,
    /// A program inside a session.
    Agent,
}

impl Actor {
    /// The name in the database and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Actor::User => "user",
            Actor::Daemon => "daemon",
            Actor::Agent => "agent",
        }
    }
}

/// Something that happens to an existing task. (Being submitted makes one.)
///
/// Events of an attempt carry its number, so that one that comes late is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `hold`.
    Held,
    /// `release`.
    Released,
    /// Its turn has come: attempt `attempt` is being made.
    Claimed {
        /// One more than the last.
        attempt: u32,
    },
    /// The keeper is ready; it will be told to start the program.
    Started {
        /// Which attempt.
        attempt: u32,
        /// It goes on with the conversation of one before.
        resumed: bool,
    },
    /// `pause 42`.
    Paused,
    /// `resume 42`.
    Resumed,
    /// `cancel`.
    CancelRequested,
    /// `kill`.
    KillRequested,
    /// The task's own time limit is over.
    LimitReached {
        /// Which attempt ran out.
        attempt: u32,
    },
    /// The attempt has ended.
    Ended {
        /// Which attempt.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// What the process left, where there was one.
        exit: Exit,
        /// One line for people, when it did not succeed.
        error: Option<String>,
    },
    /// What the attempt left is collected.
    Settled {
        /// Which attempt.
        attempt: u32,
    },
    /// `retry` by a person: once more from the beginning.
    Retried,
    /// `recover` by a person: it goes on where it was.
    Recovered,
}

impl Event {
    /// The name in the history.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Held => "held",
            Event::Released => "released",
            Event::Claimed { .. } => "claimed",
            Event::Started { .. } => "started",
            Event::Paused => "paused",
            Event::Resumed => "resumed",
            Event::CancelRequested => "cancel_requested",
            Event::KillRequested => "kill_requested",
            Event::LimitReached { .. } => "limit_reached",
            Event::Ended { .. } => "ended",
            Event::Settled { .. } => "settled",
            Event::Retried => "retried",
            Event::Recovered => "recovered",
        }
    }

    /// The attempt it speaks of, if it speaks of one.
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Event::Claimed { attempt }
            | Event::Started { attempt, .. }
            | Event::LimitReached { attempt }
            | Event::Ended { attempt, .. }
            | Event::Settled { attempt } => Some(*attempt),
            _ => None,
        }
    }
}
