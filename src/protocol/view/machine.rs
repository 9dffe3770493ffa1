//! How the daemon, its queue and its files are.

use serde::{Deserialize, Serialize};

use super::RedisView;
use crate::clock::Timestamp;
use crate::id::{TaskId, Uid};
use crate::queue::{Closed, ReasonCode};
use crate::task::{Mode, Status};

/// How many tasks are in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The status.
    pub state: Status,
    /// How many.
    pub tasks: u64,
}

/// The whole at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The daemon's process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it became ready.
    pub since: Timestamp,
    /// The state directory: which instance this is.
    pub state_directory: String,
    /// Its socket.
    pub socket: String,
    /// Why nothing is started, if so.
    pub closed: Option<Closed>,
    /// Providers with no new starts.
    pub paused_providers: Vec<String>,
    /// Attempts allowed at once.
    pub slots: u32,
    /// Attempts under way.
    pub slots_used: u32,
    /// Tasks by status, all statuses.
    pub tasks: Vec<Count>,
    /// Live sessions.
    pub sessions: u32,
    /// What is wrong with the configuration, if anything.
    pub config_error: Option<String>,
    /// Number of the last event.
    pub last_event: i64,
    /// The copy in Redis.
    pub redis: RedisView,
    /// Bytes free on the disk of the state directory, where that can be asked.
    pub disk_free: Option<u64>,
    /// Questions that nobody has answered.
    pub requests: u64,
    /// Why queued tasks wait, the most frequent reason first.
    pub waiting: Vec<WaitingCount>,
}

/// Queued tasks that wait for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingCount {
    /// Why.
    pub reason: ReasonCode,
    /// How many.
    pub tasks: u64,
}

/// What a start of the daemon would do about one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryView {
    /// The session's name; empty where nothing says what it was.
    pub session: String,
    /// Its identity.
    pub session_id: Option<Uid>,
    /// The task it works on.
    pub task: Option<TaskId>,
    /// The task's status now.
    pub state: Option<Status>,
    /// What is known of it.
    pub found: String,
    /// What is done about it, a stable word for scripts.
    pub action: String,
    /// The same for people.
    pub will: String,
    /// What becomes of the task, where that is decided then.
    pub then: Option<String>,
}

/// One thing that was looked at, and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// What: a stable word for scripts.
    pub name: String,
    /// How it is.
    pub level: CheckLevel,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckLevel {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Warning,
    /// Wrong.
    Error,
}

/// What a restore has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredView {
    /// The copy it began with; the damaged database itself, where only its end is missing.
    pub from: String,
    /// The last entry of the history in it.
    pub from_event: i64,
    /// Entries that could be read of what happened after it.
    pub replayed: i64,
    /// Entries that are lost, first and last; the last is 0 when nobody knows.
    pub lost: Option<(i64, i64)>,
    /// Tables of which something could not be read that happened after the backup.
    pub unreadable: Vec<String>,
    /// Tasks that the history knows, and that could not be read.
    pub missing: Vec<TaskId>,
    /// Tasks that are held because they may have run since.
    pub held: u32,
    /// Attempts that were under way, of which nobody knows how they ended.
    pub unknown: u32,
    /// Attempts that are live and were not in the copy.
    pub adopted: u32,
    /// Where the damaged files are kept.
    pub quarantine: String,
}

/// A copy of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupView {
    /// The file.
    pub path: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// The last entry of the history in it.
    pub last_event: i64,
    /// Its size.
    pub bytes: u64,
}

/// A provider as it is found on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderView {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: String,
    /// Whether its program was found.
    pub installed: bool,
    /// Where.
    pub path: Option<String>,
    /// What it says its version is.
    pub version: Option<String>,
    /// Modes it can be run in.
    pub modes: Vec<Mode>,
    /// Where its table comes from: `built in`, or a file.
    pub source: String,
    /// How to install it.
    pub install: Option<String>,
    /// What is wrong with its table, if anything.
    pub problem: Option<String>,
    /// Attempts allowed at once.
    pub slots: Option<u32>,
}

/// Whether the history is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Entries checked.
    pub events: u64,
    /// The last entry's hash, in hexadecimal.
    pub head: String,
    /// The first entry that is not as it was written.
    pub first_bad: Option<i64>,
    /// What is wrong with it.
    pub problem: Option<String>,
}
