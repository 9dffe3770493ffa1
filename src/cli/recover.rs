//! `autodev recover`: lets interrupted work go on where it was, and says what a start of
//! the daemon would do.

use super::select::SelectArgs;
use super::table::plain;
use super::{Context, Status, act};
use crate::client::{offline, unexpected};
use crate::protocol::request::Action;
use crate::protocol::view::RecoveryView;
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev recover`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    select: SelectArgs,
    /// Only say what a start of the daemon would do about the sessions there are, and why
    #[arg(long, conflicts_with_all = ["tasks", "state", "label", "provider", "role"])]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Lost and interrupted tasks go on by themselves, as their --on-interrupt says. By hand,
'recover' lets a task that is held or has ended go on: its agent's conversation is
continued where the agent can do that ('autodev retry' begins anew). A running task whose
keeper does not answer is asked once more.

Examples:
  Let a task go on that was held after it had been interrupted too often:
    autodev recover 42
  See what a start of the daemon would do, with or without one that runs:
    autodev recover --dry-run";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    if args.dry_run {
        return preview(ctx);
    }
    act::run(ctx, Action::Recover, args.select.select()?, act::Way::plain("recover"))
}

fn preview(ctx: &Context) -> Result<Status, Fault> {
    let reply = match ctx.daemon_runs() {
        true => ctx.client()?.call(&Request::Recovery)?,
        false => offline::ask(&["preview"])?,
    };
    let Reply::Recovery(views) = reply else { return Err(unexpected(&reply)) };
    let out = &ctx.output;
    if out.is_json() {
        out.json(&views)?;
    } else if out.is_quiet() {
        out.text(&views.iter().map(|view| format!("{}\n", view.session)).collect::<String>())?;
    } else if views.is_empty() {
        out.note("nothing to recover: no session is live or unfinished");
    } else {
        out.text(&lines(&views))?;
    }
    Ok(Status::OK)
}

fn lines(views: &[RecoveryView]) -> String {
    let mut text = String::new();
    for view in views {
        let name = if view.session.is_empty() { "a directory without a name" } else { &view.session };
        let state = view.state.map(|state| format!(" ({state})")).unwrap_or_default();
        let then = view.then.as_ref().map(|then| format!("; its task is then {then}")).unwrap_or_default();
        text.push_str(&format!("{}{state}\n  found  {}\n  start  {}{then}\n", plain(name), view.found, view.will));
    }
    text
}
