//! `autodev health`: whether the daemon does its work.

use std::time::Duration;

use serde_json::json;

use super::{Context, Status, exit};
use crate::client::{Client, unexpected};
use crate::protocol::{Fault, FaultCode, Reply, Request};

/// Arguments of `autodev health`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {}

/// A daemon that does not answer within this is not well: it gives itself ten seconds.
const LIMIT: Duration = Duration::from_secs(15);

/// And accepts a connection within this.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
For monitors and scripts: no daemon is started for it. Exit status: 0 when the daemon does
its work, 1 when something keeps it from that or it does not answer, 3 when none runs.
'autodev doctor' looks at everything.

Examples:
  autodev health -q || notify-send 'autodev is not well'
  autodev health --json | jq .troubles";

/// Runs the verb.
///
/// # Errors
/// `Unreachable` without a daemon.
pub fn run(ctx: &Context, _args: Args) -> Result<Status, Fault> {
    let troubles = match Client::connect_quickly(&ctx.paths, CONNECT_LIMIT) {
        Some(mut client) => match client.call_within(&Request::Health, Some(LIMIT)) {
            Ok(Reply::Health(troubles)) => troubles,
            Ok(other) => return Err(unexpected(&other)),
            // It is there: this is not as if none ran.
            Err(fault) if fault.code == FaultCode::Unreachable => vec![fault.message],
            Err(fault) => return Err(fault),
        },
        None if ctx.daemon_runs() => vec!["the daemon cannot be reached".into()],
        None => {
            return Err(Fault::new(FaultCode::Unreachable, "no daemon runs").hint("'autodev daemon start' starts one"));
        }
    };
    if ctx.output.is_json() {
        ctx.output.json(&json!({ "ok": troubles.is_empty(), "troubles": troubles }))?;
    } else if !ctx.output.is_quiet() {
        let text = if troubles.is_empty() { "well".to_owned() } else { troubles.join("\n") };
        ctx.output.line(&text)?;
    }
    Ok(if troubles.is_empty() { Status::OK } else { exit::FAILED })
}
