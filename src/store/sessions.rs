//! Sessions and attempts: their rows, from the claim or the opening to the end.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::apply::apply;
use super::events::{self, Entry};
use super::failure::Failure;
use super::rows::word;
use super::tx::Tx;
use super::{Applied, AttemptEnd, AttemptStart, NewSession, RecordingMove, StoredSession};
use crate::id::{AttemptId, MAX_SESSION_NAME, SessionName, Uid};
use crate::protocol::exit::ExitRecord;
use crate::protocol::fault::Fault;
use crate::protocol::launch::LaunchSpec;
use crate::protocol::view::SessionState;
use crate::task::{Actor, Event, Exit};

/// `Started`, with what runs and who keeps it.
pub(super) fn start_attempt(tx: &mut Tx<'_>, attempt: AttemptId, start: &AttemptStart) -> Result<Applied, Failure> {
    let event = Event::Started { attempt: attempt.number, resumed: start.resumed };
    let applied = apply(tx, attempt.task, &event, Actor::Daemon)?;
    describe(tx, attempt, start)?;
    Ok(applied)
}

/// Writes down what runs in an attempt, and who keeps it.
pub(super) fn describe(tx: &Tx<'_>, attempt: AttemptId, start: &AttemptStart) -> rusqlite::Result<()> {
    let AttemptStart { argv, keeper_pid, size, conversation, resumed } = start;
    if conversation.is_some() || *resumed {
        tx.conn
            .prepare_cached("UPDATE attempts SET conversation = ?3, resumed = ?4 WHERE task = ?1 AND number = ?2")?
            .execute(params![attempt.task.0, attempt.number, conversation, resumed])?;
    }
    tx.conn
        .prepare_cached(
            "UPDATE sessions SET argv = ?3, keeper_pid = ?4, columns = ?5, rows = ?6
              WHERE id = (SELECT session FROM attempts WHERE task = ?1 AND number = ?2)",
        )?
        .execute(params![attempt.task.0, attempt.number, json!(argv).to_string(), keeper_pid, size.0, size.1])?;
    Ok(())
}

/// `Ended` and `Settled`.
pub(super) fn end_attempt(tx: &mut Tx<'_>, attempt: AttemptId, end: AttemptEnd) -> Result<Applied, Failure> {
    let AttemptId { task, number } = attempt;
    let exit = end.record.as_ref().map_or_else(Exit::default, |r| r.exit);
    let error = end.error.or_else(|| end.record.as_ref().and_then(|r| r.error.clone()));
    let ended = Event::Ended { attempt: number, outcome: end.outcome, exit, error };
    let before = apply(tx, task, &ended, Actor::Daemon)?.before;
    if let Some(conversation) = &end.conversation {
        tx.conn
            .prepare_cached(
                "UPDATE attempts SET conversation = coalesce(conversation, ?3) WHERE task = ?1 AND number = ?2",
            )?
            .execute(params![task.0, number, conversation])?;
    }
    let settled = apply(tx, task, &Event::Settled { attempt: number }, Actor::Daemon)?;
    if let Some(record) = &end.record {
        let session = tx
            .conn
            .prepare_cached("SELECT session FROM attempts WHERE task = ?1 AND number = ?2")?
            .query_row(params![task.0, number], |row| row.get(0))?;
        write_record(tx, session, record)?;
        tx.conn
            .prepare_cached(
                "UPDATE attempts SET started_at = coalesce(?3, started_at), ended_at = ?4
                  WHERE task = ?1 AND number = ?2",
            )?
            .execute(params![task.0, number, record.started_at.map(|s| s.0), record.ended_at.0])?;
    }
    Ok(Applied { before, ..settled })
}

fn write_record(tx: &Tx<'_>, session: i64, record: &ExitRecord) -> rusqlite::Result<()> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    tx.conn
        .prepare_cached(
            "UPDATE sessions SET started_at = coalesce(?2, started_at), ended_at = ?3, exit_code = ?4,
                 recording_bytes = ?5, recording_sha256 = ?6, ran_ms = ?7, cpu_ms = ?8, peak_memory = ?9,
                 peak_processes = ?10
              WHERE id = ?1",
        )?
        .execute(params![
            session,
            record.started_at.map(|s| s.0),
            record.ended_at.0,
            record.exit.shell_code(),
            number(record.recording_bytes),
            record.recording_sha256,
            record.used.map(|used| number(used.ran_ms)),
            record.used.map(|used| number(used.cpu_ms)),
            record.used.map(|used| number(used.peak_memory_bytes)),
            record.used.map(|used| used.peak_processes),
        ])?;
    Ok(())
}

/// Stores a session without a task, before it is launched.
pub(super) fn new_session(tx: &mut Tx<'_>, session: &NewSession) -> Result<StoredSession, Failure> {
    let name = match &session.name {
        Some(name) => {
            refuse_name(tx, name)?;
            name.clone()
        }
        None => numbered_name(tx, &session.tool)?,
    };
    let row = Row {
        name,
        uid: Uid::new(),
        tool: &session.tool,
        mode: session.mode.name(),
        dir: &session.dir,
        state: SessionState::Starting,
        size: session.size,
    };
    insert(tx, row, "session_opened")
}

/// Stores a session that was found running and has no row.
pub(super) fn adopt_unknown(tx: &mut Tx<'_>, spec: &LaunchSpec) -> Result<StoredSession, Failure> {
    // An attempt's name would be wanted again by the attempt that gets its number.
    let name = match refuse_name(tx, &spec.session) {
        Ok(()) => spec.session.clone(),
        Err(Failure::Fault(_)) => numbered_name(tx, "unknown")?,
        Err(other) => return Err(other),
    };
    let step = spec.steps.last();
    let row = Row {
        name,
        uid: spec.uid,
        tool: &spec.tool,
        mode: spec.mode.name(),
        dir: &step.map(|s| s.directory.to_string_lossy().into_owned()).unwrap_or_default(),
        state: SessionState::Running,
        size: (spec.columns, spec.rows),
    };
    let stored = insert(tx, row, "session_adopted")?;
    tx.conn
        .prepare_cached("UPDATE sessions SET started_at = created_at, argv = ?2 WHERE uid = ?1")?
        .execute(params![spec.uid.bytes(), json!(step.map_or(&[][..], |s| s.argv.as_slice())).to_string()])?;
    Ok(stored)
}

struct Row<'a> {
    name: SessionName,
    uid: Uid,
    tool: &'a str,
    mode: &'a str,
    dir: &'a str,
    state: SessionState,
    size: (u16, u16),
}

fn insert(tx: &mut Tx<'_>, row: Row<'_>, kind: &str) -> Result<StoredSession, Failure> {
    tx.conn
        .prepare_cached(
            "INSERT INTO sessions (uid, name, tool, mode, dir, state, argv, columns, rows, created_at, recording_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, '[]', ?7, ?8, ?9, 0)",
        )?
        .execute(params![
            row.uid.bytes(),
            row.name.as_str(),
            row.tool,
            row.mode,
            row.dir,
            row.state.name(),
            row.size.0,
            row.size.1,
            tx.now.0,
        ])?;
    let number = u64::try_from(tx.conn.last_insert_rowid()).unwrap_or(0);
    let actor = if row.state == SessionState::Starting { Actor::User } else { Actor::Daemon };
    append(tx, kind, actor, json!({ "session": row.name, "uid": row.uid, "tool": row.tool }))?;
    Ok(StoredSession { name: row.name, uid: row.uid, number })
}

/// Only such characters as numbers of tasks (42), attempts (42.1) and ranges (3-9) are made
/// of: where tasks and sessions can be named, it would mean tasks.
fn reads_as_numbers(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'))
}

/// A name that is taken, or that would be mistaken for tasks or an attempt.
fn refuse_name(tx: &Tx<'_>, name: &SessionName) -> Result<(), Failure> {
    if reads_as_numbers(name.as_str()) {
        return Err(Fault::usage(format!("a session without a task cannot be named '{name}'"))
            .hint("42, 42.1 and 3-9 name tasks and their attempts; put a letter in front")
            .into());
    }
    if find(tx, name)?.is_some_and(|s| s.live) {
        return Err(Fault::conflict(format!("a session named '{name}' is there already"))
            .hint(format!("'autodev attach {name}' shows it"))
            .into());
    }
    Ok(())
}

/// `TOOL-N` with the lowest N never used.
fn numbered_name(tx: &Tx<'_>, tool: &str) -> Result<SessionName, Failure> {
    let word = name_word(tool);
    loop {
        let number: i64 = tx
            .conn
            .prepare_cached(
                "INSERT INTO session_names (tool, number) VALUES (?1, 1)
                     ON CONFLICT DO UPDATE SET number = number + 1 RETURNING number",
            )?
            .query_row([&word], |row| row.get(0))?;
        let name: SessionName =
            format!("{word}-{number}").parse().map_err(|e: crate::id::BadName| Fault::internal(e.to_string()))?;
        // Somebody may have chosen this very name.
        if find(tx, &name)?.is_none() {
            return Ok(name);
        }
    }
}

/// A tool's name or path as the first part of a session's name.
fn name_word(tool: &str) -> String {
    // Room for a dash and a number.
    const LONGEST: usize = MAX_SESSION_NAME - 16;
    let base = tool.rsplit('/').next().unwrap_or(tool);
    let plain: String = base
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .take(LONGEST)
        .collect();
    let word = plain.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if reads_as_numbers(word) { "session".to_owned() } else { word.to_owned() }
}

struct Found {
    id: i64,
    live: bool,
    of_task: bool,
}

/// The session of a name that lives, else the newest.
fn find(tx: &Tx<'_>, name: &SessionName) -> rusqlite::Result<Option<Found>> {
    tx.conn
        .prepare_cached(
            "SELECT id, ended_at IS NULL, task IS NOT NULL FROM sessions WHERE name = ?1
              ORDER BY ended_at IS NULL DESC, id DESC LIMIT 1",
        )?
        .query_row([name.as_str()], |row| Ok(Found { id: row.get(0)?, live: row.get(1)?, of_task: row.get(2)? }))
        .optional()
}

/// The session of a name, which must not be an attempt's.
fn taskless(tx: &Tx<'_>, name: &SessionName) -> Result<Found, Failure> {
    let found = find(tx, name)?.ok_or_else(|| no_session(name.as_str()))?;
    not_of_task(&found, name)?;
    Ok(found)
}

fn not_of_task(found: &Found, name: &SessionName) -> Result<(), Failure> {
    if found.of_task {
        return Err(Fault::conflict(format!("session {name} belongs to a task")).into());
    }
    Ok(())
}

/// The session with this identity, which must not be an attempt's, and its name now.
fn taskless_by_uid(tx: &Tx<'_>, uid: Uid) -> Result<(Found, SessionName), Failure> {
    // Not by its name: another session may have had it.
    let found = tx
        .conn
        .prepare_cached("SELECT id, ended_at IS NULL, task IS NOT NULL, name FROM sessions WHERE uid = ?1")?
        .query_row([uid.bytes()], |row| {
            Ok((Found { id: row.get(0)?, live: row.get(1)?, of_task: row.get(2)? }, word::<SessionName>(row, 3)?))
        })
        .optional()?;
    let (found, name) = found.ok_or_else(|| no_session(&uid.to_string()))?;
    not_of_task(&found, &name)?;
    Ok((found, name))
}

/// Nobody has this name.
pub(super) fn no_session(name: &str) -> Fault {
    Fault::not_found(format!("there is no session '{name}'")).hint("'autodev sessions --all' shows all sessions")
}

/// The session's program is about to be told to run.
pub(super) fn start(tx: &mut Tx<'_>, uid: Uid, argv: &[String], keeper_pid: Option<u32>) -> Result<(), Failure> {
    let (found, name) = taskless_by_uid(tx, uid)?;
    if !found.live {
        return Err(Fault::conflict(format!("session {name} has ended")).into());
    }
    tx.conn
        .prepare_cached("UPDATE sessions SET state = ?2, started_at = ?3, argv = ?4, keeper_pid = ?5 WHERE id = ?1")?
        .execute(params![found.id, SessionState::Running.name(), tx.now.0, json!(argv).to_string(), keeper_pid])?;
    append(tx, "session_started", Actor::Daemon, json!({ "session": name }))
}

/// A session without a task is over. Being told again changes nothing.
pub(super) fn end(
    tx: &mut Tx<'_>,
    uid: Uid,
    state: SessionState,
    error: Option<&str>,
    record: Option<&ExitRecord>,
) -> Result<(), Failure> {
    let (found, name) = taskless_by_uid(tx, uid)?;
    if !found.live {
        return Ok(());
    }
    let error = error.or_else(|| record.and_then(|r| r.error.as_deref()));
    tx.conn
        .prepare_cached("UPDATE sessions SET state = ?2, ended_at = ?3, error = ?4 WHERE id = ?1")?
        .execute(params![found.id, state.name(), tx.now.0, error])?;
    let mut detail = json!({ "session": name, "state": state });
    if let Some(record) = record {
        write_record(tx, found.id, record)?;
        detail["exit_code"] = json!(record.exit.code);
        detail["signal"] = json!(record.exit.signal);
    }
    append(tx, "session_ended", Actor::Daemon, detail)
}

/// Gives a session without a task another name.
pub(super) fn rename(tx: &mut Tx<'_>, from: &SessionName, to: &SessionName) -> Result<(), Failure> {
    let found = taskless(tx, from)?;
    refuse_name(tx, to)?;
    tx.conn.prepare_cached("UPDATE sessions SET name = ?2 WHERE id = ?1")?.execute(params![found.id, to.as_str()])?;
    append(tx, "session_renamed", Actor::User, json!({ "session": from, "name": to }))
}

/// Writes down where recordings are now.
pub(super) fn recordings_moved(tx: &mut Tx<'_>, moved: &[RecordingMove]) -> Result<(), Failure> {
    for RecordingMove { session, path, offset, changed } in moved {
        let offset = offset.map(|o| i64::try_from(o).unwrap_or(i64::MAX));
        tx.conn
            .prepare_cached(
                "UPDATE sessions SET recording_path = ?2, recording_offset = ?3,
                     recording_sha256 = CASE WHEN ?4 THEN NULL ELSE recording_sha256 END
                  WHERE uid = ?1",
            )?
            .execute(params![session.bytes(), path, offset, changed])?;
    }
    Ok(())
}

/// Writes down something about no task.
pub(super) fn append(tx: &mut Tx<'_>, kind: &str, actor: Actor, detail: serde_json::Value) -> Result<(), Failure> {
    events::append(tx, Entry { task: None, attempt: None, kind, actor, status: None, detail })?;
    Ok(())
}
