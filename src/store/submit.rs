//! Storing tasks, each once: what a key was used for is kept.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::apply;
use super::failure::Failure;
use super::rows::{self, json, no_task, span, word};
use super::tx::Tx;
use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::fault::{Fault, FaultCode};
use crate::protocol::reply::Submitted;
use crate::protocol::request::Submit;
use crate::task::spec::DEFAULT_RESTARTS;
use crate::task::{OnInterrupt, TaskSpec};

/// Most tasks that one task's program may submit.
const MAX_CHILDREN: u32 = 100;

/// Stores a task, or finds the one stored before under the same key.
pub(super) fn submit(tx: &mut Tx<'_>, submit: &Submit) -> Result<Submitted, Failure> {
    let hash = request_hash("submit", &wished(&submit.spec))?;
    if let Some(task) = repeated(tx, &submit.key, &hash)? {
        return Ok(task);
    }
    let stored = apply::create(tx, &submit.spec, &submit.spec.after, None, None)?;
    remember(tx, &submit.key, &hash, stored)
}

/// Stores a task that another one's program submits: in all that decides what it may do it
/// is like that one or less.
pub(super) fn submit_child(tx: &mut Tx<'_>, submit: &Submit, parent: AttemptId) -> Result<Submitted, Failure> {
    let hash = request_hash("submit_child", &(parent.task, wished(&submit.spec)))?;
    if let Some(task) = repeated(tx, &submit.key, &hash)? {
        return Ok(task);
    }
    let refuse = |why: String| Err(Fault::new(FaultCode::Permission, why).into());
    let state = apply::Current::of(tx, parent.task)?.state;
    if !state.status.is_active() || state.attempt != parent.number {
        return refuse(format!("attempt {parent} is not under way any more"));
    }
    if parent_of(tx.conn, parent.task)?.is_some() {
        return refuse(format!("task {} was submitted by a program itself: it may submit none", parent.task));
    }
    let its = spec(tx, parent.task)?;
    if let Some(more) = submit.spec.exceeds(&its) {
        return refuse(format!("a task that task {} submits may do no more than it may: {more}", parent.task));
    }
    let children: u32 = tx
        .conn
        .prepare_cached("SELECT count(*) FROM tasks WHERE parent = ?1")?
        .query_row([parent.task.0], |row| row.get(0))?;
    if children >= MAX_CHILDREN {
        return refuse(format!("task {} has submitted {children} tasks: that is the limit", parent.task));
    }
    let own = submit.spec.clone().as_child_of(&its);
    let stored = apply::create(tx, &own, &own.after, None, Some(parent.task))?;
    remember(tx, &submit.key, &hash, stored)
}

/// The task whose program has submitted this one.
pub(super) fn parent_of(conn: &Connection, task: TaskId) -> Result<Option<TaskId>, Failure> {
    let found = conn
        .prepare_cached("SELECT parent FROM tasks WHERE id = ?1")?
        .query_row([task.0], |row| row.get::<_, Option<i64>>(0))
        .optional()?;
    Ok(found.ok_or_else(|| no_task(task))?.map(TaskId))
}

/// Stores a new task like `task`, which must have ended.
pub(super) fn resubmit(tx: &mut Tx<'_>, task: TaskId, key: &str) -> Result<Submitted, Failure> {
    let hash = request_hash("resubmit", &task)?;
    if let Some(repeated) = repeated(tx, key, &hash)? {
        return Ok(repeated);
    }
    let status = apply::Current::of(tx, task)?.state.status;
    if !status.is_final() {
        return Err(Fault::conflict(format!("task {task} has not ended: it is {status}"))
            .hint("a task can be submitted again once it has ended")
            .into());
    }
    let spec = spec(tx, task)?;
    let stored = apply::create(tx, &spec, &spec.after, None, None)?;
    remember(tx, key, &hash, stored)
}

/// What a key was used for.
pub(super) enum Used {
    Task(TaskId),
    Batch(i64),
}

/// What `key` was used for, and the hash of that request.
pub(super) fn used(tx: &Tx<'_>, key: &str) -> Result<Option<(Used, [u8; 32])>, Failure> {
    let found = tx
        .conn
        .prepare_cached("SELECT task, batch, hash FROM keys WHERE key = ?1")?
        .query_row([key], |row| {
            let used = match row.get::<_, Option<i64>>(0)? {
                Some(task) => Used::Task(TaskId(task)),
                None => Used::Batch(row.get(1)?),
            };
            Ok((used, row.get(2)?))
        })
        .optional()?;
    Ok(found)
}

/// Somebody has used the key for something else.
pub(super) fn key_conflict(key: &str, used: &Used) -> Failure {
    let what = match used {
        Used::Task(task) => format!("task {task}"),
        Used::Batch(batch) => format!("batch {batch}"),
    };
    Fault::conflict(format!("the idempotency key '{key}' was used for {what}, with other content"))
        .hint("give another key, or repeat exactly what was sent with it")
        .into()
}

/// The hash by which a repeated request is known.
pub(super) fn request_hash(kind: &str, content: &impl Serialize) -> Result<[u8; 32], Failure> {
    let bytes =
        serde_json::to_vec(&(kind, content)).map_err(|e| Fault::usage(format!("the request cannot be stored: {e}")))?;
    Ok(Sha256::digest(&bytes).into())
}

/// What a person asked for, by which a repeated submit is known. The circumstances are no
/// part of it: the size of the terminal, the shell's variables, and at which moment
/// "in 2h" is.
pub(super) fn wished(spec: &TaskSpec) -> impl Serialize + '_ {
    // Every field is named, so that a new one is not forgotten.
    let TaskSpec {
        title,
        description,
        command,
        role,
        provider,
        model,
        mode,
        dir,
        full_access,
        priority,
        after,
        begin,
        hold,
        retries,
        on_interrupt,
        max_restarts,
        timeout,
        labels,
        environment: _,
        size: _,
    } = spec;
    let work = (title, description, command, role, provider, model, mode, dir, full_access);
    let turn = (priority, after, begin.is_some(), hold, retries, timeout, labels);
    let interrupted = (on_interrupt, max_restarts);
    match interrupted {
        // As it was before there was a choice: keys that were used then still count.
        (OnInterrupt::Resume, &DEFAULT_RESTARTS) => Wished::Usual(work, turn),
        _ => Wished::Special(work, turn, interrupted),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Wished<W, T, I> {
    Usual(W, T),
    Special(W, T, I),
}

fn repeated(tx: &Tx<'_>, key: &str, hash: &[u8; 32]) -> Result<Option<Submitted>, Failure> {
    match used(tx, key)? {
        None => Ok(None),
        Some((Used::Task(task), known)) if known == *hash => {
            let uid = tx
                .conn
                .prepare_cached("SELECT uid FROM tasks WHERE id = ?1")?
                .query_row([task.0], |row| rows::uid(row, 0))?;
            Ok(Some(Submitted { task, uid, repeated: true, warnings: Vec::new() }))
        }
        Some((used, _)) => Err(key_conflict(key, &used)),
    }
}

fn remember(tx: &Tx<'_>, key: &str, hash: &[u8; 32], (task, uid): (TaskId, Uid)) -> Result<Submitted, Failure> {
    tx.conn
        .prepare_cached("INSERT INTO keys (key, hash, task, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![key, hash, task.0, tx.now.0])?;
    Ok(Submitted { task, uid, repeated: false, warnings: Vec::new() })
}

/// What was asked for, read back. A start time that has been waited for is not part of
/// it any more, nor is `hold`.
pub(super) fn spec(tx: &Tx<'_>, task: TaskId) -> Result<TaskSpec, Failure> {
    let spec = tx
        .conn
        .prepare_cached(
            "SELECT t.title, x.description, x.command, t.role, l.provider, t.model, t.mode, l.dir, t.full_access,
                    t.priority, t.retries, t.timeout_ms, x.environment, t.columns, t.rows, t.on_interrupt, t.max_restarts
               FROM tasks AS t JOIN lanes AS l ON l.id = t.lane JOIN task_texts AS x ON x.task = t.id
              WHERE t.id = ?1",
        )?
        .query_row([task.0], |row| {
            let columns: Option<u16> = row.get(13)?;
            let rows: Option<u16> = row.get(14)?;
            Ok(TaskSpec {
                title: row.get(0)?,
                description: row.get(1)?,
                command: json(row, 2)?,
                role: row.get(3)?,
                provider: row.get(4)?,
                model: row.get(5)?,
                mode: word(row, 6)?,
                dir: row.get::<_, String>(7)?.into(),
                full_access: row.get(8)?,
                priority: row.get(9)?,
                after: Vec::new(),
                begin: None,
                hold: false,
                retries: row.get(10)?,
                on_interrupt: word(row, 15)?,
                max_restarts: row.get(16)?,
                timeout: span(row, 11)?,
                labels: Vec::new(),
                environment: json(row, 12)?,
                size: columns.zip(rows),
            })
        })
        .optional()?;
    let mut spec = spec.ok_or_else(|| no_task(task))?;
    spec.labels = rows::labels(tx.conn, task)?;
    spec.after = rows::dependencies(tx.conn, task)?.into_iter().map(|d| d.dependency).collect();
    Ok(spec)
}
