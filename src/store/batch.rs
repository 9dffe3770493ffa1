//! Many tasks under one key, stored in chunks between which others get in, and released
//! to the queue when the last chunk is stored.

use rusqlite::{OptionalExtension, params};

use super::apply;
use super::failure::Failure;
use super::submit::{Used, key_conflict, request_hash, used, wished};
use super::tx::Tx;
use crate::id::TaskId;
use crate::protocol::fault::{Fault, FaultCode};
use crate::protocol::reply::BatchStored;
use crate::protocol::request::SubmitChunk;
use crate::task::Dependency;

/// A batch as far as it is stored.
struct Batch {
    id: i64,
    stored: u32,
    complete: bool,
}

/// A chunk as it was stored.
struct Chunk {
    tasks: u32,
    first_task: i64,
    hash: [u8; 32],
}

impl Chunk {
    fn ids(&self) -> Vec<TaskId> {
        (self.first_task..self.first_task + i64::from(self.tasks)).map(TaskId).collect()
    }
}

/// Stores a chunk, or finds it stored.
pub(super) fn store(tx: &mut Tx<'_>, chunk: &SubmitChunk) -> Result<BatchStored, Failure> {
    if chunk.tasks.len() > SubmitChunk::MAX_TASKS {
        let most = SubmitChunk::MAX_TASKS;
        return Err(Fault::new(FaultCode::Limit, format!("a chunk of a batch has at most {most} tasks")).into());
    }
    let batch = find_or_begin(tx, &chunk.key)?;
    let tasks: Vec<_> = chunk.tasks.iter().map(wished).collect();
    let hash = request_hash("chunk", &(tasks, &chunk.after, chunk.last))?;
    if let Some(known) = find(tx, batch.id, chunk.first)? {
        if known.hash != hash {
            return Err(key_conflict(&chunk.key, &Used::Batch(batch.id)));
        }
        return Ok(BatchStored { stored: batch.stored, tasks: known.ids(), complete: batch.complete });
    }
    if batch.complete || chunk.first != batch.stored {
        return Err(out_of_place(chunk, &batch).into());
    }
    if chunk.tasks.is_empty() && !chunk.last {
        return Ok(BatchStored { stored: batch.stored, tasks: Vec::new(), complete: false });
    }
    append(tx, chunk, &batch, &hash)
}

fn append(tx: &mut Tx<'_>, chunk: &SubmitChunk, batch: &Batch, hash: &[u8; 32]) -> Result<BatchStored, Failure> {
    let mut after = inner_dependencies(tx, chunk, batch)?;
    let first_task = tx.head.highest_task + 1;
    let mut ids = Vec::with_capacity(chunk.tasks.len());
    for (spec, inner) in chunk.tasks.iter().zip(&mut after) {
        inner.extend(&spec.after);
        ids.push(apply::create(tx, spec, inner, Some(batch.id), None)?.0);
    }
    let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let stored = batch.stored.saturating_add(count);
    tx.conn
        .prepare_cached(
            "INSERT INTO batch_chunks (batch, first, tasks, first_task, hash, released) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
        )?
        .execute(params![batch.id, chunk.first, count, first_task, hash])?;
    tx.conn
        .prepare_cached("UPDATE batches SET stored = ?2, complete = ?3 WHERE id = ?1")?
        .execute(params![batch.id, stored, chunk.last])?;
    tx.wakes.chores |= chunk.last;
    Ok(BatchStored { stored, tasks: ids, complete: chunk.last })
}

fn find_or_begin(tx: &Tx<'_>, key: &str) -> Result<Batch, Failure> {
    match used(tx, key)? {
        Some((Used::Batch(id), _)) => {
            let batch = tx
                .conn
                .prepare_cached("SELECT stored, complete FROM batches WHERE id = ?1")?
                .query_row([id], |row| Ok(Batch { id, stored: row.get(0)?, complete: row.get(1)? }))?;
            Ok(batch)
        }
        Some((other, _)) => Err(key_conflict(key, &other)),
        None => {
            tx.conn
                .prepare_cached("INSERT INTO batches (stored, complete, released, created_at) VALUES (0, 0, 0, ?1)")?
                .execute([tx.now.0])?;
            let id = tx.conn.last_insert_rowid();
            // The chunks have hashes of their own.
            tx.conn
                .prepare_cached("INSERT INTO keys (key, hash, batch, at) VALUES (?1, zeroblob(32), ?2, ?3)")?
                .execute(params![key, id, tx.now.0])?;
            Ok(Batch { id, stored: 0, complete: false })
        }
    }
}

fn find(tx: &Tx<'_>, batch: i64, first: u32) -> Result<Option<Chunk>, Failure> {
    let found = tx
        .conn
        .prepare_cached("SELECT tasks, first_task, hash FROM batch_chunks WHERE batch = ?1 AND first = ?2")?
        .query_row(params![batch, first], |row| {
            Ok(Chunk { tasks: row.get(0)?, first_task: row.get(1)?, hash: row.get(2)? })
        })
        .optional()?;
    Ok(found)
}

fn out_of_place(chunk: &SubmitChunk, batch: &Batch) -> Fault {
    let (first, stored, key) = (chunk.first, batch.stored, &chunk.key);
    if batch.complete {
        Fault::conflict(format!("the batch with key '{key}' is complete: it has {stored} tasks"))
    } else {
        Fault::conflict(format!(
            "a chunk of the batch with key '{key}' begins at task {first}, but {stored} are stored"
        ))
    }
    .hint("repeat the batch from its beginning, in the same chunks")
}

/// What each task of the chunk waits for inside the batch.
fn inner_dependencies(tx: &Tx<'_>, chunk: &SubmitChunk, batch: &Batch) -> Result<Vec<Vec<Dependency>>, Failure> {
    let mut after = vec![Vec::new(); chunk.tasks.len()];
    for (task, parent, when) in &chunk.after {
        let place = task.checked_sub(chunk.first).and_then(|p| usize::try_from(p).ok());
        let Some(list) = place.and_then(|p| after.get_mut(p)).filter(|_| parent < task) else {
            return Err(Fault::usage(format!("task {task} of the batch cannot wait for its task {parent}"))
                .hint("a task of a batch may wait for tasks that stand before it")
                .into());
        };
        let id = if *parent >= chunk.first {
            tx.head.highest_task + 1 + i64::from(parent - chunk.first)
        } else {
            stored_task(tx, batch.id, *parent)?
        };
        list.push(Dependency { task: TaskId(id), when: *when });
    }
    Ok(after)
}

/// The number of a task of a chunk stored before.
fn stored_task(tx: &Tx<'_>, batch: i64, place: u32) -> Result<i64, Failure> {
    let id = tx
        .conn
        .prepare_cached(
            "SELECT first_task + ?2 - first FROM batch_chunks WHERE batch = ?1 AND first <= ?2
              ORDER BY first DESC LIMIT 1",
        )?
        .query_row(params![batch, place], |row| row.get(0))?;
    Ok(id)
}

/// Makes one chunk of a complete batch claimable: `true` when there may be more.
pub(super) fn chore(tx: &mut Tx<'_>) -> Result<bool, Failure> {
    let batch: Option<i64> = tx
        .conn
        .prepare_cached("SELECT id FROM batches WHERE complete = 1 AND released = 0 ORDER BY id LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(batch) = batch else { return Ok(false) };
    let chunk: Option<(u32, u32, i64)> = tx
        .conn
        .prepare_cached(
            "SELECT first, tasks, first_task FROM batch_chunks WHERE batch = ?1 AND released = 0
              ORDER BY first LIMIT 1",
        )?
        .query_row([batch], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((first, tasks, first_task)) = chunk else {
        tx.conn.prepare_cached("UPDATE batches SET released = 1 WHERE id = ?1")?.execute([batch])?;
        return Ok(true);
    };
    tx.conn
        .prepare_cached("UPDATE tasks SET batch_open = 0 WHERE id >= ?1 AND id < ?2")?
        .execute(params![first_task, first_task + i64::from(tasks)])?;
    tx.conn
        .prepare_cached("UPDATE batch_chunks SET released = 1 WHERE batch = ?1 AND first = ?2")?
        .execute(params![batch, first])?;
    tx.wakes.queue = true;
    Ok(true)
}
