//! The session's processes: everything below this one, which adopts what they leave.

use std::collections::HashSet;
use std::io;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};

use crate::process::{self, PidFd};
use crate::task::Exit;

/// Looks at the tree are repeated until two find the same, at most so often in one go: a
/// program that forks for ever must not hold the loop.
const PASSES: usize = 16;

/// A process that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its process id.
    pub pid: u32,
    /// How.
    pub exit: Exit,
}

/// Takes one ended child off the system's hands.
///
/// # Errors
/// [`NoChildren`] when there is nothing left to wait for; `Ok(None)` when all still run.
pub fn reap() -> Result<Option<Ended>, NoChildren> {
    loop {
        let (pid, exit) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, Exit { code: Some(code), signal: None }),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Exit { code: None, signal: Some(signal as i32) }),
            Ok(WaitStatus::StillAlive) => return Ok(None),
            // Stopped and continued ones are not asked for.
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(_) => return Err(NoChildren),
        };
        return Ok(Some(Ended { pid: u32::try_from(pid.as_raw()).unwrap_or(0), exit }));
    }
}

/// Whether there are children, living or not yet taken off the system's hands.
pub fn has_children() -> bool {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::All, look), Err(Errno::ECHILD))
}

/// There is no child left, living or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoChildren;

/// Sends a signal to every living process of the tree once, first to whole groups, as a
/// terminal does it. Answers how many processes there were.
pub fn signal(groups: &[i32], signal: i32) -> usize {
    let alive = alive();
    for group in groups {
        // SAFETY: integers; a group that is gone is an error nobody minds.
        unsafe { libc::killpg(*group, signal) };
    }
    for (pid, _) in &alive {
        let Some(handle) = handle(*pid) else { continue };
        let reached = i32::try_from(*pid).is_ok_and(|pid| {
            nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid)))
                .is_ok_and(|group| groups.contains(&group.as_raw()))
        });
        if !reached {
            // Not permitted means a program of another user that ours started: out of reach.
            drop(handle.signal(signal));
        }
    }
    alive.len()
}

/// What a kill has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed {
    /// Processes that were sent the signal.
    pub reached: usize,
    /// Processes of another user, as `sudo` makes them: we may not end them.
    pub out_of_reach: usize,
}

/// Kills everything in the tree, again until a look finds nothing new.
pub fn kill() -> Killed {
    let (mut reached, mut out_of_reach) = (HashSet::new(), HashSet::new());
    for _ in 0..PASSES {
        let before = reached.len() + out_of_reach.len();
        for (pid, start) in alive() {
            let Some(handle) = handle(pid) else { continue };
            match handle.signal(libc::SIGKILL) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => out_of_reach.insert((pid, start)),
                _ => reached.insert((pid, start)),
            };
        }
        if reached.len() + out_of_reach.len() == before {
            break;
        }
    }
    Killed { reached: reached.len(), out_of_reach: out_of_reach.len() }
}

/// Stops the whole tree, or lets it run on.
pub fn freeze(frozen: bool) {
    for _ in 0..PASSES {
        let moved = processes().into_iter().filter(|(_, state, _)| (*state == 'T') != frozen);
        let mut all = true;
        for (pid, ..) in moved {
            all = false;
            if let Some(handle) = handle(pid) {
                drop(handle.signal(if frozen { libc::SIGSTOP } else { libc::SIGCONT }));
            }
        }
        if all {
            break;
        }
    }
}

/// Living processes of the tree: id and start time.
fn alive() -> Vec<(u32, u64)> {
    processes().into_iter().map(|(pid, _, start)| (pid, start)).collect()
}

fn processes() -> Vec<(u32, char, u64)> {
    let found = process::descendants(std::process::id()).unwrap_or_default();
    found
        .into_iter()
        .filter(|(_, stat)| !matches!(stat.state, 'Z' | 'X' | 'x'))
        .map(|(pid, stat)| (pid, stat.state, stat.start))
        .collect()
}

/// A handle on a process of the tree. Whoever has the id by now must still be below us.
fn handle(pid: u32) -> Option<PidFd> {
    let handle = PidFd::open(pid)?;
    let mut parent = process::stat(pid).ok()?.parent;
    let keeper = std::process::id();
    // Chains are short; the bound guards against a torn look.
    for _ in 0..1_000 {
        if parent == keeper {
            return Some(handle);
        }
        if parent <= 1 {
            return None;
        }
        parent = process::stat(parent).ok()?.parent;
    }
    None
}
