//! A socket that systemd has bound for us (sd_listen_fds(3)).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use nix::sys::socket::{SockType, getsockopt, sockopt};

/// A listening socket, bound at a path.
#[derive(Debug)]
pub struct Passed {
    /// Not blocking.
    pub listener: UnixListener,
    /// Where clients find it.
    pub path: PathBuf,
}

/// The socket that was passed, if one was. Only at the start of the program, once.
///
/// # Errors
/// What was passed is not a socket that we could serve.
pub fn passed() -> io::Result<Option<Passed>> {
    let mut all = sd_notify::listen_fds()?;
    let Some(first) = all.next() else { return Ok(None) };
    // Of several ours is the first. SAFETY: passed to this process by its number, and
    // nobody else has taken it.
    let owned = unsafe { OwnedFd::from_raw_fd(first) };
    Passed::of(owned).map(Some)
}

impl Passed {
    /// A descriptor that should be such a socket.
    ///
    /// # Errors
    /// It is none.
    pub fn of(descriptor: OwnedFd) -> io::Result<Passed> {
        let refuse =
            |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("the socket that was passed {why}"));
        let fits = matches!(getsockopt(&descriptor, sockopt::SockType), Ok(SockType::Stream))
            && matches!(getsockopt(&descriptor, sockopt::AcceptConn), Ok(true));
        if !fits {
            return Err(refuse("does not listen for streams"));
        }
        nix::fcntl::fcntl(&descriptor, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        let listener = UnixListener::from(descriptor);
        let address = listener.local_addr()?;
        let path = address.as_pathname().ok_or_else(|| refuse("has no path"))?.to_owned();
        listener.set_nonblocking(true)?;
        Ok(Passed { listener, path })
    }

    /// Closes the connections that wait: whoever made them looks again, and finds the
    /// daemon that serves. Else the service manager would take them for a reason to start
    /// us again at once.
    pub fn send_away(&self) {
        while self.listener.accept().is_ok() {}
    }
}
