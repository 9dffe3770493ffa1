//! `autodev list`: the tasks that are not finished.

use super::output::Form;
use super::page::{self, Window};
use super::select::{FilterArgs, note_unknown_provider, past};
use super::{Context, Status};
use crate::client::unexpected;
use crate::protocol::request::{Filter, ListQuery, Listing};
use crate::protocol::{Fault, Reply, Request};

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
    /// Show at most this many; 0 shows all
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
    limit: u64,
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
    let window = Window { limit: Some(args.limit).filter(|limit| *limit > 0), cursor: args.cursor };
    if args.watch {
        return watch(ctx, &query, &window);
    }
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
fn watch(ctx: &Context, query: &ListQuery, window: &Window) -> Result<Status, Fault> {
    let mut events = ctx.client()?;
    // The stream begins before the first list is read, so no change falls between them.
    let mut after = match events.call(&Request::Status)? {
        Reply::Status(status) => status.last_event,
        other => return Err(unexpected(&other)),
    };
    loop {
        events.begin(&Request::Watch { after: Some(after) })?;
        'stream: loop {
            if ctx.output.terminal {
                ctx.output.text(CLEAR)?;
            }
            let rest = page::write(ctx, &mut ctx.client()?, query.clone(), window.clone())?;
            if rest.shown == 0 {
                ctx.output.note("no task now");
            }
            page::more(ctx, &rest);
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
