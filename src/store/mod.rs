//! The database: one writer thread that commits what has queued up as one transaction,
//! a few readers, and the witness beside it. Nothing is acknowledged before its commit.
//!
//! A write is a closure that the writer runs inside a transaction, a read is a closure
//! that a reader runs on its own connection; `calls` is the list of both.

mod apply;
mod backup;
mod batch;
mod calls;
mod chores;
mod claim;
mod dependents;
mod due;
mod edit;
mod events;
mod failure;
mod filter;
mod findings;
mod follow;
mod glance;
mod indexer;
mod inside;
mod lanes;
mod list;
mod log_room;
mod migrate;
mod open;
mod readers;
mod restore;
mod rows;
mod search;
mod sessions;
mod settings;
mod show;
mod stats;
mod submit;
mod texts;
mod tx;
mod witness;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use tokio::sync::{Notify, Semaphore, broadcast, oneshot};

use crate::clock::Timestamp;
use crate::id::{AttemptId, SessionName, TaskId, Uid};
use crate::paths::Paths;
use crate::protocol::exit::ExitRecord;
use crate::protocol::fault::Fault;
use crate::protocol::view::EventView;
use crate::task::{Effect, Mode, Outcome, State, Status, TaskSpec};

pub use backup::{Backup, BackupError, back_up, backups, check_backup, prune};
pub use findings::RecordingPlace;
pub use follow::{Changes, Lineage, Mark, TaskRow};
pub use glance::Glance;
pub use inside::NewOutput;
pub use restore::{RestoreError, Restored, Wanted, restore};
pub use stats::{EndedAttempt, EndedCursor, EndedSince, EndedTask, Extent, FailedAttempt, FailedCursor};

use failure::Failure;
use readers::{Ask, Question, Reader};
use tx::Tx;
use writer::{Call, Message};

/// Jobs that may wait for the writer, and questions that may wait for the readers; who
/// comes after that waits for a place. Several for each client that may be connected.
const QUEUE: usize = 1_024;
/// Events that a receiver of the feed may be behind before it has to read them.
const FEED: usize = 1_024;
/// Rows that a job writes when it does not say: a task and what comes with it.
const FEW_ROWS: usize = 1;

/// A handle on the database; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: mpsc::Sender<Message>,
    questions: crossbeam_channel::Sender<Box<dyn Question>>,
    job_places: Arc<Semaphore>,
    question_places: Arc<Semaphore>,
    generation: Arc<AtomicU64>,
    feed: broadcast::Sender<Arc<EventView>>,
    queue_changed: Arc<Notify>,
    due_changed: Arc<Notify>,
    thread_ended: Arc<Notify>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("generation", &self.generation()).finish_non_exhaustive()
    }
}

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

/// What became of each of several tasks, in the order they were given.
pub type AppliedEach = Vec<(TaskId, Result<Applied, StoreError>)>;

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
    /// The conversation it is to go on with, where one is known.
    pub conversation: Option<String>,
    /// Another task's program has submitted it.
    pub is_child: bool,
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

/// Where a session's recording is now, for [`Store::recordings_moved`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingMove {
    /// The session.
    pub session: Uid,
    /// A directory or a pack; `None` when nothing is kept.
    pub path: Option<String>,
    /// Where in the pack.
    pub offset: Option<u64>,
    /// It is not what its keeper had written: some of it was lost with the power. The
    /// keeper's hash is not that of what is kept.
    pub changed: bool,
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

/// What is started for an attempt, for [`Store::start_attempt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptStart {
    /// The argument vector as it may be shown.
    pub argv: Vec<String>,
    /// The keeper's process, where it is known.
    pub keeper_pid: Option<u32>,
    /// Columns and rows.
    pub size: (u16, u16),
    /// The tool's name for its conversation, where it is known beforehand.
    pub conversation: Option<String>,
    /// It goes on with a conversation.
    pub resumed: bool,
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
    /// The tool's name for its conversation, where its output says so.
    pub conversation: Option<String>,
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
    /// All that decides what becomes of its task.
    pub state: Option<State>,
    /// An order to end its task is out, and it is `kill` or `cancel`.
    pub stop: Option<crate::task::Stop>,
    /// `Started` was committed.
    pub started: bool,
    /// The task's time limit.
    pub timeout: Option<crate::clock::Span>,
    /// When the program was started; later by as long as it has been paused.
    pub started_at: Option<Timestamp>,
}

/// Why a write or read did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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

/// Writes are durable when their future is ready; a future that is dropped does not take
/// its write back.
///
/// All of them fail with [`StoreError::Fault`] for what is wrong with the request,
/// [`StoreError::NotStored`] when nothing is stored and [`StoreError::Unknown`] when that
/// cannot be said.
impl Store {
    /// Opens the instance's database, making it in a fresh state directory, bringing an
    /// older schema up to date, and checking the tail of the history against the witness.
    /// The generation afterwards is one more than the highest of the database, the witness
    /// and `seen`. Only for who holds the instance's lock.
    ///
    /// # Errors
    /// [`OpenError`], with nothing changed.
    pub fn open(paths: &Paths, seen: u64) -> Result<Store, OpenError> {
        open::open(paths, seen)
    }

    /// This start's generation.
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Acquire)
    }

    /// A keeper has named a higher generation: goes above it, durably, and says where it
    /// is now.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn raise_generation(&self, above: u64) -> Result<u64, StoreError> {
        self.write(FEW_ROWS, move |tx| settings::raise_generation(tx, above)).await
    }

    /// Every committed event, in order. A slow receiver lags and reads the gap by `events`.
    pub fn feed(&self) -> broadcast::Receiver<Arc<EventView>> {
        self.inner.feed.subscribe()
    }

    /// Notifies all who wait whenever a commit may have made a task claimable or freed a
    /// slot. Who must not miss one enables its wait before it looks.
    pub fn queue_changed(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.queue_changed)
    }

    /// The same for a commit that may have changed which moment is the next that a task
    /// waits for.
    pub fn due_changed(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.due_changed)
    }

    /// Waits until one of the threads has ended that write and read: by [`Store::close`], or
    /// because it failed, and then the store is of no more use.
    pub async fn thread_ended(&self) {
        self.inner.thread_ended.notified().await;
    }

    /// Commits what is queued, checkpoints, and stops the writer. Later writes fail.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.inner.jobs.send(Message::Close(done)).is_ok() {
            // Dropped, not sent, when the writer has let go of the files.
            let _ = closed.await;
        }
    }

    async fn write<T, F>(&self, rows: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let closed = || StoreError::NotStored("the database is closed".into());
        let place = Arc::clone(&self.inner.job_places).acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let call = Call { rows, work: Some(work), result: None, reply, _place: place };
        self.inner.jobs.send(Message::Job(Box::new(call))).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Reader) -> Result<T, Failure> + Send + 'static,
    {
        let closed = || StoreError::Fault(Fault::internal("the database cannot be read: its readers have ended"));
        let place = Arc::clone(&self.inner.question_places).acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        self.inner.questions.send(Box::new(Ask { work, reply, _place: place })).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}
