//! Whether a task's texts are those that were stored. SQLite does not notice a bit that has
//! changed within a page; the history has the texts' hashes.

use rusqlite::{Connection, ErrorCode, params};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::events::{hex, text_hash};
use crate::id::TaskId;

/// The hash of what is run, as it is stored: command and environment, both JSON.
pub(super) fn run_hash(command: &str, environment: &str) -> String {
    let mut sum = Sha256::new();
    for text in [command, environment] {
        sum.update((text.len() as u64).to_le_bytes());
        sum.update(text.as_bytes());
    }
    hex(&sum.finalize())
}

/// What is not as it was stored, in words; `None` when all is. Texts that the history has no
/// hash of count as whole.
pub(super) fn damage(conn: &Connection, task: TaskId) -> rusqlite::Result<Option<&'static str>> {
    let mut known: [Option<String>; 3] = [None, None, None];
    const NAMES: [&str; 3] = ["title_sha256", "description_sha256", "run_sha256"];
    let mut statement = conn.prepare_cached(
        "SELECT detail FROM events INDEXED BY events_of_task
          WHERE task = ?1 AND kind IN ('submitted', 'edited') ORDER BY seq",
    )?;
    let mut rows = statement.query([task.0])?;
    while let Some(row) = rows.next()? {
        let detail: Value = serde_json::from_str(row.get_ref(0)?.as_str()?).unwrap_or_default();
        for (known, name) in known.iter_mut().zip(NAMES) {
            if let Some(hash) = detail.get(name).and_then(Value::as_str) {
                *known = Some(hash.to_owned());
            }
        }
    }
    let found = conn
        .prepare_cached(
            "SELECT t.title, x.description, x.command, x.environment
               FROM tasks AS t JOIN task_texts AS x ON x.task = t.id WHERE t.id = ?1",
        )?
        .query_row(params![task.0], |row| {
            // As bytes: what has changed may not be text any more.
            let text = |column| -> rusqlite::Result<String> {
                Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes()?).into_owned())
            };
            Ok([text_hash(&text(0)?), text_hash(&text(1)?), run_hash(&text(2)?, &text(3)?)])
        });
    let found = match found {
        Ok(found) => found,
        Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(Some("its texts are gone")),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            return Ok(Some("its texts cannot be read"));
        }
        Err(error) => return Err(error),
    };
    let words = ["its title has changed", "its prompt has changed", "its command or environment has changed"];
    let wrong =
        known.iter().zip(&found).zip(words).find(|((known, found), _)| known.as_ref().is_some_and(|k| k != *found));
    Ok(wrong.map(|(_, words)| words))
}
