//! Which tasks start now. The cost does not depend on how many tasks wait: one seek for
//! each provider with room, past the directories that are at their limit, of which there
//! are at most as many as attempts under way.

use rusqlite::{OptionalExtension, params};

use super::apply;
use super::failure::Failure;
use super::submit;
use super::tx::Tx;
use super::{Claim, dependents, lanes, rows, texts};
use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::fault::Fault;
use crate::protocol::view::SessionState;
use crate::queue::{self, LaneId, Limits, Usage};
use crate::task::spec::DEFAULT_SIZE;
use crate::task::{Actor, Event, TaskSpec};

/// The ready task that goes first in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    rank: i64,
    task: i64,
    lane: LaneId,
}

/// Claims up to `most` tasks, in the order of the queue.
pub(super) fn claim(tx: &mut Tx<'_>, limits: &Limits, most: usize) -> Result<Vec<Claim>, Failure> {
    let mut usage = rows::usage(tx.conn)?;
    let mut claims = Vec::new();
    while claims.len() < most {
        let Some((provider, head)) = next(tx, limits, &usage)? else { break };
        let task = TaskId(head.task);
        if !is_ready(tx, head)? {
            // Not what a trigger has written: a page has been damaged. The others go on.
            tracing::error!(%task, "the queue names a task that cannot be started; looking for the next");
            lanes::set_heads(tx.conn, Some(head.lane))?;
            if head_of(tx, head.lane)? == Some(head) {
                return Err(Fault::internal("the queue's index is damaged: 'autodev doctor' looks at all of it").into());
            }
            continue;
        }
        // What it waited for may be running again, and the chore that says so on its way.
        if dependents::recheck(tx, task)? > 0 {
            continue;
        }
        if let Some(damage) = texts::damage(tx.conn, task)? {
            hold(tx, task, damage)?;
            continue;
        }
        claims.push(start(tx, task)?);
        usage.add(&provider, head.lane);
    }
    Ok(claims)
}

/// The task that goes next, with its provider.
fn next(tx: &Tx<'_>, limits: &Limits, usage: &Usage) -> Result<Option<(String, Head)>, Failure> {
    if limits.closed.is_some() || usage.total >= limits.slots {
        return Ok(None);
    }
    let mut best: Option<(String, Head)> = None;
    let mut provider = String::new();
    while let Some(name) = provider_after(tx, &provider)? {
        if queue::admit_provider(limits, usage, &name).is_ok()
            && let Some(head) = head(tx, limits, usage, &name)?
            && best.as_ref().is_none_or(|(_, b)| (head.rank, head.task) < (b.rank, b.task))
        {
            best = Some((name.clone(), head));
        }
        provider = name;
    }
    Ok(best)
}

/// The next provider with ready tasks, by name.
fn provider_after(tx: &Tx<'_>, provider: &str) -> rusqlite::Result<Option<String>> {
    tx.conn
        .prepare_cached(
            "SELECT provider FROM lanes INDEXED BY lanes_heads WHERE head_rank IS NOT NULL AND provider > ?1
              ORDER BY provider LIMIT 1",
        )?
        .query_row([provider], |row| row.get(0))
        .optional()
}

/// The first task of a provider in a lane that has room.
fn head(tx: &Tx<'_>, limits: &Limits, usage: &Usage, provider: &str) -> rusqlite::Result<Option<Head>> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT head_rank, head_task, id FROM lanes INDEXED BY lanes_heads
          WHERE provider = ?1 AND head_rank IS NOT NULL ORDER BY head_rank, head_task",
    )?;
    let mut rows = statement.query([provider])?;
    while let Some(row) = rows.next()? {
        let head = Head { rank: row.get(0)?, task: row.get(1)?, lane: LaneId(row.get(2)?) };
        if queue::admit(limits, usage, provider, head.lane).is_ok() {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// Whether it is as a head is: its row says the same as its lane.
fn is_ready(tx: &Tx<'_>, head: Head) -> rusqlite::Result<bool> {
    tx.conn
        .prepare_cached("SELECT 1 FROM tasks WHERE id = ?1 AND ready = 1 AND rank = ?2 AND lane = ?3")?
        .exists(params![head.task, head.rank, head.lane.0])
}

/// The head of a lane.
fn head_of(tx: &Tx<'_>, lane: LaneId) -> rusqlite::Result<Option<Head>> {
    tx.conn
        .prepare_cached("SELECT head_rank, head_task FROM lanes WHERE id = ?1 AND head_rank IS NOT NULL")?
        .query_row([lane.0], |row| Ok(Head { rank: row.get(0)?, task: row.get(1)?, lane }))
        .optional()
}

/// Keeps a task from running whose texts are not those that were stored.
fn hold(tx: &mut Tx<'_>, task: TaskId, damage: &str) -> Result<(), Failure> {
    apply::apply(tx, task, &Event::Held, Actor::Daemon)?;
    let problem = format!("{damage} on the disk: 'autodev edit {task}' gives it another, 'autodev restore' a backup's");
    tx.conn
        .prepare_cached("UPDATE tasks SET last_error = ?2, error_count = error_count + 1 WHERE id = ?1")?
        .execute(params![task.0, problem])?;
    Ok(())
}

/// Makes the next attempt of a task, and its session.
fn start(tx: &mut Tx<'_>, task: TaskId) -> Result<Claim, Failure> {
    let state = apply::Current::of(tx, task)?.state;
    let number = state.attempt + 1;
    let conversation = if state.resume { last_conversation(tx, task)? } else { None };
    apply::apply(tx, task, &Event::Claimed { attempt: number }, Actor::Daemon)?;
    let attempt = AttemptId { task, number };
    let session_uid = Uid::new();
    let (spec, session_number) = make_rows(tx, attempt, session_uid, None)?;
    let task_uid =
        tx.conn.prepare_cached("SELECT uid FROM tasks WHERE id = ?1")?.query_row([task.0], |row| rows::uid(row, 0))?;
    let is_child = submit::parent_of(tx.conn, task)?.is_some();
    Ok(Claim { attempt, task_uid, session_uid, session_number, spec, conversation, is_child })
}

/// The rows of an attempt that has been claimed and of its session: what is to be run, and
/// the session's number. That of `session` is there already.
pub(super) fn make_rows(
    tx: &Tx<'_>,
    attempt: AttemptId,
    session_uid: Uid,
    session: Option<i64>,
) -> Result<(TaskSpec, u64), Failure> {
    let AttemptId { task, number } = attempt;
    let spec = submit::spec(tx, task)?;
    let session = match session {
        Some(session) => session,
        None => make_session(tx, attempt, session_uid, &spec)?,
    };
    tx.conn
        .prepare_cached(
            "INSERT INTO attempts (task, number, session, provider, model, claimed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![task.0, number, session, spec.provider, spec.model, tx.now.0])?;
    Ok((spec, u64::try_from(session).unwrap_or(0)))
}

fn make_session(tx: &Tx<'_>, attempt: AttemptId, uid: Uid, spec: &TaskSpec) -> rusqlite::Result<i64> {
    let (columns, rows) = spec.size.unwrap_or(DEFAULT_SIZE);
    tx.conn
        .prepare_cached(
            "INSERT INTO sessions (uid, name, tool, mode, dir, task, attempt, state, argv, columns, rows, created_at,
                 recording_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '[]', ?9, ?10, ?11, 0)",
        )?
        .execute(params![
            uid.bytes(),
            attempt.session().as_str(),
            spec.provider,
            spec.mode.name(),
            spec.dir.to_str(),
            attempt.task.0,
            attempt.number,
            SessionState::Starting.name(),
            columns,
            rows,
            tx.now.0,
        ])?;
    Ok(tx.conn.last_insert_rowid())
}

/// The conversation of the last attempt whose program was started.
fn last_conversation(tx: &Tx<'_>, task: TaskId) -> rusqlite::Result<Option<String>> {
    tx.conn
        .prepare_cached(
            "SELECT conversation FROM attempts WHERE task = ?1 AND started_at IS NOT NULL ORDER BY number DESC LIMIT 1",
        )?
        .query_row([task.0], |row| row.get(0))
        .optional()
        .map(Option::flatten)
}
