//! What figures are made of: tasks that have ended, failed attempts, what waits and why.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::failure::Failure;
use super::rows::{moment, usage, word, word_or_none};
use crate::clock::Timestamp;
use crate::id::{AttemptId, TaskId};
use crate::protocol::view::WaitingCount;
use crate::queue::{self, LaneId, Limits, ReasonCode};
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
    /// Processor time of its attempts together, in milliseconds; `None` if not known of any.
    pub cpu_ms: Option<i64>,
    /// The most resident memory of one of them at a time, in bytes; `None` likewise.
    pub peak_memory: Option<i64>,
}

/// Where the next page of ended tasks begins.
pub type EndedCursor = (Timestamp, TaskId);

const ENDED: &str = "SELECT t.id, t.status, l.provider, t.model, t.role, t.created_at, t.ended_at, t.attempt
     FROM tasks AS t JOIN lanes AS l ON l.id = t.lane";

/// A row of [`ENDED`], without what its attempts say.
fn ended_task(row: &Row<'_>) -> rusqlite::Result<EndedTask> {
    Ok(EndedTask {
        id: TaskId(row.get(0)?),
        state: word(row, 1)?,
        provider: row.get(2)?,
        model: row.get(3)?,
        role: row.get(4)?,
        created_at: Timestamp(row.get(5)?),
        ended_at: Timestamp(row.get(6)?),
        attempts: row.get(7)?,
        claimed_at: None,
        ran_ms: None,
        cpu_ms: None,
        peak_memory: None,
    })
}

/// Up to `most` tasks that have ended after a place.
pub(super) fn ended(conn: &Connection, after: EndedCursor, most: u32) -> Result<Vec<EndedTask>, Failure> {
    let mut statement = conn.prepare_cached(&format!(
        "{ENDED} WHERE t.ended_at IS NOT NULL AND (t.ended_at, t.id) > (?1, ?2) ORDER BY t.ended_at, t.id LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![after.0.0, after.1.0, most], ended_task)?;
    let mut tasks = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    tasks.iter_mut().try_for_each(|task| add_attempts(conn, task))?;
    Ok(tasks)
}

/// Adds what the attempts of a task say together. A time that nobody has measured is that
/// between begin and end, except where nobody knows when the end was.
fn add_attempts(conn: &Connection, task: &mut EndedTask) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(
        "SELECT min(a.claimed_at),
                sum(coalesce(s.ran_ms, CASE WHEN a.outcome NOT IN ('lost', 'unknown', 'interrupted')
                                            THEN max(a.ended_at - a.started_at, 0) END)),
                sum(s.cpu_ms), max(s.peak_memory)
           FROM attempts AS a JOIN sessions AS s ON s.id = a.session WHERE a.task = ?1",
    )?;
    let read = |row: &Row<'_>| Ok((moment(row, 0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    (task.claimed_at, task.ran_ms, task.cpu_ms, task.peak_memory) = statement.query_row([task.id.0], read)?;
    Ok(())
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

/// Where the next page of failed attempts begins.
pub type FailedCursor = (Timestamp, AttemptId);

/// Up to `most` attempts after a place that did not succeed, and that nobody wanted to end.
pub(super) fn failures(conn: &Connection, after: FailedCursor, most: u32) -> Result<Vec<FailedAttempt>, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT task, number, outcome, ended_at, error FROM attempts INDEXED BY attempts_failed
          WHERE ended_at IS NOT NULL AND outcome NOT IN ('succeeded', 'killed') AND (ended_at, task, number) > (?1, ?2, ?3)
          ORDER BY ended_at, task, number LIMIT ?4",
    )?;
    let read = |row: &Row<'_>| {
        Ok(FailedAttempt {
            attempt: AttemptId { task: TaskId(row.get(0)?), number: row.get(1)? },
            outcome: word(row, 2)?,
            at: Timestamp(row.get(3)?),
            error: row.get(4)?,
        })
    };
    let (at, attempt) = after;
    let rows = statement.query_map(params![at.0, attempt.task.0, attempt.number, most], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What has ended after an entry of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSince {
    /// Tasks, each as often as it has ended.
    pub tasks: Vec<EndedTask>,
    /// Attempts: provider and outcome.
    pub attempts: Vec<(String, Outcome)>,
    /// The last entry that was looked at.
    pub to: i64,
    /// There are more.
    pub more: bool,
}

/// What has ended after an entry of the history, by up to `most` entries.
pub(super) fn ended_since(conn: &Connection, after: i64, most: u32) -> Result<EndedSince, Failure> {
    let mut found = EndedSince { tasks: Vec::new(), attempts: Vec::new(), to: after, more: false };
    let mut entries = conn
        .prepare_cached("SELECT seq, kind, task, attempt, status FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut attempts = conn.prepare_cached("SELECT provider, outcome FROM attempts WHERE task = ?1 AND number = ?2")?;
    let mut tasks = conn.prepare_cached(&format!("{ENDED} WHERE t.id = ?1 AND t.ended_at IS NOT NULL"))?;
    let mut rows = entries.query(params![after, most])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        found.to = row.get(0)?;
        let (kind, task): (String, Option<i64>) = (row.get(1)?, row.get(2)?);
        let state: Option<Status> = word_or_none(row, 4)?;
        match kind.as_str() {
            "ended" => {
                let read = |row: &Row<'_>| Ok((row.get(0)?, word_or_none(row, 1)?));
                let attempt: Option<(String, Option<Outcome>)> =
                    attempts.query_row(params![task, row.get::<_, Option<u32>>(3)?], read).optional()?;
                found.attempts.extend(attempt.and_then(|(provider, outcome)| Some((provider, outcome?))));
            }
            // With these a task may have come to its end; later entries do not bring it there.
            "settled" | "cancel_requested" | "kill_requested" if state.is_some_and(|state| state.is_final()) => {
                if let Some(mut task) = tasks.query_row([task], ended_task).optional()? {
                    add_attempts(conn, &mut task)?;
                    found.tasks.push(task);
                }
            }
            _ => {}
        }
    }
    found.more = count == most;
    Ok(found)
}

/// How large the database is, in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Tasks.
    pub tasks: i64,
    /// Sessions, those of attempts included.
    pub sessions: i64,
    /// Notes, questions and files kept.
    pub said: i64,
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
        said: number(
            "SELECT (SELECT coalesce(max(id), 0) FROM notes) + (SELECT coalesce(max(id), 0) FROM requests)
                  + (SELECT coalesce(max(id), 0) FROM outputs)",
        )?,
        bytes: number("SELECT page_count FROM pragma_page_count")? * page,
        free_bytes: number("SELECT freelist_count FROM pragma_freelist_count")? * page,
        unindexed: number("SELECT coalesce(max(seq), 0) FROM events")? - super::indexer::watermark(conn)?,
    })
}

/// Queued tasks by reason, as the limits are and as what is under way leaves room.
pub(super) fn waiting(conn: &Connection, limits: &Limits) -> Result<Vec<WaitingCount>, Failure> {
    let usage = usage(conn)?;
    let mut statement = conn.prepare_cached(
        "SELECT l.id, l.provider, w.cause, w.tasks
           FROM waiting AS w INDEXED BY waiting_some JOIN lanes AS l ON l.id = w.lane WHERE w.tasks > 0",
    )?;
    let mut rows = statement.query([])?;
    let mut counts: Vec<WaitingCount> = Vec::new();
    while let Some(row) = rows.next()? {
        let (lane, provider, cause): (_, String, String) = (LaneId(row.get(0)?), row.get(1)?, row.get(2)?);
        let reason = match cause.as_str() {
            "dependency" => ReasonCode::Dependency,
            "begin" => ReasonCode::Begin,
            "backoff" => ReasonCode::Backoff,
            _ => queue::reason_of_ready(limits, &usage, &provider, lane),
        };
        let tasks = u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
        match counts.iter_mut().find(|count| count.reason == reason) {
            Some(count) => count.tasks += tasks,
            None => counts.push(WaitingCount { reason, tasks }),
        }
    }
    counts.sort_by_key(|count| std::cmp::Reverse(count.tasks));
    Ok(counts)
}
