//! `autodev attach`: a session's screen and keys in this terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use super::{Context, Status, complete, target};
use crate::attach::keys::Prefix;
use crate::attach::{self, How, Options};
use crate::client::{Client, Start, find};
use crate::config::Config;
use crate::id::SessionName;
use crate::protocol::request::{Act, Action, Select};
use crate::protocol::{Fault, FaultCode, Request};

/// How long the order to end a session may take to be stored: the user waits, and cannot
/// do anything else meanwhile.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Arguments of `autodev attach`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The session: a task's number for its last attempt (42), an attempt (42.1) or a
    /// session's name (claude-1); without one, the session started last
    #[arg(value_name = "SESSION", add = complete::sessions())]
    session: Option<String>,
    #[command(flatten)]
    way: Way,
}

const EXAMPLES: &str = "\
Keys begin with C-b (the setting attach.prefix), but not within a paste; everything else
goes to the program:
  C-b d      detach; the session runs on     C-b [      scroll back, search, copy
  C-b n, p   next, previous session          C-b s      a line at the bottom, or none
  C-b w      choose a session from a list    C-b :      type a command by its name
  C-b x      end the session                 C-b D      detach all other terminals
  C-b r      paint the screen anew           C-b C-b    send C-b to the program
  C-b ?      all of this
Scrolling back begins with what the keeper has in memory and goes on with the recording:
arrows, PageUp, g and G, / and ? search up and down, n and N again, v selects, y copies to
the terminal's clipboard (OSC 52), q goes back.

Works without the daemon for sessions by name and number. Exits with 0 after detaching or
when the program ended with 0, with 1 when it ended otherwise. A terminal of another size
than the session's gets pictures clipped to it, at most 30 a second.

The terminal shows the session as if it had been there all the time: both screens, colours,
links, modes, title, and up to 256 KiB of what has scrolled off. Not brought back: images,
overlines, left and right margins, protected cells, marks of shell integration, titles put
on a stack, a cursor restored to outside of the scroll region in origin mode once another is
saved, and what a program has left behind in an alternate screen that is not shown.

Examples:
  autodev attach 42
  autodev attach -r claude-1";

/// How to attach; also for verbs that attach to what they have started.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Way {
    /// Only watch: nothing typed reaches the session
    #[arg(short, long)]
    pub read_only: bool,
    /// Detach every other terminal first
    #[arg(long)]
    pub takeover: bool,
    /// Do not print lines that have scrolled off first
    #[arg(long)]
    pub no_history: bool,
    /// Keep the lowest row for a line that says which session this is (C-b s)
    #[arg(long)]
    pub status: bool,
}

/// Runs the verb. The program's end is the command's: 0 if it ended well, else 1.
///
/// # Errors
/// `Usage` without a terminal, `NotFound` for a session that is not there, `Conflict` for
/// one that has ended or into which somebody else types.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    check_terminal()?;
    let session = match &args.session {
        Some(word) => target::live(ctx, word)?,
        None => find::newest(&ctx.paths)?.ok_or_else(|| {
            Fault::not_found("there is no live session")
                .hint("start one: autodev open claude, autodev submit … --attach; ended ones: autodev sessions --all")
        })?,
    };
    to(ctx, session, args.way)
}

/// Whether there is a terminal to attach with.
pub fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn check_terminal() -> Result<(), Fault> {
    if has_terminal() {
        return Ok(());
    }
    let which = if io::stdin().is_terminal() { "standard output" } else { "standard input" };
    Err(Fault::usage(format!("attach needs a terminal, and {which} is none"))
        .hint("without one: autodev logs -f, autodev screen, autodev send"))
}

/// Attaches to a live session and says what to exit with.
///
/// # Errors
/// As [`run`].
pub fn to(ctx: &Context, session: SessionName, way: Way) -> Result<Status, Fault> {
    check_terminal()?;
    let inside: Option<SessionName> = std::env::var("AUTODEV_SESSION").ok().and_then(|own| own.parse().ok());
    if inside.as_ref().is_some_and(|own| find::is_same(&ctx.paths, own, &session)) {
        return Err(Fault::conflict(format!("this is session {session}: a session cannot show itself within itself"))
            .hint("use another terminal"));
    }
    let settings = settings(ctx);
    let prefix: Prefix =
        settings.attach.prefix.parse().map_err(|error| Fault::usage(format!("attach.prefix: {error}")))?;
    if std::env::var_os("TMUX").is_some() {
        // tmux takes its own prefix; typed twice it passes on to us.
        let name = prefix.name();
        let keys = if name == "C-b" { "C-b C-b d".to_owned() } else { format!("{name} d") };
        ctx.output.note(&format!("{keys} detaches (you are inside tmux)"));
    }
    let options = Options {
        prefix,
        read_only: way.read_only,
        takeover: way.takeover,
        history_lines: if way.no_history { 0 } else { settings.attach.history_lines },
        inside,
        status: way.status,
    };
    let left = attach::attach(&ctx.paths, session, options, &mut |session, now| end(ctx, session, now))?;
    Ok(match left.how {
        How::Detached(_) => Status::OK,
        How::Exited(record) if record.exit.is_success() => Status::OK,
        How::Exited(_) | How::Ended | How::Lost => Status(1),
        How::Signal(signal) => Status(u8::try_from(128 + signal).unwrap_or(1)),
    })
}

/// The settings, or the defaults when something is wrong with them: that must not keep
/// anybody from his sessions.
fn settings(ctx: &Context) -> Config {
    ctx.config().unwrap_or_else(|fault| {
        ctx.output.note(&format!("the settings are not used: {}", fault.message));
        Config::default()
    })
}

/// Ends a session and its whole tree, as `C-b x` does. No daemon is started for it: the
/// user waits in front of the question.
fn end(ctx: &Context, session: &SessionName, now: bool) -> Result<(), Fault> {
    let request = match session.attempt() {
        Some(attempt) => Request::Act(Act {
            action: if now { Action::Kill } else { Action::Cancel },
            select: Select { tasks: vec![attempt.task], ..Select::default() },
            dry_run: false,
        }),
        None => Request::EndSession { session: session.clone(), now },
    };
    Client::connect(&ctx.paths, Start::Never)
        .and_then(|mut client| client.call_within(&request, Some(END_LIMIT)))
        .map(drop)
        .map_err(|fault| match fault.code {
            FaultCode::Unreachable => {
                let message =
                    format!("sessions are ended by the daemon, and {}: 'autodev daemon start'", fault.message);
                Fault { message, ..fault }
            }
            _ => fault,
        })
}
