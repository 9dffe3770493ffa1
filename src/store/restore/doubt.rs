//! What nobody can know after a restore, and what the live sessions know better than the
//! copy does.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use super::mend::numbers;
use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::launch::LaunchSpec;
use crate::store::apply::{Current, apply};
use crate::store::tx::Tx;
use crate::store::{AttemptStart, Failure, claim, rows, sessions};
use crate::task::{Actor, Event, Exit, Outcome, Status};

/// What is said of an attempt or a session whose end nobody knows.
const LOST: &str = "its end was lost with the database";

/// Gives attempts their rows that are live and not in the copy: their tasks may not be
/// started again beside them. How many.
pub(super) fn adopt(tx: &mut Tx<'_>, live: &[LaunchSpec]) -> Result<u32, Failure> {
    let mut adopted = 0;
    for spec in live {
        let Some(attempt) = spec.session.attempt() else { continue };
        if is_attempt(tx, attempt, spec.uid)? || !is_task(tx, attempt.task, spec.task_uid)? {
            continue;
        }
        if bring_to(tx, attempt)? {
            take_in(tx, attempt, spec)?;
            adopted += 1;
        }
    }
    Ok(adopted)
}

/// Whether the session is there, as that of this attempt, and the task knows of it.
fn is_attempt(tx: &Tx<'_>, attempt: AttemptId, uid: Uid) -> Result<bool, Failure> {
    let found = tx
        .conn
        .prepare_cached(
            "SELECT 1 FROM attempts AS a JOIN sessions AS s ON s.id = a.session JOIN tasks AS t ON t.id = a.task
              WHERE a.task = ?1 AND a.number = ?2 AND s.uid = ?3 AND t.attempt >= a.number",
        )?
        .exists(params![attempt.task.0, attempt.number, uid.bytes()])?;
    Ok(found)
}

/// Whether the task has this identity: its number may mean another one.
fn is_task(tx: &Tx<'_>, task: TaskId, uid: Option<Uid>) -> Result<bool, Failure> {
    let found = tx
        .conn
        .prepare_cached("SELECT uid FROM tasks WHERE id = ?1")?
        .query_row([task.0], |row| rows::uid(row, 0))
        .optional()?;
    Ok(found.is_some() && found == uid)
}

/// Brings a task to where an attempt of it has been claimed and has no row, through those
/// that are lost; `false` when it is past that.
fn bring_to(tx: &mut Tx<'_>, attempt: AttemptId) -> Result<bool, Failure> {
    let task = attempt.task;
    let mut state = Current::of(tx, task)?.state;
    if state.attempt == attempt.number {
        let has_row = tx
            .conn
            .prepare_cached("SELECT 1 FROM attempts WHERE task = ?1 AND number = ?2")?
            .exists(params![task.0, attempt.number])?;
        return Ok(!has_row && matches!(state.status, Status::Starting | Status::Running | Status::Paused));
    }
    if state.attempt > attempt.number || state.status == Status::Passed {
        return Ok(false);
    }
    while state.attempt < attempt.number {
        let step = match state.status {
            Status::Queued => Event::Claimed { attempt: state.attempt + 1 },
            Status::Held => Event::Released,
            Status::Completing => Event::Settled { attempt: state.attempt },
            status if status.is_active() => ended(state.attempt, Outcome::NeverStarted),
            _ => Event::Retried,
        };
        apply(tx, task, &step, Actor::Daemon)?;
        state = Current::of(tx, task)?.state;
    }
    Ok(true)
}

/// Makes the rows of a live attempt, as its start has made them.
fn take_in(tx: &mut Tx<'_>, attempt: AttemptId, spec: &LaunchSpec) -> Result<(), Failure> {
    // Whatever else the copy has under this name, or of this session, is not it.
    tx.conn.execute(
        "UPDATE sessions SET state = 'lost', ended_at = ?2, error = ?3 WHERE name = ?1 AND ended_at IS NULL",
        params![spec.session.as_str(), tx.now.0, LOST],
    )?;
    let session = tx
        .conn
        .prepare_cached(
            "UPDATE sessions SET ended_at = NULL, error = NULL, state = 'starting' WHERE uid = ?1 RETURNING id",
        )?
        .query_row([spec.uid.bytes()], |row| row.get(0))
        .optional()?;
    tx.conn.execute("DELETE FROM attempts WHERE task = ?1 AND number = ?2", params![attempt.task.0, attempt.number])?;
    claim::make_rows(tx, attempt, spec.uid, session)?;
    let start = AttemptStart {
        argv: spec.steps.last().map(|step| step.argv.clone()).unwrap_or_default(),
        keeper_pid: None,
        size: (spec.columns, spec.rows),
        conversation: spec.conversation.clone(),
        resumed: spec.resumed,
    };
    if Current::of(tx, attempt.task)?.state.status == Status::Starting {
        sessions::start_attempt(tx, attempt, &start)?;
        return Ok(());
    }
    // Its start is known, only its rows were not.
    sessions::describe(tx, attempt, &start)?;
    tx.conn.execute(
        "UPDATE attempts SET started_at = ?3 WHERE task = ?1 AND number = ?2",
        params![attempt.task.0, attempt.number, tx.now.0],
    )?;
    tx.conn.execute(
        "UPDATE sessions SET state = 'running', started_at = ?2 WHERE uid = ?1",
        params![spec.uid.bytes(), tx.now.0],
    )?;
    Ok(())
}

fn ended(attempt: u32, outcome: Outcome) -> Event {
    Event::Ended { attempt, outcome, exit: Exit::default(), error: Some(LOST.to_owned()) }
}

/// Holds what waits and may have run since the copy was made; calls the end unknown of what
/// was under way and has left no session. How many of either.
pub(super) fn settle(tx: &mut Tx<'_>, live: &[LaunchSpec]) -> Result<(u32, u32), Failure> {
    let live: HashSet<Uid> = live.iter().map(|spec| spec.uid).collect();
    let (mut held, mut unknown) = (0, 0);
    raise_attempts(tx)?;
    let active = "SELECT id FROM tasks WHERE status IN ('starting', 'running', 'paused', 'completing') ORDER BY id";
    for task in numbers(tx.conn, active)?.into_iter().map(TaskId) {
        let state = Current::of(tx, task)?.state;
        let session = tx
            .conn
            .prepare_cached(
                "SELECT s.uid FROM attempts AS a JOIN sessions AS s ON s.id = a.session
                  WHERE a.task = ?1 AND a.number = ?2",
            )?
            .query_row(params![task.0, state.attempt], |row| rows::uid(row, 0))
            .optional()?;
        if session.is_some_and(|session| live.contains(&session)) {
            continue;
        }
        if state.status != Status::Completing {
            apply(tx, task, &ended(state.attempt, Outcome::Unknown), Actor::Daemon)?;
        }
        apply(tx, task, &Event::Settled { attempt: state.attempt }, Actor::Daemon)?;
        unknown += 1;
    }
    for task in numbers(tx.conn, "SELECT id FROM tasks WHERE status = 'queued' ORDER BY id")? {
        apply(tx, TaskId(task), &Event::Held, Actor::Daemon)?;
        held += 1;
    }
    close_sessions(tx, &live)?;
    Ok((held, unknown))
}

/// A task's row may be from before attempts of which there are rows or entries: their numbers
/// are not given out again.
fn raise_attempts(tx: &Tx<'_>) -> rusqlite::Result<()> {
    tx.conn.execute(
        "UPDATE tasks SET attempt = known.number
           FROM (SELECT task, max(number) AS number FROM (
                     SELECT task, number FROM attempts
                     UNION ALL SELECT task, attempt FROM events WHERE attempt IS NOT NULL)
                  GROUP BY task) AS known
          WHERE known.task = tasks.id AND known.number > tasks.attempt",
        [],
    )?;
    Ok(())
}

/// Ends the sessions of attempts that are not under way: their rows are from before.
fn close_sessions(tx: &Tx<'_>, live: &HashSet<Uid>) -> Result<(), Failure> {
    let mut statement = tx.conn.prepare(
        "SELECT s.uid FROM sessions AS s INDEXED BY sessions_live
          WHERE s.ended_at IS NULL AND s.task IS NOT NULL AND NOT EXISTS (
              SELECT 1 FROM attempts AS a JOIN tasks AS t ON t.id = a.task AND t.attempt = a.number
               WHERE a.session = s.id AND t.status IN ('starting', 'running', 'paused', 'completing'))",
    )?;
    let open = statement.query_map([], |row| rows::uid(row, 0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    for uid in open.into_iter().filter(|uid| !live.contains(uid)) {
        tx.conn
            .prepare_cached("UPDATE sessions SET state = 'lost', ended_at = ?2, error = ?3 WHERE uid = ?1")?
            .execute(params![uid.bytes(), tx.now.0, LOST])?;
    }
    Ok(())
}
