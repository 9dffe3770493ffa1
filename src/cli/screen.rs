//! `autodev screen`: what a session shows now, showed last, or showed at a moment.

use serde::Serialize;

use super::recorded::playback::Playback;
use super::recorded::{Recorded, moment};
use super::target::{self, SessionArg};
use super::{Context, Status, exit};
use crate::client::find;
use crate::clock::Timestamp;
use crate::id::SessionName;
use crate::protocol::keeper::{FromKeeper, ToKeeper};
use crate::protocol::{Fault, FaultCode};

/// Arguments of `autodev screen`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    target: SessionArg,
    /// As it was then: +90s after the beginning, 12:03:11, 2026-11-22 12:03:11, or now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// With colours and attributes, as escape sequences
    #[arg(long)]
    ansi: bool,
}

const EXAMPLES: &str = "\
Needs no terminal and disturbs nobody. Of a session that has ended its last screen is shown;
what was there before comes from the recording, like what it printed: autodev logs. A time of
day means the first such time after the session began.

Examples:
  autodev screen 42
  autodev screen 42 --at +90s
  autodev screen 42.1 --at 12:03:11 --ansi
  autodev screen 42 --json | jq -r .text";

/// A screen as JSON.
#[derive(Serialize)]
struct Shown {
    session: SessionName,
    /// Of which moment it is, where it is not now.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    columns: u16,
    rows: u16,
    text: String,
}

/// Runs the verb.
///
/// # Errors
/// `NotFound` for a session that is not there and a moment that is not within its
/// recording, `Conflict` for one that has not begun.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let target = &args.target.session;
    if args.at.is_none()
        && let Some(session) = find::by_target(find::live(&ctx.paths)?, target)
    {
        match live(ctx, session, args.ansi) {
            // It has ended this moment.
            Err(fault) if matches!(fault.code, FaultCode::NotFound | FaultCode::Conflict) => {}
            shown => return shown,
        }
    }
    let recorded = Recorded::find(ctx, target)?;
    let session = recorded.session().clone();
    let (ms, at) = match &args.at {
        Some(text) => {
            let ms = moment::find(&recorded, text)?;
            (ms, Some(ms))
        }
        None if !recorded.has_begun() && recorded.reader().began().is_none() => {
            return Err(Fault::conflict(format!("session {session} has not started yet"))
                .hint("'autodev sessions' says how it stands"));
        }
        None => {
            ctx.output.note(&format!("session {session} has ended; this is what it showed last"));
            (u32::MAX, recorded.times().ok().map(|(_, length)| length))
        }
    };
    let began = recorded.reader().began();
    let at = began.zip(at).map(|(began, ms)| began.plus(std::time::Duration::from_millis(u64::from(ms))));
    let mut playback = Playback::new(recorded);
    playback.play_to(ms)?;
    let (columns, rows) = playback.size();
    let text = playback.screen().text(args.ansi);
    show(ctx, Shown { session, at, columns, rows, text })?;
    Ok(if playback.recorded().is_damaged() { exit::FAILED } else { Status::OK })
}

/// Asks the keeper.
fn live(ctx: &Context, session: SessionName, ansi: bool) -> Result<Status, Fault> {
    let (mut link, _) = find::connect(&ctx.paths, &session)?;
    let (columns, rows, text) =
        target::ask(&mut link, &session, &ToKeeper::Screen { ansi }, |message| match message {
            FromKeeper::Screen { columns, rows, text } => Some((columns, rows, text)),
            _ => None,
        })?;
    let text = String::from_utf8_lossy(&text).into_owned();
    show(ctx, Shown { session, at: None, columns, rows, text })?;
    Ok(Status::OK)
}

fn show(ctx: &Context, shown: Shown) -> Result<(), Fault> {
    if ctx.output.is_json() {
        return ctx.output.json(&shown);
    }
    ctx.output.text(&shown.text)?;
    if !shown.text.is_empty() && !shown.text.ends_with('\n') {
        ctx.output.text("\n")?;
    }
    Ok(())
}
