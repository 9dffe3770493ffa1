//! The only place that writes a task's status, and it writes what `task::step` returned.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::{Value, json};

use super::events::{self, Entry, text_hash};
use super::failure::Failure;
use super::rows::{STATE, STATE_COLUMNS, millis, moment, no_task, state};
use super::tx::Tx;
use super::{Applied, AppliedEach};
use super::{dependents, texts};
use crate::clock::Timestamp;
use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::fault::Fault;
use crate::protocol::view::SessionState;
use crate::queue::{self, LaneId};
use crate::task::{Actor, Dependency, Event, Outcome, State, Status, TaskSpec, step};

/// Stores a new task. `batch` is the open batch it belongs to, `parent` the task whose
/// program submits it; `after` replaces the dependencies of its specification.
pub(super) fn create(
    tx: &mut Tx<'_>,
    spec: &TaskSpec,
    after: &[Dependency],
    batch: Option<i64>,
    parent: Option<TaskId>,
) -> Result<(TaskId, Uid), Failure> {
    let dir = spec.dir.to_str().ok_or_else(|| Fault::usage("the directory's name is not valid UTF-8"))?;
    let lane = lane(tx, &spec.provider, dir)?;
    let state = State::submitted(spec.hold, spec.policy());
    let due = spec.begin.filter(|begin| *begin > tx.clock);
    let task = TaskId(tx.head.highest_task + 1);
    let uid = Uid::new();
    tx.conn
        .prepare_cached(
            "INSERT INTO tasks (id, uid, title, role, lane, model, mode, full_access, priority, rank, status,
                 attempt, retries, failures, restarts, unmet, batch_open, due_at, backing_off, timeout_ms,
                 columns, rows, created_at, updated_at, error_count, on_interrupt, max_restarts, parent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12, 0, 0, ?13, ?14, ?15, 0, ?16, ?17,
                 ?18, ?19, ?19, 0, ?20, ?21, ?22)",
        )?
        .execute(params![
            task.0,
            uid.bytes(),
            spec.title,
            spec.role,
            lane.0,
            spec.model,
            spec.mode.name(),
            spec.full_access,
            spec.priority,
            queue::rank(tx.now, spec.priority),
            state.status.name(),
            spec.retries,
            // Corrected below, where there are any: until then it cannot be ready.
            u32::from(!after.is_empty()),
            batch.is_some(),
            due.map(|d| d.0),
            spec.timeout.map(millis),
            spec.size.map(|s| s.0),
            spec.size.map(|s| s.1),
            tx.now.0,
            spec.on_interrupt.name(),
            spec.max_restarts,
            parent.map(|parent| parent.0),
        ])?;
    tx.head.highest_task = task.0;
    let (command, environment) = (json!(spec.command).to_string(), json!(spec.environment).to_string());
    tx.conn
        .prepare_cached("INSERT INTO task_texts (task, description, command, environment) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![task.0, spec.description, command, environment])?;
    set_labels(tx, task, &spec.labels)?;
    let unmet = if after.is_empty() { 0 } else { dependents::add(tx, task, after)? };
    if unmet != u32::from(!after.is_empty()) {
        tx.conn.prepare_cached("UPDATE tasks SET unmet = ?2 WHERE id = ?1")?.execute(params![task.0, unmet])?;
    }
    let mut detail = json!({
        "uid": uid.to_string(),
        "title_sha256": text_hash(&spec.title),
        "description_sha256": text_hash(&spec.description),
        "run_sha256": texts::run_hash(&command, &environment),
        "provider": spec.provider,
        "mode": spec.mode.name(),
        "priority": spec.priority,
        "full_access": spec.full_access,
    });
    for (name, value) in [
        ("model", spec.model.as_ref().map(|m| json!(m))),
        ("role", spec.role.as_ref().map(|r| json!(r))),
        ("due", due.map(|d| json!(d))),
        ("after", (!after.is_empty()).then(|| json!(after.iter().map(ToString::to_string).collect::<Vec<_>>()))),
        ("batch", batch.map(|b| json!(b))),
        ("parent", parent.map(|p| json!(p))),
    ] {
        if let Some(value) = value {
            detail[name] = value;
        }
    }
    let actor = if parent.is_some() { Actor::Agent } else { Actor::User };
    append(tx, task, None, "submitted", actor, state.status, detail)?;
    tx.wakes.queue |= state.status == Status::Queued && unmet == 0 && batch.is_none() && due.is_none();
    tx.wakes.due |= due.is_some();
    tx.wakes.index = true;
    Ok((task, uid))
}

/// The lane of a provider and a directory, made if it is new.
pub(super) fn lane(tx: &Tx<'_>, provider: &str, dir: &str) -> Result<LaneId, Failure> {
    let found = tx
        .conn
        .prepare_cached("SELECT id FROM lanes WHERE provider = ?1 AND dir = ?2")?
        .query_row([provider, dir], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(LaneId(id));
    }
    tx.conn.prepare_cached("INSERT INTO lanes (provider, dir) VALUES (?1, ?2)")?.execute([provider, dir])?;
    Ok(LaneId(tx.conn.last_insert_rowid()))
}

/// Gives a task these labels and no others.
pub(super) fn set_labels(tx: &Tx<'_>, task: TaskId, labels: &[String]) -> Result<(), Failure> {
    for label in labels {
        tx.conn
            .prepare_cached("INSERT OR IGNORE INTO labels (label, task) VALUES (?1, ?2)")?
            .execute(params![label, task.0])?;
    }
    Ok(())
}

/// A task as far as its machine and its messages need it.
pub(super) struct Current {
    pub title: String,
    pub state: State,
    due_at: Option<Timestamp>,
    backing_off: bool,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    exit_code: Option<i32>,
    last_error: Option<String>,
    error_count: u32,
}

impl Current {
    /// Reads it.
    pub(super) fn of(tx: &Tx<'_>, task: TaskId) -> Result<Current, Failure> {
        let read = |row: &Row<'_>| {
            Ok(Current {
                state: state(row, 0)?,
                title: row.get(STATE_COLUMNS)?,
                due_at: moment(row, STATE_COLUMNS + 1)?,
                backing_off: row.get(STATE_COLUMNS + 2)?,
                started_at: moment(row, STATE_COLUMNS + 3)?,
                ended_at: moment(row, STATE_COLUMNS + 4)?,
                exit_code: row.get(STATE_COLUMNS + 5)?,
                last_error: row.get(STATE_COLUMNS + 6)?,
                error_count: row.get(STATE_COLUMNS + 7)?,
            })
        };
        tx.conn
            .prepare_cached(&format!(
                "SELECT {STATE}, title, due_at, backing_off, started_at, ended_at, exit_code, last_error, error_count
                   FROM tasks AS t WHERE t.id = ?1"
            ))?
            .query_row([task.0], read)
            .optional()?
            .ok_or_else(|| no_task(task).into())
    }

    /// As an answer about a change that leaves the status as it is.
    pub(super) fn unchanged(self, task: TaskId) -> Applied {
        let Current { title, state, .. } = self;
        Applied {
            before: state.status,
            after: state.status,
            title,
            attempt: attempt_id(task, &state),
            effects: Vec::new(),
        }
    }
}

fn attempt_id(task: TaskId, state: &State) -> Option<AttemptId> {
    (state.attempt > 0).then_some(AttemptId { task, number: state.attempt })
}

/// Applies one event to one task, as the task's machine decides.
pub(super) fn apply(tx: &mut Tx<'_>, task: TaskId, event: &Event, actor: Actor) -> Result<Applied, Failure> {
    let now = tx.now;
    let mut current = Current::of(tx, task)?;
    let before = current.state;
    let step = step(&before, event, tx.clock)?;
    let after = step.state;
    current.state = after;
    if let Some(wait) = step.backoff {
        (current.due_at, current.backing_off) = (Some(tx.clock.plus(wait)), true);
        tx.wakes.due = true;
    } else if after.status.is_final() || before.status.is_final() {
        (current.due_at, current.backing_off) = (None, false);
    }
    current.ended_at = match (before.status.is_final(), after.status.is_final()) {
        (true, true) => current.ended_at,
        (false, true) => Some(now),
        (_, false) => None,
    };
    match event {
        Event::Claimed { .. } => (current.started_at, current.exit_code) = (None, None),
        Event::Started { .. } => current.started_at = Some(now),
        Event::Ended { exit, error, .. } => {
            current.exit_code = exit.shell_code();
            if after.outcome.is_some_and(is_error) {
                current.error_count += 1;
            }
            if error.is_some() {
                current.last_error.clone_from(error);
                tx.wakes.index = true;
            }
        }
        _ => {}
    }
    write(tx, task, &current)?;
    follow_attempt(tx, task, &before, &after, event)?;
    let about = event.attempt().or((after.attempt > 0 && after.status.is_active()).then_some(after.attempt));
    append(tx, task, about, event.name(), actor, after.status, detail(event, &current))?;

    if matches!(event, Event::Retried | Event::Recovered) {
        dependents::recheck(tx, task)?;
    }
    if before.status.is_final() != after.status.is_final() {
        dependents::parent_changed(tx, task, after.status)?;
    }
    let freed = before.status.is_active() && !after.status.is_active();
    tx.wakes.queue |= freed || (after.status == Status::Queued && before.status != Status::Queued);
    Ok(Applied {
        before: before.status,
        after: after.status,
        title: current.title,
        attempt: attempt_id(task, &after),
        effects: step.effects,
    })
}

/// Applies one event to many tasks; one that is refused does not concern the others.
pub(super) fn apply_each(
    tx: &mut Tx<'_>,
    tasks: &[TaskId],
    event: &Event,
    actor: Actor,
) -> Result<AppliedEach, Failure> {
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        // A refusal comes before anything is written.
        let result = match apply(tx, *task, event, actor) {
            Ok(applied) => Ok(applied),
            Err(Failure::Sql(error)) => return Err(error.into()),
            Err(refusal) => Err(refusal.of_write()),
        };
        results.push((*task, result));
    }
    Ok(results)
}

/// Ends that speak against the agent or the machinery, not of somebody's wish.
fn is_error(outcome: Outcome) -> bool {
    match outcome {
        Outcome::AgentFailed
        | Outcome::NotInstalled
        | Outcome::TimedOut
        | Outcome::Lost
        | Outcome::Unknown
        | Outcome::AuthNeeded
        | Outcome::LaunchFailed => true,
        Outcome::Succeeded | Outcome::Killed | Outcome::Interrupted | Outcome::NeverStarted => false,
    }
}

fn write(tx: &Tx<'_>, task: TaskId, current: &Current) -> rusqlite::Result<()> {
    let state = &current.state;
    tx.conn
        .prepare_cached(
            "UPDATE tasks SET status = ?2, stop = ?3, outcome = ?4, attempt = ?5, failures = ?6, restarts = ?7,
                 due_at = ?8, backing_off = ?9, started_at = ?10, ended_at = ?11, exit_code = ?12,
                 last_error = ?13, error_count = ?14, updated_at = ?15, restarts_since = ?16, resume = ?17
              WHERE id = ?1",
        )?
        .execute(params![
            task.0,
            state.status.name(),
            state.stop.map(|s| s.name()),
            state.outcome.map(|o| o.name()),
            state.attempt,
            state.used.failures,
            state.used.restarts,
            current.due_at.map(|d| d.0),
            current.backing_off,
            current.started_at.map(|s| s.0),
            current.ended_at.map(|e| e.0),
            current.exit_code,
            current.last_error,
            current.error_count,
            tx.now.0,
            state.used.since.map(|s| s.0),
            state.resume,
        ])?;
    Ok(())
}

/// What the event means for the rows of the attempt and its session.
fn follow_attempt(tx: &Tx<'_>, task: TaskId, before: &State, after: &State, event: &Event) -> rusqlite::Result<()> {
    let session = match event {
        Event::Ended { outcome: Outcome::Lost, .. } => SessionState::Lost,
        Event::Ended { .. } => SessionState::Ended,
        _ if before.status == after.status => return Ok(()),
        _ => match after.status {
            Status::Running => SessionState::Running,
            Status::Paused => SessionState::Paused,
            _ => return Ok(()),
        },
    };
    let started = matches!(event, Event::Started { .. }).then_some(tx.now.0);
    let mut ended = None;
    let mut code = None;
    let mut problem = None;
    if let Event::Ended { exit, error, .. } = event {
        (ended, code, problem) = (Some(tx.now.0), exit.shell_code(), error.as_ref());
    }
    tx.conn
        .prepare_cached(
            "UPDATE attempts SET started_at = coalesce(?3, started_at), ended_at = ?4, outcome = ?5, exit_code = ?6,
                 error = ?7
              WHERE task = ?1 AND number = ?2",
        )?
        .execute(params![task.0, after.attempt, started, ended, after.outcome.map(|o| o.name()), code, problem])?;
    tx.conn
        .prepare_cached(
            "UPDATE sessions SET state = ?3, started_at = coalesce(?4, started_at), ended_at = ?5, exit_code = ?6,
                 error = ?7
              WHERE id = (SELECT session FROM attempts WHERE task = ?1 AND number = ?2)",
        )?
        .execute(params![task.0, after.attempt, session.name(), started, ended, code, problem])?;
    Ok(())
}

fn detail(event: &Event, current: &Current) -> Value {
    match event {
        Event::Ended { exit, error, .. } => json!({
            "outcome": current.state.outcome.map(Outcome::name),
            "exit_code": exit.code,
            "signal": exit.signal,
            "error_sha256": error.as_deref().map(text_hash),
        }),
        Event::Started { resumed: true, .. } => json!({ "resumed": true }),
        Event::Settled { .. } => match current.due_at {
            Some(due) => json!({ "outcome": current.state.outcome.map(Outcome::name), "due": due }),
            None => json!({ "outcome": current.state.outcome.map(Outcome::name) }),
        },
        _ => json!({}),
    }
}

/// Writes down something about a task.
pub(super) fn append(
    tx: &mut Tx<'_>,
    task: TaskId,
    attempt: Option<u32>,
    kind: &str,
    actor: Actor,
    status: Status,
    detail: Value,
) -> Result<(), Failure> {
    events::append(tx, Entry { task: Some(task), attempt, kind, actor, status: Some(status), detail })?;
    Ok(())
}
