//! The one thread that writes: what has queued up becomes one transaction, and nobody is
//! answered before its commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{Notify, OwnedSemaphorePermit, broadcast, oneshot};

use super::failure::Failure;
use super::log_room::LogRoom;
use super::tx::{Chain, Tx, Wakes};
use super::witness::{Head, Witness};
use super::{StoreError, chores, events, indexer, migrate};
use crate::clock::Timestamp;
use crate::crash;
use crate::id::Uid;
use crate::protocol::view::EventView;

/// Most jobs in one transaction. Twice as many as clients may be connected by default.
const MAX_JOBS: usize = 512;
/// Rows, as jobs estimate them, after which a transaction takes no more jobs: a chunk of a
/// batch. What another job may have to wait for, twice, besides the disk.
const MAX_ROWS: usize = 256;
/// Pages in the write-ahead log after which it is copied into the database: 4 MiB. Less
/// copies hot pages more often, more makes the copying longer, for which others wait.
const CHECKPOINT_PAGES: i32 = 1_024;
/// Before chores are tried again that failed, as on a full disk.
const CHORES_PAUSE: Duration = Duration::from_secs(5);
/// Text is indexed when nobody has asked for anything for this long…
const IDLE: Duration = Duration::from_millis(50);
/// …or, when there never is such a pause, this long after the last time.
const INDEX_AT_LEAST: Duration = Duration::from_secs(1);

/// What the writer is sent.
pub(super) enum Message {
    /// Something to do.
    Job(Box<dyn Job>),
    /// Commit, checkpoint, stop; the sender is dropped when it is done.
    Close(oneshot::Sender<()>),
}

/// Something to do in a transaction, and somebody who waits for its commit.
pub(super) trait Job: Send {
    /// About how many rows it writes.
    fn rows(&self) -> usize;
    /// Does it. Its result is kept until the end of the transaction is known.
    fn run(&mut self, tx: &mut Tx<'_>);
    /// Answers.
    fn answer(self: Box<Self>, end: &End);
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is durable.
    Committed,
    /// Nothing of it is stored.
    NotStored(String),
    /// Nobody can say.
    Unknown(String),
}

/// A [`Job`] made of a closure.
pub(super) struct Call<T, F> {
    pub rows: usize,
    pub work: Option<F>,
    pub result: Option<Result<T, Failure>>,
    pub reply: oneshot::Sender<Result<T, StoreError>>,
    /// A place in the writer's queue, free again when this is dropped.
    pub _place: OwnedSemaphorePermit,
}

impl<T: Send, F: FnOnce(&mut Tx<'_>) -> Result<T, Failure> + Send> Job for Call<T, F> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn run(&mut self, tx: &mut Tx<'_>) {
        self.result = self.work.take().map(|work| tx.savepoint(work));
    }

    fn answer(self: Box<Self>, end: &End) {
        let answer = match (end, self.result) {
            (End::Committed, Some(Ok(value))) => Ok(value),
            (End::Committed, Some(Err(failure))) => Err(failure.of_write()),
            (End::Committed, None) => Err(StoreError::NotStored("its transaction was given up".into())),
            // A refusal, too, may rest on what was not stored.
            (End::NotStored(why), _) => Err(StoreError::NotStored(why.clone())),
            (End::Unknown(why), _) => Err(StoreError::Unknown(why.clone())),
        };
        // Whoever asked may have left.
        let _ = self.reply.send(answer);
    }
}

/// The writer's state.
pub(super) struct Writer {
    pub path: PathBuf,
    /// `None` after an I/O error that reopening did not cure.
    pub conn: Option<Connection>,
    pub witness: Witness,
    pub epoch: Uid,
    pub chain: Chain,
    /// Time of the last event: the history's time never goes back.
    pub last_at: Timestamp,
    pub generation: Arc<AtomicU64>,
    pub feed: broadcast::Sender<Arc<EventView>>,
    pub queue_changed: Arc<Notify>,
    pub due_changed: Arc<Notify>,
    /// A transaction of which it is not known whether it is stored.
    pub doubt: Option<Pending>,
    /// Pages in the write-ahead log.
    pub wal_pages: Arc<AtomicI32>,
    pub log_room: LogRoom,
    pub wakes: Wakes,
}

/// What a transaction leaves to be done once it is known to be stored.
#[derive(Debug)]
pub(super) struct Pending {
    pub chain: Chain,
    now: Timestamp,
    generation: u64,
    events: Vec<EventView>,
    wakes: Wakes,
}

impl Writer {
    /// Works until it is told to stop or nobody is left to send anything.
    pub(super) fn run(mut self, jobs: &Receiver<Message>) {
        self.watch_log();
        self.log_room.keep(self.pages());
        let mut indexed = Instant::now();
        let mut closing = None;
        let mut idle = false;
        // When chores that failed are tried again.
        let mut chores_at = Instant::now();
        while closing.is_none() {
            let chores_due = self.wakes.chores && chores_at <= Instant::now();
            let message = if chores_due {
                match jobs.try_recv() {
                    Ok(message) => Some(message),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => break,
                }
            } else if self.wakes.index {
                // Once it is idle it goes on until somebody comes.
                match jobs.recv_timeout(if idle { Duration::ZERO } else { IDLE }) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            } else if self.wakes.chores {
                match jobs.recv_timeout(chores_at.saturating_duration_since(Instant::now())) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            } else {
                match jobs.recv() {
                    Ok(message) => Some(message),
                    Err(_) => break,
                }
            };
            idle = message.is_none() && !chores_due;
            match message {
                Some(Message::Job(job)) => closing = self.transact(job, jobs),
                Some(Message::Close(done)) => closing = Some(done),
                None => {}
            }
            if self.wakes.chores && chores_at <= Instant::now() {
                self.wakes.chores = self.chore(chores::run).unwrap_or_else(|| {
                    // A batch waits for them to be claimed.
                    chores_at = Instant::now() + CHORES_PAUSE;
                    true
                });
            }
            if self.wakes.index && (idle || indexed.elapsed() >= INDEX_AT_LEAST) {
                // Tried again with the next change: it is derived from what is stored.
                self.wakes.index = self.chore(indexer::run).unwrap_or(false);
                indexed = Instant::now();
            }
            if self.pages() >= CHECKPOINT_PAGES {
                self.checkpoint(CheckpointMode::PASSIVE);
            }
            self.log_room.keep(self.pages());
        }
        self.checkpoint(CheckpointMode::TRUNCATE);
        drop(self);
        drop(closing);
    }

    /// Runs `first` and what else is waiting as one transaction; what it finds in the
    /// queue that is not a job is given back.
    fn transact(&mut self, first: Box<dyn Job>, queue: &Receiver<Message>) -> Option<oneshot::Sender<()>> {
        let mut rows = first.rows();
        let mut jobs = vec![first];
        let mut closing = None;
        while jobs.len() < MAX_JOBS && rows < MAX_ROWS && closing.is_none() {
            match queue.try_recv() {
                Ok(Message::Job(job)) => {
                    rows += job.rows();
                    jobs.push(job);
                }
                Ok(Message::Close(done)) => closing = Some(done),
                Err(_) => break,
            }
        }
        let end = self.commit(jobs.len() == 1, |tx| {
            for job in &mut jobs {
                job.run(tx);
                if tx.conn.is_autocommit() {
                    break;
                }
            }
        });
        let (end, pending) = match end {
            Ok(((), pending)) => (End::Committed, Some(pending)),
            Err(end) => (end, None),
        };
        for job in jobs {
            job.answer(&end);
        }
        if let Some(pending) = pending {
            self.publish(pending);
        }
        closing
    }

    /// A piece of work nobody waits for: whether more of it is left; `None` when it failed.
    fn chore(&mut self, work: fn(&mut Tx<'_>) -> Result<bool, Failure>) -> Option<bool> {
        match self.commit(true, |tx| tx.savepoint(work)) {
            Ok((Ok(more), pending)) => {
                self.publish(pending);
                Some(more)
            }
            Ok((Err(failure), _)) => {
                tracing::error!(?failure, "a chore of the database failed");
                None
            }
            Err(end) => {
                tracing::error!(?end, "a chore of the database was not stored");
                None
            }
        }
    }

    /// One transaction, of a `lone` job or of several. When it is committed the witness has
    /// it too.
    pub(super) fn commit<T>(&mut self, lone: bool, body: impl FnOnce(&mut Tx<'_>) -> T) -> Result<(T, Pending), End> {
        if self.conn.is_none() {
            let found = self.reopen().map_err(|why| End::NotStored(format!("the database is not usable: {why}")))?;
            if let Some(pending) = found {
                self.publish(pending);
            }
        }
        let Some(conn) = &self.conn else {
            return Err(End::NotStored("the database is not open".into()));
        };
        run(conn, "BEGIN IMMEDIATE").map_err(|e| End::NotStored(e.to_string()))?;
        let clock = Timestamp::now();
        let mut tx = Tx {
            conn,
            now: clock.max(self.last_at),
            clock,
            head: self.chain,
            events: Vec::new(),
            wakes: Wakes::default(),
            generation: self.generation.load(Ordering::Acquire),
            lone,
            failed: false,
        };
        let value = body(&mut tx);
        if tx.failed && !conn.is_autocommit() {
            if let Err(error) = run(conn, "ROLLBACK") {
                self.conn = None;
                return Err(End::NotStored(error.to_string()));
            }
            return Ok((value, self.nothing()));
        }
        let pending = Pending {
            chain: tx.head,
            now: if tx.events.is_empty() { self.last_at } else { tx.now },
            generation: tx.generation,
            events: tx.events,
            wakes: tx.wakes,
        };
        if conn.is_autocommit() {
            // SQLite has rolled everything back by itself. What it says of the reason was
            // the answer to the job that met it; a new connection starts clean.
            self.conn = None;
            return Err(End::NotStored("the disk is full or failing".into()));
        }
        if !pending.events.is_empty() {
            crash::point("committing");
        }
        match run(conn, "COMMIT") {
            Ok(()) => {
                if !pending.events.is_empty() {
                    crash::point("committed");
                }
                self.stored(&pending);
                if !pending.events.is_empty() {
                    crash::point("witnessed");
                }
                Ok((value, pending))
            }
            Err(error) => {
                // Fails when SQLite has rolled back already.
                let _ = run(conn, "ROLLBACK");
                if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
                    self.settle(value, pending, &error)
                } else {
                    Err(End::NotStored(error.to_string()))
                }
            }
        }
    }

    /// After an input/output error at COMMIT the transaction may be stored or not. A new
    /// connection reads what is there; and what is there counts only once it has been
    /// written and flushed again, because the failed flush may have dropped it.
    fn settle<T>(&mut self, value: T, pending: Pending, error: &rusqlite::Error) -> Result<(T, Pending), End> {
        self.conn = None;
        let traceless = pending.events.is_empty();
        let target = pending.chain;
        self.doubt = Some(pending);
        match self.reopen() {
            Err(why) => Err(End::Unknown(format!("{error}, then {why}"))),
            Ok(_) if traceless => Err(End::Unknown(error.to_string())),
            Ok(Some(pending)) if self.chain == target => Ok((value, pending)),
            Ok(_) => Err(End::NotStored(error.to_string())),
        }
    }

    /// Opens the database again and compares its head with what it must be. Gives what
    /// was in doubt, if that turns out to be stored.
    pub(super) fn reopen(&mut self) -> Result<Option<Pending>, String> {
        let conn = migrate::connect(&self.path, true).map_err(|e| e.to_string())?;
        let (seq, hash, _) = events::last(&conn).map_err(|e| e.to_string())?;
        let is_at = |chain: &Chain| (chain.seq, chain.hash) == (seq, hash);
        let found = match self.doubt.take() {
            Some(pending) if is_at(&pending.chain) => Some(pending),
            doubt if is_at(&self.chain) => {
                drop(doubt);
                None
            }
            doubt => {
                self.doubt = doubt;
                return Err(format!(
                    "its history ends at {seq}, but {} was acknowledged; restart the daemon to have it examined",
                    self.chain.seq
                ));
            }
        };
        let flushed = conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE);
        if let Err(error) = flushed {
            self.doubt = found;
            return Err(error.to_string());
        }
        self.conn = Some(conn);
        self.log_room = LogRoom::of(&self.path);
        self.watch_log();
        if let Some(pending) = &found {
            self.stored(pending);
        }
        Ok(found)
    }

    /// Takes note of a commit, here and in the witness.
    fn stored(&mut self, pending: &Pending) {
        self.chain = pending.chain;
        self.last_at = pending.now;
        self.generation.store(pending.generation, Ordering::Release);
        let head = self.head();
        if let Err(error) = self.witness.write(&head) {
            // Behind is harmless; the next commit tries again.
            tracing::error!(%error, "the witness cannot be written");
        }
    }

    /// What a transaction leaves that has changed nothing.
    fn nothing(&self) -> Pending {
        Pending {
            chain: self.chain,
            now: self.last_at,
            generation: self.generation.load(Ordering::Acquire),
            events: Vec::new(),
            wakes: Wakes::default(),
        }
    }

    fn head(&self) -> Head {
        Head {
            epoch: self.epoch,
            seq: self.chain.seq,
            hash: self.chain.hash,
            generation: self.generation.load(Ordering::Acquire),
            highest_task: self.chain.highest_task,
        }
    }

    fn publish(&mut self, pending: Pending) {
        for event in pending.events {
            // Nobody may be listening.
            let _ = self.feed.send(Arc::new(event));
        }
        if pending.wakes.queue {
            self.queue_changed.notify_waiters();
        }
        if pending.wakes.due {
            self.due_changed.notify_waiters();
        }
        self.wakes.chores |= pending.wakes.chores;
        self.wakes.index |= pending.wakes.index;
    }

    /// Counts the log's pages, instead of SQLite copying it in the middle of a commit.
    fn watch_log(&mut self) {
        let pages = Arc::clone(&self.wal_pages);
        pages.store(0, Ordering::Relaxed);
        let Some(conn) = &mut self.conn else { return };
        let hook = move |_: &mut Wal, count: i32| {
            pages.store(count, Ordering::Relaxed);
            Ok(())
        };
        if let Err(error) = conn.wal_hook(Some(hook)) {
            tracing::warn!(%error, "the database's log cannot be watched");
        }
    }

    fn pages(&self) -> i32 {
        self.wal_pages.load(Ordering::Relaxed)
    }

    fn checkpoint(&mut self, mode: CheckpointMode) {
        let synced = self.witness.sync();
        self.wal_pages.store(0, Ordering::Relaxed);
        let copied = self.conn.as_ref().map(|conn| conn.wal_checkpoint_v2(None::<&str>, mode));
        if let Err(error) = synced {
            tracing::error!(%error, "the witness cannot be made durable");
        }
        if let Some(Err(error)) = copied {
            tracing::warn!(%error, "the database's log cannot be copied into it");
        }
    }
}

fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(|_| ())
}
