//! What is read. It shows everything that was acknowledged before it was asked.

use crate::id::TaskId;
use crate::protocol::reply::TaskPage;
use crate::protocol::request::{EventsQuery, ListQuery, Select};
use crate::protocol::view::{Brief, Count, EventView, TaskDetail, VerifyReport, WaitingCount};
use crate::queue::{LaneId, Limits};
use crate::store::{
    EndedCursor, EndedSince, EndedTask, Extent, FailedAttempt, FailedCursor, Store, StoreError, events, list, show,
    stats,
};

/// Events that one question of [`Store::verify`] checks: others get in between.
const VERIFY_CHUNK: u32 = 5_000;

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
        self.read(move |r| show::task(&r.conn, &r.state, &r.live_sessions, task, &limits)).await
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

    /// Up to `most` tasks that have ended after a place, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn ended(&self, after: EndedCursor, most: u32) -> Result<Vec<EndedTask>, StoreError> {
        self.read(move |r| stats::ended(&r.conn, after, most)).await
    }

    /// Up to `most` attempts after a place that did not succeed, and that nobody wanted to
    /// end, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn failures(&self, after: FailedCursor, most: u32) -> Result<Vec<FailedAttempt>, StoreError> {
        self.read(move |r| stats::failures(&r.conn, after, most)).await
    }

    /// What has ended after an entry of the history, by up to `most` entries.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn ended_since(&self, after: i64, most: u32) -> Result<EndedSince, StoreError> {
        self.read(move |r| stats::ended_since(&r.conn, after, most)).await
    }

    /// Queued tasks by reason. Costs what lanes somebody waits in cost, not tasks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn waiting(&self, limits: Limits) -> Result<Vec<WaitingCount>, StoreError> {
        self.read(move |r| stats::waiting(&r.conn, &limits)).await
    }

    /// How large the database is, in rows.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn extent(&self) -> Result<Extent, StoreError> {
        self.read(|r| stats::extent(&r.conn)).await
    }

    /// The lane of a task's directory; for tests and reasons.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn lane(&self, task: TaskId) -> Result<LaneId, StoreError> {
        self.read(move |r| show::lane(&r.conn, task)).await
    }
}
