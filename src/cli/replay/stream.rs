//! A playback into something that is no terminal, or without a keyboard: what was printed,
//! when it was printed.

use std::io::stdout;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, raise};

use super::super::recorded::playback::Playback;
use super::super::{Context, Status};
use super::pace::Pace;
use crate::attach::signals::Signals;
use crate::protocol::Fault;
use crate::screen;

/// Plays to the end. One that begins in the middle is preceded by a picture.
///
/// # Errors
/// When it cannot be read, or not be written.
pub fn play(ctx: &Context, playback: &mut Playback<'_>, mut pace: Pace, picture: bool) -> Result<Status, Fault> {
    let signals = Signals::take().map_err(|e| Fault::internal(format!("cannot hold back signals: {e}")))?;
    let mut visible = Vec::new();
    if picture {
        let size = playback.size();
        visible = playback.screen().picture(size, 0);
    }
    let mut due = Instant::now();
    let mut status = Status::OK;
    while let Some(ms) = playback.next_ms() {
        let delay = pace.reach(ms);
        if !delay.is_zero() {
            ctx.output.bytes(&std::mem::take(&mut visible))?;
            due += delay;
            if let Some(end) = wait(&signals, due)? {
                status = end;
                break;
            }
        }
        // Also while it is behind its time.
        if let Some(end) = signalled(&signals) {
            status = end;
            break;
        }
        playback.play(&mut visible)?;
        ctx.output.bytes(&visible)?;
        visible.clear();
    }
    ctx.output.bytes(&visible)?;
    if ctx.output.terminal {
        ctx.output.bytes(&screen::leave())?;
        ctx.output.text("\n")?;
    }
    Ok(status)
}

/// Waits until then; the status to end with when a signal or the end of the reader comes
/// first.
fn wait(signals: &Signals, due: Instant) -> Result<Option<Status>, Fault> {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let out = stdout();
        // Of one that has gone away poll tells without being asked.
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(out.as_fd(), PollFlags::empty())];
        // Rounded up: poll counts whole milliseconds.
        let limit = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, limit) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Fault::internal(format!("cannot wait: {error}"))),
        }
        if fds[1]
            .revents()
            .is_some_and(|events| events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL))
        {
            // The next byte says what is wrong.
            return Ok(None);
        }
        if let Some(end) = signalled(signals) {
            return Ok(Some(end));
        }
    }
}

/// The status to end with when a signal says so.
fn signalled(signals: &Signals) -> Option<Status> {
    while let Some(signal) = signals.next() {
        match signal {
            Signal::SIGWINCH | Signal::SIGCONT => {}
            Signal::SIGTSTP => drop(raise(Signal::SIGSTOP)),
            signal => return Some(Status(u8::try_from(128 + signal as i32).unwrap_or(1))),
        }
    }
    None
}
