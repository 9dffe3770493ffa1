//! One task with its attempts, sessions, and the counts.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Unfinished;
use super::failure::Failure;
use super::rows::{self, Circumstances, STATE, json, moment, no_task, span, state, uid, word, word_or_none};
use super::sessions::no_session;
use super::{inside, texts};
use crate::clock::Timestamp;
use crate::id::{AttemptId, SessionName, TaskId, Uid};
use crate::protocol::fault::Fault;
use crate::protocol::request::ListQuery;
use crate::protocol::view::{AttemptView, Brief, Count, RecordingView, SessionState, SessionView, TaskDetail};
use crate::queue::{LaneId, Limits};
use crate::task::Status;

const ALL_STATES: [SessionState; 6] = [
    SessionState::Starting,
    SessionState::Running,
    SessionState::Paused,
    SessionState::Ended,
    SessionState::Unresponsive,
    SessionState::Lost,
];

/// A task with all that is known of it.
pub(super) fn task(
    conn: &Connection,
    state: &Path,
    live: &Path,
    task: TaskId,
    limits: &Limits,
) -> Result<TaskDetail, Failure> {
    let circumstances = Circumstances::now(conn, limits)?;
    let view = rows::task(conn, task, &circumstances, true)?;
    let environment: std::collections::BTreeMap<String, String> = conn
        .prepare_cached("SELECT environment FROM task_texts WHERE task = ?1")?
        .query_row([task.0], |row| json(row, 0))?;
    let environment = environment.into_keys().collect();
    let damage = texts::damage(conn, task)?.map(str::to_owned);
    let parent = conn
        .prepare_cached("SELECT parent FROM tasks WHERE id = ?1")?
        .query_row([task.0], |row| row.get::<_, Option<i64>>(0))?;
    Ok(TaskDetail {
        task: view,
        attempts: attempts(conn, live, task)?,
        environment,
        damage,
        parent: parent.map(TaskId),
        notes: inside::notes(conn, task)?,
        requests: inside::requests(conn, Some(task), true)?,
        outputs: inside::outputs(conn, state, Some(task))?,
    })
}

/// How these tasks stand.
pub(super) fn briefs(conn: &Connection, tasks: &[TaskId]) -> Result<Vec<Brief>, Failure> {
    let mut statement =
        conn.prepare_cached("SELECT title, status, outcome, exit_code, last_error FROM tasks WHERE id = ?1")?;
    let mut found = Vec::with_capacity(tasks.len());
    for task in tasks {
        let brief = statement.query_row([task.0], |row| {
            Ok(Brief {
                id: *task,
                title: row.get(0)?,
                state: word(row, 1)?,
                outcome: word_or_none(row, 2)?,
                exit_code: row.get(3)?,
                last_error: row.get(4)?,
            })
        });
        found.extend(brief.optional()?);
    }
    Ok(found)
}

fn attempts(conn: &Connection, live: &Path, task: TaskId) -> rusqlite::Result<Vec<AttemptView>> {
    let mut statement = conn.prepare_cached(
        "SELECT a.number, s.name, a.provider, a.model, s.argv, a.claimed_at, a.started_at, a.ended_at, a.outcome,
                a.exit_code, a.error, s.recording_path, s.recording_offset, s.recording_bytes, s.recording_sha256,
                a.conversation, a.resumed, s.cpu_ms, s.peak_memory, s.peak_processes
           FROM attempts AS a JOIN sessions AS s ON s.id = a.session WHERE a.task = ?1 ORDER BY a.number",
    )?;
    let rows = statement.query_map([task.0], |row| {
        let started_at = moment(row, 6)?;
        let session: SessionName = word(row, 1)?;
        Ok(AttemptView {
            id: AttemptId { task, number: row.get(0)? },
            recording: recording(row, 11, live, session.as_str(), started_at)?,
            session,
            provider: row.get(2)?,
            model: row.get(3)?,
            argv: json(row, 4)?,
            claimed_at: Timestamp(row.get(5)?),
            started_at,
            ended_at: moment(row, 7)?,
            outcome: word_or_none(row, 8)?,
            exit_code: row.get(9)?,
            error: row.get(10)?,
            conversation: row.get(15)?,
            resumed: row.get(16)?,
            cpu_ms: positive(row, 17)?,
            peak_memory_bytes: positive(row, 18)?,
            peak_processes: row.get(19)?,
        })
    })?;
    rows.collect()
}

/// The four columns of a recording, from `column` on. One that never began is none.
fn recording(
    row: &Row<'_>,
    column: usize,
    live: &Path,
    directory: &str,
    started_at: Option<Timestamp>,
) -> rusqlite::Result<Option<RecordingView>> {
    let moved: Option<String> = row.get(column)?;
    let path = match (moved, started_at) {
        (Some(path), _) => path,
        (None, Some(_)) => live.join(directory).display().to_string(),
        (None, None) => return Ok(None),
    };
    Ok(Some(RecordingView {
        path,
        pack_offset: positive(row, column + 1)?,
        bytes: positive(row, column + 2)?.unwrap_or(0),
        sha256: row.get(column + 3)?,
    }))
}

/// A number that is not below zero, where there is one.
fn positive(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.and_then(|value| u64::try_from(value).ok()))
}

/// Tasks by status, every status.
pub(super) fn counts(conn: &Connection) -> Result<Vec<Count>, Failure> {
    let mut statement = conn.prepare_cached("SELECT tasks FROM counters WHERE status = ?1")?;
    let count = |state: Status| -> Result<Count, Failure> {
        let tasks: i64 = statement.query_row([state.name()], |row| row.get(0))?;
        Ok(Count { state, tasks: u64::try_from(tasks).unwrap_or(0) })
    };
    Status::ALL.into_iter().map(count).collect()
}

/// The lane a task stands in.
pub(super) fn lane(conn: &Connection, task: TaskId) -> Result<LaneId, Failure> {
    conn.prepare_cached("SELECT lane FROM tasks WHERE id = ?1")?
        .query_row([task.0], |row| row.get(0).map(LaneId))
        .optional()?
        .ok_or_else(|| no_task(task).into())
}

const SESSION: &str = "name, uid, tool, mode, state, keeper_pid, created_at, ended_at, exit_code, dir, task, columns, \
                       rows, started_at, recording_path, recording_offset, recording_bytes, recording_sha256, \
                       cpu_ms, peak_memory, peak_processes";

/// A session as far as its row knows it; what only a living keeper knows is left out.
fn session_view(row: &Row<'_>, live: &Path) -> rusqlite::Result<SessionView> {
    let name: SessionName = word(row, 0)?;
    let state = row.get_ref(4)?.as_str()?;
    // The column's check allows these words only.
    let state = ALL_STATES.into_iter().find(|s| s.name() == state).unwrap_or(SessionState::Lost);
    let ended_at = moment(row, 7)?;
    let session_id = uid(row, 1)?;
    Ok(SessionView {
        recording: recording(row, 14, live, &name.directory(session_id), moment(row, 13)?)?,
        name,
        session_id,
        tool: row.get(2)?,
        mode: word(row, 3)?,
        state,
        pid: None,
        keeper_pid: row.get::<_, Option<u32>>(5)?.filter(|_| ended_at.is_none()),
        keeper_version: None,
        created_at: Timestamp(row.get(6)?),
        ended_at,
        exit_code: row.get(8)?,
        current_directory: row.get(9)?,
        authentication_required: false,
        task: row.get::<_, Option<i64>>(10)?.map(TaskId),
        writers: 0,
        watchers: 0,
        columns: row.get(11)?,
        rows: row.get(12)?,
        cpu_ms: positive(row, 18)?,
        memory_bytes: None,
        processes: None,
        peak_memory_bytes: positive(row, 19)?,
        peak_processes: row.get(20)?,
        socket: None,
    })
}

/// The newest sessions that have not ended, or of all, older than `before`; oldest first.
pub(super) fn sessions(
    conn: &Connection,
    live: &Path,
    all: bool,
    before: Option<Uid>,
    limit: u32,
) -> Result<Vec<SessionView>, Failure> {
    let below: i64 = match before {
        None => i64::MAX,
        Some(uid) => conn
            .prepare_cached("SELECT id FROM sessions WHERE uid = ?1")?
            .query_row([uid.bytes()], |row| row.get(0))
            .optional()?
            .ok_or_else(|| no_session(&uid.to_string()))?,
    };
    let which = if all { "WHERE" } else { "INDEXED BY sessions_live WHERE ended_at IS NULL AND" };
    let mut statement =
        conn.prepare_cached(&format!("SELECT {SESSION} FROM sessions {which} id < ?1 ORDER BY id DESC LIMIT ?2"))?;
    let limit = limit.clamp(1, ListQuery::MAX_LIMIT);
    let rows = statement.query_map(params![below, limit], |row| session_view(row, live))?;
    let mut sessions = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    sessions.reverse();
    Ok(sessions)
}

/// Whether there is a session of this identity.
pub(super) fn has_session(conn: &Connection, uid: Uid) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM sessions WHERE uid = ?1")?.exists([uid.bytes()])
}

/// A session by its identity.
pub(super) fn session_of(conn: &Connection, live: &Path, uid: Uid) -> Result<SessionView, Failure> {
    conn.prepare_cached(&format!("SELECT {SESSION} FROM sessions WHERE uid = ?1"))?
        .query_row([uid.bytes()], |row| session_view(row, live))
        .optional()?
        .ok_or_else(|| no_session(&uid.to_string()).into())
}

/// A session by its name, its identity, or a task's newest one. Of several that had the
/// name, the one that lives, else the newest.
pub(super) fn session(conn: &Connection, live: &Path, target: &str) -> Result<SessionView, Failure> {
    let named = conn
        .prepare_cached(&format!(
            "SELECT {SESSION} FROM sessions WHERE name = ?1 ORDER BY ended_at IS NULL DESC, id DESC LIMIT 1"
        ))?
        .query_row([target], |row| session_view(row, live))
        .optional()?;
    if let Some(view) = named {
        return Ok(view);
    }
    if let Ok(uid) = target.parse::<Uid>() {
        return session_of(conn, live, uid);
    }
    let Ok(task) = target.parse::<TaskId>() else { return Err(no_session(target).into()) };
    let newest = conn
        .prepare_cached(&format!(
            "SELECT {SESSION} FROM sessions
              WHERE id = (SELECT session FROM attempts WHERE task = ?1 ORDER BY number DESC LIMIT 1)"
        ))?
        .query_row([task.0], |row| session_view(row, live))
        .optional()?;
    match newest {
        Some(view) => Ok(view),
        None if conn.prepare_cached("SELECT 1 FROM tasks WHERE id = ?1")?.exists([task.0])? => {
            Err(Fault::not_found(format!("task {task} has no session: it has not been started"))
                .hint(format!("'autodev show {task}' says why"))
                .into())
        }
        None => Err(no_task(task).into()),
    }
}

/// Sessions without an end, and those of tasks that are not settled.
pub(super) fn unfinished(conn: &Connection) -> Result<Vec<Unfinished>, Failure> {
    let mut statement = conn.prepare_cached(&format!(
        "WITH open (id) AS (
             SELECT id FROM sessions INDEXED BY sessions_live WHERE ended_at IS NULL
             UNION
             SELECT a.session FROM tasks AS t INDEXED BY tasks_status
                 JOIN attempts AS a ON a.task = t.id AND a.number = t.attempt
              WHERE t.status IN ('starting', 'running', 'paused', 'completing'))
         SELECT s.name, s.uid, s.id, s.task, s.attempt, t.status, t.stop, s.started_at, t.timeout_ms,
                (SELECT sum(CASE e.kind WHEN 'resumed' THEN e.at ELSE -e.at END) FROM events AS e
                  WHERE e.task = s.task AND e.attempt = s.attempt AND e.kind IN ('paused', 'resumed')),
                {STATE}
           FROM open CROSS JOIN sessions AS s ON s.id = open.id LEFT JOIN tasks AS t ON t.id = s.task
          ORDER BY s.id"
    ))?;
    let now = Timestamp::now();
    let rows = statement.query_map([], |row| {
        let task: Option<i64> = row.get(3)?;
        let number: Option<u32> = row.get(4)?;
        let status: Option<Status> = word_or_none(row, 5)?;
        let started_at = moment(row, 7)?;
        // Every pause counts from its beginning to its end; one that lasts, to now. (A
        // pause ended by an order to end leaves less than nothing, and nothing to limit.)
        let mut paused = row.get::<_, Option<i64>>(9)?.unwrap_or(0);
        if status == Some(Status::Paused) {
            paused = paused.saturating_add(now.0);
        }
        let paused = Duration::from_millis(u64::try_from(paused).unwrap_or(0));
        let attempt = task.zip(number).map(|(task, number)| AttemptId { task: TaskId(task), number });
        Ok(Unfinished {
            session: word(row, 0)?,
            uid: uid(row, 1)?,
            number: row.get::<_, i64>(2)?.try_into().unwrap_or(0),
            attempt: attempt.zip(status),
            state: status.map(|_| state(row, 10)).transpose()?,
            stop: word_or_none(row, 6)?,
            started: started_at.is_some(),
            timeout: span(row, 8)?,
            started_at: started_at.map(|at| at.plus(paused)),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Refuses a task that does not exist.
pub(super) fn must_exist(conn: &Connection, task: TaskId) -> Result<(), Failure> {
    if conn.prepare_cached("SELECT 1 FROM tasks WHERE id = ?1")?.exists(params![task.0])? {
        Ok(())
    } else {
        Err(no_task(task).into())
    }
}
