//! `poll(2)` over descriptors that are gathered anew for each wait.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// Descriptors to wait for.
#[derive(Debug, Default)]
pub struct Poller {
    fds: Vec<libc::pollfd>,
}

/// What happened to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Can be read, or has ended.
    pub read: bool,
    /// Can be written.
    pub write: bool,
    /// The other side is gone for good.
    pub gone: bool,
}

impl Poller {
    /// Forgets all descriptors.
    pub fn clear(&mut self) {
        self.fds.clear();
    }

    /// How many there are: the place of the next.
    pub fn len(&self) -> usize {
        self.fds.len()
    }

    /// Waits for this one too. Answers its place in this wait.
    pub fn add(&mut self, fd: RawFd, read: bool, write: bool) -> usize {
        let mut events = 0;
        if read {
            events |= libc::POLLIN;
        }
        if write {
            events |= libc::POLLOUT;
        }
        self.fds.push(libc::pollfd { fd, events, revents: 0 });
        self.fds.len() - 1
    }

    /// Waits until something happens or `limit` is over; for ever without one.
    ///
    /// # Errors
    /// The system's own; an interruption is none.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        // Rounded up: a deadline must be over when it is looked at.
        let timeout = limit.map_or(-1, |limit| i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        let count = self.fds.len() as libc::nfds_t;
        // SAFETY: the pointer and the count are those of a vector that is not touched
        // during the call.
        match unsafe { libc::poll(self.fds.as_mut_ptr(), count, timeout) } {
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {
                    self.fds.iter_mut().for_each(|fd| fd.revents = 0);
                    Ok(())
                }
                error => Err(error),
            },
            _ => Ok(()),
        }
    }

    /// What happened to the descriptor at this place.
    pub fn ready(&self, place: usize) -> Ready {
        let found = self.fds.get(place).map_or(0, |fd| fd.revents);
        let gone = found & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0;
        Ready { read: found & libc::POLLIN != 0 || gone, write: found & libc::POLLOUT != 0, gone }
    }
}
