//! Finding tasks by words in title, prompt and result.
//!
//! A word finds words that begin with it; all words must be found. What the index does
//! not have yet is read through, so that a task can be found as soon as it is stored.

use std::collections::HashSet;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::{self, Failure};
use super::indexer;
use super::list::BUDGET;
use crate::protocol::fault::Fault;

/// Most hits of the index that are looked at, the newest ones.
const MAX_HITS: i64 = 1_000;
/// Most tasks that are read because they are not indexed yet, the newest ones…
const MAX_READ: usize = 1_000;
/// …and most events that are looked at to find them.
const MAX_EVENTS: u32 = 20_000;
/// Most words of a search; more would only make it slow.
const MAX_WORDS: usize = 16;
/// Steps of SQLite's machine between two looks at the clock: some ten microseconds.
const STEPS: i32 = 1_000;

/// What a search finds.
#[derive(Debug, Default)]
pub(super) struct Hits {
    /// Numbers of tasks, in no order.
    pub tasks: Vec<i64>,
    /// There may be more.
    pub incomplete: bool,
}

/// Finds `words`.
pub(super) fn find(conn: &mut Connection, words: &str) -> Result<Hits, Failure> {
    let phrases = phrases(words);
    if phrases.is_empty() {
        return Err(Fault::usage(format!("'{words}' has no word to search for"))
            .hint("search for one or more words made of letters or digits")
            .into());
    }
    let deadline = Instant::now() + BUDGET;
    conn.progress_handler(STEPS, Some(move || Instant::now() >= deadline))?;
    let found = bounded(conn, &phrases, deadline);
    conn.progress_handler(0, None::<fn() -> bool>)?;
    found
}

fn bounded(conn: &Connection, phrases: &[Vec<String>], deadline: Instant) -> Result<Hits, Failure> {
    let mut hits = Hits::default();
    let fresh = match not_indexed(conn) {
        Ok((tasks, whole)) => {
            hits.incomplete |= !whole;
            tasks
        }
        Err(error) if failure::is_interrupt(&error) => return Ok(Hits { incomplete: true, ..hits }),
        Err(error) => return Err(error.into()),
    };
    match indexed(conn, phrases, &fresh, &mut hits)
        .and_then(|()| read_through(conn, phrases, &fresh, deadline, &mut hits))
    {
        Err(error) if failure::is_interrupt(&error) => hits.incomplete = true,
        other => other?,
    }
    Ok(hits)
}

/// What the index knows, but for tasks that have changed since.
fn indexed(conn: &Connection, phrases: &[Vec<String>], fresh: &HashSet<i64>, hits: &mut Hits) -> rusqlite::Result<()> {
    // Letters and digits in quotes: nothing in them means anything to FTS5.
    let query: Vec<String> = phrases.iter().map(|p| format!("\"{}\" *", p.join(" "))).collect();
    let mut statement =
        conn.prepare_cached("SELECT rowid FROM search WHERE search MATCH ?1 ORDER BY rowid DESC LIMIT ?2")?;
    let mut rows = statement.query(params![query.join(" AND "), MAX_HITS + 1])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        if count > MAX_HITS {
            hits.incomplete = true;
            break;
        }
        let task = row.get(0)?;
        if !fresh.contains(&task) {
            hits.tasks.push(task);
        }
    }
    Ok(())
}

/// Tasks whose text has changed behind the index's watermark, and whether that is all.
fn not_indexed(conn: &Connection) -> rusqlite::Result<(HashSet<i64>, bool)> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT task FROM events WHERE seq > ?1 AND kind IN ({}) ORDER BY seq DESC LIMIT ?2",
        indexer::KINDS
    ))?;
    let mut rows = statement.query(params![indexer::watermark(conn)?, MAX_EVENTS])?;
    let mut tasks = HashSet::new();
    let mut looked = 0;
    while let Some(row) = rows.next()? {
        looked += 1;
        tasks.extend(row.get::<_, Option<i64>>(0)?);
        if tasks.len() >= MAX_READ || looked == MAX_EVENTS {
            return Ok((tasks, false));
        }
    }
    Ok((tasks, true))
}

fn read_through(
    conn: &Connection,
    phrases: &[Vec<String>],
    tasks: &HashSet<i64>,
    deadline: Instant,
    hits: &mut Hits,
) -> rusqlite::Result<()> {
    for task in tasks {
        if Instant::now() >= deadline {
            hits.incomplete = true;
            break;
        }
        let Some(text) = indexer::Text::of(conn, *task).optional()? else { continue };
        let columns: Vec<Vec<String>> =
            [text.title(), text.description(), text.result()].into_iter().map(|t| tokens(t).collect()).collect();
        if phrases.iter().all(|phrase| columns.iter().any(|column| contains(column, phrase))) {
            hits.tasks.push(*task);
        }
    }
    Ok(())
}

/// What the user wrote, word by word; one with marks in it (`foo-bar`) is several that
/// must stand together.
fn phrases(words: &str) -> Vec<Vec<String>> {
    let words = words.split_whitespace().map(|word| tokens(word).collect::<Vec<_>>());
    words.filter(|phrase| !phrase.is_empty()).take(MAX_WORDS).collect()
}

/// Cut as the index cuts, folded as it folds.
fn tokens(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|t| !t.is_empty()).map(str::to_lowercase)
}

fn contains(text: &[String], phrase: &[String]) -> bool {
    let Some((last, first)) = phrase.split_last() else { return false };
    text.windows(phrase.len())
        .any(|part| part.split_last().is_some_and(|(end, begin)| begin == first && end.starts_with(last.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, words: &str) -> bool {
        let text: Vec<String> = tokens(text).collect();
        phrases(words).iter().all(|phrase| contains(&text, phrase))
    }

    #[test]
    fn words_find_their_beginnings_and_phrases_stand_together() {
        assert!(found("Refactor the parser", "refact"));
        assert!(found("Refactor the parser", "PARSER the"));
        assert!(!found("Refactor the parser", "actor"));
        assert!(found("see src/foo-bar.rs", "foo-bar"));
        assert!(!found("see foo and bar", "foo-bar"));
        assert!(phrases("\"* ( ' -- :").is_empty());
    }
}
