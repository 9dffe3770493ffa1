//! `autodev watch`: events as they happen.

use super::{Context, Status, events};
use crate::client::unexpected;
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev watch`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Print a JSON object a line, as --json does
    #[arg(long)]
    jsonl: bool,
    /// Begin after this event, to miss nothing since
    #[arg(long, value_name = "SEQ")]
    after: Option<i64>,
}

const EXAMPLES: &str = "\
Ends when interrupted. A restart of the daemon meanwhile does no harm: nothing is missed.
It ends with status 3 when the daemon is stopped.

Examples:
  autodev watch
  React to each task that ends:
    autodev watch --jsonl | jq --unbuffered -r 'select(.kind == \"settled\") | .task'";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let mut client = ctx.client()?;
    // Known from the beginning, so that a restart before the first event costs none.
    let mut after = match args.after {
        Some(after) => Some(after),
        None => match client.call(&Request::Status)? {
            Reply::Status(status) => Some(status.last_event),
            other => return Err(unexpected(&other)),
        },
    };
    let mut reply = client.call_or_reconnect(&Request::Watch { after })?;
    loop {
        reply = match reply {
            Some(Reply::Event(event)) => {
                after = Some(event.seq);
                if args.jsonl || ctx.output.is_json() {
                    ctx.output.json(&events::as_json(&event))?;
                } else if ctx.output.is_quiet() {
                    ctx.output.line(&event.seq.to_string())?;
                } else {
                    ctx.output.line(&events::line(&event, ctx.output.terminal))?;
                }
                client.next_reply()?
            }
            Some(other) => return Err(unexpected(&other)),
            None => client.call_or_reconnect(&Request::Watch { after })?,
        };
    }
}
