//! Signals, read as events of the poll loop.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals a keeper listens to: TERM (leave), USR1 (bind anew), CHLD.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks them in this thread and those it starts, ignores what a terminal's end or a
    /// gone reader would send.
    ///
    /// # Errors
    /// The system's own.
    pub fn take() -> io::Result<Signals> {
        for ignored in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGPIPE] {
            // SAFETY: ignoring runs no handler.
            unsafe { signal(ignored, SigHandler::SigIgn) }?;
        }
        let heard: SigSet = [Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGCHLD].into_iter().collect();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&heard), None)?;
        Ok(Signals(SignalFd::with_flags(&heard, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// The next one that came, if any.
    pub fn next(&self) -> Option<Signal> {
        let found = self.0.read_signal().ok().flatten()?;
        Signal::try_from(i32::try_from(found.ssi_signo).ok()?).ok()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
