//! Finds the daemon: by the lock file in the state directory, which names its socket.
//!
//! Who holds the lock is the daemon, and there is one. When nobody holds it, one is
//! started; when somebody does but the socket is gone (a logout removes the runtime
//! directory), the holder is asked to bind it anew. Nothing here sleeps: the lock's
//! holder, its files and its end are all waited for.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::start::{self, FIND_LIMIT};
use crate::door;
use crate::lock::FileLock;
use crate::paths::{LockFile, Paths};
use crate::protocol::{Fault, FaultCode};
use crate::socket;

mod changes;

use changes::Changes;

/// Whether a daemon may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// When there is none.
    IfNeeded,
    /// Never.
    Never,
}

/// A daemon that does not accept for this long is stuck.
const ACCEPT_LIMIT: Duration = Duration::from_secs(5);
/// Between looks at a lock whose holder nobody knows.
const NAMELESS_PAUSE: Duration = Duration::from_millis(50);

/// Starts tried before the last one's answer is believed: another daemon may take the lock
/// each time and have left again before it is met, or each be killed, but not for ever.
const MAX_STARTS: u32 = 20;

/// A connection to the instance's daemon; nothing has been sent.
pub(super) fn connect(paths: &Paths, start: Start) -> Result<UnixStream, Fault> {
    let deadline = Instant::now() + FIND_LIMIT;
    let lock = paths.daemon_lock();
    let mut asked = None;
    let mut starts = 0;
    loop {
        if let Some(stream) = try_connect(paths, ACCEPT_LIMIT)? {
            return Ok(stream);
        }
        if FileLock::is_held(&lock).map_err(|e| unreadable(&lock, &e))? {
            if Instant::now() >= deadline {
                let message = format!("a daemon holds {}, but its socket cannot be reached", lock.display());
                return Err(Fault::new(FaultCode::Unreachable, message)
                    .hint("'autodev daemon logs' may say why; its process id is in that file"));
            }
            wait_for_holder(paths, &mut asked, deadline)?;
            continue;
        }
        may_start(start)?;
        starts += 1;
        if starts == 1 {
            match start::by_manager(paths, deadline) {
                Ok(true) => continue,
                Ok(false) => {}
                // Another daemon was quicker.
                Err(_) if FileLock::is_held(&lock).is_ok_and(|held| held) => continue,
                Err(fault) => return Err(fault),
            }
        }
        match start::start(paths, deadline)? {
            Some(fault) if starts >= MAX_STARTS => return Err(fault),
            _ => {}
        }
    }
}

fn may_start(start: Start) -> Result<(), Fault> {
    if start == Start::Never {
        return Err(Fault::new(FaultCode::Unreachable, "no daemon runs").hint("'autodev daemon start' starts one"));
    }
    match door::inside_session() {
        None => Ok(()),
        Some(why) => Err(Fault::new(
            FaultCode::Unreachable,
            format!("no daemon runs, and none is started from inside a session ({why})"),
        )
        .hint("run 'autodev daemon start' in a terminal outside")),
    }
}

/// A connection, if a daemon serves and can be connected to. Without one the socket may be
/// the service manager's, which would start one for whoever only wants to know.
pub(super) fn try_connect(paths: &Paths, limit: Duration) -> Result<Option<UnixStream>, Fault> {
    let lock = paths.daemon_lock();
    if !FileLock::is_held(&lock).map_err(|e| unreadable(&lock, &e))? {
        return Ok(None);
    }
    let path = match read_lock_file(&paths.daemon_lock())? {
        Some(file) => file.socket,
        None => return Ok(None),
    };
    match socket::connect(&path, limit) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => Ok(None),
            io::ErrorKind::PermissionDenied => Err(Fault::new(
                FaultCode::Permission,
                format!("the daemon's socket {} may not be used: {error}", path.display()),
            )
            .hint("only the user who started the daemon may")),
            _ => Err(Fault::new(
                FaultCode::Unreachable,
                format!("the daemon's socket {} cannot be reached: {error}", path.display()),
            )),
        },
    }
}

/// What the lock file says; `None` when it is missing, or is being written just now.
fn read_lock_file(path: &Path) -> Result<Option<LockFile>, Fault> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(FaultCode::Permission, format!("{} cannot be read: {error}", path.display()))
}

/// Waits until something about the lock's holder has changed that makes another try
/// worthwhile. A holder whose socket is gone is asked, once, for a new one.
fn wait_for_holder(paths: &Paths, asked: &mut Option<u32>, deadline: Instant) -> Result<(), Fault> {
    let failed = |error: io::Error| Fault::internal(format!("cannot watch for the daemon's socket: {error}"));
    let mut changes = Changes::new().map_err(failed)?;
    changes.watch(&paths.daemon_lock()).map_err(failed)?;
    let file = read_lock_file(&paths.daemon_lock())?;
    // Where the directory cannot be made, the holder binds its socket somewhere else and
    // writes that into the lock file.
    let directory = file.as_ref().and_then(|f| f.socket.parent());
    if let Some(directory) = directory.filter(|d| socket::private_directory(d).is_ok()) {
        changes.watch(directory).map_err(failed)?;
    }
    // From here on nothing is missed; what came before shows in this try.
    if try_connect(paths, ACCEPT_LIMIT)?.is_some() {
        return Ok(());
    }
    let holder = file.and_then(|f| Some((f.process.open()?, f.process.pid)));
    if let Some((handle, pid)) = &holder
        && *asked != Some(*pid)
        && catches_rebind(*pid)
    {
        handle.signal(libc::SIGUSR1).map_err(failed)?;
        *asked = Some(*pid);
    }
    let Some((handle, _)) = &holder else {
        // It has ended since the lock was asked about; or another one has just taken the lock
        // and not yet said who it is. Should that one end first, nothing would tell.
        let deadline = deadline.min(Instant::now() + NAMELESS_PAUSE);
        return changes.wait(None, deadline).map_err(failed);
    };
    changes.wait(Some(handle), deadline).map_err(failed)
}

/// Whether the process has a handler for the signal that asks for a new socket: a daemon
/// that is only starting would die of it.
fn catches_rebind(pid: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(str::trim);
    let mask = caught.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    mask & (1 << (libc::SIGUSR1 - 1)) != 0
}
