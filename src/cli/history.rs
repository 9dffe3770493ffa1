//! `autodev history`: finished tasks, the audit trail of one, and whether it is whole.

use super::page::{self, Window};
use super::select::{FilterArgs, note_unknown_provider, past};
use super::table::Table;
use super::{Context, Status, events, exit};
use crate::client::{Client, unexpected};
use crate::id::TaskId;
use crate::protocol::request::{EventsQuery, Filter, ListQuery, Listing};
use crate::protocol::view::EventView;
use crate::protocol::{Fault, Reply, Request};

/// Tasks shown when no number is given.
const DEFAULT_LIMIT: u64 = 50;
/// What chooses among tasks: one task's trail, and a check of all, have no use for it.
const LIST_OPTIONS: [&str; 9] = ["state", "label", "provider", "role", "since", "until", "search", "limit", "cursor"];

/// Arguments of `autodev history`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Show everything that happened to this task
    #[arg(value_name = "TASK", add = super::complete::tasks(), conflicts_with_all = LIST_OPTIONS)]
    task: Option<TaskId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only tasks that ended since then: 2h, yesterday, 09:00, 2026-11-22
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only tasks that ended before then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only tasks with these words in title, prompt or result
    #[arg(short = 'S', long, value_name = "WORDS")]
    search: Option<String>,
    /// Show at most this many; 0 shows all
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: u64,
    /// Continue where an earlier list ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Show the last entries of the whole audit trail, of all tasks and of the daemon
    #[arg(long, conflicts_with_all = ["task", "state", "label", "provider", "role", "since", "until", "search", "cursor"])]
    events: bool,
    /// Check that no entry of the history was changed, added or taken away
    #[arg(long, conflicts_with = "task", conflicts_with = "events", conflicts_with_all = LIST_OPTIONS)]
    verify: bool,
}

const EXAMPLES: &str = "\
Finished tasks come last ended first. Each change of a task is an entry of its audit
trail; entries are chained by hashes, and --verify names the first that does not fit.

Examples:
  autodev history --since yesterday --state failed,error
  autodev history --search 'login page'
  autodev history 42
  autodev history --events --limit 20
  autodev history --verify";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let (since, until) = (past(args.since.as_ref())?, past(args.until.as_ref())?);
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        return Err(Fault::usage(format!("nothing lies between {} and {}", since.local(), until.local())));
    }
    let limit = Some(args.limit).filter(|limit| *limit > 0);
    let mut client = ctx.client()?;
    if args.verify {
        return verify(ctx, &mut client);
    }
    if let Some(task) = args.task {
        let all = entries(&mut client, Some(task), 0)?;
        return trail(ctx, &all);
    }
    if args.events {
        let last = match client.call(&Request::Status)? {
            Reply::Status(status) => status.last_event,
            other => return Err(unexpected(&other)),
        };
        let most = limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(i64::MAX);
        let all = entries(&mut client, None, last.saturating_sub(most).max(0))?;
        return trail(ctx, &all);
    }
    let filter = Filter { since, until, search: args.search, ..args.filter.filter() };
    let provider = filter.provider.clone();
    let query = ListQuery { listing: Listing::History, filter, limit: 0, cursor: None };
    let rest = page::write(ctx, &mut client, query, Window { limit, cursor: args.cursor })?;
    if rest.shown == 0 && !ctx.output.is_json() && !ctx.output.is_quiet() {
        ctx.output.note("no finished task matches");
    }
    if rest.shown == 0 {
        note_unknown_provider(ctx, provider.as_deref());
    }
    page::more(ctx, &rest);
    Ok(Status::OK)
}

/// What happened, entry by entry.
fn trail(ctx: &Context, all: &[EventView]) -> Result<Status, Fault> {
    let out = &ctx.output;
    if out.is_json() {
        out.json(&all.iter().map(events::as_json).collect::<Vec<_>>())?;
    } else if out.is_quiet() {
        out.text(&all.iter().map(|e| format!("{}\n", e.seq)).collect::<String>())?;
    } else {
        let mut table = Table::new(&events::COLUMNS);
        for event in all {
            events::row(&mut table, event, out.terminal);
        }
        out.text(&table.render(out))?;
    }
    Ok(Status::OK)
}

/// The entries after one, of one task or of all.
fn entries(client: &mut Client, task: Option<TaskId>, after: i64) -> Result<Vec<EventView>, Fault> {
    let mut all: Vec<EventView> = Vec::new();
    loop {
        let after = all.last().map_or(after, |e| e.seq);
        let query = EventsQuery { task, after, limit: ListQuery::MAX_LIMIT };
        match client.call(&Request::Events(query))? {
            Reply::Events(page) if page.is_empty() => return Ok(all),
            Reply::Events(page) => {
                let last = page.len() < ListQuery::MAX_LIMIT as usize;
                all.extend(page);
                if last {
                    return Ok(all);
                }
            }
            other => return Err(unexpected(&other)),
        }
    }
}

fn verify(ctx: &Context, client: &mut Client) -> Result<Status, Fault> {
    // Every entry is read and hashed: with a long history this takes its time.
    let report = match client.call_within(&Request::Verify, None)? {
        Reply::Verified(report) => report,
        other => return Err(unexpected(&other)),
    };
    let problem = report.first_bad.map(|seq| {
        let what = report.problem.as_deref().unwrap_or("it is not as it was written");
        format!("the history is damaged at entry {seq}: {what}")
    });
    if ctx.output.is_json() {
        ctx.output.json(&report)?;
    } else if let Some(problem) = &problem {
        ctx.output.note(&format!("error: {problem}"));
    } else if !ctx.output.is_quiet() {
        ctx.output
            .line(&format!("the history is whole: {} entries, the last has hash {}", report.events, report.head))?;
    }
    Ok(if problem.is_some() || report.problem.is_some() { exit::FAILED } else { Status::OK })
}
