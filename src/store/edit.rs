//! Changes to a task that has not started.

use rusqlite::params;
use serde_json::{Map, Value, json};

use super::Applied;
use super::apply::{self, Current, set_labels};
use super::events::text_hash;
use super::failure::Failure;
use super::rows::{self, millis};
use super::tx::Tx;
use super::{dependents, texts};
use crate::clock::Timestamp;
use crate::id::TaskId;
use crate::protocol::fault::Fault;
use crate::protocol::request::Edit;
use crate::queue;
use crate::task::{Actor, Refused, Status, TaskSpec};

/// Changes what `edit` names.
pub(super) fn edit(tx: &mut Tx<'_>, edit: &Edit) -> Result<Applied, Failure> {
    let task = edit.task;
    let mut current = Current::of(tx, task)?;
    let status = current.state.status;
    if !matches!(status, Status::Queued | Status::Held) {
        // Only of a task that has ended is another one made.
        let cancel = if status.is_final() { String::new() } else { format!("after 'autodev cancel {task}' ") };
        return Err(Fault::conflict(format!("task {task} cannot be changed: it is {status}"))
            .hint(format!(
                "only a task that waits can be changed; {cancel}'autodev resubmit {task}' makes a new one like it"
            ))
            .into());
    }
    let mut changes = Map::new();
    if let Some(title) = &edit.title {
        set(tx, task, "title", title)?;
        current.title.clone_from(title);
        changes.insert("title_sha256".into(), json!(text_hash(title)));
    }
    if let Some(text) = &edit.description {
        let old = set_prompt(tx, task, text)?;
        let derived = TaskSpec::title_of(text);
        // A title that came from the old prompt would name what no longer runs.
        if edit.title.is_none() && current.title == TaskSpec::title_of(&old) && !derived.is_empty() {
            set(tx, task, "title", &derived)?;
            changes.insert("title_sha256".into(), json!(text_hash(&derived)));
            current.title = derived;
        }
        changes.insert("description_sha256".into(), json!(text_hash(text)));
        let (command, environment): (String, String) = tx
            .conn
            .prepare_cached("SELECT command, environment FROM task_texts WHERE task = ?1")?
            .query_row([task.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        changes.insert("run_sha256".into(), json!(texts::run_hash(&command, &environment)));
    }
    if let Some(provider) = &edit.provider {
        let dir: String = tx
            .conn
            .prepare_cached("SELECT l.dir FROM tasks AS t JOIN lanes AS l ON l.id = t.lane WHERE t.id = ?1")?
            .query_row([task.0], |row| row.get(0))?;
        set(tx, task, "lane", apply::lane(tx, provider, &dir)?.0)?;
        changes.insert("provider".into(), json!(provider));
    }
    if let Some(model) = &edit.model {
        let model = Some(model).filter(|m| !m.is_empty());
        set(tx, task, "model", model)?;
        changes.insert("model".into(), json!(model));
    }
    if let Some(mode) = edit.mode {
        set(tx, task, "mode", mode.name())?;
        changes.insert("mode".into(), json!(mode));
    }
    if let Some(full_access) = edit.full_access {
        set(tx, task, "full_access", full_access)?;
        changes.insert("full_access".into(), json!(full_access));
    }
    if let Some(after) = &edit.after {
        dependents::replace(tx, task, after)?;
        let after: Vec<_> = after.iter().map(ToString::to_string).collect();
        changes.insert("after".into(), json!(after));
    }
    if let Some(begin) = edit.begin {
        let due = Some(begin).filter(|b| *b != Timestamp(0) && *b > tx.clock);
        set(tx, task, "backing_off", false)?;
        set(tx, task, "due_at", due.map(|d| d.0))?;
        tx.wakes.due |= due.is_some();
        changes.insert("due".into(), json!(due));
    }
    if let Some(retries) = edit.retries {
        set(tx, task, "retries", retries)?;
        changes.insert("retries".into(), json!(retries));
    }
    if let Some(on_interrupt) = edit.on_interrupt {
        set(tx, task, "on_interrupt", on_interrupt.name())?;
        changes.insert("on_interrupt".into(), json!(on_interrupt));
    }
    if let Some(max_restarts) = edit.max_restarts {
        set(tx, task, "max_restarts", max_restarts)?;
        changes.insert("max_restarts".into(), json!(max_restarts));
    }
    if let Some(timeout) = edit.timeout {
        let timeout = Some(timeout).filter(|t| !t.0.is_zero());
        set(tx, task, "timeout_ms", timeout.map(millis))?;
        changes.insert("timeout".into(), json!(timeout));
    }
    if let Some(labels) = &edit.labels {
        tx.conn.prepare_cached("DELETE FROM labels WHERE task = ?1")?.execute([task.0])?;
        set_labels(tx, task, labels)?;
        changes.insert("labels".into(), json!(labels));
    }
    finish(tx, task, "edited", status, Value::Object(changes))?;
    tx.wakes.index |= edit.title.is_some() || edit.description.is_some();
    Ok(current.unchanged(task))
}

/// Changes what is asked for. A line for a shell is stored as the command that runs it, so
/// both change; any other command has no prompt. Gives back the old one.
fn set_prompt(tx: &Tx<'_>, task: TaskId, text: &str) -> Result<String, Failure> {
    let (old, command): (String, Vec<String>) = tx
        .conn
        .prepare_cached("SELECT description, command FROM task_texts WHERE task = ?1")?
        .query_row([task.0], |row| Ok((row.get(0)?, rows::json(row, 1)?)))?;
    let command = match command.as_slice() {
        [] => None,
        [shell, option, line] if *line == old => Some(json!([shell, option, text]).to_string()),
        _ => {
            return Err(Fault::conflict(format!("task {task} runs a command, which cannot be edited"))
                .hint("cancel it, and submit another one")
                .into());
        }
    };
    tx.conn
        .prepare_cached("UPDATE task_texts SET description = ?2, command = coalesce(?3, command) WHERE task = ?1")?
        .execute(params![task.0, text, command])?;
    Ok(old)
}

/// Gives a task another place in the queue.
pub(super) fn set_priority(tx: &mut Tx<'_>, task: TaskId, priority: i32) -> Result<Applied, Failure> {
    let current = Current::of(tx, task)?;
    let status = current.state.status;
    if status.is_final() {
        return Err(Refused::Ended(status).into());
    }
    let (created, now): (i64, i32) = tx
        .conn
        .prepare_cached("SELECT created_at, priority FROM tasks WHERE id = ?1")?
        .query_row([task.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if now == priority {
        // Nothing happens, so nothing is written down.
        return Err(Refused::Already(status).into());
    }
    tx.conn.prepare_cached("UPDATE tasks SET priority = ?2, rank = ?3 WHERE id = ?1")?.execute(params![
        task.0,
        priority,
        queue::rank(Timestamp(created), priority)
    ])?;
    finish(tx, task, "priority_changed", status, json!({ "priority": priority }))?;
    Ok(current.unchanged(task))
}

/// Sets one column; `column` is a word of this file.
fn set(tx: &Tx<'_>, task: TaskId, column: &'static str, value: impl rusqlite::ToSql) -> Result<(), Failure> {
    tx.conn
        .prepare_cached(&format!("UPDATE tasks SET {column} = ?2 WHERE id = ?1"))?
        .execute(params![task.0, value])?;
    Ok(())
}

fn finish(tx: &mut Tx<'_>, task: TaskId, kind: &str, status: Status, detail: Value) -> Result<(), Failure> {
    set(tx, task, "updated_at", tx.now.0)?;
    apply::append(tx, task, None, kind, Actor::User, status, detail)?;
    tx.wakes.queue = true;
    Ok(())
}
