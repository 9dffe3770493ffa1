//! A thorough look at a database: what no start has the time for.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row};

use super::rows::{uid, word};
use super::{Glance, StoreError, backup, events, failure, inside, texts};
use crate::id::{SessionName, TaskId, Uid};
use crate::protocol::view::OutputView;

/// Most problems of a kind that are named; more are counted.
const NAMED: i64 = 20;

/// Tasks that the history knows and that have no row.
pub(super) fn missing(conn: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut statement = conn.prepare(
        "SELECT task FROM events AS e
          WHERE kind = 'submitted' AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.id = e.task) ORDER BY task",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// Tasks whose row has another status than the last entry about them, and both. A page may
/// be whole and old.
pub(super) fn stale(conn: &Connection) -> rusqlite::Result<Vec<(i64, String, String)>> {
    let mut statement = conn.prepare(
        "SELECT id, status, coalesce(last, 'never there') FROM (
             SELECT t.id, t.status, (SELECT e.status FROM events AS e INDEXED BY events_of_task
                                      WHERE e.task = t.id AND e.status IS NOT NULL ORDER BY e.seq DESC LIMIT 1) AS last
               FROM tasks AS t)
          WHERE status IS NOT last ORDER BY id",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

/// Where an ended session's recording is, by its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingPlace {
    /// Its session.
    pub uid: Uid,
    /// Its name.
    pub session: SessionName,
    /// A directory or a pack; `None` until it has been moved there.
    pub path: Option<String>,
    /// Where in the pack.
    pub offset: Option<u64>,
    /// Bytes the program wrote.
    pub bytes: u64,
    /// Their hash.
    pub sha256: Option<String>,
}

const RECORDING: &str = "uid, name, recording_path, recording_offset, recording_bytes, recording_sha256";

fn recording_place(row: &Row<'_>) -> rusqlite::Result<RecordingPlace> {
    let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    Ok(RecordingPlace {
        uid: uid(row, 0)?,
        session: word(row, 1)?,
        path: row.get(2)?,
        offset: number(row.get(3)?),
        bytes: number(row.get(4)?).unwrap_or(0),
        sha256: row.get::<_, Option<String>>(5)?.filter(|sum| !sum.is_empty()),
    })
}

/// Where the recordings of these sessions are, of those that are known.
pub(super) fn recording_places(conn: &Connection, sessions: &[Uid]) -> rusqlite::Result<Vec<RecordingPlace>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {RECORDING} FROM sessions WHERE uid = ?1"))?;
    let mut places = Vec::new();
    for session in sessions {
        places.extend(statement.query_row([session.bytes()], recording_place).optional()?);
    }
    Ok(places)
}

impl Glance {
    /// What is wrong with how the database is built, by SQLite's own check.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn structure(&self) -> Result<Vec<String>, StoreError> {
        self.ask(Vec::new(), |conn| {
            if let Err(problem) = backup::check(conn) {
                return Ok(vec![problem]);
            }
            let mut statement = conn.prepare("SELECT DISTINCT \"table\" FROM pragma_foreign_key_check LIMIT ?1")?;
            let rows = statement.query_map([NAMED], |row| row.get::<_, String>(0))?;
            rows.map(|table| Ok(format!("a row of {} refers to one that is not there", table?))).collect()
        })
    }

    /// How many entries the history has; or the first that is not as it was written.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn history(&self) -> Result<Result<i64, String>, StoreError> {
        self.ask(Ok(0), |conn| {
            Ok(match events::check(conn, 0, events::ORIGIN, u32::MAX)? {
                Ok(good) => Ok(good.seq),
                Err(bad) => Err(format!("entry {}: {}", bad.seq, bad.problem)),
            })
        })
    }

    /// Counters that do not count what is there.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn counters(&self) -> Result<Vec<String>, StoreError> {
        self.ask(Vec::new(), |conn| {
            let mut statement = conn.prepare(
                "SELECT c.status, c.tasks, (SELECT count(*) FROM tasks AS t WHERE t.status = c.status) AS there
                   FROM counters AS c WHERE c.tasks <> there",
            )?;
            let rows = statement.query_map([], |row| {
                let (status, counted, there): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(format!("{counted} {status} tasks are counted, {there} are there"))
            })?;
            let mut wrong = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let waiting: i64 = conn.query_row(
                "WITH counted AS (SELECT lane, cause, tasks FROM waiting WHERE tasks <> 0),
                      there AS (SELECT lane, cause, count(*) AS tasks FROM tasks WHERE status = 'queued' GROUP BY lane, cause)
                 SELECT (SELECT count(*) FROM (SELECT * FROM there EXCEPT SELECT * FROM counted))
                      + (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM there))",
                [],
                |row| row.get(0),
            )?;
            if waiting > 0 {
                wrong.push(format!("why tasks wait is counted wrongly in {waiting} places"));
            }
            Ok(wrong)
        })
    }

    /// Tasks whose rows do not stand where the history says they do.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn rows(&self) -> Result<Vec<String>, StoreError> {
        self.ask(Vec::new(), |conn| {
            let gone = missing(conn)?.into_iter().map(|task| format!("task {task} is not there"));
            let stale =
                stale(conn)?.into_iter().map(|(task, is, was)| format!("task {task} is {is}, and was {was} at last"));
            Ok(gone.chain(stale).collect())
        })
    }

    /// Tasks whose texts are not those that were stored.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn texts(&self) -> Result<Vec<String>, StoreError> {
        self.ask(Vec::new(), |conn| {
            let mut statement = conn.prepare("SELECT id FROM tasks ORDER BY id")?;
            let tasks = statement.query_map([], |row| row.get::<_, i64>(0))?;
            let mut wrong = Vec::new();
            for task in tasks {
                let task = TaskId(task?);
                if let Some(damage) = texts::damage(conn, task)? {
                    wrong.push(format!("task {task}: {damage}"));
                }
            }
            Ok(wrong)
        })
    }

    /// The recordings of ended sessions that have been moved to where they stay.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn recordings(&self) -> Result<Vec<RecordingPlace>, StoreError> {
        self.ask(Vec::new(), |conn| {
            let mut statement = conn
                .prepare(&format!("SELECT {RECORDING} FROM sessions WHERE recording_path IS NOT NULL ORDER BY id"))?;
            statement.query_map([], recording_place)?.collect()
        })
    }

    /// The files kept with tasks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn outputs(&self, state: &Path) -> Result<Vec<OutputView>, StoreError> {
        let Some(conn) = self.connection() else { return Ok(Vec::new()) };
        inside::outputs(conn, state, None).map_err(failure::Failure::of_read)
    }

    /// Those of these sessions that the database does not know.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn unknown(&self, sessions: &[Uid]) -> Result<Vec<Uid>, StoreError> {
        self.ask(Vec::new(), |conn| {
            let mut statement = conn.prepare("SELECT 1 FROM sessions WHERE uid = ?1")?;
            let mut unknown = Vec::new();
            for session in sessions {
                if !statement.exists([session.bytes()])? {
                    unknown.push(*session);
                }
            }
            Ok(unknown)
        })
    }

    /// What `look` finds; `nothing` where there is no database yet.
    fn ask<T>(&self, nothing: T, look: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let Some(conn) = self.connection() else { return Ok(nothing) };
        look(conn).map_err(|error| failure::Failure::from(error).of_read())
    }
}
