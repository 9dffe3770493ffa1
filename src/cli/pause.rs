//! `autodev pause`: freezes running tasks; without a task, starts no new ones.

use super::select::SelectArgs;
use super::{Context, Status, act};
use crate::client::unexpected;
use crate::protocol::request::{Action, Admission};
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev pause`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    select: SelectArgs,
}

const EXAMPLES: &str = "\
A frozen task keeps its slot, and its clocks stand still. Without a task, and with at
most --provider, running tasks go on and no new ones are started.

Examples:
  Freeze a task, and let it run on:
    autodev pause 42
    autodev resume 42
  Start no new tasks, of any provider or of one:
    autodev pause
    autodev pause --provider claude";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    if let Some(provider) = args.select.whole_queue() {
        return admission(ctx, Admission::Pause, provider);
    }
    act::run(ctx, Action::Pause, args.select.select()?, act::Way::plain("pause"))
}

/// Changes whether tasks are started, of one provider or of all.
///
/// # Errors
/// What the daemon refuses.
pub(super) fn admission(ctx: &Context, change: Admission, provider: Option<String>) -> Result<Status, Fault> {
    let which = provider.as_ref().map_or_else(|| "the queue".to_owned(), |p| format!("provider {p}"));
    match ctx.client()?.call(&Request::Admission { change, provider: provider.clone() })? {
        Reply::Done => {}
        other => return Err(unexpected(&other)),
    }
    let state = match change {
        Admission::Pause => "paused",
        Admission::Resume => "open",
        Admission::Drain => "draining",
    };
    if ctx.output.is_json() {
        ctx.output.json(&serde_json::json!({ "admission": state, "provider": provider }))?;
    } else if !ctx.output.is_quiet() {
        ctx.output.line(&format!("{which} is {state}"))?;
    }
    Ok(Status::OK)
}
