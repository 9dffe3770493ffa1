//! Where a task is in its life.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A task's status. Stored and shown by its snake_case name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for its turn; why it does not run is a reason, computed when asked.
    Queued,
    /// A person said "not yet".
    Held,
    /// Claimed: its keeper is being made; the program does not run yet.
    Starting,
    /// Its program runs, or may run: written down before the keeper is told to go.
    Running,
    /// Frozen by a person; holds its slot.
    Paused,
    /// The program has ended; what it left is being collected. Holds its slot.
    Completing,
    /// Ended well.
    Passed,
    /// The agent ended badly.
    Failed,
    /// The machinery failed: the program could not be started, or was lost.
    Error,
    /// A person ended it.
    Cancelled,
    /// Its own time limit ended it.
    Timeout,
}

impl Status {
    /// Every status, in the order of life.
    pub const ALL: [Status; 11] = [
        Status::Queued,
        Status::Held,
        Status::Starting,
        Status::Running,
        Status::Paused,
        Status::Completing,
        Status::Passed,
        Status::Failed,
        Status::Error,
        Status::Cancelled,
        Status::Timeout,
    ];

    /// The name in the database, in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Held => "held",
            Status::Starting => "starting",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Completing => "completing",
            Status::Passed => "passed",
            Status::Failed => "failed",
            Status::Error => "error",
            Status::Cancelled => "cancelled",
            Status::Timeout => "timeout",
        }
    }

    /// Nothing more happens unless a person asks for it.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Passed | Status::Failed | Status::Error | Status::Cancelled | Status::Timeout)
    }

    /// An attempt is under way: it holds a slot and has a session.
    pub fn is_active(self) -> bool {
        matches!(self, Status::Starting | Status::Running | Status::Paused | Status::Completing)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Status::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| {
            let names: Vec<_> = Status::ALL.iter().map(|s| s.name()).collect();
            format!("'{text}' is not a state: one of {}", names.join(", "))
        })
    }
}

/// An order to end that was written down while an attempt is under way. It decides what
/// the task becomes, whatever the attempt's own end looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// `cancel`: interrupt, then terminate, then kill.
    Cancel,
    /// `kill`: kill at once.
    Kill,
    /// The task's own time limit is over; ends like `cancel`.
    Timeout,
}

impl Stop {
    /// The name in the database and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Stop::Cancel => "cancel",
            Stop::Kill => "kill",
            Stop::Timeout => "timeout",
        }
    }
}

impl FromStr for Stop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Stop::Cancel, Stop::Kill, Stop::Timeout]
            .into_iter()
            .find(|s| s.name() == text)
            .ok_or_else(|| format!("'{text}' is not a stop order"))
    }
}
