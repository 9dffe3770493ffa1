//! Fills the search index when the writer has nothing better to do, from the events
//! since its watermark.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Failure;
use super::tx::Tx;

/// Events after which a task's text may be another.
pub(super) const KINDS: &str = "'submitted', 'edited', 'ended'";

/// Events looked at in one transaction…
const MAX_EVENTS: u32 = 250;
/// …and bytes of text indexed: some five milliseconds, for which a submit may have to
/// wait.
const MAX_BYTES: usize = 64 * 1024;
/// Bytes of one prompt that can be found. The rest is for the agent, not for finding.
const MAX_TEXT: usize = 128 * 1024;

/// The number of the last event that is indexed.
pub(super) fn watermark(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT seq FROM cursors WHERE consumer = 'search'")?.query_row([], |row| row.get(0))
}

/// What of a task can be found.
#[derive(Debug)]
pub(super) struct Text {
    title: String,
    description: String,
    result: String,
}

impl Text {
    /// Reads it.
    pub(super) fn of(conn: &Connection, task: i64) -> rusqlite::Result<Text> {
        conn.prepare_cached(
            "SELECT t.title, x.description, coalesce(t.last_error, '')
               FROM tasks AS t JOIN task_texts AS x ON x.task = t.id WHERE t.id = ?1",
        )?
        .query_row([task], |row| Ok(Text { title: row.get(0)?, description: row.get(1)?, result: row.get(2)? }))
    }

    /// Its title.
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// Its prompt, up to the limit.
    pub(super) fn description(&self) -> &str {
        let mut end = self.description.len().min(MAX_TEXT);
        while !self.description.is_char_boundary(end) {
            end -= 1;
        }
        &self.description[..end]
    }

    /// What went wrong last.
    pub(super) fn result(&self) -> &str {
        &self.result
    }

    fn len(&self) -> usize {
        self.title.len() + self.description().len() + self.result.len()
    }
}

/// Indexes some more: `true` when there is more.
pub(super) fn run(tx: &mut Tx<'_>) -> Result<bool, Failure> {
    let from = watermark(tx.conn)?;
    let events = tx
        .conn
        .prepare_cached(&format!(
            "SELECT seq, CASE WHEN kind IN ({KINDS}) THEN task END FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2"
        ))?
        .query_map(params![from, MAX_EVENTS], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, Option<i64>)>>>()?;
    let mut done = HashSet::new();
    let (mut bytes, mut looked, mut last) = (0, 0, from);
    for (seq, task) in &events {
        if bytes >= MAX_BYTES {
            break;
        }
        if let Some(task) = task.filter(|task| done.insert(*task)) {
            // A restore may not have found its row.
            if let Some(text) = Text::of(tx.conn, task).optional()? {
                bytes += text.len();
                index(tx.conn, task, &text)?;
            }
        }
        (looked, last) = (looked + 1, *seq);
    }
    if last > from {
        tx.conn.prepare_cached("UPDATE cursors SET seq = ?1 WHERE consumer = 'search'")?.execute([last])?;
    }
    Ok(looked < events.len() || looked == MAX_EVENTS as usize)
}

fn index(conn: &Connection, task: i64, text: &Text) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM search WHERE rowid = ?1")?.execute([task])?;
    conn.prepare_cached("INSERT INTO search (rowid, title, description, result) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![task, text.title(), text.description(), text.result()])?;
    Ok(())
}
