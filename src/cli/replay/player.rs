//! A playback at a terminal: one loop over poll(2) for the clock, the keys, signals, and a
//! terminal that may be slow.

use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, raise};

use super::super::Status;
use super::super::recorded::playback::{Playback, Played};
use super::keys::{Key, keys};
use super::pace::Pace;
use crate::attach::display::{self, Display};
use crate::attach::signals::Signals;
use crate::attach::terminal::Terminal;
use crate::clock::short;
use crate::protocol::Fault;
use crate::screen::Canvas;

/// Between two pictures for a terminal that is too small: 30 a second look fluent.
const PICTURE_EVERY: Duration = Duration::from_millis(33);
/// How long the last output may take when all was played.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);
/// What the keys for the speed change it by.
const FACTOR: f64 = 2.0;

/// Why it is over.
enum Over {
    /// All was played.
    End,
    /// The user has seen enough.
    Quit,
    /// By a signal, or because the terminal is gone.
    Signal(i32),
}

struct Player<'p, 'a> {
    playback: &'p mut Playback<'a>,
    pace: Pace,
    signals: Signals,
    /// Columns and rows of the terminal.
    screen: (u16, u16),
    unshown: Display,
    /// When the next step is due, or how long it would be until then.
    clock: Clock,
    /// What the terminal shows is not the session's screen.
    stale: bool,
    /// What it does show, where its size is another.
    canvas: Canvas,
    painted: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Clock {
    Runs(Instant),
    Stands(Duration),
}

/// Plays until the end or until the user has seen enough, and gives the terminal back.
///
/// # Errors
/// When the recording cannot be read, or the terminal not be used.
pub fn play(playback: &mut Playback<'_>, pace: Pace) -> Result<Status, Fault> {
    playback.hold_notes();
    let status = shown(playback, pace);
    playback.tell_notes();
    status
}

fn shown(playback: &mut Playback<'_>, pace: Pace) -> Result<Status, Fault> {
    let failed = |error| Fault::internal(format!("cannot use this terminal: {error}"));
    let signals = Signals::take().map_err(failed)?;
    let terminal = Terminal::enter(display::leave()).map_err(failed)?;
    let session = playback.recorded().session().clone();
    let unshown = Display::new(terminal.size().1);
    let mut player = Player {
        playback,
        pace,
        signals,
        screen: terminal.size(),
        unshown,
        clock: Clock::Runs(Instant::now()),
        stale: true,
        canvas: Canvas::default(),
        painted: None,
    };
    player.paint();
    let first = player.until_next();
    player.set_left(first);
    let over = loop {
        if let Some(over) = player.turn(&terminal)? {
            break over;
        }
    };
    let at = short(Duration::from_millis(u64::from(player.pace.ms())));
    let below = player.below();
    match over {
        // Before signals take their usual effect again, which may be to end us.
        Over::Signal(signal) => {
            drop(terminal);
            Ok(Status(u8::try_from(128 + signal).unwrap_or(1)))
        }
        Over::Quit => {
            terminal.finish(&format!("[left the replay of {session} at {at}]"), below);
            Ok(Status::OK)
        }
        Over::End => {
            player.paint();
            drop(player.unshown.flush(&terminal, FLUSH_LIMIT));
            terminal.finish(&format!("[end of the replay of {session} at {at}]"), below);
            Ok(Status::OK)
        }
    }
}

impl Player<'_, '_> {
    /// The row below all that is shown, where all of it is there.
    fn below(&mut self) -> Option<u16> {
        let row = self.playback.screen().below();
        let (columns, rows) = self.playback.size();
        Some(row).filter(|row| self.screen.0 >= columns && self.screen.1 >= rows && *row < self.screen.1)
    }

    /// Shows what can be shown, plays what is due, waits, takes what has come.
    fn turn(&mut self, terminal: &Terminal) -> Result<Option<Over>, Fault> {
        let hung_up = Some(Over::Signal(libc::SIGHUP));
        let Ok(shown) = self.unshown.write(terminal) else { return Ok(hung_up) };
        let mut limit = None;
        if shown {
            match self.clock {
                // The last thing was shown.
                Clock::Runs(_) if self.playback.next_ms().is_none() => return Ok(Some(Over::End)),
                Clock::Runs(due) if due <= Instant::now() => {
                    self.step(due)?;
                    limit = Some(Duration::ZERO);
                }
                Clock::Runs(due) => limit = Some(due.saturating_duration_since(Instant::now())),
                Clock::Stands(_) => {}
            }
        }
        let wanted = if shown { PollFlags::empty() } else { PollFlags::POLLOUT };
        let mut fds = [
            PollFd::new(terminal.input().as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(terminal.output().as_fd(), wanted),
        ];
        // Rounded up: poll counts whole milliseconds.
        let up = |limit: Duration| if limit.is_zero() { limit } else { limit + Duration::from_millis(1) };
        let limit = limit.map_or(PollTimeout::NONE, |l| PollTimeout::try_from(up(l)).unwrap_or(PollTimeout::MAX));
        match poll(&mut fds, limit) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(None),
            Err(_) => return Ok(hung_up),
        }
        let [typed, signal, out] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if signal.contains(PollFlags::POLLIN)
            && let Some(over) = self.take_signals(terminal)
        {
            return Ok(Some(over));
        }
        if (typed | out).intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
            return Ok(hung_up);
        }
        if typed.contains(PollFlags::POLLIN) {
            return self.typed(terminal);
        }
        Ok(None)
    }

    /// Plays what is due, and says when the next is.
    fn step(&mut self, due: Instant) -> Result<(), Fault> {
        let mut visible = Vec::new();
        let played = self.playback.play(&mut visible)?;
        // Terminals move lines about in their own ways when their size changes.
        self.stale |= played == Some(Played::Resize) || !self.fits();
        if !self.stale {
            self.unshown.program(&visible);
        }
        let delay = self.until_next();
        self.clock = match self.clock {
            Clock::Runs(_) => Clock::Runs(due + delay),
            Clock::Stands(_) => Clock::Stands(delay),
        };
        let long_ago = self.painted.is_none_or(|at| at.elapsed() >= PICTURE_EVERY);
        if self.stale && (delay >= PICTURE_EVERY || long_ago || matches!(self.clock, Clock::Stands(_))) {
            self.paint();
        }
        Ok(())
    }

    /// How long it is from the last step to the next.
    fn until_next(&mut self) -> Duration {
        self.playback.next_ms().map_or(Duration::ZERO, |ms| self.pace.reach(ms))
    }

    /// How long it is from now to the next step.
    fn left(&self) -> Duration {
        match self.clock {
            Clock::Runs(due) => due.saturating_duration_since(Instant::now()),
            Clock::Stands(left) => left,
        }
    }

    /// Has the next step come after so long.
    fn set_left(&mut self, left: Duration) {
        self.clock = match self.clock {
            Clock::Runs(_) => Clock::Runs(Instant::now() + left),
            Clock::Stands(_) => Clock::Stands(left),
        };
    }

    /// The terminal is as large as the screen: what was printed means the same there.
    fn fits(&self) -> bool {
        self.screen == self.playback.size()
    }

    /// Shows the screen as it is now.
    fn paint(&mut self) {
        if !self.stale {
            return;
        }
        let (fits, size) = (self.fits(), self.screen);
        let screen = self.playback.screen();
        if fits {
            self.canvas.spoil();
            self.unshown.picture(&screen.picture(size, 0));
            // What comes next goes on from there.
            self.unshown.program(screen.since_ground());
        } else {
            self.unshown.picture(&screen.paint(&mut self.canvas, size, 0));
        }
        self.stale = false;
        self.painted = Some(Instant::now());
    }

    fn typed(&mut self, terminal: &Terminal) -> Result<Option<Over>, Fault> {
        let mut buffer = [0; 256];
        let read = match terminal.input().read(&mut buffer) {
            Ok(0) => return Ok(Some(Over::Signal(libc::SIGHUP))),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(None),
            Err(_) => return Ok(Some(Over::Signal(libc::SIGHUP))),
        };
        for key in keys(&buffer[..read]) {
            let left = self.left();
            match (key, self.clock) {
                (Key::Quit, _) => return Ok(Some(Over::Quit)),
                (Key::Pause, Clock::Runs(_)) => self.clock = Clock::Stands(left),
                (Key::Pause, Clock::Stands(_)) => self.clock = Clock::Runs(Instant::now() + left),
                // At once what would come next, and then as before.
                (Key::Step, _) => self.step(Instant::now())?,
                (Key::Faster, _) => {
                    let left = self.pace.change(FACTOR, left);
                    self.set_left(left);
                }
                (Key::Slower, _) => {
                    let left = self.pace.change(1.0 / FACTOR, left);
                    self.set_left(left);
                }
            }
        }
        Ok(None)
    }

    fn take_signals(&mut self, terminal: &Terminal) -> Option<Over> {
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::SIGWINCH => self.repaint(terminal),
                Signal::SIGTSTP => {
                    // As if it had its usual effect, with the terminal given back meanwhile.
                    let left = self.left();
                    if terminal.suspend().is_err() || raise(Signal::SIGSTOP).is_err() {
                        return Some(Over::Signal(libc::SIGHUP));
                    }
                    self.set_left(left);
                }
                Signal::SIGCONT => {
                    if terminal.resume().is_err() {
                        return Some(Over::Signal(libc::SIGHUP));
                    }
                    self.unshown.take_again();
                    self.repaint(terminal);
                }
                signal => return Some(Over::Signal(signal as i32)),
            }
        }
        None
    }

    fn repaint(&mut self, terminal: &Terminal) {
        self.screen = terminal.size();
        self.stale = true;
        self.canvas.spoil();
        self.paint();
    }
}
