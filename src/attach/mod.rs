//! The user's terminal tied to a session: keys one way, output the other.
//!
//! One loop over poll(2). What is typed goes to the keeper, what the keeper sends goes to
//! the terminal as it is; neither direction waits for the other. A terminal that is slow
//! makes us read less, and then the keeper leaves output out and sends a picture.

mod bar;
mod chooser;
mod command;
mod cover;
pub mod display;
mod hear;
pub mod keys;
mod line;
mod notice;
mod queue;
mod replies;
mod run;
mod scroll;
pub mod signals;
pub mod terminal;

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::client::find;
use crate::client::keeper_link::Link;
use crate::id::SessionName;
use crate::paths::Paths;
use crate::protocol::exit::{ExitReason, ExitRecord};
use crate::protocol::keeper::{Attach, FromKeeper, RefusedCode, ToKeeper};
use crate::protocol::{Fault, FaultCode};

use keys::Prefix;
use run::Loop;
use signals::Signals;
use terminal::{Terminal, size};

/// How long a keeper may take to send the first picture.
const PICTURE_LIMIT: Duration = Duration::from_secs(5);

/// How to attach.
#[derive(Clone, Debug)]
pub struct Options {
    /// The key that begins a command.
    pub prefix: Prefix,
    /// Only watch.
    pub read_only: bool,
    /// Send everybody else away first.
    pub takeover: bool,
    /// Lines that have scrolled off to show first.
    pub history_lines: u32,
    /// The session this program itself runs in: it cannot be shown within itself.
    pub inside: Option<SessionName>,
    /// Keep the lowest row for a line of ours.
    pub status: bool,
}

impl Options {
    /// How to attach a terminal of this size.
    fn way(&self, (columns, rows): (u16, u16)) -> Attach {
        // A terminal of one row has none to spare.
        let spared = u16::from(self.status && rows > 1);
        Attach {
            read_only: self.read_only,
            takeover: self.takeover,
            pictures: self.status,
            // It would scroll through the row that is spared.
            history_lines: if self.status { 0 } else { self.history_lines },
            columns,
            rows: rows - spared,
        }
    }
}

/// Where and why attaching ended.
#[derive(Clone, Debug)]
pub struct Left {
    /// The session shown last.
    pub session: SessionName,
    /// Why.
    pub how: How,
}

/// Why attaching ended.
#[derive(Clone, Debug)]
pub enum How {
    /// The user left, or was sent away for a reason.
    Detached(Option<String>),
    /// The session's program has ended.
    Exited(Box<ExitRecord>),
    /// The same, and how is not to be found any more where it was.
    Ended,
    /// The keeper hung up without saying how its program ended.
    Lost,
    /// By a signal to this process, or because the terminal is gone.
    Signal(i32),
}

impl Left {
    /// What it says below the picture.
    pub fn message(&self) -> String {
        let session = &self.session;
        let message = match &self.how {
            How::Detached(None) => format!("[detached {session}]"),
            How::Detached(Some(reason)) => format!("[detached {session}: {reason}]"),
            How::Exited(record) => format!("[{session} {}]", ending(record)),
            How::Ended => format!("[{session} has ended]"),
            How::Lost => format!("[{session} is lost: its keeper has ended]"),
            How::Signal(_) => String::new(),
        };
        // Errors may quote what a program wrote; it must not reach the terminal as it is.
        message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

fn ending(record: &ExitRecord) -> String {
    match (record.reason, &record.error) {
        (ExitReason::LaunchFailed | ExitReason::NoRoom, Some(error)) => format!("could not be started: {error}"),
        (ExitReason::LaunchFailed | ExitReason::NoRoom, None) => "could not be started".to_owned(),
        (ExitReason::StoppedBeforeStart, _) => "was stopped before it started".to_owned(),
        (ExitReason::Shutdown, _) => "was interrupted by a shutdown".to_owned(),
        (ExitReason::Ended | ExitReason::Stopped, _) => record.exit.to_string(),
    }
}

/// Ends a session for the user, through the daemon: gently, or at once.
pub type End<'a> = &'a mut dyn FnMut(&SessionName, bool) -> Result<(), Fault>;

/// Ties the terminal to a session until the user leaves or the program ends. Errors come
/// before the terminal is touched.
///
/// # Errors
/// `Usage` when standard input and output are not a terminal, `NotFound` and `Unreachable`
/// as [`find::connect`], `Conflict` when somebody else types there already.
pub fn attach(paths: &Paths, session: SessionName, options: Options, end: End<'_>) -> Result<Left, Fault> {
    let size = size(io::stdout().as_fd());
    let (link, first) = open(paths, &session, options.way(size))?;
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| Fault::internal(format!("cannot {what}: {error}"))
    };
    let signals = Signals::take().map_err(failed("hold back signals"))?;
    let terminal = Terminal::enter(display::leave()).map_err(failed("use this terminal"))?;
    let mut tied = Loop::new(paths, options, session, link, size, signals, end);
    let how = tied.run(&terminal, first);
    let left = Left { session: tied.session().clone(), how };
    // Before signals take their usual effect again, which may be to end us.
    if let How::Signal(_) = left.how {
        drop(terminal);
    } else {
        tied.flush(&terminal);
        terminal.finish(&left.message(), tied.below());
    }
    Ok(left)
}

/// Connects and attaches: the link and what came on it up to the first picture.
fn open(paths: &Paths, session: &SessionName, how: Attach) -> Result<(Link, Vec<FromKeeper>), Fault> {
    let (mut link, _) = find::connect(paths, session)?;
    if how.pictures && !link.knows_pictures() {
        return Err(Fault::conflict(format!("session {session} was started by an older version, which spares no row"))
            .hint("attach without --status"));
    }
    let lost = |error: io::Error| {
        Fault::new(FaultCode::Unreachable, format!("session {session} cannot be attached to: {error}"))
    };
    link.send(&ToKeeper::Attach(how)).map_err(lost)?;
    let deadline = Instant::now() + PICTURE_LIMIT;
    let mut first = Vec::new();
    let mut exited = None;
    loop {
        let message = match link.receive(Some(deadline.saturating_duration_since(Instant::now()))) {
            Ok(message) => message,
            Err(_) if exited.is_some() => {
                first.extend(exited);
                return Ok((link, first));
            }
            Err(error) => return Err(lost(error)),
        };
        match message {
            FromKeeper::Refused { code, reason } => {
                let fault = Fault::conflict(format!("session {session}: {reason}"));
                return Err(match code {
                    RefusedCode::Busy => fault
                        .hint(format!("watch with: autodev attach -r {session}, or send the other away: --takeover")),
                    RefusedCode::Agent => Fault { code: FaultCode::Permission, ..fault }
                        .hint("attach from a shell that is not inside a session"),
                    _ => fault,
                });
            }
            FromKeeper::Picture { .. } | FromKeeper::Detached { .. } => {
                first.push(message);
                // The picture is shown even when there is nothing after it.
                first.extend(exited);
                return Ok((link, first));
            }
            FromKeeper::Exited(_) => exited = Some(message),
            message => first.push(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_below_the_picture_moves_no_terminal() {
        let how = How::Detached(Some("by \u{1b}[2J\u{9b}nobody\r\n".to_owned()));
        let left = Left { session: "s".parse().unwrap(), how };
        assert_eq!(left.message(), "[detached s: by  [2J nobody  ]");
    }
}
