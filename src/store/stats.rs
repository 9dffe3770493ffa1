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

/// A row of [`ended`], without what its attempts say.
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
    let mut statement = conn.prepare_cached(
        "SELECT t.id, t.status, l.provider, t.model, t.role, t.created_at, t.ended_at, t.attempt
           FROM tasks AS t JOIN lanes AS l ON l.id = t.lane
          WHERE t.ended_at IS NOT NULL AND (t.ended_at, t.id) > (?1, ?2) ORDER BY t.ended_at, t.id LIMIT ?3",
    )?;
    let rows = statement.query_map(params![after.0.0, after.1.0, most], ended_task)?;
    let mut tasks = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    tasks.iter_mut().try_for_each(|task| add_attempts(conn, task))?;
    Ok(tasks)
}

/// How long an attempt `a` in a session `s` has run. What nobody has measured is the time
/// between begin and end, except where nobody knows when the end was.
const RAN: &str = "coalesce(s.ran_ms, CASE WHEN a.outcome NOT IN ('lost', 'unknown', 'interrupted')
                                       THEN max(a.ended_at - a.started_at, 0) END)";

/// Adds what the attempts of a task say together.
fn add_attempts(conn: &Connection, task: &mut EndedTask) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT min(a.claimed_at), sum({RAN}), sum(s.cpu_ms), max(s.peak_memory)
               FROM attempts AS a JOIN sessions AS s ON s.id = a.session WHERE a.task = ?1"
    ))?;
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

/// What has begun and ended after an entry of the history, as its entries say: it is the same
/// whenever it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedSince {
    /// Tasks: provider and state, each as often as it has ended.
    pub tasks: Vec<(String, Status)>,
    /// Attempts.
    pub attempts: Vec<EndedAttempt>,
    /// How long tasks had waited when their first attempt began, in milliseconds.
    pub waited_ms: Vec<i64>,
    /// The last entry that was looked at.
    pub to: i64,
    /// There are more.
    pub more: bool,
}

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedAttempt {
    /// Who ran it.
    pub provider: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it ran, in milliseconds, if that is known.
    pub ran_ms: Option<i64>,
    /// Processor time it has used, in milliseconds, if that is known.
    pub cpu_ms: Option<i64>,
}

/// What has begun and ended after an entry of the history, by up to `most` entries.
pub(super) fn ended_since(conn: &Connection, after: i64, most: u32) -> Result<EndedSince, Failure> {
    let mut found = EndedSince { to: after, ..EndedSince::default() };
    let mut entries = conn.prepare_cached(
        "SELECT seq, at, kind, task, attempt, status FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut attempts = conn.prepare_cached(&format!(
        "SELECT a.provider, a.outcome, {RAN}, s.cpu_ms
           FROM attempts AS a JOIN sessions AS s ON s.id = a.session WHERE a.task = ?1 AND a.number = ?2"
    ))?;
    let mut tasks = conn.prepare_cached(
        "SELECT l.provider, t.created_at FROM tasks AS t JOIN lanes AS l ON l.id = t.lane WHERE t.id = ?1",
    )?;
    let mut task_of = |task: Option<i64>| -> rusqlite::Result<Option<(String, i64)>> {
        tasks.query_row([task], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    let mut rows = entries.query(params![after, most])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        found.to = row.get(0)?;
        let (at, kind, task): (i64, String, Option<i64>) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let (attempt, state): (Option<u32>, Option<Status>) = (row.get(4)?, word_or_none(row, 5)?);
        match kind.as_str() {
            "claimed" if attempt == Some(1) => {
                found.waited_ms.extend(task_of(task)?.map(|(_, created_at)| at - created_at));
            }
            "ended" => {
                let read = |row: &Row<'_>| {
                    let outcome: Option<Outcome> = word_or_none(row, 1)?;
                    Ok((row.get(0)?, outcome, row.get(2)?, row.get(3)?))
                };
                let ended = attempts.query_row(params![task, attempt], read).optional()?;
                found.attempts.extend(ended.and_then(|(provider, outcome, ran_ms, cpu_ms)| {
                    Some(EndedAttempt { provider, outcome: outcome?, ran_ms, cpu_ms })
                }));
            }
            // With these a task comes to its end; what is said of it later does not bring it there.
            "settled" | "cancel_requested" | "kill_requested" => {
                let ended = state.filter(|state| state.is_final());
                if let Some((state, (provider, _))) = ended.zip(task_of(task)?) {
                    found.tasks.push((provider, state));
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
