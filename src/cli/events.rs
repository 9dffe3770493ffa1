//! Events as JSON and as lines.

use serde_json::Value;

use super::table::{Cell, Column, Table, plain};
use crate::protocol::view::EventView;

/// The columns of a list of events.
pub const COLUMNS: [Column; 7] = [
    Column::new("SEQ").right(),
    Column::new("TIME"),
    Column::new("TASK").right(),
    Column::new("EVENT"),
    Column::new("STATE"),
    Column::new("BY"),
    Column::new("DETAIL").gives_way(),
];

/// The event with its details as a value.
pub fn as_json(event: &EventView) -> Value {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        let detail = serde_json::from_str(&event.detail).unwrap_or_else(|_| Value::String(event.detail.clone()));
        object.insert("detail".into(), detail);
    }
    value
}

/// Adds the event to a table of [`COLUMNS`].
pub fn row(table: &mut Table, event: &EventView, local_time: bool) {
    table.row(vec![
        event.seq.into(),
        time(event, local_time).into(),
        about(event).into(),
        (&event.kind).into(),
        event.state.map_or_else(Cell::default, |s| Cell::styled(s.name(), super::output::style_of(s))),
        (&event.actor).into(),
        detail(event).into(),
    ]);
}

/// The event as one line of a stream: for people in columns, else with tabs.
pub fn line(event: &EventView, people: bool) -> String {
    let state = event.state.map_or("", |s| s.name());
    let (seq, time, about) = (event.seq, time(event, people), about(event));
    let (kind, detail) = (plain(&event.kind), plain(&detail(event)));
    if people {
        format!("{time}  {about:>6}  {kind:<16}  {state:<10}  {detail}").trim_end().to_owned()
    } else {
        format!("{seq}\t{time}\t{about}\t{kind}\t{state}\t{}\t{detail}", event.actor)
    }
}

fn time(event: &EventView, local: bool) -> String {
    if local { event.at.local() } else { event.at.to_string() }
}

fn about(event: &EventView) -> String {
    match (event.attempt, event.task) {
        (Some(attempt), _) => attempt.to_string(),
        (None, Some(task)) => task.to_string(),
        (None, None) => String::new(),
    }
}

/// The details as `name=value`; an object within is shown as JSON.
fn detail(event: &EventView) -> String {
    match serde_json::from_str::<Value>(&event.detail) {
        Ok(Value::Object(fields)) => {
            let show = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let fields: Vec<String> =
                fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| format!("{k}={}", show(v))).collect();
            fields.join(" ")
        }
        Ok(Value::Null) => String::new(),
        _ => event.detail.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::TaskId;
    use crate::task::Status as State;

    fn event(detail: &str) -> EventView {
        EventView {
            seq: 7,
            at: Timestamp(0),
            task: Some(TaskId(42)),
            attempt: Some("42.1".parse().unwrap()),
            kind: "ended".into(),
            actor: "daemon".into(),
            state: Some(State::Completing),
            detail: detail.into(),
            hash: "ab".into(),
        }
    }

    #[test]
    fn details_are_values_in_json() {
        let value = as_json(&event(r#"{"code":3}"#));
        assert_eq!(value["detail"]["code"], 3);
        assert_eq!((&value["attempt"], &value["at"]), (&"42.1".into(), &"1970-01-01T00:00:00.000Z".into()));
        assert_eq!(as_json(&event("not json"))["detail"], "not json");
    }

    #[test]
    fn lines_cannot_be_broken() {
        let line = line(&event("{\"error\":\"a\\nb\",\"code\":null}"), false);
        assert_eq!(line, "7\t1970-01-01T00:00:00.000Z\t42.1\tended\tcompleting\tdaemon\terror=a b");
    }
}
