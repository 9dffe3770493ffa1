//! `autodev sessions`: the sessions there are.

use std::collections::VecDeque;
use std::time::Duration;

use super::table::{Cell, Column, Table};
use super::{Context, Status};
use crate::client::{Client, find, unexpected};
use crate::clock::{Timestamp, short};
use crate::protocol::request::ListQuery;
use crate::protocol::view::SessionView;
use crate::protocol::{Fault, FaultCode, Reply, Request};

/// Sessions shown when no number is given: that many are read at once.
const DEFAULT_LIMIT: usize = 1_000;

/// Arguments of `autodev sessions`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Ended ones too
    #[arg(short, long)]
    all: bool,
    /// Show at most this many, the newest; 0 shows all
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: usize,
}

const EXAMPLES: &str = "\
A name may be used again once its session has ended. The session_id of --json means one
session for ever, and is taken wherever a session is named.

Examples:
  autodev sessions
  autodev sessions --all --json | jq -r '.[] | select(.state == \"lost\") | .name'";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let limit = if args.limit == 0 { usize::MAX } else { args.limit };
    let mut client = ctx.client().map_err(|fault| with_live(ctx, fault))?;
    // One beyond the limit is asked for, to know whether there are more.
    let mut sessions = newest(&mut client, args.all, limit.saturating_add(1)).map_err(|fault| with_live(ctx, fault))?;
    let left_out = sessions.len() > limit;
    if left_out {
        sessions.remove(0);
    }
    if ctx.output.is_json() {
        ctx.output.json(&sessions)?;
    } else if ctx.output.is_quiet() {
        ctx.output.text(&sessions.iter().map(|s| format!("{}\n", s.name)).collect::<String>())?;
    } else if sessions.is_empty() {
        ctx.output.note("no sessions: 'autodev open' starts one");
    } else {
        let mut table = Table::new(&columns());
        let now = Timestamp::now();
        for session in &sessions {
            table.row(row(session, now));
        }
        ctx.output.text(&table.render(&ctx.output))?;
    }
    if left_out && !ctx.output.is_quiet() {
        let s = if limit == 1 { "" } else { "s" };
        ctx.output.note(&format!("the newest {limit} session{s} shown, there are more: --limit N, 0 shows all"));
    }
    Ok(Status::OK)
}

/// The newest sessions, at most `count`, oldest first: page by page, from the newest back.
fn newest(client: &mut Client, all: bool, count: usize) -> Result<Vec<SessionView>, Fault> {
    let mut sessions: VecDeque<SessionView> = VecDeque::new();
    while sessions.len() < count {
        let limit = u32::try_from(count - sessions.len()).unwrap_or(u32::MAX).min(ListQuery::MAX_LIMIT);
        let before = sessions.front().map(|session| session.session_id);
        let page = match client.call(&Request::Sessions { all, before, limit })? {
            Reply::Sessions(page) => page,
            other => return Err(unexpected(&other)),
        };
        let last = page.len() < limit as usize;
        page.into_iter().rev().for_each(|session| sessions.push_front(session));
        if last {
            break;
        }
    }
    Ok(sessions.into())
}

/// Without the daemon the names of live sessions are known all the same.
fn with_live(ctx: &Context, fault: Fault) -> Fault {
    match (fault.code, find::live(&ctx.paths)) {
        (FaultCode::Unreachable, Ok(live)) if !live.is_empty() => {
            let names: Vec<String> = live.iter().map(ToString::to_string).collect();
            fault.hint(format!("these live, and 'autodev attach' reaches them: {}", names.join(", ")))
        }
        _ => fault,
    }
}

fn columns() -> [Column; 13] {
    [
        Column::new("NAME"),
        Column::new("STATE"),
        Column::new("TOOL"),
        Column::new("TASK").right().optional(),
        Column::new("AGE").right(),
        Column::new("VIEWERS").optional(),
        Column::new("SIZE").right(),
        Column::new("PID").right().optional(),
        Column::new("PROCS").right().optional(),
        Column::new("CPU").right().optional(),
        Column::new("MEMORY").right().optional(),
        Column::new("PEAK").right().optional(),
        Column::new("DIRECTORY").gives_way(),
    ]
}

fn row(session: &SessionView, now: Timestamp) -> Vec<Cell> {
    let or_blank = |text: Option<String>| text.unwrap_or_default().into();
    let state = match session.exit_code {
        Some(code) => format!("{} {code}", session.state.name()),
        None => session.state.name().to_owned(),
    };
    vec![
        session.name.as_str().to_owned().into(),
        state.into(),
        session.tool.clone().into(),
        or_blank(session.task.map(|task| task.to_string())),
        short(session.ended_at.unwrap_or(now).since(session.created_at)).into(),
        viewers(session.writers, session.watchers).into(),
        format!("{}x{}", session.columns, session.rows).into(),
        or_blank(session.pid.map(|pid| pid.to_string())),
        or_blank(session.processes.map(|processes| processes.to_string())),
        or_blank(session.cpu_ms.map(|ms| short(Duration::from_millis(ms)))),
        or_blank(session.memory_bytes.map(memory)),
        or_blank(session.peak_memory_bytes.map(memory)),
        session.current_directory.clone().into(),
    ]
}

/// Who is attached: `1`, `1 +2 watch`, or nothing.
fn viewers(writers: u32, watchers: u32) -> String {
    match (writers, watchers) {
        (0, 0) => String::new(),
        (writers, 0) => writers.to_string(),
        (writers, watchers) => format!("{writers} +{watchers} watch"),
    }
}

/// Bytes in the unit that people read memory in: `12M`, `1.5G`.
fn memory(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1024 * 1024;
    match bytes / MEBIBYTE {
        0 => format!("{}K", bytes / 1024),
        mebibytes @ 1..1024 => format!("{mebibytes}M"),
        mebibytes => format!("{}.{}G", mebibytes / 1024, mebibytes % 1024 * 10 / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(memory(0), "0K");
        assert_eq!(memory(700 * 1024), "700K");
        assert_eq!(memory(12 * 1024 * 1024 + 5), "12M");
        assert_eq!(memory(1536 * 1024 * 1024), "1.5G");
        assert_eq!(memory(u64::MAX), "17179869183.9G");
        assert_eq!(viewers(0, 0), "");
        assert_eq!(viewers(1, 0), "1");
        assert_eq!(viewers(0, 2), "0 +2 watch");
    }
}
