//! What nobody can know after a restore, and what the live sessions know better than the
//! copy does.

use std::collections::HashSet;

use rusqlite::OptionalExtension;

use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::launch::LaunchSpec;
use crate::store::apply::{Current, apply};
use crate::store::tx::Tx;
use crate::store::{Failure, claim, rows, show};
use crate::task::{Actor, Event, Exit, Outcome, Status};

/// Gives attempts their rows that are live and not in the copy: their tasks may not be
/// started again beside them. How many.
pub(super) fn adopt(tx: &mut Tx<'_>, live: &[LaunchSpec]) -> Result<u32, Failure> {
    let mut adopted = 0;
    for spec in live {
        let Some(attempt) = spec.session.attempt() else { continue };
        if show::has_session(tx.conn, spec.uid)? || !is_task(tx, attempt.task, spec.task_uid)? {
            continue;
        }
        if bring_to(tx, attempt)? {
            claim::make_rows(tx, attempt, spec.uid)?;
            apply(tx, attempt.task, &Event::Started { attempt: attempt.number, resumed: false }, Actor::Daemon)?;
            adopted += 1;
        }
    }
    Ok(adopted)
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

/// Brings a task to the claim of an attempt, through those that are lost; `false` when it
/// is past that.
fn bring_to(tx: &mut Tx<'_>, attempt: AttemptId) -> Result<bool, Failure> {
    let task = attempt.task;
    let mut state = Current::of(tx, task)?.state;
    if state.attempt >= attempt.number || state.status == Status::Passed {
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

fn ended(attempt: u32, outcome: Outcome) -> Event {
    let error = "its end was lost with the database".to_owned();
    Event::Ended { attempt, outcome, exit: Exit::default(), error: Some(error) }
}

/// Holds what waits and may have run since the copy was made; calls the end unknown of what
/// was under way and is no longer live. How many of either.
pub(super) fn settle(tx: &mut Tx<'_>, live: &[LaunchSpec]) -> Result<(u32, u32), Failure> {
    let live: HashSet<Uid> = live.iter().map(|spec| spec.uid).collect();
    let (mut held, mut unknown) = (0, 0);
    for row in show::unfinished(tx.conn)? {
        let Some((AttemptId { task, number }, status)) = row.attempt else { continue };
        if live.contains(&row.uid) {
            continue;
        }
        if status != Status::Completing {
            apply(tx, task, &ended(number, Outcome::Unknown), Actor::Daemon)?;
        }
        apply(tx, task, &Event::Settled { attempt: number }, Actor::Daemon)?;
        unknown += 1;
    }
    let queued: Vec<i64> = {
        let mut statement = tx.conn.prepare("SELECT id FROM tasks WHERE status = 'queued' ORDER BY id")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for task in queued {
        apply(tx, TaskId(task), &Event::Held, Actor::Daemon)?;
        held += 1;
    }
    Ok((held, unknown))
}
