//! What follows from rows that have been put together, found out anew: nothing may wait for
//! something that has happened already.

use rusqlite::Connection;

use crate::id::TaskId;
use crate::store::tx::Tx;
use crate::store::{Failure, dependents, lanes};

/// Brings it all in order.
pub(super) fn mend(tx: &mut Tx<'_>) -> Result<(), Failure> {
    let waiting = numbers(
        tx.conn,
        "SELECT id FROM tasks AS t WHERE status IN ('queued', 'held')
            AND (unmet > 0 OR EXISTS (SELECT 1 FROM dependencies AS d WHERE d.task = t.id))",
    )?;
    for task in waiting {
        dependents::recheck(tx, TaskId(task))?;
    }
    tx.conn.execute("DELETE FROM rechecks", [])?;
    // Chunks whose tasks still wait for their release: it is begun again.
    tx.conn.execute(
        "UPDATE batch_chunks SET released = 0 WHERE released = 1 AND EXISTS (
             SELECT 1 FROM tasks AS t WHERE t.id >= first_task AND t.id < first_task + batch_chunks.tasks
                AND t.batch_open = 1)",
        [],
    )?;
    tx.conn.execute(
        "UPDATE batches SET released = 0
          WHERE EXISTS (SELECT 1 FROM batch_chunks AS c WHERE c.batch = batches.id AND c.released = 0)",
        [],
    )?;
    lanes::set_heads(tx.conn, None)?;
    lanes::count_waiting(tx.conn)?;
    Ok(())
}

/// The numbers that a query gives.
pub(super) fn numbers(conn: &Connection, query: &str) -> rusqlite::Result<Vec<i64>> {
    let mut statement = conn.prepare(query)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}
