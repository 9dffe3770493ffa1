//! Who is at the door of a socket: the user, another user, or a program inside a session.
//!
//! Agents run as the user, and no right of the system tells them from the user's own
//! commands. What does: every program of a session carries its mark for ever
//! ([`process::marker`]), and descends from its keeper as long as that lives.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::process::{self, KEEPER_COMM, Mark};
use crate::socket::{self, Peer};

/// Steps up the chain of parents; real ones have some ten. Whoever is further down has
/// something to hide.
const MAX_STEPS: usize = 1_000;

/// Whoever has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The user.
    Owner,
    /// A program inside a session, of this instance or another.
    Inside(Inside),
    /// Another user.
    Stranger(Peer),
    /// It has ended, so nobody can say any more. Nor does anybody wait for an answer.
    Gone,
}

/// A program inside a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Its process.
    pub pid: u32,
    /// The nearest keeper above it; none when its keeper has died.
    pub keeper: Option<u32>,
}

/// Asks who is at the other end.
///
/// # Errors
/// The system's own.
pub fn who(stream: &(impl AsFd + AsRawFd)) -> io::Result<Who> {
    let peer = socket::peer(stream)?;
    if !peer.is_owner {
        return Ok(Who::Stranger(peer));
    }
    let handle = match peer_handle(stream) {
        Ok(handle) => Some(handle),
        // The kernel is too old to give one.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => None,
        // Its process has been collected already.
        Err(_) => return Ok(Who::Gone),
    };
    let inside = match inside(peer.pid) {
        Ok(inside) => inside,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Who::Gone),
        Err(error) => return Err(error),
    };
    // What was looked at was that process only if it still lives: its number may have been
    // given to another one.
    if handle.is_some_and(|handle| socket::readable(&handle, Duration::ZERO).unwrap_or(true)) {
        return Ok(Who::Gone);
    }
    Ok(inside.map_or(Who::Owner, Who::Inside))
}

/// Whether a process is part of a session. What cannot be found out counts as inside.
///
/// # Errors
/// `NotFound` when there is no such process; otherwise the system's own.
pub fn inside(pid: u32) -> io::Result<Option<Inside>> {
    let mark = process::mark_of(pid)?;
    Ok(match above(pid)? {
        Above::Keeper(keeper) => Some(Inside { pid, keeper: Some(keeper) }),
        Above::Unknown => Some(Inside { pid, keeper: None }),
        Above::NoKeeper => (mark != Mark::None).then_some(Inside { pid, keeper: None }),
    })
}

/// Why this process counts as part of a session, if it does. Such a process never starts a
/// daemon: it would become part of the session's tree and end with it.
pub fn inside_session() -> Option<String> {
    if let Some(session) = std::env::var_os("AUTODEV_SESSION") {
        return Some(format!("AUTODEV_SESSION is set to {}", session.to_string_lossy()));
    }
    match process::own_mark() {
        Mark::Session(_) => return Some("this process carries a session's mark".into()),
        Mark::Lowered => {
            return Some("its limit for message queues ('ulimit -q') is lowered, as a session's program may do".into());
        }
        Mark::None => {}
    }
    match above(std::process::id()).ok()? {
        Above::Keeper(keeper) => Some(format!("process {keeper} above it is a session's keeper")),
        Above::Unknown | Above::NoKeeper => None,
    }
}

/// Who is above a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Above {
    /// The nearest keeper.
    Keeper(u32),
    /// No keeper, up to the root.
    NoKeeper,
    /// It cannot be said.
    Unknown,
}

/// Follows the parents of a process.
fn above(pid: u32) -> io::Result<Above> {
    let (mut child, mut parent) = (pid, process::stat(pid)?.parent);
    for _ in 0..MAX_STEPS {
        match process::stat(parent) {
            Ok(stat) if stat.name == KEEPER_COMM => return Ok(Above::Keeper(parent)),
            Ok(_) if parent <= 1 => return Ok(Above::NoKeeper),
            Ok(stat) => (child, parent) = (parent, stat.parent),
            // Above the first process there is none, nor above one whose parent is in another
            // namespace.
            Err(_) if parent == 0 => return Ok(Above::NoKeeper),
            // It has ended meanwhile, and the one below it has another parent; or it does not
            // let itself be seen.
            Err(error) if error.kind() == io::ErrorKind::NotFound => match process::stat(child) {
                Ok(stat) if stat.parent != parent => parent = stat.parent,
                Ok(_) => return Ok(hidden(parent)),
                Err(_) => (child, parent) = (pid, process::stat(pid)?.parent),
            },
            Err(error) => return Err(error),
        }
    }
    Ok(Above::Unknown)
}

/// What a process is that is there and cannot be looked at (where `/proc` is mounted with
/// `hidepid`): one of the user's own may be a keeper, for those let nobody look. Another
/// user's, such as a login's, is none.
fn hidden(pid: u32) -> Above {
    let signal = i32::try_from(pid).map(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None));
    match signal {
        Ok(Err(nix::errno::Errno::EPERM)) => Above::NoKeeper,
        _ => Above::Unknown,
    }
}

/// A handle on the process that connected, where the kernel gives one (from 6.5 on).
fn peer_handle(stream: &impl AsRawFd) -> io::Result<OwnedFd> {
    const SO_PEERPIDFD: libc::c_int = 77;
    let mut fd: libc::c_int = -1;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: both pointers are to values that outlive the call, of the length that is said.
    let got = unsafe {
        libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, SO_PEERPIDFD, (&raw mut fd).cast(), &raw mut length)
    };
    if got != 0 || fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_user_is_the_owner() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(who(&one).unwrap(), Who::Owner);
        assert_eq!(inside(std::process::id()).unwrap(), None);
        assert_eq!(inside(u32::MAX / 2).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn who_carries_a_mark_is_inside_whatever_its_parents_are() {
        for marker in [process::marker(7, 42), 0, 399_999] {
            carries(marker);
        }
    }

    fn carries(marker: u64) {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new("sleep");
        let limit = libc::rlimit { rlim_cur: marker, rlim_max: marker };
        // SAFETY: one system call, between fork and exec.
        unsafe {
            command.pre_exec(move || {
                nix::errno::Errno::result(libc::setrlimit(libc::RLIMIT_MSGQUEUE, &raw const limit))?;
                Ok(())
            })
        };
        let mut child = command.arg("1000").spawn().unwrap();
        let found = inside(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.unwrap(), Some(Inside { pid: child.id(), keeper: None }));
    }
}
