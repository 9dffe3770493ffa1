//! What is said, asked and left while a task is worked on. The history has hashes only:
//! texts may have to be blanked.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::apply::{Current, append};
use super::events::text_hash;
use super::failure::Failure;
use super::rows::{moment, word};
use super::sessions;
use super::show::must_exist;
use super::tx::Tx;
use crate::clock::Timestamp;
use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::fault::{Fault, FaultCode};
use crate::protocol::view::{NoteView, OutputView, RequestView};
use crate::task::{Actor, Status};

/// Most notes, questions and files of one task, each: a program that has run wild must not
/// fill the disk.
pub const MAX_SAID: u32 = 1_000;

/// A file that has been copied, to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOutput {
    /// The task.
    pub task: TaskId,
    /// What it is called.
    pub name: String,
    /// Where it lies, relative to the state directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its hash.
    pub sha256: String,
}

/// Whoever says something: the user, or an attempt's program.
pub(super) fn actor(attempt: Option<AttemptId>) -> Actor {
    if attempt.is_some() { Actor::Agent } else { Actor::User }
}

/// Writes a note down.
pub(super) fn note(tx: &mut Tx<'_>, task: TaskId, attempt: Option<AttemptId>, text: &str) -> Result<(), Failure> {
    let status = status(tx, task)?;
    room(tx.conn, "notes", task)?;
    let actor = actor(attempt);
    tx.conn
        .prepare_cached("INSERT INTO notes (task, attempt, at, actor, text) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![task.0, attempt.map(|a| a.number), tx.now.0, actor.name(), text])?;
    let detail = json!({ "note": tx.conn.last_insert_rowid(), "text_sha256": text_hash(text) });
    append(tx, task, attempt.map(|a| a.number), "noted", actor, status, detail)
}

/// Writes a question down.
pub(super) fn ask(
    tx: &mut Tx<'_>,
    task: TaskId,
    attempt: Option<AttemptId>,
    question: &str,
) -> Result<RequestView, Failure> {
    let status = status(tx, task)?;
    if status.is_final() {
        return Err(Fault::conflict(format!("task {task} has ended: it is {status}")).into());
    }
    room(tx.conn, "requests", task)?;
    tx.conn
        .prepare_cached("INSERT INTO requests (task, attempt, at, question) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![task.0, attempt.map(|a| a.number), tx.now.0, question])?;
    let id = tx.conn.last_insert_rowid();
    let detail = json!({ "request": id, "question_sha256": text_hash(question) });
    append(tx, task, attempt.map(|a| a.number), "asked", actor(attempt), status, detail)?;
    request(tx.conn, id)
}

/// Writes an answer down; the first one counts.
pub(super) fn answer(tx: &mut Tx<'_>, id: i64, text: &str) -> Result<(), Failure> {
    let asked = request(tx.conn, id)?;
    if asked.answer.is_some() {
        return Err(Fault::conflict(format!("question {id} has been answered"))
            .hint("'autodev requests --all' shows how")
            .into());
    }
    let status = status(tx, asked.task)?;
    if status.is_final() {
        return Err(Fault::conflict(format!("task {} has ended: nobody waits for an answer", asked.task)).into());
    }
    tx.conn
        .prepare_cached("UPDATE requests SET answer = ?2, answered_at = ?3 WHERE id = ?1")?
        .execute(params![id, text, tx.now.0])?;
    let detail = json!({ "request": id, "answer_sha256": text_hash(text) });
    append(tx, asked.task, asked.attempt.map(|a| a.number), "answered", Actor::User, status, detail)
}

/// Writes down a file that has been copied.
pub(super) fn add_output(
    tx: &mut Tx<'_>,
    state: &Path,
    attempt: Option<AttemptId>,
    output: &NewOutput,
) -> Result<OutputView, Failure> {
    let NewOutput { task, name, path, bytes, sha256 } = output;
    let status = status(tx, *task)?;
    room(tx.conn, "outputs", *task)?;
    let size = i64::try_from(*bytes).unwrap_or(i64::MAX);
    tx.conn
        .prepare_cached(
            "INSERT INTO outputs (task, attempt, at, name, path, bytes, sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![task.0, attempt.map(|a| a.number), tx.now.0, name, path, size, sha256])?;
    let id = tx.conn.last_insert_rowid();
    let detail = json!({ "output": id, "bytes": bytes, "sha256": sha256 });
    append(tx, *task, attempt.map(|a| a.number), "output_added", actor(attempt), status, detail)?;
    tx.conn
        .prepare_cached(&format!("SELECT {OUTPUT} FROM outputs WHERE id = ?1"))?
        .query_row([id], |row| output_view(row, state))
        .map_err(Failure::from)
}

/// Writes down what a program inside a session was refused.
pub(super) fn note_refused(
    tx: &mut Tx<'_>,
    attempt: Option<AttemptId>,
    session: Option<Uid>,
    what: &str,
    pid: u32,
) -> Result<(), Failure> {
    let detail = json!({ "what": what, "pid": pid, "session_id": session.map(|uid| uid.to_string()) });
    match attempt {
        Some(attempt) => {
            let status = status(tx, attempt.task)?;
            append(tx, attempt.task, Some(attempt.number), "refused", Actor::Agent, status, detail)
        }
        None => sessions::append(tx, "refused", Actor::Agent, detail),
    }
}

fn status(tx: &Tx<'_>, task: TaskId) -> Result<Status, Failure> {
    Ok(Current::of(tx, task)?.state.status)
}

/// Refuses what would be too many; `table` is a word of this file.
fn room(conn: &Connection, table: &str, task: TaskId) -> Result<(), Failure> {
    let there: u32 = conn
        .prepare_cached(&format!("SELECT count(*) FROM {table} WHERE task = ?1"))?
        .query_row([task.0], |row| row.get(0))?;
    if there < MAX_SAID {
        return Ok(());
    }
    Err(Fault::new(FaultCode::Limit, format!("task {task} has {there} {table} already: that is the limit")).into())
}

const REQUEST: &str = "r.id, r.task, r.attempt, r.at, r.question, r.answer, r.answered_at, t.status";

fn request_view(row: &Row<'_>) -> rusqlite::Result<RequestView> {
    let task = TaskId(row.get(1)?);
    let status: Status = word(row, 7)?;
    Ok(RequestView {
        id: row.get(0)?,
        task,
        attempt: attempt(task, row.get(2)?),
        at: Timestamp(row.get(3)?),
        question: row.get(4)?,
        answer: row.get(5)?,
        answered_at: moment(row, 6)?,
        over: status.is_final(),
    })
}

fn attempt(task: TaskId, number: Option<u32>) -> Option<AttemptId> {
    number.map(|number| AttemptId { task, number })
}

/// One question.
pub(super) fn request(conn: &Connection, id: i64) -> Result<RequestView, Failure> {
    let sql = format!("SELECT {REQUEST} FROM requests AS r JOIN tasks AS t ON t.id = r.task WHERE r.id = ?1");
    conn.prepare_cached(&sql)?.query_row([id], request_view).optional()?.ok_or_else(|| {
        Fault::not_found(format!("there is no question {id}")).hint("'autodev requests' lists them").into()
    })
}

/// How many questions nobody has answered, of tasks that have not ended.
pub(super) fn open_requests(conn: &Connection) -> Result<u64, Failure> {
    let count: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM requests AS r INDEXED BY requests_open JOIN tasks AS t ON t.id = r.task
              WHERE r.answered_at IS NULL AND t.ended_at IS NULL",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The newest questions, those of all tasks or of one, oldest first; without `all` those
/// that somebody waits for.
pub(super) fn requests(conn: &Connection, task: Option<TaskId>, all: bool) -> Result<Vec<RequestView>, Failure> {
    let which = if all { "1" } else { "r.answered_at IS NULL AND t.ended_at IS NULL" };
    let sql = format!(
        "SELECT {REQUEST} FROM requests AS r JOIN tasks AS t ON t.id = r.task
          WHERE {which} AND (?1 IS NULL OR r.task = ?1) ORDER BY r.id DESC LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params![task.map(|t| t.0), MAX_SAID], request_view)?;
    let mut found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    found.reverse();
    Ok(found)
}

/// What was said about a task, oldest first.
pub(super) fn notes(conn: &Connection, task: TaskId) -> rusqlite::Result<Vec<NoteView>> {
    let mut statement =
        conn.prepare_cached("SELECT at, actor, attempt, text FROM notes WHERE task = ?1 ORDER BY id")?;
    let rows = statement.query_map([task.0], |row| {
        Ok(NoteView {
            at: Timestamp(row.get(0)?),
            actor: row.get(1)?,
            attempt: attempt(task, row.get(2)?),
            text: row.get(3)?,
        })
    })?;
    rows.collect()
}

const OUTPUT: &str = "id, task, attempt, at, name, path, bytes, sha256";

fn output_view(row: &Row<'_>, state: &Path) -> rusqlite::Result<OutputView> {
    let task = TaskId(row.get(1)?);
    Ok(OutputView {
        id: row.get(0)?,
        task,
        attempt: attempt(task, row.get(2)?),
        at: Timestamp(row.get(3)?),
        name: row.get(4)?,
        path: state.join(row.get::<_, String>(5)?).to_string_lossy().into_owned(),
        bytes: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
        sha256: row.get(7)?,
    })
}

/// The files kept with a task, or with all.
pub(super) fn outputs(conn: &Connection, state: &Path, task: Option<TaskId>) -> Result<Vec<OutputView>, Failure> {
    if let Some(task) = task {
        must_exist(conn, task)?;
    }
    let sql = format!("SELECT {OUTPUT} FROM outputs WHERE ?1 IS NULL OR task = ?1 ORDER BY id");
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([task.map(|t| t.0)], |row| output_view(row, state))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
