//! The exit record: how a session's program ended. A JSON file in the session's
//! directory, durable before anybody is told, so that a daemon that was away finds it.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{SessionName, Uid};
use crate::task::{Exit, Outcome};

/// Version of the file's form.
pub const VERSION: u32 = 1;

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// [`VERSION`].
    pub v: u32,
    /// The session.
    pub session: SessionName,
    /// The session's identity.
    pub uid: Uid,
    /// Why it ended.
    pub reason: ExitReason,
    /// Exit code or signal of the program, where it ran.
    pub exit: Exit,
    /// What went wrong, for a person.
    pub error: Option<String>,
    /// When the program was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Bytes it wrote.
    pub recording_bytes: u64,
    /// SHA-256 of those that were recorded (all of them, unless some were lost), in
    /// hexadecimal.
    pub recording_sha256: String,
    /// Bytes that could not be recorded (gaps), of those written.
    pub recording_lost: u64,
    /// Processes that were left over and had to be ended.
    pub leftovers: u32,
    /// What its processes have used. Not known of older keepers, and where nothing was started.
    #[serde(default)]
    pub used: Option<Used>,
    /// The boot this happened in.
    pub boot_id: String,
}

impl ExitRecord {
    /// The typed outcome of the attempt that ran in the session.
    pub fn outcome(&self) -> Outcome {
        match self.reason {
            ExitReason::Ended if self.exit.is_success() => Outcome::Succeeded,
            ExitReason::Ended => Outcome::AgentFailed,
            ExitReason::Stopped => Outcome::Killed,
            // Where a person wanted it to end, that is written down with the task and
            // decides; else the daemon could not go on with it.
            ExitReason::StoppedBeforeStart => Outcome::NeverStarted,
            ExitReason::LaunchFailed => Outcome::LaunchFailed,
            ExitReason::NoRoom => Outcome::NeverStarted,
            ExitReason::Shutdown => Outcome::Interrupted,
        }
    }

    /// One line for people, when the program did not succeed.
    pub fn problem(&self) -> Option<String> {
        match self.reason {
            ExitReason::Ended if self.exit.is_success() => None,
            ExitReason::Shutdown => Some("interrupted by a shutdown".into()),
            ExitReason::StoppedBeforeStart => Some("stopped before the program was started".into()),
            _ => Some(self.error.clone().unwrap_or_else(|| match self.exit.signal {
                Some(signal) => format!("the program was killed by signal {signal}"),
                None => format!("the program {}", self.exit),
            })),
        }
    }
}

/// What the processes of a session have used from its beginning to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// How long its programs have run, in milliseconds, without the time in which they were
    /// frozen or the machine slept.
    pub ran_ms: u64,
    /// Processor time, in milliseconds.
    pub cpu_ms: u64,
    /// The most resident memory at a time, in bytes, as far as anybody has looked; at least
    /// that of the largest process.
    pub peak_memory_bytes: u64,
    /// The most processes at a time, as far as anybody has looked.
    pub peak_processes: u32,
}

/// Exit status of a keeper that could not become ready because the machine has no room.
/// (EX_OSERR of sysexits.h.)
pub const EXIT_NO_ROOM: u8 = 71;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitReason {
    /// The program ended by itself, or by a signal nobody here sent.
    Ended,
    /// By an order of the daemon: cancel, kill or time limit.
    Stopped,
    /// An order to stop came before the program was started.
    StoppedBeforeStart,
    /// The program could not be executed; `error` says why.
    LaunchFailed,
    /// The machine had no room to start the program; `error` says what it lacked.
    NoRoom,
    /// The keeper was told by the system to leave.
    Shutdown,
}
