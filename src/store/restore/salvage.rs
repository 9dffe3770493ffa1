//! What can be read of a damaged database that happened after a backup of it: entries of
//! the history as long as their chain holds, and every row that can be read of the tasks
//! they speak of.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, Statement, ToSql, params, params_from_iter};

use crate::store::settings::meta;
use crate::store::{events, migrate};

/// Entries looked at in one go.
const STEP: u32 = 1_000;

/// Whether rows of a table are ever removed: then those that are gone must not come back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    Stay,
    ComeAndGo,
}

/// The tables, after those that they refer to; and the column that names a task, if there is
/// one. Whatever follows from other rows (heads of lanes, what is to be looked at again,
/// counters, the search index) is not here.
const TABLES: [(&str, Rows, Option<&str>); 15] = [
    ("preferences", Rows::ComeAndGo, None),
    ("session_names", Rows::Stay, None),
    ("lanes", Rows::Stay, None),
    ("batches", Rows::Stay, None),
    ("batch_chunks", Rows::Stay, None),
    ("tasks", Rows::Stay, Some("id")),
    ("task_texts", Rows::Stay, Some("task")),
    ("labels", Rows::ComeAndGo, Some("task")),
    ("dependencies", Rows::ComeAndGo, Some("task")),
    ("sessions", Rows::Stay, Some("task")),
    ("attempts", Rows::Stay, Some("task")),
    ("keys", Rows::ComeAndGo, Some("task")),
    ("notes", Rows::Stay, Some("task")),
    ("requests", Rows::Stay, Some("task")),
    ("outputs", Rows::Stay, Some("task")),
];

/// Columns that are found out anew.
const DERIVED: [&str; 2] = ["head_rank", "head_task"];

/// Takes over what can be read of the database `damaged`, whose backup `conn` was; gives the
/// tables of which something could not be read. What cannot be read is left as it was at the
/// backup; the history ends where the chain does.
pub(super) fn salvage(conn: &Connection, damaged: &Path) -> rusqlite::Result<Vec<&'static str>> {
    let Ok(other) = migrate::connect(damaged, true) else { return Ok(Vec::new()) };
    // A database of another form has other rows, and so has another instance's. (That it is
    // of this history is told by the history.)
    let other_install = meta(&other, "install").is_ok_and(|other| meta(conn, "install").is_ok_and(|own| own != other));
    if migrate::version(&other).ok() != Some(migrate::latest()) || other_install {
        return Ok(Vec::new());
    }
    if !history(conn, &other)? {
        // Not of the history that this backup has: then its rows are not, either.
        return Ok(Vec::new());
    }
    let known: HashSet<i64> = {
        let mut statement = conn.prepare("SELECT task FROM events WHERE kind = 'submitted' AND task IS NOT NULL")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    let mut unreadable = Vec::new();
    for (name, rows, task) in TABLES {
        let table = Table::of(conn, name, task)?;
        if !table.take_over(conn, &other, rows, &known)? {
            unreadable.push(name);
        }
    }
    Ok(unreadable)
}

/// Appends the entries that follow, as long as they are as they were written. `false` when
/// it is another history.
fn history(conn: &Connection, other: &Connection) -> rusqlite::Result<bool> {
    let (mut seq, mut hash, _) = events::last(conn)?;
    if events::hash_of(other, seq).ok().flatten() != Some(hash) {
        return Ok(false);
    }
    loop {
        let good = match events::check(other, seq, hash, STEP) {
            Ok(Ok(good)) if good.count > 0 => good,
            // Entry by entry up to the one that is damaged.
            Ok(Err(_)) | Err(_) => match events::check(other, seq, hash, 1) {
                Ok(Ok(good)) if good.count > 0 => good,
                _ => return Ok(true),
            },
            Ok(Ok(_)) => return Ok(true),
        };
        // Not a row more than have been checked: the next may be where the damage is.
        let mut read = other.prepare("SELECT * FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let columns = read.column_count();
        let mut write = conn.prepare(&format!("INSERT INTO events VALUES ({})", places(columns)))?;
        let mut rows = read.query(params![seq, good.count])?;
        while let Some(row) = rows.next()? {
            let values =
                (0..columns).map(|column| row.get::<_, Value>(column)).collect::<rusqlite::Result<Vec<_>>>()?;
            write.execute(params_from_iter(values))?;
        }
        (seq, hash) = (good.seq, good.hash);
    }
}

/// A table as it is read and written.
struct Table {
    name: &'static str,
    columns: Vec<String>,
    keys: Vec<String>,
    /// Which of the columns names a task.
    task: Option<usize>,
}

impl Table {
    fn of(conn: &Connection, name: &'static str, task: Option<&str>) -> rusqlite::Result<Table> {
        let mut statement = conn.prepare("SELECT name, pk FROM pragma_table_info(?1)")?;
        let rows = statement.query_map([name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        let (mut columns, mut keys) = (Vec::new(), Vec::new());
        for row in rows {
            let (column, place) = row?;
            if DERIVED.contains(&column.as_str()) {
                continue;
            }
            if place > 0 {
                keys.push((place, column.clone()));
            }
            columns.push(column);
        }
        keys.sort();
        let task = task.and_then(|task| columns.iter().position(|column| column == task));
        Ok(Table { name, columns, keys: keys.into_iter().map(|(_, key)| key).collect(), task })
    }

    /// Takes over all rows that can be read, of tasks that are `known`. Whether that was all
    /// there are.
    fn take_over(
        &self,
        conn: &Connection,
        other: &Connection,
        rows: Rows,
        known: &HashSet<i64>,
    ) -> rusqlite::Result<bool> {
        let mut whole = self.read(other, "ASC", |_| true);
        if whole && rows == Rows::ComeAndGo {
            conn.execute(&format!("DELETE FROM {}", self.name), [])?;
        }
        let mut write = conn.prepare(&self.upsert())?;
        // A damaged value may be one that the table does not take, or refer to nothing.
        let mut all_taken = true;
        let mut take = |values: Vec<Value>| {
            let known = match self.task.and_then(|task| values.get(task)) {
                Some(Value::Integer(task)) => known.contains(task),
                _ => true,
            };
            all_taken &= !known || execute(&mut write, values);
            true
        };
        let read_again = self.read(other, "ASC", &mut take);
        if !read_again {
            // Up to the damage from the other side.
            whole = false;
            self.read(other, "DESC", &mut take);
        }
        Ok(whole && all_taken)
    }

    /// Gives the rows to `each` in the order of their key, as long as they can be read and it
    /// wants more. Whether all were read.
    fn read(&self, other: &Connection, direction: &str, mut each: impl FnMut(Vec<Value>) -> bool) -> bool {
        let order: Vec<String> = self.keys.iter().map(|key| format!("{key} {direction}")).collect();
        // By the table itself: its indexes may be damaged on their own.
        let select =
            format!("SELECT {} FROM {} NOT INDEXED ORDER BY {}", self.columns.join(", "), self.name, order.join(", "));
        let Ok(mut read) = other.prepare(&select) else { return false };
        let Ok(mut rows) = read.query([]) else { return false };
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    let values = (0..self.columns.len()).map(|column| row.get::<_, Value>(column));
                    let Ok(values) = values.collect::<rusqlite::Result<Vec<_>>>() else { return false };
                    if !each(values) {
                        return false;
                    }
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    fn upsert(&self) -> String {
        let rest: Vec<String> = self
            .columns
            .iter()
            .filter(|column| !self.keys.contains(column))
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let change = if rest.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", rest.join(", ")) };
        format!(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO {change}",
            self.name,
            self.columns.join(", "),
            places(self.columns.len()),
            self.keys.join(", ")
        )
    }
}

/// Whether the row could be written.
fn execute(write: &mut Statement<'_>, values: Vec<Value>) -> bool {
    write.execute(params_from_iter(values.iter().map(|value| value as &dyn ToSql))).is_ok()
}

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}
