//! What statistics are made of: tasks that have ended, and failed attempts, oldest first.

use rusqlite::{Connection, Row, params};

use super::failure::Failure;
use super::rows::{moment, word};
use crate::clock::Timestamp;
use crate::id::{AttemptId, TaskId};
use crate::task::{Outcome, Status};

/// A task that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedTask {
    /// Its number.
    pub id: TaskId,
    /// How it ended.
    pub state: Status,
    /// Its provider.
    pub provider: String,
    /// The model asked for.
    pub model: Option<String>,
    /// Its role.
    pub role: Option<String>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When its first attempt was claimed.
    pub claimed_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How long its attempts have run together, in milliseconds; `None` if none has.
    pub ran_ms: Option<i64>,
    /// How many attempts there were.
    pub attempts: u32,
}

/// Where the next page of ended tasks begins.
pub type EndedCursor = (Timestamp, TaskId);

/// Up to `most` tasks that have ended after a place.
pub(super) fn ended(conn: &Connection, after: EndedCursor, most: u32) -> Result<Vec<EndedTask>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT t.id, t.status, l.provider, t.model, t.role, t.created_at, t.ended_at, t.attempt,
                (SELECT min(claimed_at) FROM attempts WHERE task = t.id),
                (SELECT sum(max(ended_at - started_at, 0)) FROM attempts WHERE task = t.id)
           FROM tasks AS t INDEXED BY tasks_ended JOIN lanes AS l ON l.id = t.lane
          WHERE t.ended_at IS NOT NULL AND (t.ended_at, t.id) > (?1, ?2) ORDER BY t.ended_at, t.id LIMIT ?3",
    )?;
    let read = |row: &Row<'_>| {
        Ok(EndedTask {
            id: TaskId(row.get(0)?),
            state: word(row, 1)?,
            provider: row.get(2)?,
            model: row.get(3)?,
            role: row.get(4)?,
            created_at: Timestamp(row.get(5)?),
            ended_at: Timestamp(row.get(6)?),
            attempts: row.get(7)?,
            claimed_at: moment(row, 8)?,
            ran_ms: row.get(9)?,
        })
    };
    let rows = statement.query_map(params![after.0.0, after.1.0, most], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// An attempt that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Which.
    pub attempt: AttemptId,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
    /// In words.
    pub error: Option<String>,
}

/// The attempts of these tasks that did not succeed.
pub(super) fn failures(conn: &Connection, tasks: &[TaskId]) -> Result<Vec<FailedAttempt>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT number, outcome, ended_at, error FROM attempts
          WHERE task = ?1 AND outcome IS NOT NULL AND outcome <> 'succeeded' AND ended_at IS NOT NULL",
    )?;
    let mut found = Vec::new();
    for task in tasks {
        let read = |row: &Row<'_>| {
            Ok(FailedAttempt {
                attempt: AttemptId { task: *task, number: row.get(0)? },
                outcome: word(row, 1)?,
                at: Timestamp(row.get(2)?),
                error: row.get(3)?,
            })
        };
        found.extend(statement.query_map([task.0], read)?.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(found)
}

/// How large the database is, in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Tasks.
    pub tasks: i64,
    /// Sessions.
    pub sessions: i64,
    /// Bytes of the database, as it counts its pages.
    pub bytes: i64,
    /// Of these, bytes that are free.
    pub free_bytes: i64,
    /// Entries of the history that are not searched by the index yet.
    pub unindexed: i64,
}

/// How large the database is. Everything is read from counters and ends of indexes: nothing
/// is counted.
pub(super) fn extent(conn: &Connection) -> Result<Extent, Failure> {
    let number = |sql: &str| conn.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
    let page = number("SELECT page_size FROM pragma_page_size")?;
    Ok(Extent {
        tasks: number("SELECT sum(tasks) FROM counters")?,
        sessions: number("SELECT coalesce(max(id), 0) FROM sessions")?,
        bytes: number("SELECT page_count FROM pragma_page_count")? * page,
        free_bytes: number("SELECT freelist_count FROM pragma_freelist_count")? * page,
        unindexed: number("SELECT coalesce(max(seq), 0) FROM events")? - super::indexer::watermark(conn)?,
    })
}
