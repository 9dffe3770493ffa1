//! How a task and an entry of the history look in Redis: names and values, as
//! man/autodev-redis.7 lists them. What is not so is not there.

use serde_json::json;

use crate::protocol::view::EventView;
use crate::store::TaskRow;

/// Names and values.
pub(super) type Fields = Vec<(&'static str, String)>;

/// A task. Prompts, commands and what programs have printed are never in it, a title only
/// where that is wanted.
pub(super) fn of_task(row: &TaskRow, title: bool) -> Fields {
    let mut fields = vec![
        ("id", row.id.to_string()),
        ("seq", row.seq.to_string()),
        ("uid", row.uid.to_string()),
        ("state", row.state.name().to_owned()),
        ("provider", row.provider.clone()),
        ("mode", row.mode.name().to_owned()),
        ("dir", row.dir.clone()),
        ("full_access", row.full_access.to_string()),
        ("priority", row.priority.to_string()),
        ("created_at", row.created_at.to_string()),
        ("updated_at", row.updated_at.to_string()),
        ("error_count", row.error_count.to_string()),
    ];
    let mut may = |name, value: Option<String>| fields.extend(value.map(|value| (name, value)));
    may("title", title.then(|| row.title.clone()));
    may("outcome", row.outcome.map(|outcome| outcome.name().to_owned()));
    may("exit_code", row.exit_code.map(|code| code.to_string()));
    may("attempt", row.attempt.map(|attempt| attempt.to_string()));
    may("model", row.model.clone());
    may("role", row.role.clone());
    may("started_at", row.started_at.map(|at| at.to_string()));
    may("ended_at", row.ended_at.map(|at| at.to_string()));
    may("parent", row.parent.map(|task| task.to_string()));
    may("labels", (!row.labels.is_empty()).then(|| json!(row.labels).to_string()));
    fields
}

/// An entry of the history; its number is its id in the stream. Details are not in it.
pub(super) fn of_event(event: &EventView) -> Fields {
    let mut fields = vec![("at", event.at.to_string()), ("kind", event.kind.clone()), ("actor", event.actor.clone())];
    let mut may = |name, value: Option<String>| fields.extend(value.map(|value| (name, value)));
    may("task", event.task.map(|task| task.to_string()));
    may("attempt", event.attempt.map(|attempt| attempt.to_string()));
    may("state", event.state.map(|state| state.name().to_owned()));
    fields
}

/// What is said of an entry to those who listen.
pub(super) fn hint(event: &EventView) -> String {
    let mut hint = json!({ "seq": event.seq, "kind": event.kind });
    if let Some(task) = event.task {
        hint["task"] = json!(task);
    }
    if let Some(state) = event.state {
        hint["state"] = json!(state.name());
    }
    hint.to_string()
}
