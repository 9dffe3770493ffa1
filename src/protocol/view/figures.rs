//! How often, how well and how fast; and how large.

use serde::{Deserialize, Serialize};

use super::BackupView;
use crate::clock::Timestamp;
use crate::id::AttemptId;
use crate::task::Outcome;

/// How often, how well and how fast: over a length of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsView {
    /// From then on.
    pub since: Timestamp,
    /// Until now.
    pub until: Timestamp,
    /// When the first of these tasks was submitted, or `since` if that was later: what lies
    /// before says nothing of how many are done in an hour.
    pub first: Timestamp,
    /// All tasks that have ended.
    pub all: StatsGroup,
    /// The same, taken apart as was asked.
    pub groups: Vec<StatsGroup>,
    /// The time in equal parts.
    pub parts: Vec<StatsPart>,
    /// What went wrong with attempts, most often first.
    pub errors: Vec<ErrorCount>,
}

/// Tasks that have ended, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsGroup {
    /// Which; empty for all.
    pub name: String,
    /// How many.
    pub tasks: u64,
    /// Their attempts.
    pub attempts: u64,
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Failed by the machinery.
    pub error: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Ended by their own time limit.
    pub timeout: u64,
    /// From being submitted until their first attempt was begun.
    pub waiting: Spread,
    /// How long their attempts have run together.
    pub running: Spread,
    /// Processor time of all of them together, in milliseconds, as far as it is known.
    pub cpu_ms: u64,
    /// The most resident memory that one of them has used at a time, in bytes.
    pub peak_memory_bytes: u64,
}

impl StatsGroup {
    /// How many of a hundred have passed, of those that nobody has cancelled.
    pub fn success_percent(&self) -> Option<u64> {
        let judged = self.passed + self.failed + self.error + self.timeout;
        // Rounded down: not all have passed where a hundred stands.
        (judged > 0).then(|| self.passed * 100 / judged)
    }
}

/// How lengths of time are spread, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Half of them are no longer.
    pub p50_ms: u64,
    /// 95 of 100.
    pub p95_ms: u64,
    /// 99 of 100.
    pub p99_ms: u64,
    /// None is longer.
    pub max_ms: u64,
}

/// What has ended in a part of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsPart {
    /// From then on, until the next part begins.
    pub from: Timestamp,
    /// Tasks.
    pub tasks: u64,
    /// Of these, passed.
    pub passed: u64,
}

/// Attempts that ended alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// How.
    pub outcome: Outcome,
    /// How many.
    pub attempts: u64,
    /// The last of them.
    pub last: AttemptId,
    /// When that was.
    pub last_at: Timestamp,
    /// What was said then.
    pub last_error: Option<String>,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseView {
    /// The file.
    pub path: String,
    /// Tasks.
    pub tasks: u64,
    /// Sessions, those of attempts included.
    pub sessions: u64,
    /// Notes, questions and files kept with tasks.
    pub said: u64,
    /// Entries of the history.
    pub events: u64,
    /// The hash of the last of them.
    pub head: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Of these, bytes that are free.
    pub free_bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Entries that the search has yet to look at by itself.
    pub unindexed: u64,
    /// The newest backup.
    pub last_backup: Option<BackupView>,
}
