//! Waits for files to appear or change, or for a process to end: inotify and a pidfd.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::process::PidFd;

/// A file is made, moved here, written, closed or given its permissions: the last is
/// what a daemon does to its socket when it listens.
const EVENTS: u32 = libc::IN_CREATE | libc::IN_MOVED_TO | libc::IN_MODIFY | libc::IN_CLOSE_WRITE | libc::IN_ATTRIB;

/// Watched files and directories. The descriptor can be read once something has changed.
#[derive(Debug)]
pub(super) struct Changes(OwnedFd);

impl Changes {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: takes flags only, and returns a new descriptor or -1.
        let fd = Errno::result(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Changes(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(super) fn watch(&mut self, path: &Path) -> io::Result<()> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: a valid descriptor and a path that ends with a NUL and outlives the call.
        Errno::result(unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), EVENTS) })?;
        Ok(())
    }

    /// Waits for a change, the holder's end or the deadline.
    pub(super) fn wait(&self, holder: Option<&PidFd>, deadline: Instant) -> io::Result<()> {
        let mut fds = vec![PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        fds.extend(holder.map(|handle| PollFd::new(handle.as_fd(), PollFlags::POLLIN)));
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    #[test]
    fn a_socket_that_appears_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let mut changes = Changes::new().unwrap();
        changes.watch(dir.path()).unwrap();
        let quiet = UnixStream::pair().unwrap().0;
        assert!(!socket::readable(&changes, Duration::ZERO).unwrap());
        drop(quiet);
        let _listener = socket::bind(&dir.path().join("s")).unwrap();
        assert!(socket::readable(&changes, Duration::from_secs(5)).unwrap());
        assert!(changes.watch(&dir.path().join("missing")).is_err());
    }
}
