//! What a copy of the tasks elsewhere needs to follow this database: which history it is,
//! what has changed since a place in it, and every task as it stands.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row};

use super::events;
use super::failure::Failure;
use super::rows::{moment, uid, word, word_or_none};
use super::settings::meta;
use crate::clock::Timestamp;
use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::fault::Fault;
use crate::protocol::view::EventView;
use crate::task::{Mode, Outcome, Status};

/// Which database this is, and which life of it: a restore begins a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Made with the database, and never changed.
    pub install: Uid,
    /// Changed when entries of the history may have been lost.
    pub epoch: Uid,
}

/// A place in the history: an entry's number, and its hash, by which it is known that it is
/// the same history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// 0 before the first entry.
    pub seq: i64,
    /// In hexadecimal.
    pub hash: String,
}

/// A task as a copy shows it. What is in it changes only together with an entry of the
/// history about the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// Its number.
    pub id: TaskId,
    /// The last entry of the history about it.
    pub seq: i64,
    /// Its identity.
    pub uid: Uid,
    /// One line; often the beginning of its prompt.
    pub title: String,
    /// Where it is.
    pub state: Status,
    /// How its last attempt ended.
    pub outcome: Option<Outcome>,
    /// As a shell shows it.
    pub exit_code: Option<i32>,
    /// The current or last attempt.
    pub attempt: Option<AttemptId>,
    /// Its provider.
    pub provider: String,
    /// The model asked for.
    pub model: Option<String>,
    /// How the tool is run.
    pub mode: Mode,
    /// Its role.
    pub role: Option<String>,
    /// Where it works.
    pub dir: String,
    /// The tool's own sandbox is switched off.
    pub full_access: bool,
    /// -100 to 100.
    pub priority: i32,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// When its current or last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Attempts that have failed.
    pub error_count: u32,
    /// The task whose program has submitted it.
    pub parent: Option<TaskId>,
    /// In alphabetical order.
    pub labels: Vec<String>,
}

/// What has happened after a place in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Entries, oldest first.
    pub events: Vec<EventView>,
    /// The tasks that they are about, as they are now.
    pub rows: Vec<TaskRow>,
    /// The place of the last entry.
    pub to: Mark,
    /// The last entry there is now.
    pub head: i64,
}

/// Which database, and which life of it.
pub(super) fn lineage(conn: &Connection) -> Result<Lineage, Failure> {
    let read = |name| -> Result<Uid, Failure> {
        let value = meta(conn, name)?.and_then(|value| value.parse().ok());
        value.ok_or_else(|| Fault::internal(format!("the database does not say its {name}")).into())
    };
    Ok(Lineage { install: read("install")?, epoch: read("epoch")? })
}

/// The last place.
pub(super) fn head(conn: &Connection) -> rusqlite::Result<Mark> {
    let (seq, hash, _) = events::last(conn)?;
    Ok(Mark { seq, hash: events::hex(&hash) })
}

/// The place of an entry; `None` where there is none of this number.
pub(super) fn mark(conn: &Connection, seq: i64) -> rusqlite::Result<Option<Mark>> {
    Ok(events::hash_of(conn, seq)?.map(|hash| Mark { seq, hash: events::hex(&hash) }))
}

/// Up to `most` entries after a place; `None` when the place is not in this history.
pub(super) fn changes(conn: &Connection, after: &Mark, most: u32) -> Result<Option<Changes>, Failure> {
    if mark(conn, after.seq)?.as_ref() != Some(after) {
        return Ok(None);
    }
    let events = events::page(conn, None, after.seq, most)?;
    let tasks: BTreeSet<TaskId> = events.iter().filter_map(|event| event.task).collect();
    let rows = rows(conn, tasks)?;
    let to = events.last().map_or_else(|| after.clone(), |last| Mark { seq: last.seq, hash: last.hash.clone() });
    Ok(Some(Changes { rows, to, head: head(conn)?.seq, events }))
}

const COLUMNS: &str = "t.id, coalesce((SELECT max(seq) FROM events WHERE task = t.id), 0), t.uid, t.title, t.status,
     t.outcome, t.exit_code, t.attempt, l.provider, t.model, t.mode, t.role, l.dir, t.full_access, t.priority,
     t.created_at, t.updated_at, t.started_at, t.ended_at, t.error_count, t.parent,
     (SELECT group_concat(label, char(10)) FROM (SELECT label FROM labels WHERE task = t.id ORDER BY label))";

/// These tasks; one whose row is lost is left out.
pub(super) fn rows(conn: &Connection, tasks: impl IntoIterator<Item = TaskId>) -> Result<Vec<TaskRow>, Failure> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM tasks AS t JOIN lanes AS l ON l.id = t.lane WHERE t.id = ?1"
    ))?;
    let mut found = Vec::new();
    for task in tasks {
        found.extend(statement.query_row([task.0], row).optional()?);
    }
    Ok(found)
}

/// Up to `most` tasks with numbers above this one, in order.
pub(super) fn page(conn: &Connection, above: TaskId, most: u32) -> Result<Vec<TaskRow>, Failure> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM tasks AS t JOIN lanes AS l ON l.id = t.lane WHERE t.id > ?1 ORDER BY t.id LIMIT ?2"
    ))?;
    let rows = statement.query_map((above.0, most), row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn row(row: &Row<'_>) -> rusqlite::Result<TaskRow> {
    let id = TaskId(row.get(0)?);
    let attempt: u32 = row.get(7)?;
    let labels: Option<String> = row.get(21)?;
    Ok(TaskRow {
        id,
        seq: row.get(1)?,
        uid: uid(row, 2)?,
        title: row.get(3)?,
        state: word(row, 4)?,
        outcome: word_or_none(row, 5)?,
        exit_code: row.get(6)?,
        attempt: (attempt > 0).then_some(AttemptId { task: id, number: attempt }),
        provider: row.get(8)?,
        model: row.get(9)?,
        mode: word(row, 10)?,
        role: row.get(11)?,
        dir: row.get(12)?,
        full_access: row.get(13)?,
        priority: row.get(14)?,
        created_at: Timestamp(row.get(15)?),
        updated_at: Timestamp(row.get(16)?),
        started_at: moment(row, 17)?,
        ended_at: moment(row, 18)?,
        error_count: row.get(19)?,
        parent: row.get::<_, Option<i64>>(20)?.map(TaskId),
        labels: labels.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default(),
    })
}
