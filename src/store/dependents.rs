//! Who waits for whom: counting down when a task ends, and up when it runs again.

use rusqlite::{OptionalExtension, params};

use super::failure::Failure;
use super::rows::{self, no_task, word};
use super::tx::Tx;
use crate::id::TaskId;
use crate::protocol::fault::{Fault, FaultCode};
use crate::task::{Dependency, Status, When};

/// Dependents looked at in the transaction of the task they wait for; with more than
/// that, all are left to the chore, so that one task's end does not hold up the others.
const AT_ONCE: i64 = 500;
/// Dependents looked at by one step of the chore.
const CHUNK: i64 = 250;
/// Tasks looked at to find a circle. Longer chains are refused rather than searched.
const MAX_CHAIN: i64 = 100_000;

/// Writes down what a new task waits for, and says how many of these are not met yet.
pub(super) fn add(tx: &mut Tx<'_>, task: TaskId, after: &[Dependency]) -> Result<u32, Failure> {
    let mut unmet = 0;
    for dependency in after {
        let parent = dependency.task;
        let status: Option<Status> = tx
            .conn
            .prepare_cached("SELECT status FROM tasks WHERE id = ?1")?
            .query_row([parent.0], |row| word(row, 0))
            .optional()?;
        let met = dependency.when.met_by(status.ok_or_else(|| no_task(parent))?);
        let added = tx
            .conn
            .prepare_cached(
                "INSERT OR IGNORE INTO dependencies (task, parent, condition, met) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![task.0, parent.0, dependency.when.name(), met])?;
        if added > 0 && !met {
            unmet += 1;
        }
    }
    Ok(unmet)
}

/// Replaces what a task waits for.
pub(super) fn replace(tx: &mut Tx<'_>, task: TaskId, after: &[Dependency]) -> Result<(), Failure> {
    tx.conn.prepare_cached("DELETE FROM dependencies WHERE task = ?1")?.execute([task.0])?;
    let unmet = add(tx, task, after)?;
    refuse_circle(tx, task)?;
    tx.conn.prepare_cached("UPDATE tasks SET unmet = ?2 WHERE id = ?1")?.execute(params![task.0, unmet])?;
    Ok(())
}

fn refuse_circle(tx: &Tx<'_>, task: TaskId) -> Result<(), Failure> {
    let (seen, circle): (i64, bool) = tx
        .conn
        .prepare_cached(
            "WITH RECURSIVE up (id) AS (
                 SELECT parent FROM dependencies WHERE task = ?1
                 UNION SELECT d.parent FROM up JOIN dependencies AS d ON d.task = up.id LIMIT ?2)
             SELECT count(*), coalesce(max(id = ?1), 0) FROM up",
        )?
        .query_row(params![task.0, MAX_CHAIN], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if circle {
        return Err(Fault::conflict(format!("task {task} would wait for itself"))
            .hint(format!("'autodev show {task}' shows what it waits for"))
            .into());
    }
    if seen >= MAX_CHAIN {
        return Err(Fault::new(FaultCode::Limit, format!("task {task} would wait for {seen} tasks or more")).into());
    }
    Ok(())
}

/// Looks again at what `task` waits for, and says how many of these are not met.
pub(super) fn recheck(tx: &mut Tx<'_>, task: TaskId) -> Result<u32, Failure> {
    let mut unmet = 0;
    for link in rows::dependencies(tx.conn, task)? {
        let Dependency { task: parent, when } = link.dependency;
        let met = when.met_by(link.status);
        unmet += u32::from(!met);
        if met != link.met {
            set_met(tx, task, parent, when, met)?;
        }
    }
    tx.conn
        .prepare_cached("UPDATE tasks SET unmet = ?2 WHERE id = ?1 AND unmet <> ?2")?
        .execute(params![task.0, unmet])?;
    Ok(unmet)
}

/// `parent` has ended, or is no longer ended.
pub(super) fn parent_changed(tx: &mut Tx<'_>, parent: TaskId, status: Status) -> Result<(), Failure> {
    let dependents: i64 = tx
        .conn
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM dependencies WHERE parent = ?1 LIMIT ?2)")?
        .query_row(params![parent.0, AT_ONCE + 1], |row| row.get(0))?;
    if dependents == 0 {
        return Ok(());
    }
    if dependents > AT_ONCE {
        tx.conn
            .prepare_cached("INSERT INTO rechecks (parent, task) VALUES (?1, 0) ON CONFLICT DO UPDATE SET task = 0")?
            .execute([parent.0])?;
        tx.wakes.chores = true;
        return Ok(());
    }
    tx.conn.prepare_cached("DELETE FROM rechecks WHERE parent = ?1")?.execute([parent.0])?;
    look_at(tx, parent, status, 0, AT_ONCE)?;
    Ok(())
}

/// Goes on with the dependents of one task that has too many: `true` when there are more.
pub(super) fn chore(tx: &mut Tx<'_>) -> Result<bool, Failure> {
    let next = tx
        .conn
        .prepare_cached(
            "SELECT r.parent, r.task, t.status FROM rechecks AS r JOIN tasks AS t ON t.id = r.parent
              ORDER BY r.parent LIMIT 1",
        )?
        .query_row([], |row| Ok((TaskId(row.get(0)?), row.get(1)?, word::<Status>(row, 2)?)))
        .optional()?;
    let Some((parent, from, status)) = next else { return Ok(false) };
    match look_at(tx, parent, status, from, CHUNK)? {
        Some(last) => tx
            .conn
            .prepare_cached("UPDATE rechecks SET task = ?2 WHERE parent = ?1")?
            .execute(params![parent.0, last])?,
        None => tx.conn.prepare_cached("DELETE FROM rechecks WHERE parent = ?1")?.execute([parent.0])?,
    };
    Ok(true)
}

/// Looks at up to `most` dependents of `parent` with numbers above `from`; the last one
/// looked at when there may be more.
fn look_at(tx: &mut Tx<'_>, parent: TaskId, status: Status, from: i64, most: i64) -> Result<Option<i64>, Failure> {
    // A task that waits for two ends of the same parent has two rows: never cut between.
    let found = tx
        .conn
        .prepare_cached(
            "SELECT d.task, d.condition, d.met, t.status FROM dependencies AS d JOIN tasks AS t ON t.id = d.task
              WHERE d.parent = ?1 AND d.task > ?2
                AND d.task <= coalesce((SELECT task FROM dependencies WHERE parent = ?1 AND task > ?2
                                         ORDER BY task LIMIT 1 OFFSET ?3 - 1), 9223372036854775807)
              ORDER BY d.task",
        )?
        .query_map(params![parent.0, from, most], |row| {
            Ok((TaskId(row.get(0)?), word::<When>(row, 1)?, row.get::<_, bool>(2)?, word::<Status>(row, 3)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for (task, when, was_met, dependent) in &found {
        let met = when.met_by(status);
        // One that runs or has run is not called back.
        let waits = matches!(dependent, Status::Queued | Status::Held);
        if met == *was_met || (!met && !waits) {
            continue;
        }
        set_met(tx, *task, parent, *when, met)?;
        let change = if met { -1 } else { 1 };
        tx.conn
            .prepare_cached("UPDATE tasks SET unmet = unmet + ?2 WHERE id = ?1")?
            .execute(params![task.0, change])?;
        tx.wakes.queue |= met;
    }
    let full = i64::try_from(found.len()).unwrap_or(i64::MAX) >= most;
    Ok(found.last().filter(|_| full).map(|(task, ..)| task.0))
}

fn set_met(tx: &Tx<'_>, task: TaskId, parent: TaskId, when: When, met: bool) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached("UPDATE dependencies SET met = ?4 WHERE task = ?1 AND parent = ?2 AND condition = ?3")?
        .execute(params![task.0, parent.0, when.name(), met])?;
    Ok(())
}
