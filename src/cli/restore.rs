//! `autodev restore`: puts a backup in the place of a damaged database.

use std::path::PathBuf;

use super::{Context, Status, confirm, daemon, inside};
use crate::client::{offline, unexpected};
use crate::protocol::view::RestoredView;
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev restore`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// This backup, instead of the newest that is whole
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    from: Option<PathBuf>,
    /// Leave out what happened after the backup, although it can be read
    #[arg(long)]
    no_replay: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

const EXAMPLES: &str = "\
A daemon that finds its database damaged refuses to start and touches nothing; agents that
run go on. 'restore' then builds a new database from the newest copy that is whole, with
all that can be read of what happened after it, and takes the agents that run back in. The
damaged files are kept in the state directory's 'quarantine'.

What nobody can know any more is not guessed: where entries of the history are lost, tasks
that waited are held, since they may have run meanwhile, and attempts that were under way
and are gone end as 'unknown'. 'autodev release' and 'autodev retry' let them run.

Examples:
  autodev restore
  autodev restore --from /mnt/usb/autodev-20261123T221552Z-1234.db
  Go back to a backup although nothing is damaged:
    autodev restore --from FILE --no-replay --yes";

/// Runs the verb.
///
/// # Errors
/// `Conflict` when nothing is damaged or nothing whole is there to restore from.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    inside::only_people(ctx, "restore", &Request::Backup { to: None })?;
    let from = args.from.as_deref().map(std::path::absolute).transpose();
    let from = from.map_err(|error| Fault::usage(format!("--from cannot be used: {error}")))?;
    let runs = ctx.daemon_runs();
    if (runs || from.is_some()) && !args.yes && !confirmed(runs)? {
        ctx.output.note("nothing was done");
        return Ok(super::exit::FAILED);
    }
    if runs {
        daemon::end(ctx)?;
    }
    let mut arguments = vec!["restore".to_owned()];
    if let Some(from) = &from {
        let from = from.to_str().ok_or_else(|| Fault::usage("the backup's name is not valid UTF-8"))?;
        arguments.push(format!("--from={from}"));
    }
    if args.no_replay {
        arguments.push("--no-replay".into());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let restored = match offline::ask(&arguments)? {
        Reply::Restored(restored) => restored,
        other => return Err(unexpected(&other)),
    };
    let out = &ctx.output;
    if out.is_json() {
        out.json(&restored)?;
    } else if out.is_quiet() {
        out.line(&restored.from)?;
    } else {
        out.text(&told(&restored))?;
    }
    Ok(Status::OK)
}

fn confirmed(runs: bool) -> Result<bool, Fault> {
    let what = if runs {
        "the daemon is stopped (agents run on) and the database replaced"
    } else {
        "the database is replaced"
    };
    if !confirm::can_ask() {
        return Err(Fault::usage(format!("with this {what}")).hint("add --yes if that is meant"));
    }
    confirm::yes(&format!("{what}; the present one is kept. Go on?"))
}

/// Tasks that are named; more are counted.
const NAMED: usize = 20;

fn told(restored: &RestoredView) -> String {
    let mut text = format!(
        "restored from {} (up to entry {}), and {} entries that could still be read\n",
        restored.from, restored.from_event, restored.replayed
    );
    match restored.lost {
        None if !restored.missing.is_empty() => {}
        None => text.push_str("nothing is lost\n"),
        Some((from, 0)) => text.push_str(&format!("what happened from entry {from} on, if anything, is lost\n")),
        Some((from, to)) => text.push_str(&format!("entries {from} to {to} of the history are lost\n")),
    }
    if !restored.missing.is_empty() {
        let named: Vec<String> = restored.missing.iter().take(NAMED).map(|task| task.to_string()).collect();
        let more = restored.missing.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("lost, for they could not be read: task {}{more}\n", named.join(", ")));
    }
    if !restored.unreadable.is_empty() {
        let tables = restored.unreadable.join(", ");
        text.push_str(&format!("some of it is as it was at the backup, for it could not be read: {tables}\n"));
    }
    if restored.adopted > 0 {
        text.push_str(&format!("{} running attempts were taken back in\n", restored.adopted));
    }
    if restored.held > 0 {
        text.push_str(&format!(
            "{} waiting tasks are held, for they may have run since: 'autodev list --state held', 'autodev release'\n",
            restored.held
        ));
    }
    if restored.unknown > 0 {
        text.push_str(&format!(
            "{} attempts were under way and are gone; how they ended is unknown: 'autodev history --state error'\n",
            restored.unknown
        ));
    }
    text.push_str(&format!("the files as they were are in {}\n", restored.quarantine));
    text
}
