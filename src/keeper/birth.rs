//! From a fresh process to one that holds its session: alone, private, ready, with
//! nothing running yet.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::resource::rlim_t;
use nix::sys::stat::{Mode, umask};

use super::log;
use super::signals::Signals;
use crate::crash;
use crate::lock::FileLock;
use crate::paths::{KeeperFile, SessionDir};
use crate::process::{self, KEEPER_COMM, ProcessId};
use crate::protocol::keeper::VERSION;
use crate::protocol::launch::{LaunchSpec, MAX_FILE};
use crate::socket;

/// What a keeper is born with.
#[derive(Debug)]
pub struct Birth {
    /// The session's directory.
    pub dir: SessionDir,
    /// What to run.
    pub spec: LaunchSpec,
    /// This process.
    pub process: ProcessId,
    /// The first controller's connection.
    pub control: Option<UnixStream>,
    /// What the program gets back.
    pub inherited: Inherited,
    /// Signals as events.
    pub signals: Signals,
    /// Says that this session is kept, as long as it is held.
    _lock: FileLock,
}

/// What the program gets instead of the keeper's own.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    /// File mode mask.
    pub umask: libc::mode_t,
    /// Soft and hard limit of core files.
    pub core: (rlim_t, rlim_t),
}

/// Takes hold of the session; `None` when another keeper has.
///
/// # Errors
/// When this cannot become a keeper: why, for a person.
pub fn birth(arguments: &[OsString]) -> io::Result<Option<Birth>> {
    let (directory, control) = parse(arguments)?;
    // Everything inherited stays ours alone; programs get three descriptors.
    // SAFETY: changes flags of descriptors, closes none.
    unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) };
    let control = control.map(control_stream).transpose()?;
    let core = isolate()?;
    let signals = Signals::take()?;
    let dir = SessionDir(std::path::absolute(directory)?);
    // No mount is kept busy by us.
    std::env::set_current_dir("/")?;

    crash::point("keeper:born");
    let Some(lock) = FileLock::take(&dir.lock()).map_err(|e| at(&dir.lock(), e))? else { return Ok(None) };
    crash::point("keeper:locked");
    let spec = read_spec(&dir.launch()).map_err(|e| at(&dir.launch(), e))?;
    // A session is started once, whoever keeps it.
    for mark in [dir.started(), dir.exit()] {
        if mark.exists() {
            return Err(at(&mark, io::Error::other("this session was started before")));
        }
    }
    let process = ProcessId::current()?;
    let inherited = Inherited { umask: spec.umask, core: spec.core.unwrap_or(core) };
    Ok(Some(Birth { dir, spec, process, control, inherited, signals, _lock: lock }))
}

fn parse(arguments: &[OsString]) -> io::Result<(PathBuf, Option<RawFd>)> {
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, "usage: autodevd keeper DIRECTORY [--control-fd N]");
    match arguments {
        [directory] => Ok((directory.into(), None)),
        [directory, flag, number] if flag == "--control-fd" => {
            let number = number.to_str().and_then(|n| n.parse().ok()).ok_or_else(usage)?;
            Ok((directory.into(), Some(number)))
        }
        _ => Err(usage()),
    }
}

fn control_stream(fd: RawFd) -> io::Result<UnixStream> {
    // SAFETY: takes a number and makes a new descriptor above the standard ones; a number
    // that is no descriptor is an error.
    let own = nix::errno::Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: just made, and nothing else here knows it.
    let stream = UnixStream::from(unsafe { OwnedFd::from_raw_fd(own) });
    stream.set_nonblocking(true)?;
    // Given as standard input, its place must not stay a second handle on the connection.
    let null = fs::File::open("/dev/null")?;
    // SAFETY: both are descriptors of ours; the old one is closed by this.
    nix::errno::Errno::result(unsafe { libc::dup3(null.as_raw_fd(), fd, if fd > 2 { libc::O_CLOEXEC } else { 0 }) })?;
    Ok(stream)
}

/// Cuts the ties to who started us, and makes this process a keeper. Gives back the limits
/// of core files as they were.
fn isolate() -> io::Result<(rlim_t, rlim_t)> {
    let own = nix::unistd::getpid();
    if nix::unistd::getsid(None)? != own {
        // Away from the daemon's session and terminal, whose end is not ours.
        nix::unistd::setsid()?;
    }
    umask(Mode::from_bits_truncate(0o077));
    let core = process::keep_memory_private()?;
    let name = std::ffi::CString::new(KEEPER_COMM)?;
    // One arena: the recorder's few allocations are not worth a heap of their own.
    // SAFETY: called while there is one thread; integers, and a string that outlives the call.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
        // Whatever a program leaves behind becomes our child, so that it can be ended.
        nix::errno::Errno::result(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
    }
    Ok(core)
}

fn read_spec(path: &Path) -> io::Result<LaunchSpec> {
    let length = fs::metadata(path)?.len();
    if length > MAX_FILE {
        return Err(io::Error::other(format!("{length} bytes are over the limit of {MAX_FILE}")));
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Binds the keeper's socket and writes down where it is. In the session's own directory
/// when the runtime directory cannot be made (it is gone after the last logout).
///
/// # Errors
/// The system's own.
pub fn bind(dir: &SessionDir, spec: &LaunchSpec, process: &ProcessId) -> io::Result<(UnixListener, PathBuf)> {
    // The random half: sessions of one claim share the half that is a time.
    let name: String = spec.uid.bytes().iter().skip(8).map(|b| format!("{b:02x}")).collect();
    let there = |directory: &Path| {
        socket::private_directory(directory)?;
        let path = directory.join(format!("{name}.sock"));
        Ok((socket::bind(&path)?, path))
    };
    let (listener, path) = there(&spec.socket_directory).or_else(|error: io::Error| {
        log(&format!("no socket in {}: {error}; it goes beside the session", spec.socket_directory.display()));
        there(dir.path())
    })?;
    listener.set_nonblocking(true)?;
    let file = KeeperFile { v: 1, process: process.clone(), socket: path.clone(), protocol: VERSION };
    replace(&dir.keeper(), &serde_json::to_vec(&file)?)?;
    Ok((listener, path))
}

/// Replaces a file at once. Not synced: it is meant for this boot only.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    fs::rename(&temporary, path)
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
