//! How one attempt ended, typed: retry, hold and the task's final status follow from it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a process left behind when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Exit {
    /// Its exit code, if it exited by itself.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
}

impl Exit {
    /// Exit code 0.
    pub fn is_success(self) -> bool {
        self.code == Some(0)
    }

    /// As a shell gives it: the code, or 128 plus the signal.
    pub fn shell_code(self) -> Option<i32> {
        self.code.or(self.signal.map(|s| 128 + s))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exited {code}"),
            (None, Some(signal)) => write!(f, "killed by signal {signal}"),
            (None, None) => f.write_str("ended in an unknown way"),
        }
    }
}

/// The typed end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The program ended by itself with exit code 0.
    Succeeded,
    /// The program ended by itself with another code, or of a signal nobody here sent.
    AgentFailed,
    /// The provider's tool is not on this machine.
    NotInstalled,
    /// The task's own time limit was reached.
    TimedOut,
    /// A person's `cancel` or `kill` ended it.
    Killed,
    /// A shutdown of the machine or the login ended it.
    Interrupted,
    /// Its keeper died: how the program ended is unknown, but it no longer runs.
    Lost,
    /// It ended, but the record of how cannot be read: it may have done its work, so it is
    /// not done again.
    Unknown,
    /// A key that it needs cannot be had.
    AuthNeeded,
    /// The program could not be executed.
    LaunchFailed,
    /// It was claimed, but its program never ran.
    NeverStarted,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 11] = [
        Outcome::Succeeded,
        Outcome::AgentFailed,
        Outcome::NotInstalled,
        Outcome::TimedOut,
        Outcome::Killed,
        Outcome::Interrupted,
        Outcome::Lost,
        Outcome::Unknown,
        Outcome::AuthNeeded,
        Outcome::LaunchFailed,
        Outcome::NeverStarted,
    ];

    /// The name in the database and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::AgentFailed => "agent-failed",
            Outcome::NotInstalled => "not-installed",
            Outcome::TimedOut => "timed-out",
            Outcome::Killed => "killed",
            Outcome::Interrupted => "interrupted",
            Outcome::Lost => "lost",
            Outcome::Unknown => "unknown",
            Outcome::AuthNeeded => "auth-needed",
            Outcome::LaunchFailed => "launch-failed",
            Outcome::NeverStarted => "never-started",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Outcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Outcome::ALL.into_iter().find(|o| o.name() == text).ok_or_else(|| format!("'{text}' is not an outcome"))
    }
}
