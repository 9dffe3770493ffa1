//! Heads of lanes and what waits in them, found out anew. Triggers keep both; this is for when a row says what the
//! triggers cannot have written: after a restore, or when a page has been damaged.

use rusqlite::{Connection, params};

use crate::queue::LaneId;

/// Sets the head of a lane, or of all, to the ready task that goes first.
pub(super) fn set_heads(conn: &Connection, lane: Option<LaneId>) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE lanes SET (head_rank, head_task) =
             (SELECT t.rank, t.id FROM tasks AS t INDEXED BY tasks_ready
               WHERE t.lane = lanes.id AND t.ready = 1 ORDER BY t.rank, t.id LIMIT 1)
          WHERE ?1 IS NULL OR id = ?1",
    )?
    .execute(params![lane.map(|lane| lane.0)])?;
    Ok(())
}

/// Counts what waits, and for what, anew.
pub(super) fn count_waiting(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM waiting", [])?;
    conn.execute(
        "INSERT INTO waiting SELECT lane, cause, count(*) FROM tasks WHERE status = 'queued' GROUP BY lane, cause",
        [],
    )?;
    Ok(())
}
