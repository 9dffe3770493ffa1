//! The database: one writer thread that commits what has queued up as one transaction,
//! a few readers, and the witness beside it. Nothing is acknowledged before its commit.
//!
//! A write is a closure that the writer runs inside a transaction, a read is a closure
//! that a reader runs on its own connection; this file is the list of both.

mod apply;
mod batch;
mod chores;
mod claim;
mod dependents;
mod due;
mod edit;
mod events;
mod failure;
mod filter;
mod indexer;
mod list;
mod log_room;
mod migrate;
mod open;
mod readers;
mod rows;
mod search;
mod sessions;
mod settings;
mod show;
mod submit;
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
use crate::protocol::reply::{BatchStored, Submitted, TaskPage};
use crate::protocol::request::{Edit, EventsQuery, ListQuery, Select, Submit, SubmitChunk};
use crate::protocol::view::{Brief, Count, EventView, SessionState, SessionView, TaskDetail, VerifyReport};
use crate::queue::{LaneId, Limits};
use crate::task::{Actor, Effect, Event, Mode, Outcome, Status, TaskSpec};

use failure::Failure;
use readers::{Ask, Question, Reader};
use tx::Tx;
use writer::{Call, Message};

/// Jobs that may wait for the writer, and questions that may wait for the readers; who
/// comes after that waits for a place. Several for each client that may be connected.
const QUEUE: usize = 1_024;
/// Events that a receiver of the feed may be behind before it has to read them.
const FEED: usize = 1_024;
/// Tasks that one job of [`Store::apply_all`] changes: others get in between.
const APPLY_CHUNK: usize = 100;
/// Events that one question of [`Store::verify`] checks: others get in between.
const VERIFY_CHUNK: u32 = 5_000;
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

/// Tasks.
impl Store {
    /// Stores a task, or finds the one stored before under the same key.
    ///
    /// # Errors
    /// `Conflict` when the key was used for other content, `NotFound` when a task in
    /// `after` does not exist.
    pub async fn submit(&self, submit: Submit) -> Result<Submitted, StoreError> {
        self.write(FEW_ROWS, move |tx| submit::submit(tx, &submit)).await
    }

    /// Stores a chunk of a batch, or finds it stored. With the last chunk the tasks become
    /// claimable, some hundred at a time.
    ///
    /// # Errors
    /// `Conflict` when the key or the chunk's place was used for other content, or chunks
    /// before it are missing; `Usage` when a task waits for one that does not stand before
    /// it.
    pub async fn submit_chunk(&self, chunk: SubmitChunk) -> Result<BatchStored, StoreError> {
        self.write(chunk.tasks.len(), move |tx| batch::store(tx, &chunk)).await
    }

    /// Stores a new task like one that has ended.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it has not ended or the key was used for something
    /// else.
    pub async fn resubmit(&self, task: TaskId, key: String) -> Result<Submitted, StoreError> {
        self.write(FEW_ROWS, move |tx| submit::resubmit(tx, task, &key)).await
    }

    /// Changes a task that waits.
    ///
    /// # Errors
    /// `NotFound` for the task or one it is to wait for, `Conflict` when it does not wait
    /// or would wait for itself; what `check` says of the task as it would be.
    pub async fn edit(
        &self,
        edit: Edit,
        check: impl FnOnce(&TaskSpec) -> Result<(), Fault> + Send + 'static,
    ) -> Result<Applied, StoreError> {
        let change = move |tx: &mut Tx<'_>| {
            let applied = edit::edit(tx, &edit)?;
            check(&submit::spec(tx, edit.task)?)?;
            Ok(applied)
        };
        self.write(FEW_ROWS, change).await
    }

    /// Gives a task that has not ended another place in the queue.
    ///
    /// # Errors
    /// `NotFound`; [`StoreError::Refused`] when it has ended.
    pub async fn set_priority(&self, task: TaskId, priority: i32) -> Result<Applied, StoreError> {
        self.write(FEW_ROWS, move |tx| edit::set_priority(tx, task, priority)).await
    }

    /// One event on one task, decided by `task::step`.
    ///
    /// # Errors
    /// `NotFound`; [`StoreError::Refused`] when the event cannot happen to it.
    pub async fn apply(&self, task: TaskId, event: Event, actor: Actor) -> Result<Applied, StoreError> {
        self.write(FEW_ROWS, move |tx| apply::apply(tx, task, &event, actor)).await
    }

    /// The same event on many tasks, in chunks between which others get in.
    pub async fn apply_all(&self, tasks: Vec<TaskId>, event: Event, actor: Actor) -> AppliedEach {
        let mut results = Vec::with_capacity(tasks.len());
        for chunk in tasks.chunks(APPLY_CHUNK) {
            let (part, event) = (chunk.to_vec(), event.clone());
            match self.write(part.len(), move |tx| apply::apply_each(tx, &part, &event, actor)).await {
                Ok(done) => results.extend(done),
                Err(error) => results.extend(chunk.iter().map(|task| (*task, Err(error.clone())))),
            }
        }
        results
    }

    /// Claims up to `most` tasks that `queue::admit` lets start, in the order of the queue,
    /// in one transaction: attempt and session rows, `Claimed` events.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn claim(&self, limits: Limits, most: usize) -> Result<Vec<Claim>, StoreError> {
        self.write(most.max(FEW_ROWS), move |tx| claim::claim(tx, &limits, most)).await
    }

    /// `Started`, with the argument vector and the keeper's and session's columns.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the attempt is not the current one, or an order to end
    /// it is out.
    pub async fn start_attempt(
        &self,
        attempt: AttemptId,
        argv: Vec<String>,
        keeper_pid: u32,
        size: (u16, u16),
    ) -> Result<Applied, StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::start_attempt(tx, attempt, &argv, keeper_pid, size)).await
    }

    /// `Ended` and, as nothing has to be collected, `Settled`, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the attempt is not the current one or has ended.
    pub async fn end_attempt(&self, attempt: AttemptId, end: AttemptEnd) -> Result<Applied, StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::end_attempt(tx, attempt, end)).await
    }
}

/// Sessions.
impl Store {
    /// Stores a session without a task.
    ///
    /// # Errors
    /// `Conflict` when a live session has the name, `Usage` when it looks like a task's.
    pub async fn new_session(&self, session: NewSession) -> Result<StoredSession, StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::new_session(tx, &session)).await
    }

    /// A session found running whose row is missing: stored under its own name, or
    /// `unknown-N` if that is taken or is an attempt's.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn adopt_unknown(&self, spec: crate::protocol::launch::LaunchSpec) -> Result<StoredSession, StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::adopt_unknown(tx, &spec)).await
    }

    /// The session's program is about to be told to run.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it has ended or is a task's.
    pub async fn start_session(&self, session: Uid, argv: Vec<String>, keeper_pid: u32) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::start(tx, session, &argv, keeper_pid)).await
    }

    /// A session without a task has ended, or was lost (no record). Saying it again
    /// changes nothing.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it is a task's.
    pub async fn end_session(
        &self,
        session: Uid,
        state: SessionState,
        error: Option<String>,
        record: Option<ExitRecord>,
    ) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::end(tx, session, state, error.as_deref(), record.as_ref())).await
    }

    /// Recordings have moved: (session uid, path, offset in a pack).
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn recordings_moved(&self, moved: Vec<(Uid, String, Option<u64>)>) -> Result<(), StoreError> {
        self.write(moved.len(), move |tx| sessions::recordings_moved(tx, &moved)).await
    }

    /// Gives a session without a task another name.
    ///
    /// # Errors
    /// As [`Self::new_session`], and `NotFound`.
    pub async fn rename_session(&self, from: SessionName, to: SessionName) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::rename(tx, &from, &to)).await
    }

    /// The newest `limit` sessions that have not ended, or with `all` of all, older than
    /// `before`; oldest first.
    ///
    /// # Errors
    /// `NotFound` without a session `before`; when the database cannot be read.
    pub async fn sessions(&self, all: bool, before: Option<Uid>, limit: u32) -> Result<Vec<SessionView>, StoreError> {
        self.read(move |r| show::sessions(&r.conn, &r.live_sessions, all, before, limit)).await
    }

    /// By session name, by attempt, or the current or last session of a task number.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn session(&self, target: String) -> Result<SessionView, StoreError> {
        self.read(move |r| show::session(&r.conn, &r.live_sessions, &target)).await
    }

    /// A session by its identity, whatever it is called now.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn session_of(&self, session: Uid) -> Result<SessionView, StoreError> {
        self.read(move |r| show::session_of(&r.conn, &r.live_sessions, session)).await
    }

    /// Whether there is a session of this identity.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn has_session(&self, session: Uid) -> Result<bool, StoreError> {
        self.read(move |r| Ok(show::has_session(&r.conn, session)?)).await
    }

    /// Sessions and attempts whose end is not stored.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        self.read(|r| show::unfinished(&r.conn)).await
    }
}

/// Times and switches.
impl Store {
    /// The earliest moment a queued task waits for.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|r| due::next(&r.conn)).await
    }

    /// Makes tasks whose moment has come claimable, in chunks.
    ///
    /// # Errors
    /// When it is not stored; what was released before stays so.
    pub async fn release_due(&self, now: Timestamp) -> Result<(), StoreError> {
        while self.write(due::CHUNK, move |tx| due::release(tx, now)).await? {}
        Ok(())
    }

    /// Sets a queue-wide switch, which outlives the daemon.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn set_preference(&self, name: &'static str, value: String) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| settings::set_preference(tx, name, &value)).await
    }

    /// A queue-wide switch, if it was ever set.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn preference(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        self.read(move |r| settings::preference(&r.conn, name)).await
    }
}

/// Reads. They see everything that was acknowledged before they were asked.
impl Store {
    /// A page of tasks, with the reason of each that waits.
    ///
    /// # Errors
    /// `Usage` for a cursor of another list, or a search without a word.
    pub async fn list(&self, query: ListQuery, limits: Limits) -> Result<TaskPage, StoreError> {
        self.read(move |r| list::page(&mut r.conn, &query, &limits)).await
    }

    /// One task with its attempts.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn show(&self, task: TaskId, limits: Limits) -> Result<TaskDetail, StoreError> {
        self.read(move |r| show::task(&r.conn, &r.live_sessions, task, &limits)).await
    }

    /// How these tasks stand, in the order asked for; numbers without a task are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn briefs(&self, tasks: Vec<TaskId>) -> Result<Vec<Brief>, StoreError> {
        self.read(move |r| show::briefs(&r.conn, &tasks)).await
    }

    /// Tasks by status, every status.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        self.read(|r| show::counts(&r.conn)).await
    }

    /// A page of the history.
    ///
    /// # Errors
    /// `NotFound` for a task that does not exist.
    pub async fn events(&self, query: EventsQuery) -> Result<Vec<EventView>, StoreError> {
        self.read(move |r| {
            if let Some(task) = query.task {
                show::must_exist(&r.conn, task)?;
            }
            let limit = query.limit.clamp(1, ListQuery::MAX_LIMIT);
            Ok(events::page(&r.conn, query.task, query.after, limit)?)
        })
        .await
    }

    /// Number of the last event; 0 before the first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_event(&self) -> Result<i64, StoreError> {
        self.read(|r| Ok(events::last(&r.conn)?.0)).await
    }

    /// Checks the whole history from its start, in parts between which others are
    /// answered.
    ///
    /// # Errors
    /// When the database cannot be read. An entry that is not as it was written is in the
    /// report.
    pub async fn verify(&self) -> Result<VerifyReport, StoreError> {
        let (mut seq, mut hash, mut checked) = (0, events::ORIGIN, 0);
        loop {
            let part = self.read(move |r| Ok(events::check(&r.conn, seq, hash, VERIFY_CHUNK)?)).await?;
            match part {
                Ok(good) => {
                    (seq, hash, checked) = (good.seq, good.hash, checked + u64::from(good.count));
                    if good.count < VERIFY_CHUNK {
                        let head = events::hex(&hash);
                        return Ok(VerifyReport { events: checked, head, first_bad: None, problem: None });
                    }
                }
                Err(bad) => {
                    return Ok(VerifyReport {
                        events: u64::try_from(bad.seq - 1).unwrap_or(0),
                        head: events::hex(&hash),
                        first_bad: Some(bad.seq),
                        problem: Some(bad.problem),
                    });
                }
            }
        }
    }

    /// The tasks a selection means, in order of number; a number that does not exist is a
    /// fault.
    ///
    /// # Errors
    /// `NotFound`; `Limit` when a search in the selection finds too many.
    pub async fn select(&self, select: Select) -> Result<Vec<TaskId>, StoreError> {
        self.read(move |r| list::select(&mut r.conn, &select)).await
    }

    /// The lane of a task's directory; for tests and reasons.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn lane(&self, task: TaskId) -> Result<LaneId, StoreError> {
        self.read(move |r| show::lane(&r.conn, task)).await
    }
}
