//! The history: appended to in one place, chained by hashes, checked from its start.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::rows::word_or_none;
use super::tx::Tx;
use crate::clock::Timestamp;
use crate::id::{AttemptId, TaskId};
use crate::protocol::view::EventView;
use crate::task::{Actor, Status};

/// The hash before the first event.
pub(super) const ORIGIN: [u8; 32] = [0; 32];

const COLUMNS: &str = "seq, at, task, attempt, kind, actor, status, detail, hash";

/// What is to be written down.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// About which task.
    pub task: Option<TaskId>,
    /// About which of its attempts.
    pub attempt: Option<u32>,
    /// What happened.
    pub kind: &'a str,
    /// Who caused it.
    pub actor: Actor,
    /// The task's status afterwards.
    pub status: Option<Status>,
    /// Typed details and hashes, never text that may have to be blanked.
    pub detail: serde_json::Value,
}

/// Appends `entry` at the time of the transaction.
pub(super) fn append(tx: &mut Tx<'_>, entry: Entry<'_>) -> Result<i64, Failure> {
    let stored = Stored {
        seq: tx.head.seq + 1,
        at: tx.now.0,
        task: entry.task.map(|t| t.0),
        attempt: entry.attempt.map(i64::from),
        kind: entry.kind.to_owned(),
        actor: entry.actor.name().to_owned(),
        status: entry.status.map(|s| s.name().to_owned()),
        detail: entry.detail.to_string(),
        hash: ORIGIN,
    };
    let hash = stored.chained(&tx.head.hash);
    tx.conn
        .prepare_cached(
            "INSERT INTO events (seq, at, task, attempt, kind, actor, status, detail, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            stored.seq,
            stored.at,
            stored.task,
            stored.attempt,
            stored.kind,
            stored.actor,
            stored.status,
            stored.detail,
            hash
        ])?;
    tx.head.seq = stored.seq;
    tx.head.hash = hash;
    tx.events.push(EventView {
        seq: stored.seq,
        at: tx.now,
        task: entry.task,
        attempt: entry.task.zip(entry.attempt).map(|(task, number)| AttemptId { task, number }),
        kind: stored.kind,
        actor: stored.actor,
        state: entry.status,
        detail: stored.detail,
        hash: hex(&hash),
    });
    Ok(stored.seq)
}

/// An event's row.
struct Stored {
    seq: i64,
    at: i64,
    task: Option<i64>,
    attempt: Option<i64>,
    kind: String,
    actor: String,
    status: Option<String>,
    detail: String,
    hash: [u8; 32],
}

impl Stored {
    fn of(row: &Row<'_>) -> rusqlite::Result<Stored> {
        Ok(Stored {
            seq: row.get(0)?,
            at: row.get(1)?,
            task: row.get(2)?,
            attempt: row.get(3)?,
            kind: row.get(4)?,
            actor: row.get(5)?,
            status: row.get(6)?,
            detail: row.get(7)?,
            hash: row.get(8)?,
        })
    }

    /// The hash it must have after one with hash `before`. Every field has its length in
    /// front, so that no two entries give the same bytes; an absent one has no bytes.
    fn chained(&self, before: &[u8; 32]) -> [u8; 32] {
        let mut sum = Sha256::new();
        sum.update(before);
        let mut field = |bytes: &[u8]| {
            sum.update((bytes.len() as u64).to_le_bytes());
            sum.update(bytes);
        };
        let number = |value: Option<i64>| value.map(i64::to_le_bytes);
        field(&self.seq.to_le_bytes());
        field(&self.at.to_le_bytes());
        field(number(self.task).as_ref().map_or(&[], |b| b));
        field(number(self.attempt).as_ref().map_or(&[], |b| b));
        field(self.kind.as_bytes());
        field(self.actor.as_bytes());
        field(self.status.as_deref().unwrap_or("").as_bytes());
        field(self.detail.as_bytes());
        sum.finalize().into()
    }
}

/// The last event: number, hash and time.
pub(super) fn last(conn: &Connection) -> rusqlite::Result<(i64, [u8; 32], Timestamp)> {
    let last = conn
        .query_row("SELECT seq, hash, at FROM events ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, Timestamp(row.get(2)?)))
        })
        .optional()?;
    Ok(last.unwrap_or((0, ORIGIN, Timestamp(0))))
}

/// The hash of one event.
pub(super) fn hash_of(conn: &Connection, seq: i64) -> rusqlite::Result<Option<[u8; 32]>> {
    if seq == 0 {
        return Ok(Some(ORIGIN));
    }
    conn.query_row("SELECT hash FROM events WHERE seq = ?1", [seq], |row| row.get(0)).optional()
}

/// An event that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub seq: i64,
    pub problem: String,
}

/// Events that are as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Good {
    /// The last of them, or where the check began.
    pub seq: i64,
    /// Its hash.
    pub hash: [u8; 32],
    /// How many there were.
    pub count: u32,
}

/// Checks up to `most` events after `seq`, whose hash is `hash`.
pub(super) fn check(conn: &Connection, seq: i64, hash: [u8; 32], most: u32) -> rusqlite::Result<Result<Good, Bad>> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2"))?;
    let mut rows = statement.query(params![seq, most])?;
    let mut good = Good { seq, hash, count: 0 };
    while let Some(row) = rows.next()? {
        let found = row.get(0)?;
        if found != good.seq + 1 {
            return Ok(Err(Bad { seq: good.seq + 1, problem: "it is missing".into() }));
        }
        let bad = |problem: &str| Ok(Err(Bad { seq: found, problem: problem.into() }));
        let Ok(stored) = Stored::of(row) else { return bad("it cannot be read") };
        if stored.chained(&good.hash) != stored.hash {
            return bad("its content does not fit its hash and the entry before");
        }
        good = Good { seq: found, hash: stored.hash, count: good.count + 1 };
    }
    Ok(Ok(good))
}

/// A page of events, of one task or of all.
pub(super) fn page(
    conn: &Connection,
    task: Option<TaskId>,
    after: i64,
    limit: u32,
) -> rusqlite::Result<Vec<EventView>> {
    let filter = if task.is_some() { "task = ?1 AND" } else { "?1 IS NULL AND" };
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM events WHERE {filter} seq > ?2 ORDER BY seq LIMIT ?3"))?;
    let rows = statement.query_map(params![task.map(|t| t.0), after, limit], |row| {
        let task: Option<i64> = row.get(2)?;
        let attempt: Option<u32> = row.get(3)?;
        let hash: [u8; 32] = row.get(8)?;
        Ok(EventView {
            seq: row.get(0)?,
            at: Timestamp(row.get(1)?),
            task: task.map(TaskId),
            attempt: task.zip(attempt).map(|(task, number)| AttemptId { task: TaskId(task), number }),
            kind: row.get(4)?,
            actor: row.get(5)?,
            state: word_or_none(row, 6)?,
            detail: row.get(7)?,
            hash: hex(&hash),
        })
    })?;
    rows.collect()
}

/// In hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash by which the history knows a text.
pub(super) fn text_hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
