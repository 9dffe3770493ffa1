//! `autodev list`: the tasks that are not finished.

use super::output::{Form, window_size};
use super::page::{self, Window};
use super::select::{FilterArgs, note_unknown_provider, past};
use super::{Context, Status};
use crate::client::{Client, Start, unexpected};
use crate::protocol::request::{Filter, ListQuery, Listing};
use crate::protocol::{Fault, FaultCode, Reply, Request};

/// Tasks shown when no number is given: about a screen.
const DEFAULT_LIMIT: u64 = 50;
/// Clears the screen and puts the cursor at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Arguments of `autodev list`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Finished tasks too, newest first
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only tasks that run in this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
    /// Only tasks submitted since then: 2h, yesterday, 09:00, 2026-11-22
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show at most this many, else 50, or with --watch at a terminal what fits; 0 shows all
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Continue where an earlier list ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Stay, and show the list again when something changes
    #[arg(short, long, conflicts_with = "cursor")]
    watch: bool,
}

const EXAMPLES: &str = "\
Active tasks come first, then the others in the order in which they will run. When the
output is not a terminal, rows have tabs between whole cells and there are no titles.

Examples:
  autodev list
  autodev list --state running,paused
  autodev list --all --label nightly --limit 0 --json | jq -r '.[].title'
  autodev list --watch";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    // Not left to clap, which overlooks global options that stand before the verb.
    if args.watch && ctx.output.form != Form::Text {
        return Err(Fault::usage("--watch cannot be used with --json or --quiet: it is for people")
            .hint("'autodev watch --json' prints each change as it happens"));
    }
    let ended = args.filter.state.iter().any(|state| state.is_final());
    let dir = args.dir.as_deref().map(super::task::directory).transpose()?;
    let filter = Filter {
        dir: dir.map(|dir| dir.display().to_string()),
        since: past(args.since.as_ref())?,
        ..args.filter.filter()
    };
    let provider = filter.provider.clone();
    let listing = if args.all || ended { Listing::All } else { Listing::Live };
    let filtered = filter != Filter::default();
    let query = ListQuery { listing, filter, limit: 0, cursor: None };
    if args.watch {
        return watch(ctx, &query, args.limit);
    }
    let limit = Some(args.limit.unwrap_or(DEFAULT_LIMIT)).filter(|limit| *limit > 0);
    let window = Window { limit, cursor: args.cursor };
    let rest = page::write(ctx, &mut ctx.client()?, query, window)?;
    if rest.shown == 0 && !ctx.output.is_json() && !ctx.output.is_quiet() {
        ctx.output.note(if filtered {
            "no task matches"
        } else {
            "no tasks: 'autodev submit' makes one, 'autodev history' lists finished ones"
        });
    }
    if rest.shown == 0 {
        note_unknown_provider(ctx, provider.as_deref());
    }
    page::more(ctx, &rest);
    Ok(Status::OK)
}

/// Shows the list, and again after each change. Events that come while it is drawn are
/// taken together.
fn watch(ctx: &Context, query: &ListQuery, limit: Option<u64>) -> Result<Status, Fault> {
    let mut events = ctx.client()?;
    // The stream begins before the first list is read, so no change falls between them.
    let mut after = match events.call(&Request::Status)? {
        Reply::Status(status) => status.last_event,
        other => return Err(unexpected(&other)),
    };
    loop {
        events.begin(&Request::Watch { after: Some(after) })?;
        'stream: loop {
            match draw(ctx, query, limit) {
                // The daemon has gone; whether it comes back is for the stream to say.
                Err(fault) if fault.code == FaultCode::Unreachable && events.has_more()? => {}
                drawn => drawn?,
            }
            loop {
                match events.next_reply()? {
                    Some(Reply::Event(event)) => after = event.seq,
                    Some(other) => return Err(unexpected(&other)),
                    None => break 'stream,
                }
                if !events.has_more()? {
                    break;
                }
            }
        }
    }
}

/// Shows the list once. No daemon is started for it: one that was stopped stays so.
fn draw(ctx: &Context, query: &ListQuery, limit: Option<u64>) -> Result<(), Fault> {
    let mut client = Client::connect(&ctx.paths, Start::Never)?;
    let rows = if ctx.output.terminal { window_size().map(|(_, rows)| rows) } else { None };
    if ctx.output.terminal {
        ctx.output.text(CLEAR)?;
    }
    let window = Window { limit: at_once(limit, rows), cursor: None };
    let rest = page::write(ctx, &mut client, query.clone(), window)?;
    match rest.next {
        _ if rest.shown == 0 => ctx.output.note("no task now"),
        Some(_) => ctx.output.note("there are more: --limit N shows N of them"),
        None => {}
    }
    Ok(())
}

/// How many tasks are shown: as many as asked for, else what a terminal has room for below
/// the titles and above a note and the cursor. The first ones, those that run, stay visible.
fn at_once(asked: Option<u64>, rows: Option<u16>) -> Option<u64> {
    let fits = |rows: u16| u64::from(rows.saturating_sub(3).max(1));
    let limit = asked.unwrap_or_else(|| rows.map_or(DEFAULT_LIMIT, fits));
    Some(limit).filter(|limit| *limit > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watched_list_fits_the_terminal_unless_asked_for_more() {
        assert_eq!(at_once(None, Some(24)), Some(21));
        assert_eq!(at_once(None, Some(2)), Some(1));
        assert_eq!(at_once(None, None), Some(DEFAULT_LIMIT));
        assert_eq!(at_once(Some(100), Some(24)), Some(100));
        assert_eq!(at_once(Some(0), Some(24)), None);
    }
}
