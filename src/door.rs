//! Who is at the door of a socket: the user, another user, or a program inside a session.
//!
//! Agents run as the user, and no right of the system tells them from the user's own
//! commands. What does: every program of a session carries its mark for ever
//! ([`process::marker`]), and descends from its keeper as long as that lives.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::process::{self, KEEPER_COMM};
use crate::socket::{self, Peer};

/// Longest chain of parents that is followed; real ones have some ten. The bound guards
/// against a torn look.
const MAX_ANCESTORS: usize = 1_000;

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
    /// The mark it carries; none where somebody with the right to has taken it off.
    pub marker: Option<u64>,
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
    let handle = peer_handle(stream);
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

/// Whether a process is part of a session, as far as the system can tell.
///
/// # Errors
/// `NotFound` when there is no such process; otherwise the system's own.
pub fn inside(pid: u32) -> io::Result<Option<Inside>> {
    let marker = process::marker_of(pid)?;
    let keeper = keeper_above(pid)?;
    Ok((marker.is_some() || keeper.is_some()).then_some(Inside { pid, keeper, marker }))
}

/// Why this process counts as part of a session, if it does. Such a process never starts a
/// daemon: it would become part of the session's tree and end with it.
pub fn inside_session() -> Option<String> {
    if let Some(session) = std::env::var_os("AUTODEV_SESSION") {
        return Some(format!("AUTODEV_SESSION is set to {}", session.to_string_lossy()));
    }
    let Inside { keeper, .. } = inside(std::process::id()).ok().flatten()?;
    Some(match keeper {
        Some(keeper) => format!("process {keeper} above it is a session's keeper"),
        None => "this process carries a session's marker".into(),
    })
}

/// The nearest keeper above a process.
fn keeper_above(pid: u32) -> io::Result<Option<u32>> {
    let mut parent = process::stat(pid)?.parent;
    for _ in 0..MAX_ANCESTORS {
        // Those above may end while we look: the one below them has another parent then,
        // which a program of a session can only bring about within the session.
        let Ok(stat) = process::stat(parent) else { return Ok(None) };
        if stat.name == KEEPER_COMM {
            return Ok(Some(parent));
        }
        if parent <= 1 {
            return Ok(None);
        }
        parent = stat.parent;
    }
    Ok(None)
}

/// A handle on the process that connected, where the kernel gives one (from 6.5 on).
fn peer_handle(stream: &impl AsRawFd) -> Option<OwnedFd> {
    const SO_PEERPIDFD: libc::c_int = 77;
    let mut fd: libc::c_int = -1;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).ok()?;
    // SAFETY: both pointers are to values that outlive the call, of the length that is said.
    let got = unsafe {
        libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, SO_PEERPIDFD, (&raw mut fd).cast(), &raw mut length)
    };
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    (got == 0 && fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
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
        use std::os::unix::process::CommandExt;
        let marker = process::marker(7, 42);
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
        assert_eq!(found.unwrap(), Some(Inside { pid: child.id(), keeper: None, marker: Some(marker) }));
    }
}
