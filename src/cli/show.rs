//! `autodev show`: everything about one task.

use std::time::Duration;

use super::table::{Column, Table, plain, size};
use super::{Context, Output, Status};
use crate::client::{Client, unexpected};
use crate::clock::{Timestamp, short};
use crate::id::TaskId;
use crate::protocol::view::{AttemptView, TaskDetail};
use crate::protocol::{Fault, Reply, Request};
use crate::task::OnInterrupt;

/// Arguments of `autodev show`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The task
    #[arg(value_name = "TASK", add = super::complete::tasks())]
    task: TaskId,
}

const EXAMPLES: &str = "\
Examples:
  autodev show 42
  autodev show 42 --json | jq -r .task.last_error";

/// Runs the verb.
///
/// # Errors
/// `NotFound` when there is no such task.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let detail = ask(&mut ctx.client()?, args.task)?;
    let out = &ctx.output;
    if out.is_json() {
        out.json(&detail)?;
    } else if out.is_quiet() {
        out.line(&detail.task.id.to_string())?;
    } else {
        out.text(&sheet(out, &detail, Timestamp::now()))?;
    }
    Ok(Status::OK)
}

/// One task with its attempts.
///
/// # Errors
/// `NotFound` when there is no such task.
pub(super) fn ask(client: &mut Client, task: TaskId) -> Result<TaskDetail, Fault> {
    match client.call(&Request::Show(task))? {
        Reply::Task(detail) => Ok(*detail),
        other => Err(unexpected(&other)),
    }
}

fn sheet(out: &Output, detail: &TaskDetail, now: Timestamp) -> String {
    let task = &detail.task;
    let mut lines: Vec<(&str, String)> = Vec::new();
    let mut add = |name: &'static str, value: Option<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            lines.push((name, plain(&value)));
        }
    };
    let ago = |at: Timestamp| format!("{} ({} ago)", at.local(), short(now.since(at)));
    add("state", Some(state(detail)));
    add("damage", detail.damage.as_ref().map(|damage| format!("{damage} on the disk: it is not what was submitted")));
    add("why", task.reason.as_ref().map(|r| format!("{}: {}", r.code, r.detail)));
    add("provider", Some(task.provider.clone()));
    add("model", task.model.clone());
    add("mode", Some(task.mode.to_string()));
    add("access", task.full_access.then(|| "full: the tool's own sandbox is switched off".into()));
    add("submitted by", detail.parent.map(|parent| format!("the program of task {parent}")));
    add("role", task.role.clone());
    add("directory", Some(task.dir.clone()));
    add("branch", task.branch.clone());
    add("commit", task.commit_hash.clone());
    add("priority", (task.priority != 0).then(|| task.priority.to_string()));
    add("after", Some(task.after.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")));
    add("not before", task.due_at.filter(|due| *due > now).map(Timestamp::local));
    add("retries", (task.retries > 0).then(|| task.retries.to_string()));
    add("interrupted", (task.on_interrupt != OnInterrupt::default()).then(|| task.on_interrupt.to_string()));
    add("time limit", task.timeout.map(|t| t.to_string()));
    add("labels", Some(task.labels.join(", ")));
    add("submitted", Some(ago(task.created_at)));
    add("started", task.started_at.map(ago));
    add("ended", task.ended_at.map(ago));
    add("result", task.outcome.map(|o| o.to_string()));
    add("exit status", task.exit_code.map(|c| c.to_string()));
    add("last error", task.last_error.clone());
    add("acceptance", Some(task.acceptance.join("; ")));
    add("environment", Some(detail.environment.join(" ")));
    add("uid", Some(task.uid.to_string()));
    let mut text = format!("task {}: {}\n", task.id, plain(&task.title));
    text.extend(lines.into_iter().map(|(name, value)| format!("  {name:<12} {value}\n")));
    if !detail.attempts.is_empty() {
        text.push_str("\nattempts\n");
        text.push_str(&attempts(out, &detail.attempts, now));
    }
    for (heading, lines) in said(detail, now) {
        if !lines.is_empty() {
            text.push_str(&format!("\n{heading}\n"));
            text.extend(lines.iter().map(|line| format!("  {line}\n")));
        }
    }
    text.push('\n');
    text.push_str(if task.command.is_empty() { "prompt\n" } else { "command\n" });
    for line in task.description.lines() {
        text.push_str(&format!("  {}\n", plain(line)));
    }
    text
}

/// What was said, asked and left, under its headings.
fn said(detail: &TaskDetail, now: Timestamp) -> [(&'static str, Vec<String>); 3] {
    let ago = |at: Timestamp| short(now.since(at));
    let notes = detail.notes.iter().map(|note| format!("{} ago, {}: {}", ago(note.at), note.actor, plain(&note.text)));
    let asked = detail.requests.iter().map(|asked| {
        let answer = match &asked.answer {
            Some(answer) => format!("  answer: {}", plain(answer)),
            None if asked.over => "  (never answered)".to_owned(),
            None => format!("  'autodev answer {} TEXT' answers it", asked.id),
        };
        format!("{} ago: {}{answer}", ago(asked.at), plain(&asked.question))
    });
    let kept =
        detail.outputs.iter().map(|output| format!("{} ({}) {}", plain(&output.name), size(output.bytes), output.path));
    [("notes", notes.collect()), ("questions", asked.collect()), ("outputs", kept.collect())]
}

fn state(detail: &TaskDetail) -> String {
    let task = &detail.task;
    let stopping = task.stopping.filter(|_| !task.state.is_final());
    let ending = stopping.map(|s| format!(", ending: {}", s.name())).unwrap_or_default();
    let session = task.session.as_ref().filter(|_| task.state.is_active());
    let session = session.map(|s| format!(", session {s}")).unwrap_or_default();
    format!("{}{ending}{session}", task.state)
}

fn attempts(out: &Output, attempts: &[AttemptView], now: Timestamp) -> String {
    let mut table = Table::new(&[
        Column::new("  ATTEMPT"),
        Column::new("PROVIDER"),
        Column::new("STARTED"),
        Column::new("TIME").right(),
        Column::new("RESULT"),
        Column::new("EXIT").right(),
        Column::new("OUTPUT").right(),
        Column::new("CPU").right().optional(),
        Column::new("PEAK MEMORY").right().optional(),
        Column::new("ERROR").gives_way().optional(),
    ]);
    for attempt in attempts {
        let ran = attempt.started_at.map(|start| short(attempt.ended_at.unwrap_or(now).since(start)));
        table.row(vec![
            format!("  {}", attempt.id).into(),
            (&attempt.provider).into(),
            attempt.started_at.map(Timestamp::local).unwrap_or_default().into(),
            ran.unwrap_or_default().into(),
            attempt.outcome.map_or_else(|| "under way".to_owned(), |o| o.to_string()).into(),
            attempt.exit_code.map(|c| c.to_string()).unwrap_or_default().into(),
            attempt.recording.as_ref().map(|r| size(r.bytes)).unwrap_or_default().into(),
            attempt.cpu_ms.map(|ms| short(Duration::from_millis(ms))).unwrap_or_default().into(),
            attempt.peak_memory_bytes.map(size).unwrap_or_default().into(),
            attempt.error.clone().unwrap_or_default().into(),
        ]);
    }
    table.render(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(3 * 1024 * 1024 / 2), "1.5 MiB");
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
    }
}
