//! `autodev status`: the whole at a glance.

use super::{Context, Status, table};
use crate::client::unexpected;
use crate::clock::{Timestamp, short};
use crate::protocol::view::{RedisState, StatusView};
use crate::protocol::{Fault, Reply, Request};
use crate::queue::Closed;

/// Arguments of `autodev status`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {}

const EXAMPLES: &str = "\
Examples:
  autodev status
  autodev status --json | jq .slots_used
  See whether a daemon runs, without starting one (exit status 3 if not):
    autodev status --no-start";

/// Runs the verb.
///
/// # Errors
/// `Unreachable` without a daemon.
pub fn run(ctx: &Context, _args: Args) -> Result<Status, Fault> {
    let status = match ctx.client()?.call(&Request::Status)? {
        Reply::Status(status) => status,
        other => return Err(unexpected(&other)),
    };
    if ctx.output.is_json() {
        ctx.output.json(&status)?;
    } else if ctx.output.is_quiet() {
        ctx.output.line(&status.pid.to_string())?;
    } else {
        ctx.output.text(&sheet(&status, Timestamp::now()))?;
    }
    Ok(Status::OK)
}

pub(super) fn sheet(status: &StatusView, now: Timestamp) -> String {
    let queue = match status.closed {
        None => "open".to_owned(),
        Some(Closed::Paused) => "paused: 'autodev resume' starts it again".into(),
        Some(Closed::Draining) => "draining: 'autodev resume' starts it again".into(),
        Some(Closed::LowDisk) => "closed, too little room is left on the disk".into(),
        Some(Closed::Config) => "closed, the configuration is wrong".into(),
    };
    let counts: Vec<String> =
        status.tasks.iter().filter(|c| c.tasks > 0).map(|c| format!("{} {}", c.tasks, c.state)).collect();
    let mut lines = vec![
        ("daemon", format!("{}, pid {}, up {}", status.version, status.pid, short(now.since(status.since)))),
        ("state", status.state_directory.clone()),
        ("queue", queue),
        ("slots", format!("{} of {} used", status.slots_used, status.slots)),
        ("sessions", status.sessions.to_string()),
        ("tasks", if counts.is_empty() { "none".into() } else { counts.join(", ") }),
    ];
    if !status.paused_providers.is_empty() {
        lines.insert(3, ("paused", status.paused_providers.join(", ")));
    }
    if !status.waiting.is_empty() {
        let each: Vec<String> =
            status.waiting.iter().map(|count| format!("{} {}", count.tasks, count.reason)).collect();
        lines.push(("waiting", each.join(", ")));
    }
    if status.requests > 0 {
        lines.push((
            "asked",
            match status.requests {
                1 => "1 question waits for an answer: 'autodev requests'".to_owned(),
                more => format!("{more} questions wait for an answer: 'autodev requests'"),
            },
        ));
    }
    if let Some(free) = status.disk_free {
        lines.push(("disk", format!("{} free", table::size(free))));
    }
    if status.redis.state != RedisState::Off {
        lines.push(("redis", super::redis::line(&status.redis)));
    }
    if let Some(error) = &status.config_error {
        let place = error.lines().next().unwrap_or_default();
        lines.push(("problem", format!("{place}: 'autodev config check'")));
    }
    lines.into_iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::view::{Count, RedisView, WaitingCount};
    use crate::queue::ReasonCode;
    use crate::task::Status as State;

    #[test]
    fn the_sheet_names_what_is_unusual() {
        let mut status = StatusView {
            pid: 7,
            version: "0.1.0".into(),
            since: Timestamp(0),
            state_directory: "/s".into(),
            socket: "/r/s".into(),
            closed: None,
            paused_providers: Vec::new(),
            slots: 4,
            slots_used: 1,
            tasks: vec![Count { state: State::Queued, tasks: 0 }, Count { state: State::Running, tasks: 1 }],
            sessions: 1,
            config_error: None,
            last_event: 3,
            redis: RedisView::default(),
            disk_free: Some(3 << 30),
            requests: 0,
            waiting: Vec::new(),
        };
        let text = sheet(&status, Timestamp(61_000));
        assert!(text.contains("0.1.0, pid 7, up 1m 1s") && text.contains("1 of 4 used"), "{text}");
        assert!(text.contains("1 running") && !text.contains("queued"), "{text}");
        assert!(text.contains("3.0 GiB free") && !text.contains("waiting"), "{text}");
        status.waiting = vec![WaitingCount { reason: ReasonCode::Dependency, tasks: 2 }];
        status.requests = 1;
        status.closed = Some(Closed::Draining);
        status.paused_providers = vec!["claude".into()];
        status.config_error = Some("line 3: no such setting".into());
        let text = sheet(&status, Timestamp(0));
        assert!(text.contains("draining") && text.contains("claude") && text.contains("line 3"), "{text}");
        assert!(text.contains("2 Dependency") && text.contains("1 question waits"), "{text}");
    }
}
