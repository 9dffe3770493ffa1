//! Moments that tasks wait for.

use rusqlite::{Connection, params};

use super::failure::Failure;
use super::rows::moment;
use super::tx::Tx;
use crate::clock::Timestamp;
use crate::task::retry::LONGEST_BACKOFF;

/// Tasks released by one transaction.
pub(super) const CHUNK: usize = 250;

/// The earliest one. A wait before a repetition that is longer than any was made by a clock
/// that was wrong: it is over.
pub(super) fn next(conn: &Connection, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let absurd = conn
        .prepare_cached(
            "SELECT 1 FROM tasks INDEXED BY tasks_backing_off WHERE backing_off = 1 AND due_at > ?1 LIMIT 1",
        )?
        .exists([now.plus(LONGEST_BACKOFF).0])?;
    if absurd {
        return Ok(Some(now));
    }
    let next = conn
        .prepare_cached("SELECT min(due_at) FROM tasks WHERE due_at IS NOT NULL")?
        .query_row([], |row| moment(row, 0))?;
    Ok(next)
}

/// Takes the moment away from tasks for which it has come, the earliest first: `true`
/// when there may be more of them.
pub(super) fn release(tx: &mut Tx<'_>, now: Timestamp) -> Result<bool, Failure> {
    let released = tx
        .conn
        .prepare_cached(
            "UPDATE tasks SET due_at = NULL, backing_off = 0 WHERE id IN
                 (SELECT id FROM tasks WHERE due_at IS NOT NULL AND due_at <= ?1 ORDER BY due_at LIMIT ?2)
              OR id IN (SELECT id FROM tasks WHERE backing_off = 1 AND due_at > ?3 LIMIT ?2)",
        )?
        .execute(params![now.0, i64::try_from(CHUNK).unwrap_or(i64::MAX), now.plus(LONGEST_BACKOFF).0])?;
    tx.wakes.queue |= released > 0;
    Ok(released >= CHUNK)
}
