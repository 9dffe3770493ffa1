//! Small values that outlive the daemon: the generation and the queue-wide switches.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Failure;
use super::tx::Tx;

/// One value about the database itself.
pub(super) fn meta(conn: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    conn.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// Sets it.
pub(super) fn set_meta(conn: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
        [name, value],
    )?;
    Ok(())
}

/// Writes something, to see whether that is possible.
pub(super) fn try_out(tx: &Tx<'_>) -> rusqlite::Result<()> {
    set_meta(tx.conn, "tried_at", &tx.clock.0.to_string())
}

/// Goes above `above`; where it is above already, nothing changes.
pub(super) fn raise_generation(tx: &mut Tx<'_>, above: u64) -> Result<u64, Failure> {
    if tx.generation <= above {
        tx.generation = above.saturating_add(1);
        set_meta(tx.conn, "generation", &tx.generation.to_string())?;
    }
    Ok(tx.generation)
}

/// Sets a switch.
pub(super) fn set_preference(tx: &mut Tx<'_>, name: &str, value: &str) -> Result<(), Failure> {
    tx.conn
        .prepare_cached(
            "INSERT INTO preferences (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
        )?
        .execute(params![name, value])?;
    Ok(())
}

/// A switch, if it was ever set.
pub(super) fn preference(conn: &Connection, name: &str) -> Result<Option<String>, Failure> {
    let value = conn
        .prepare_cached("SELECT value FROM preferences WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(value)
}
