//! What can be read of a damaged database that happened after a backup of it: entries of
//! the history as long as their chain holds, and the rows they speak of.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use crate::store::settings::meta;
use crate::store::{events, migrate};

/// Entries looked at in one go.
const STEP: u32 = 1_000;

/// Tables with rows of a task, and the column that names it: those before them in the list
/// are what they refer to.
const OF_TASK: [(&str, &str); 10] = [
    ("tasks", "id"),
    ("task_texts", "task"),
    ("labels", "task"),
    ("dependencies", "task"),
    ("sessions", "task"),
    ("attempts", "task"),
    ("keys", "task"),
    ("notes", "task"),
    ("requests", "task"),
    ("outputs", "task"),
];

/// Small tables that are taken over as a whole.
const WHOLE: [&str; 6] = ["lanes", "batches", "batch_chunks", "session_names", "preferences", "rechecks"];

/// Takes over what can be read of the database `damaged`, whose backup `conn` was. What
/// cannot be read is left as it was at the backup: the history then ends where the chain
/// does, and says so.
pub(super) fn salvage(conn: &Connection, damaged: &Path) -> rusqlite::Result<()> {
    let Ok(other) = migrate::connect(damaged, true) else { return Ok(()) };
    let same = |name: &str| meta(conn, name).ok() == meta(&other, name).ok();
    // A database before an earlier restore, or of another form, has other rows.
    if migrate::version(&other).ok() != Some(migrate::latest()) || !same("install") || !same("epoch") {
        return Ok(());
    }
    let tasks = history(conn, &other)?;
    for table in WHOLE {
        take_over(conn, &other, table, "1 = ?1", 1)?;
    }
    for task in &tasks {
        for (table, column) in OF_TASK {
            // Other rows refer to these: without them the task is not taken over.
            if !take_over(conn, &other, table, &format!("{column} = ?1"), *task)? && table == "tasks" {
                break;
            }
        }
    }
    take_over(conn, &other, "sessions", "task IS NULL AND id > ?1", 0)?;
    Ok(())
}

/// Appends the entries that follow, as long as they are as they were written; the tasks
/// they speak of.
fn history(conn: &Connection, other: &Connection) -> rusqlite::Result<BTreeSet<i64>> {
    let mut tasks = BTreeSet::new();
    let (mut seq, mut hash, _) = events::last(conn)?;
    // Whether it is the same history up to here.
    if events::hash_of(other, seq).ok().flatten() != Some(hash) {
        return Ok(tasks);
    }
    loop {
        let good = match events::check(other, seq, hash, STEP) {
            Ok(Ok(good)) if good.count > 0 => good,
            // Entry by entry up to the one that is damaged.
            Ok(Err(_)) | Err(_) => match events::check(other, seq, hash, 1) {
                Ok(Ok(good)) if good.count > 0 => good,
                _ => return Ok(tasks),
            },
            Ok(Ok(_)) => return Ok(tasks),
        };
        let mut read = other.prepare("SELECT * FROM events WHERE seq > ?1 AND seq <= ?2 ORDER BY seq")?;
        let columns = read.column_count();
        let place = places(columns);
        let mut write = conn.prepare(&format!("INSERT INTO events VALUES ({place})"))?;
        let mut rows = read.query(params![seq, good.seq])?;
        while let Some(row) = rows.next()? {
            let values =
                (0..columns).map(|column| row.get::<_, Value>(column)).collect::<rusqlite::Result<Vec<_>>>()?;
            tasks.extend(row.get::<_, Option<i64>>("task")?);
            write.execute(params_from_iter(values))?;
        }
        (seq, hash) = (good.seq, good.hash);
    }
}

/// Takes over the rows of a table for which `filter` holds, row by row as long as they can
/// be read. `false` when that has ended early.
fn take_over(conn: &Connection, other: &Connection, table: &str, filter: &str, value: i64) -> rusqlite::Result<bool> {
    let columns: Vec<String> = {
        let mut statement = conn.prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
        let rows = statement.query_map([table], |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    let keys: Vec<String> = {
        let mut statement = conn.prepare_cached("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?;
        let rows = statement.query_map([table], |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    let rest: Vec<String> = columns.iter().filter(|column| !keys.contains(column)).cloned().collect();
    let change = match rest.is_empty() {
        true => "NOTHING".to_owned(),
        false => {
            let set: Vec<String> = rest.iter().map(|column| format!("{column} = excluded.{column}")).collect();
            format!("UPDATE SET {}", set.join(", "))
        }
    };
    let insert = format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT ({}) DO {change}",
        columns.join(", "),
        places(columns.len()),
        keys.join(", ")
    );
    let mut write = conn.prepare_cached(&insert)?;
    let Ok(mut read) = other.prepare(&format!("SELECT {} FROM {table} WHERE {filter}", columns.join(", "))) else {
        return Ok(false);
    };
    let Ok(mut rows) = read.query([value]) else { return Ok(false) };
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let values = (0..columns.len()).map(|column| row.get::<_, Value>(column));
                let Ok(values) = values.collect::<rusqlite::Result<Vec<_>>>() else { return Ok(false) };
                // A damaged value may be one that the table does not take.
                if write.execute(params_from_iter(values)).is_err() {
                    return Ok(false);
                }
            }
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
}

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}
