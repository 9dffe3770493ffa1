//! Connections as all of them are set up, and the schema, numbered step by step.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// `adev` in the database's header: says whose file this is.
pub(super) const APPLICATION_ID: i32 = 0x6164_6576;

/// The steps; a database has taken as many as its `user_version` says. Never edited once
/// released.
const STEPS: &[&str] = &[
    include_str!("../../schema/0001_init.sql"),
    include_str!("../../schema/0002_recovery.sql"),
    include_str!("../../schema/0003_inside.sql"),
    include_str!("../../schema/0004_figures.sql"),
];

/// How long another program with the database open may keep us waiting.
const BUSY: Duration = Duration::from_secs(5);

/// Statements kept prepared on a connection: more than there are.
const PREPARED: usize = 160;

/// Page cache of the writer and of each reader in KiB. Memory is bounded by this, not by
/// the tasks.
const WRITER_CACHE: i64 = 4 * 1024;
const READER_CACHE: i64 = 2 * 1024;

/// The write-ahead log is cut to this size in bytes when it has been emptied.
const WAL_KEPT: i64 = 16 * 1024 * 1024;

/// The version this program writes.
pub(super) fn latest() -> i64 {
    STEPS.len() as i64
}

/// Opens the file, which must exist, for reading only or for both.
pub(super) fn connect(path: &Path, write: bool) -> rusqlite::Result<Connection> {
    let access = if write { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let conn = Connection::open_with_flags(
        path,
        access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_EXRESCODE,
    )?;
    // First of all, for what follows may already fail of what is damaged: closing must not
    // touch the log of a database that is going to be refused. One that is in use is
    // checkpointed by the writer.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.busy_timeout(BUSY)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    // Else a plan may depend on the values it is first used with, and SQLite prepares a
    // statement anew at nearly every use.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(PREPARED);
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "cache_size", if write { -WRITER_CACHE } else { -READER_CACHE })?;
    if write {
        conn.pragma_update(None, "foreign_keys", true)?;
        // The journal of a savepoint, which each of several jobs has, would spill into a new temporary
        // file at nearly every commit; how many rows a job writes is bounded.
        conn.pragma_update(None, "temp_store", "MEMORY")?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "journal_size_limit", WAL_KEPT)?;
    }
    Ok(conn)
}

/// The version the database has.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Takes the steps that are missing, each in a transaction of its own.
pub(super) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let mut version = version(conn)?;
    if version == 0 {
        // Outside a transaction; has no effect on a database that is in this mode.
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    while let Some(step) = usize::try_from(version).ok().and_then(|done| STEPS.get(done)) {
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        tx.execute_batch(step)?;
        version += 1;
        tx.pragma_update(None, "user_version", version)?;
        crate::crash::point("migrating");
        tx.commit()?;
        crate::crash::point("migrated");
    }
    Ok(())
}
