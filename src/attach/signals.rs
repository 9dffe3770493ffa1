//! Signals as something to read: no handler runs, so every way out goes through the loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What the attach loop wants to know of.
const WANTED: [Signal; 7] = [
    Signal::SIGWINCH,
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// Signals of this thread, held back until they are read. As before when dropped.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    /// Begins to hold them back.
    ///
    /// # Errors
    /// The system's own.
    pub fn take() -> io::Result<Signals> {
        let wanted: SigSet = WANTED.into_iter().collect();
        let fd = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let before = SigSet::thread_get_mask()?;
        wanted.thread_block()?;
        Ok(Signals { fd, before })
    }

    /// The next one that has come.
    pub fn next(&self) -> Option<Signal> {
        loop {
            match self.fd.read_signal() {
                Ok(Some(info)) => {
                    let known = i32::try_from(info.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok());
                    if known.is_some() {
                        return known;
                    }
                }
                Err(Errno::EINTR) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What has come meanwhile takes its usual effect now. It cannot fail: the mask is
        // one we had.
        let _ = self.before.thread_set_mask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_and_the_mask_comes_back() {
        let before = SigSet::thread_get_mask().unwrap();
        let signals = Signals::take().unwrap();
        assert_eq!(signals.next(), None);
        nix::sys::signal::raise(Signal::SIGWINCH).unwrap();
        assert_eq!(signals.next(), Some(Signal::SIGWINCH));
        assert_eq!(signals.next(), None);
        drop(signals);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
