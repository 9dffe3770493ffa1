//! Rows as the types that clients see.

use std::str::FromStr;

use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension, Row};

use super::failure::Failure;
use crate::clock::{Span, Timestamp};
use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::fault::Fault;
use crate::protocol::view::TaskView;
use crate::queue::{self, LaneId, Limits, Usage, Waiting};
use crate::task::retry::Used;
use crate::task::{Dependency, Outcome, Policy, State, Status, When};

/// A word of ours in a column.
pub(super) fn word<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|_| unknown_word(column, text))
}

/// The same where the column may be empty.
pub(super) fn word_or_none<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(text) => text.parse().map(Some).map_err(|_| unknown_word(column, text)),
        None => Ok(None),
    }
}

fn unknown_word(column: usize, text: &str) -> rusqlite::Error {
    let problem = FromSqlError::Other(format!("'{text}' is none of the words that may stand here").into());
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(problem))
}

/// A JSON text of ours in a column.
pub(super) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

/// A unique id.
pub(super) fn uid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uid> {
    row.get(column).map(Uid::from_bytes)
}

/// A moment, where there is one.
pub(super) fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

/// A length of time in milliseconds, where there is one.
pub(super) fn span(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Span>> {
    let ms: Option<i64> = row.get(column)?;
    Ok(ms.map(|ms| Span(std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0)))))
}

/// A length of time as it is stored.
pub(super) fn millis(span: Span) -> i64 {
    i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX)
}

/// Nobody has this number.
pub(super) fn no_task(task: TaskId) -> Fault {
    Fault::not_found(format!("there is no task {task}")).hint("'autodev list --all' shows all tasks")
}

/// A range of numbers none of which is a task's.
pub(super) fn no_task_between(first: TaskId, last: TaskId) -> Fault {
    Fault::not_found(format!("there is no task from {first} to {last}")).hint("'autodev list --all' shows all tasks")
}

/// What is under way: a few rows, found by status.
pub(super) fn usage(conn: &Connection) -> rusqlite::Result<Usage> {
    let mut statement = conn.prepare_cached(
        "SELECT l.provider, t.lane FROM tasks AS t INDEXED BY tasks_status JOIN lanes AS l ON l.id = t.lane
          WHERE t.status IN ('starting', 'running', 'paused', 'completing')",
    )?;
    let mut rows = statement.query([])?;
    let mut usage = Usage::default();
    while let Some(row) = rows.next()? {
        usage.add(row.get_ref(0)?.as_str()?, LaneId(row.get(1)?));
    }
    Ok(usage)
}

/// What decides why a waiting task does not run.
#[derive(Debug)]
pub(super) struct Circumstances<'a> {
    pub limits: &'a Limits,
    pub usage: Usage,
    pub now: Timestamp,
}

impl<'a> Circumstances<'a> {
    /// As they are now.
    pub(super) fn now(conn: &Connection, limits: &'a Limits) -> rusqlite::Result<Self> {
        Ok(Circumstances { limits, usage: usage(conn)?, now: Timestamp::now() })
    }
}

/// The columns of a task `t` that [`state`] reads.
pub(super) const STATE: &str = "t.status, t.stop, t.outcome, t.attempt, t.resume, t.retries, t.on_interrupt, \
                                t.max_restarts, t.failures, t.restarts, t.restarts_since";
/// How many they are.
pub(super) const STATE_COLUMNS: usize = 11;

/// All that decides what may happen to a task: the columns [`STATE`], from `at` on.
pub(super) fn state(row: &Row<'_>, at: usize) -> rusqlite::Result<State> {
    Ok(State {
        status: word(row, at)?,
        stop: word_or_none(row, at + 1)?,
        outcome: word_or_none(row, at + 2)?,
        attempt: row.get(at + 3)?,
        resume: row.get(at + 4)?,
        policy: Policy { retries: row.get(at + 5)?, on_interrupt: word(row, at + 6)?, max_restarts: row.get(at + 7)? },
        used: Used { failures: row.get(at + 8)?, restarts: row.get(at + 9)?, since: moment(row, at + 10)? },
    })
}

/// One task; `text` says whether with its prompt and command.
pub(super) fn task(
    conn: &Connection,
    task: TaskId,
    circumstances: &Circumstances<'_>,
    text: bool,
) -> Result<TaskView, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT t.uid, t.title, t.role, t.status, t.stop, l.provider, t.model, t.mode, l.dir, t.full_access,
                t.priority, t.due_at, t.retries, t.timeout_ms, t.attempt, t.created_at, t.updated_at,
                t.started_at, t.ended_at, t.exit_code, t.outcome, t.last_error, t.error_count,
                t.lane, t.unmet, t.batch_open, t.backing_off, t.on_interrupt, t.max_restarts, t.restarts
           FROM tasks AS t JOIN lanes AS l ON l.id = t.lane WHERE t.id = ?1",
    )?;
    let found = statement
        .query_row([task.0], |row| {
            let attempt: u32 = row.get(14)?;
            let attempt = (attempt > 0).then_some(AttemptId { task, number: attempt });
            let view = TaskView {
                id: task,
                uid: uid(row, 0)?,
                title: row.get(1)?,
                description: String::new(),
                command: Vec::new(),
                role: row.get(2)?,
                state: word(row, 3)?,
                stopping: word_or_none(row, 4)?,
                reason: None,
                provider: row.get(5)?,
                model: row.get(6)?,
                mode: word(row, 7)?,
                dir: row.get(8)?,
                branch: None,
                commit_hash: None,
                full_access: row.get(9)?,
                acceptance: Vec::new(),
                priority: row.get(10)?,
                after: Vec::new(),
                due_at: moment(row, 11)?,
                retries: row.get(12)?,
                on_interrupt: word(row, 27)?,
                max_restarts: row.get(28)?,
                timeout: span(row, 13)?,
                attempt,
                session: attempt.map(AttemptId::session),
                created_at: Timestamp(row.get(15)?),
                updated_at: Timestamp(row.get(16)?),
                started_at: moment(row, 17)?,
                ended_at: moment(row, 18)?,
                exit_code: row.get(19)?,
                outcome: word_or_none(row, 20)?,
                last_error: row.get(21)?,
                error_count: row.get(22)?,
                labels: Vec::new(),
            };
            let waits = Waits {
                lane: LaneId(row.get(23)?),
                unmet: row.get::<_, i64>(24)? > 0,
                batch_open: row.get(25)?,
                backing_off: row.get(26)?,
                restarts: row.get(29)?,
            };
            Ok((view, waits))
        })
        .optional()?;
    let Some((mut view, waits)) = found else { return Err(no_task(task).into()) };
    view.labels = labels(conn, task)?;
    view.after = dependencies(conn, task)?.into_iter().map(|d| d.dependency).collect();
    view.reason = reason(conn, &view, &waits, circumstances)?;
    if text {
        let (description, command) = conn
            .prepare_cached("SELECT description, command FROM task_texts WHERE task = ?1")?
            .query_row([task.0], |row| Ok((row.get(0)?, json(row, 1)?)))?;
        (view.description, view.command) = (description, command);
    }
    Ok(view)
}

struct Waits {
    lane: LaneId,
    unmet: bool,
    batch_open: bool,
    backing_off: bool,
    restarts: u32,
}

fn reason(
    conn: &Connection,
    view: &TaskView,
    waits: &Waits,
    circumstances: &Circumstances<'_>,
) -> Result<Option<queue::Reason>, Failure> {
    if !matches!(view.state, Status::Queued | Status::Held) {
        return Ok(None);
    }
    let unmet = if waits.unmet {
        let all = dependencies(conn, view.id)?;
        all.into_iter().filter(|d| !d.met).map(|d| (d.dependency, d.status)).collect()
    } else {
        Vec::new()
    };
    let waiting = Waiting {
        status: view.state,
        provider: &view.provider,
        lane: waits.lane,
        unmet,
        batch_open: waits.batch_open,
        due_at: view.due_at,
        backing_off: waits.backing_off,
        interrupted: matches!(view.outcome, Some(Outcome::Lost | Outcome::Interrupted)),
        looping: waits.restarts > view.max_restarts,
        keyless: view.outcome == Some(Outcome::AuthNeeded),
    };
    Ok(queue::reason(&waiting, circumstances.limits, &circumstances.usage, circumstances.now))
}

/// A task's labels, in order.
pub(super) fn labels(conn: &Connection, task: TaskId) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare_cached("SELECT label FROM labels WHERE task = ?1 ORDER BY label")?;
    let rows = statement.query_map([task.0], |row| row.get(0))?;
    rows.collect()
}

/// A dependency as it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub dependency: Dependency,
    /// Counted as met.
    pub met: bool,
    /// The status of the task waited for.
    pub status: Status,
}

/// What a task waits for, or waited for.
pub(super) fn dependencies(conn: &Connection, task: TaskId) -> rusqlite::Result<Vec<Link>> {
    let mut statement = conn.prepare_cached(
        "SELECT d.parent, d.condition, d.met, p.status FROM dependencies AS d JOIN tasks AS p ON p.id = d.parent
          WHERE d.task = ?1 ORDER BY d.parent, d.condition",
    )?;
    let rows = statement.query_map([task.0], |row| {
        let when: When = word(row, 1)?;
        let dependency = Dependency { task: TaskId(row.get(0)?), when };
        Ok(Link { dependency, met: row.get(2)?, status: word(row, 3)? })
    })?;
    rows.collect()
}
