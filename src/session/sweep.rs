//! Ending what a lost keeper has left behind. Only when a pass finds nothing may the
//! attempt be called lost: the next one must not run beside an orphan.

use std::io;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use crate::door;
use crate::id::SessionName;
use crate::process::{self, Mark, PidFd, ProcessId};

/// A process that was sent KILL is gone within this, unless it hangs in the kernel.
const DEATH_LIMIT: Duration = Duration::from_secs(30);

/// Who belongs to the session.
#[derive(Clone, Debug)]
pub struct Quarry {
    /// The session's name when it was launched, as its processes have it in
    /// `AUTODEV_SESSION`.
    pub session: SessionName,
    /// The state directory, as they have it in `AUTODEV_STATE`: another instance may have
    /// a session of the same name.
    pub state: String,
    /// The marker of its processes.
    pub marker: u64,
}

/// Kills every process of the session until a pass finds none. Blocking; returns how
/// many were killed.
///
/// # Errors
/// When `/proc` cannot be read, or a process does not die.
pub fn sweep(quarry: &Quarry) -> io::Result<u32> {
    let mut killed = 0;
    loop {
        let found = find(quarry)?;
        if found.is_empty() {
            return Ok(killed);
        }
        for process in found {
            let Some(handle) = process.open() else { continue };
            handle.signal(libc::SIGKILL)?;
            if !ended(&handle, DEATH_LIMIT)? {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("process {} of session {} does not die", process.pid, quarry.session),
                ));
            }
            killed += 1;
        }
    }
}

/// Waits until the process has ended; `false` when `limit` is over first.
///
/// # Errors
/// The system's own.
pub fn ended(handle: &PidFd, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    crate::socket::readable(handle, deadline.saturating_duration_since(Instant::now()))
}

fn find(quarry: &Quarry) -> io::Result<Vec<ProcessId>> {
    let own = std::process::id();
    let uid = geteuid().as_raw();
    let mut found = Vec::new();
    for pid in process::all()? {
        if pid == own || owner(pid) != Some(uid) {
            continue;
        }
        if belongs(pid, quarry) {
            found.extend(ProcessId::of(pid));
        } else if hides(pid) {
            // It may be a service of the user's: not ours to end on a suspicion.
            tracing::warn!(pid, session = %quarry.session, "it may be left over: its mark has been lowered, and no keeper is above it");
        }
    }
    Ok(found)
}

fn owner(pid: u32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid())
}

/// Whether a process may be what is left of some session, and does not show of which.
fn hides(pid: u32) -> bool {
    process::mark_of(pid).is_ok_and(|mark| mark == Mark::Lowered)
        && door::inside(pid).is_ok_and(|inside| inside.is_some_and(|inside| inside.keeper.is_none()))
}

/// The marker is one of many and sessions share them after a long time, so it counts only
/// together with the names; a program that wiped its environment is known by the marker
/// alone if it names no other session. A name may have been another session's before, so
/// it does not count against a marker.
fn belongs(pid: u32, quarry: &Quarry) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let value = |name: &str| {
        environment.split(|b| *b == 0).find_map(|v| v.strip_prefix(name.as_bytes()).and_then(|v| v.strip_prefix(b"=")))
    };
    let marker = match process::mark_of(pid) {
        Ok(Mark::Session(marker)) => Some(marker),
        _ => None,
    };
    match (value("AUTODEV_SESSION"), value("AUTODEV_STATE")) {
        (Some(session), Some(state)) => {
            session == quarry.session.as_str().as_bytes()
                && state == quarry.state.as_bytes()
                && marker.is_none_or(|marker| marker == quarry.marker)
        }
        (Some(session), None) if session != quarry.session.as_str().as_bytes() => false,
        _ => marker == Some(quarry.marker),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    fn quarry(name: &str) -> Quarry {
        Quarry { session: name.parse().unwrap(), state: "/state/of/a/test".into(), marker: process::marker(0, 77_777) }
    }

    #[test]
    fn orphans_are_found_by_name_and_by_marker_and_others_are_left_alone() {
        let by_name = |session: &str| {
            Command::new("sleep")
                .arg("1000")
                .env("AUTODEV_SESSION", session)
                .env("AUTODEV_STATE", "/state/of/a/test")
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut named = by_name("sweep-test-1");
        let mut other = by_name("sweep-test-2");
        let mut wiped = Command::new("sleep");
        wiped.arg("1000").env_clear();
        let marker = quarry("x").marker;
        // SAFETY: setrlimit is async-signal-safe and touches only its argument.
        unsafe {
            wiped.pre_exec(move || {
                let limit = libc::rlimit { rlim_cur: marker, rlim_max: marker };
                match libc::setrlimit(libc::RLIMIT_MSGQUEUE, &raw const limit) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
        let mut wiped = wiped.spawn().unwrap();
        // Zombies of ours do not count as alive, so the sweep ends although nobody reaps.
        assert_eq!(sweep(&quarry("sweep-test-1")).unwrap(), 2);
        named.wait().unwrap();
        wiped.wait().unwrap();
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
