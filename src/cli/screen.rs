//! `autodev screen`: what a session shows now.

use serde::Serialize;

use super::target::{self, SessionArg};
use super::{Context, Status};
use crate::client::find;
use crate::id::SessionName;
use crate::protocol::Fault;
use crate::protocol::keeper::{FromKeeper, ToKeeper};

/// Arguments of `autodev screen`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    target: SessionArg,
    /// With colours and attributes, as escape sequences
    #[arg(long)]
    ansi: bool,
}

const EXAMPLES: &str = "\
Needs no terminal and disturbs nobody. What an ended session printed: autodev logs.

Examples:
  autodev screen 42
  autodev screen 42 --json | jq -r .text";

/// A screen as JSON.
#[derive(Serialize)]
struct Shown {
    session: SessionName,
    columns: u16,
    rows: u16,
    text: String,
}

/// Runs the verb.
///
/// # Errors
/// `NotFound` for a session that is not there, `Conflict` for one that has ended.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let session = target::live(ctx, &args.target.session)?;
    let (mut link, _) = find::connect(&ctx.paths, &session)?;
    let question = ToKeeper::Screen { ansi: args.ansi };
    let (columns, rows, text) = target::ask(&mut link, &session, &question, |message| match message {
        FromKeeper::Screen { columns, rows, text } => Some((columns, rows, text)),
        _ => None,
    })?;
    if ctx.output.is_json() {
        let text = String::from_utf8_lossy(&text).into_owned();
        ctx.output.json(&Shown { session, columns, rows, text })?;
    } else {
        ctx.output.bytes(&text)?;
        if !text.is_empty() && !text.ends_with(b"\n") {
            ctx.output.text("\n")?;
        }
    }
    Ok(Status::OK)
}
