//! `autodev health`: whether the daemon does its work.

use serde_json::json;

use super::{Context, Status, exit};
use crate::client::{Client, Start, unexpected};
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev health`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {}

const EXAMPLES: &str = "\
For monitors and scripts: no daemon is started for it. Exit status: 0 when the daemon does
its work, 1 when something keeps it from that, 3 when none runs. 'autodev doctor' looks at
everything.

Examples:
  autodev health -q || notify-send 'autodev is not well'
  autodev health --json | jq .troubles";

/// Runs the verb.
///
/// # Errors
/// `Unreachable` without a daemon.
pub fn run(ctx: &Context, _args: Args) -> Result<Status, Fault> {
    let troubles = match Client::connect(&ctx.paths, Start::Never)?.call(&Request::Health)? {
        Reply::Health(troubles) => troubles,
        other => return Err(unexpected(&other)),
    };
    if ctx.output.is_json() {
        ctx.output.json(&json!({ "ok": troubles.is_empty(), "troubles": troubles }))?;
    } else if !ctx.output.is_quiet() {
        let text = if troubles.is_empty() { "well".to_owned() } else { troubles.join("\n") };
        ctx.output.line(&text)?;
    }
    Ok(if troubles.is_empty() { Status::OK } else { exit::FAILED })
}
