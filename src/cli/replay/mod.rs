//! `autodev replay`: plays a session's recording with its timing.

mod keys;
mod pace;
mod player;
mod stream;
mod typed;

use std::io::{IsTerminal, stdin, stdout};
use std::os::fd::AsFd;

use super::recorded::playback::Playback;
use super::recorded::{Recorded, moment};
use super::target::SessionArg;
use super::{Context, Status, exit};
use crate::attach::terminal;
use crate::clock::Span;
use crate::protocol::Fault;
use pace::{IDLE_LIMIT, Pace, Speed};

/// Arguments of `autodev replay`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    target: SessionArg,
    /// So many times as fast as it was: 2, 0.5
    #[arg(short, long, value_name = "N", default_value_t = Speed::default())]
    speed: Speed,
    /// Begin there: +30s after the beginning, 12:03:11, or 2026-11-22 12:03:11
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Shorten times in which nothing was printed to this; 0 keeps them
    #[arg(short, long, value_name = "TIME", default_value_t = IDLE_LIMIT)]
    idle_limit: Span,
    /// Print who typed what and when instead
    #[arg(long, conflicts_with_all = ["speed", "idle_limit"])]
    input: bool,
}

const EXAMPLES: &str = "\
At a terminal: space stops and goes on, '.' or the right arrow takes a step, + and - change
the speed, q ends. A terminal that is smaller than the recorded one shows a part of it. Where
the output is not a terminal, what was printed is written with its timing. Questions to the
terminal are left out. A session that still runs is played up to now.

Of a password that is read as a line without an echo, or by another user's program such as
sudo, only the number of bytes is recorded; a program of yours that reads a password key by
key cannot be told from an editor. Of a long input the beginning is recorded.

Examples:
  autodev replay 42
  autodev replay 42.1 --speed 4 --from +10m
  autodev replay claude-1 --idle-limit 0
  autodev replay 42 --input --json";

/// Runs the verb.
///
/// # Errors
/// `NotFound` for a session that is not there and a moment that is not within its
/// recording, `Conflict` for one that has printed nothing.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    if ctx.output.is_json() && !args.input {
        return Err(Fault::usage("what a session printed is no JSON").hint("--input has objects: who typed what"));
    }
    let recorded = Recorded::find(ctx, &args.target.session)?;
    let from = args.from.as_ref().map(|text| moment::find(&recorded, text)).transpose()?;
    if args.input {
        return typed::print(ctx, &recorded, from.unwrap_or(0));
    }
    let mut playback = Playback::new(recorded);
    if let Some(from) = from {
        playback.play_to(from)?;
    }
    let pace = Pace::new(args.speed, args.idle_limit.0, from.unwrap_or(0));
    let status = if stdin().is_terminal() && stdout().is_terminal() {
        let (theirs, ours) = (playback.size(), terminal::size(stdout().as_fd()));
        if ours.0 < theirs.0 || ours.1 < theirs.1 {
            ctx.output.note(&format!(
                "[the session's screen is {}x{}, this one {}x{}: a part of it is shown]",
                theirs.0, theirs.1, ours.0, ours.1
            ));
        }
        player::play(&mut playback, pace)?
    } else {
        stream::play(ctx, &mut playback, pace, from.is_some())?
    };
    Ok(if status == Status::OK && playback.recorded().is_damaged() { exit::FAILED } else { status })
}
