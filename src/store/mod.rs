//! The database: one writer thread that commits what has queued up as one transaction,
//! a few readers, and the witness beside it. Nothing is acknowledged before its commit.

use std::sync::Arc;

use tokio::sync::{Notify, broadcast};

use crate::clock::Timestamp;
use crate::id::{AttemptId, SessionName, TaskId, Uid};
use crate::paths::Paths;
use crate::protocol::exit::ExitRecord;
use crate::protocol::fault::Fault;
use crate::protocol::reply::{BatchStored, Submitted, TaskPage};
use crate::protocol::request::{Edit, EventsQuery, ListQuery, Select, Submit, SubmitChunk};
use crate::protocol::view::{Count, EventView, SessionState, SessionView, TaskDetail, VerifyReport};
use crate::queue::{LaneId, Limits};
use crate::task::{Actor, Effect, Event, Mode, Outcome, Status, TaskSpec};

/// A handle on the database; clones share it.
#[derive(Clone, Debug)]
pub struct Store {}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its status before.
    pub before: Status,
    /// Its status now.
    pub after: Status,
    /// Its title, for messages.
    pub title: String,
    /// Its current or last attempt, once there was one.
    pub attempt: Option<AttemptId>,
    /// To be done now that it is committed.
    pub effects: Vec<Effect>,
}

/// A claimed attempt: everything needed to launch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The attempt, whose name is the session's.
    pub attempt: AttemptId,
    /// The task's identity.
    pub task_uid: Uid,
    /// The session's identity.
    pub session_uid: Uid,
    /// The session's number, for its marker: counts all sessions of the instance.
    pub session_number: u64,
    /// What was asked for.
    pub spec: TaskSpec,
}

/// A session without a task, to be stored before it is launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// The name wished for; else `TOOL-N` with the lowest N never used.
    pub name: Option<SessionName>,
    /// Provider or program.
    pub tool: String,
    /// How the tool is run.
    pub mode: Mode,
    /// Where.
    pub dir: String,
    /// Columns and rows.
    pub size: (u16, u16),
}

/// A session just stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// Its name.
    pub name: SessionName,
    /// Its identity.
    pub uid: Uid,
    /// Its number, for its marker.
    pub number: u64,
}

/// How an attempt ended, for [`Store::end_attempt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    /// Typed.
    pub outcome: Outcome,
    /// One line for people, when it did not succeed.
    pub error: Option<String>,
    /// The keeper's record, where there is one.
    pub record: Option<ExitRecord>,
}

/// A session whose end is not in the database: what recovery looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its name.
    pub session: SessionName,
    /// Its identity.
    pub uid: Uid,
    /// Its number, for its marker.
    pub number: u64,
    /// The attempt and its task's status; `None` for a session without a task.
    pub attempt: Option<(AttemptId, Status)>,
    /// An order to end its task is out, and it is `kill` or `cancel`.
    pub stop: Option<crate::task::Stop>,
    /// `Started` was committed.
    pub started: bool,
    /// The task's time limit, and when the program was started.
    pub timeout: Option<(crate::clock::Span, Timestamp)>,
}

/// Why a write or read did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A fault for whoever asked: not found, conflict, refused by the task's machine.
    #[error("{0}")]
    Fault(Fault),
    /// An event of an attempt that is no longer current, or a step the machine refuses.
    #[error("{0}")]
    Refused(crate::task::Refused),
    /// Certainly not stored.
    #[error("not stored: {0}")]
    NotStored(String),
    /// Not known whether stored; repeat with the same key.
    #[error("not known whether stored: {0}")]
    Unknown(String),
}

/// Why the database was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Files are missing or not as the witness says.
    #[error("{0}")]
    Damaged(String),
    /// Written by a newer version.
    #[error("{0}")]
    Newer(String),
    /// The system's own error.
    #[error("{0}")]
    Io(String),
}

#[allow(unused_variables, missing_docs, clippy::unused_async)]
impl Store {
    /// Opens the instance's database, making it in a fresh state directory, bringing an
    /// older schema up to date, and checking the tail of the history against the witness.
    /// The generation afterwards is one more than the highest of the database, the witness
    /// and `seen`. Only for who holds the instance's lock.
    pub fn open(paths: &Paths, seen: u64) -> Result<Store, OpenError> {
        unimplemented!()
    }
    /// This start's generation.
    pub fn generation(&self) -> u64 {
        unimplemented!()
    }
    /// A keeper has named a higher generation: goes above it, durably.
    pub async fn raise_generation(&self, above: u64) -> Result<u64, StoreError> {
        unimplemented!()
    }
    /// Every committed event, in order. A slow receiver lags and reads the gap by `events`.
    pub fn feed(&self) -> broadcast::Receiver<Arc<EventView>> {
        unimplemented!()
    }
    /// Notified whenever a commit may have made a task claimable or freed a slot.
    pub fn queue_changed(&self) -> Arc<Notify> {
        unimplemented!()
    }
    /// Commits what is queued, checkpoints, and stops the writer. Later writes fail.
    pub async fn close(&self) {
        unimplemented!()
    }

    // --- tasks: durable when the future is ready ---
    pub async fn submit(&self, submit: Submit) -> Result<Submitted, StoreError> {
        unimplemented!()
    }
    pub async fn submit_chunk(&self, chunk: SubmitChunk) -> Result<BatchStored, StoreError> {
        unimplemented!()
    }
    pub async fn resubmit(&self, task: TaskId, key: String) -> Result<Submitted, StoreError> {
        unimplemented!()
    }
    pub async fn edit(&self, edit: Edit) -> Result<Applied, StoreError> {
        unimplemented!()
    }
    pub async fn set_priority(&self, task: TaskId, priority: i32) -> Result<Applied, StoreError> {
        unimplemented!()
    }
    /// One event on one task, decided by `task::step`.
    pub async fn apply(&self, task: TaskId, event: Event, actor: Actor) -> Result<Applied, StoreError> {
        unimplemented!()
    }
    /// The same event on many tasks, in chunks between which others get in.
    pub async fn apply_all(
        &self,
        tasks: Vec<TaskId>,
        event: Event,
        actor: Actor,
    ) -> Vec<(TaskId, Result<Applied, StoreError>)> {
        unimplemented!()
    }
    /// Claims up to `most` tasks that `queue::admit` lets start, in the order of the queue,
    /// in one transaction: attempt and session rows, `Claimed` events.
    pub async fn claim(&self, limits: Limits, most: usize) -> Result<Vec<Claim>, StoreError> {
        unimplemented!()
    }
    /// `Started`, with the argument vector and the keeper's and session's columns.
    pub async fn start_attempt(
        &self,
        attempt: AttemptId,
        argv: Vec<String>,
        keeper_pid: u32,
        size: (u16, u16),
    ) -> Result<Applied, StoreError> {
        unimplemented!()
    }
    /// `Ended` and, as nothing has to be collected, `Settled`, in one transaction.
    pub async fn end_attempt(&self, attempt: AttemptId, end: AttemptEnd) -> Result<Applied, StoreError> {
        unimplemented!()
    }

    // --- sessions ---
    pub async fn new_session(&self, session: NewSession) -> Result<StoredSession, StoreError> {
        unimplemented!()
    }
    /// A session found running whose row is missing: stored under its own name, or
    /// `unknown-N` if that is taken.
    pub async fn adopt_unknown(&self, spec: crate::protocol::launch::LaunchSpec) -> Result<StoredSession, StoreError> {
        unimplemented!()
    }
    /// The session's program is about to be told to run.
    pub async fn start_session(&self, session: Uid, argv: Vec<String>, keeper_pid: u32) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// A session without a task has ended, or was lost (no record).
    pub async fn end_session(
        &self,
        session: Uid,
        state: SessionState,
        error: Option<String>,
        record: Option<ExitRecord>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Recordings have moved: (session uid, path, offset in a pack).
    pub async fn recordings_moved(&self, moved: Vec<(Uid, String, Option<u64>)>) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub async fn rename_session(&self, from: SessionName, to: SessionName) -> Result<(), StoreError> {
        unimplemented!()
    }

    // --- times ---
    /// The earliest moment a queued task waits for.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        unimplemented!()
    }
    /// Makes tasks whose moment has come claimable, in chunks.
    pub async fn release_due(&self, now: Timestamp) -> Result<(), StoreError> {
        unimplemented!()
    }

    // --- queue-wide switches, durable across restarts ---
    pub async fn set_preference(&self, name: &'static str, value: String) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub async fn preference(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        unimplemented!()
    }

    // --- reads, on the readers' threads ---
    pub async fn list(&self, query: ListQuery, limits: Limits) -> Result<TaskPage, StoreError> {
        unimplemented!()
    }
    pub async fn show(&self, task: TaskId, limits: Limits) -> Result<TaskDetail, StoreError> {
        unimplemented!()
    }
    pub async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        unimplemented!()
    }
    pub async fn events(&self, query: EventsQuery) -> Result<Vec<EventView>, StoreError> {
        unimplemented!()
    }
    pub async fn last_event(&self) -> Result<i64, StoreError> {
        unimplemented!()
    }
    pub async fn verify(&self) -> Result<VerifyReport, StoreError> {
        unimplemented!()
    }
    /// The tasks a selection means, in order of number; a number that does not exist is a
    /// fault.
    pub async fn select(&self, select: Select) -> Result<Vec<TaskId>, StoreError> {
        unimplemented!()
    }
    pub async fn sessions(&self, all: bool) -> Result<Vec<SessionView>, StoreError> {
        unimplemented!()
    }
    /// By session name, by attempt, or the current or last session of a task number.
    pub async fn session(&self, target: String) -> Result<SessionView, StoreError> {
        unimplemented!()
    }
    /// Sessions and attempts whose end is not stored.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        unimplemented!()
    }
    /// The lane of a task's directory; for tests and reasons.
    pub async fn lane(&self, task: TaskId) -> Result<LaneId, StoreError> {
        unimplemented!()
    }
}
