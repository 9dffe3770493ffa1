//! What the keeper waits for: said anew for each wait, told to the system (`epoll(7)`) only
//! where it has changed. A key's way leads through two waits, and to walk through all
//! descriptors would be a good part of them.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Descriptors to wait for.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    wanted: Vec<Wanted>,
    /// What the system was told last.
    told: Vec<Wanted>,
    events: Vec<EpollEvent>,
    /// What has happened, by place.
    found: Vec<EpollFlags>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    source: u64,
    fd: RawFd,
    flags: EpollFlags,
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
    /// Waits for nothing yet.
    ///
    /// # Errors
    /// The system's own.
    pub fn new() -> io::Result<Poller> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Poller { epoll, wanted: Vec::new(), told: Vec::new(), events: Vec::new(), found: Vec::new() })
    }

    /// Forgets all descriptors.
    pub fn clear(&mut self) {
        self.wanted.clear();
    }

    /// How many there are: the place of the next.
    pub fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Waits for this one too, which stays open until the wait is over. `source` means it
    /// and no other as long as there is the poller, as the number of a descriptor may not.
    /// Answers its place in this wait.
    pub fn add(&mut self, source: u64, fd: RawFd, read: bool, write: bool) -> usize {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, read);
        flags.set(EpollFlags::EPOLLOUT, write);
        self.wanted.push(Wanted { source, fd, flags });
        self.wanted.len() - 1
    }

    /// Another descriptor is meant by this source from now on.
    pub fn forget(&mut self, source: u64) {
        self.told.retain(|told| told.source != source);
    }

    /// Waits until something happens or `limit` is over; for ever without one.
    ///
    /// # Errors
    /// The system's own; an interruption is none.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        if self.wanted != self.told {
            self.tell()?;
        }
        // There must be room for one.
        self.events.resize(self.wanted.len().max(1), EpollEvent::empty());
        self.found.clear();
        self.found.resize(self.wanted.len(), EpollFlags::empty());
        // Rounded up: a deadline must be over when it is looked at.
        let timeout = limit.map_or(EpollTimeout::NONE, |limit| {
            let milliseconds = i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
            EpollTimeout::try_from(milliseconds).unwrap_or(EpollTimeout::MAX)
        });
        let count = match self.epoll.wait(&mut self.events, timeout) {
            Err(Errno::EINTR) => 0,
            count => count?,
        };
        for event in &self.events[..count] {
            if let Some(place) = self.wanted.iter().position(|wanted| wanted.source == event.data()) {
                self.found[place] = event.events();
            }
        }
        Ok(())
    }

    /// Tells the system what has changed.
    fn tell(&mut self) -> io::Result<()> {
        let find = |all: &[Wanted], one: &Wanted| {
            all.iter().find(|other| (other.source, other.fd) == (one.source, one.fd)).copied()
        };
        for old in self.told.iter().filter(|old| find(&self.wanted, old).is_none()) {
            // One that was closed is forgotten already, and its number may be a file's, of
            // which there is nothing to forget.
            let _ = self.epoll.delete(borrow(old.fd));
        }
        for new in &self.wanted {
            let mut event = EpollEvent::new(new.flags, new.source);
            match find(&self.told, new) {
                Some(old) if old == *new => {}
                Some(_) => self.epoll.modify(borrow(new.fd), &mut event)?,
                None => match self.epoll.add(borrow(new.fd), event) {
                    // Of a copy that is still open.
                    Err(Errno::EEXIST) => self.epoll.modify(borrow(new.fd), &mut event)?,
                    added => added?,
                },
            }
        }
        self.told.clone_from(&self.wanted);
        Ok(())
    }

    /// What happened to the descriptor at this place.
    pub fn ready(&self, place: usize) -> Ready {
        let found = self.found.get(place).copied().unwrap_or(EpollFlags::empty());
        let gone = found.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        Ready { read: found.contains(EpollFlags::EPOLLIN) || gone, write: found.contains(EpollFlags::EPOLLOUT), gone }
    }
}

fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: only its number is given to the system, which refuses one that is not open.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    use nix::fcntl::{FcntlArg, fcntl};

    use super::*;

    const NOW: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn each_wait_is_for_what_is_wanted_then() {
        let mut poller = Poller::new().unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut wait = |read, write| {
            poller.clear();
            let place = poller.add(7, theirs.as_raw_fd(), read, write);
            poller.wait(NOW).unwrap();
            let Ready { read, write, gone } = poller.ready(place);
            (read, write, gone)
        };
        assert_eq!(wait(true, false), (false, false, false));
        ours.write_all(b"x").unwrap();
        // Also the second time: what was not taken is still there.
        assert_eq!(wait(true, false), (true, false, false));
        assert_eq!(wait(true, true), (true, true, false));
        assert_eq!(wait(false, false), (false, false, false));
        (&theirs).read_exact(&mut [0]).unwrap();
        assert_eq!(wait(true, false), (false, false, false));
        drop(ours);
        assert_eq!(wait(false, false), (true, false, true));
    }

    #[test]
    fn a_number_that_is_used_again_is_another() {
        let mut poller = Poller::new().unwrap();
        let mut kept = Vec::new();
        let mut number = None;
        for source in 0..3 {
            let (theirs, mut ours) = UnixStream::pair().unwrap();
            // The lowest number that is free from here on, and so the same each time.
            let theirs = unsafe { OwnedFd::from_raw_fd(fcntl(&theirs, FcntlArg::F_DUPFD_CLOEXEC(700)).unwrap()) };
            assert_eq!(*number.get_or_insert(theirs.as_raw_fd()), theirs.as_raw_fd());
            poller.clear();
            let place = poller.add(source, theirs.as_raw_fd(), true, false);
            poller.wait(NOW).unwrap();
            assert!(!poller.ready(place).read);
            ours.write_all(b"x").unwrap();
            poller.wait(NOW).unwrap();
            assert!(poller.ready(place).read, "{source}");
            kept.push(ours);
        }
        poller.clear();
        poller.wait(NOW).unwrap();
        assert_eq!(poller.ready(0), Ready { read: false, write: false, gone: false });

        // The same source anew, as it says.
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        for _ in 0..2 {
            let copy = theirs.try_clone().unwrap();
            poller.forget(9);
            poller.clear();
            let place = poller.add(9, copy.as_raw_fd(), true, false);
            ours.write_all(b"x").unwrap();
            poller.wait(NOW).unwrap();
            assert!(poller.ready(place).read);
        }
    }
}
