//! Unix sockets at paths of any length, with time limits, and who is at the other end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect as connect_fd, getsockopt, socket, sockopt,
};

use crate::durable;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Makes `directory` (0700) and its parents if need be, and checks that it is ours alone.
///
/// # Errors
/// When it cannot be made, belongs to somebody else, or is open to others and cannot be
/// closed to them.
pub fn private_directory(directory: &Path) -> io::Result<()> {
    durable::directory(directory)?;
    let found = fs::symlink_metadata(directory)?;
    let refuse =
        |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} {why}", directory.display())));
    if !found.is_dir() {
        return refuse("is not a directory");
    }
    if found.uid() != nix::unistd::geteuid().as_raw() {
        return refuse("belongs to another user");
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Binds a listening socket (0600) at `path`, replacing what lies there. Only for who
/// holds the lock that makes the path theirs.
///
/// # Errors
/// The system's own.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let (directory, short) = through_directory(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&short)?;
    drop(directory);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    // std listens with a backlog of its own choosing; listening again only changes that.
    // SAFETY: a valid listening descriptor and an integer.
    Errno::result(unsafe { libc::listen(listener.as_raw_fd(), BACKLOG) })?;
    Ok(listener)
}

/// Binds a listening socket (0600) at a path that somebody has chosen: nothing is replaced but
/// a socket of ours at which nobody listens any more.
///
/// # Errors
/// `AddrInUse` when something else lies there; otherwise the system's own.
pub fn bind_free(path: &Path) -> io::Result<UnixListener> {
    let taken = |what: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{} {what}", path.display())));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => return taken("is there already, and no socket"),
        Ok(found) if found.uid() != nix::unistd::geteuid().as_raw() => return taken("is another user's"),
        Ok(_) => match connect(path, Duration::ZERO) {
            // The system's own word: nobody listens.
            Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => {}
            // Or its queue is full, or it is another user's.
            _ => return taken("is served by another program"),
        },
    }
    bind(path)
}

/// Connects to the socket at `path`. A listener that does not accept does not hold us up
/// longer than `limit`. Another user's is as good as none: who was to listen there binds
/// its own in its place.
///
/// # Errors
/// `TimedOut` after `limit`, `ConnectionRefused` also for another user's; otherwise the
/// system's own.
pub fn connect(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    // Most paths fit.
    let (address, directory) = match UnixAddr::new(path) {
        Ok(address) => (address, None),
        Err(_) => {
            let (directory, short) = through_directory(path)?;
            (UnixAddr::new(&short)?, Some(directory))
        }
    };
    let deadline = std::time::Instant::now() + limit;
    loop {
        let fd: OwnedFd =
            socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
        match connect_fd(fd.as_raw_fd(), &address) {
            Ok(()) => {
                drop(directory);
                let stream = UnixStream::from(fd);
                stream.set_nonblocking(false)?;
                if !peer(&stream)?.is_owner {
                    let why = format!("{} is another user's", path.display());
                    return Err(io::Error::new(io::ErrorKind::ConnectionRefused, why));
                }
                return Ok(stream);
            }
            // The backlog is full. A Unix socket gives no event for room in it, so this is
            // the one place where trying again is all there is.
            Err(Errno::EAGAIN) => {
                let left = deadline.saturating_duration_since(std::time::Instant::now());
                if left.is_zero() {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the other side accepts no connection"));
                }
                let pause = PollTimeout::try_from(left.min(Duration::from_millis(10))).unwrap_or(PollTimeout::ZERO);
                poll(&mut [] as &mut [PollFd<'_>], pause)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A path below `/proc/self/fd` that names the same file in few bytes: `sun_path` holds
/// 108. The directory must stay open while the path is used.
fn through_directory(path: &Path) -> io::Result<(File, PathBuf)> {
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a socket's path", path.display()));
    let parent = path.parent().ok_or_else(bad)?;
    let name: OsString = path.file_name().ok_or_else(bad)?.to_owned();
    let directory = fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC).open(parent)?;
    let mut short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    short.push(name);
    Ok((directory, short))
}

/// Waits until the stream can be read; `false` when `limit` is over first.
///
/// # Errors
/// The system's own.
pub fn readable(stream: &impl std::os::fd::AsFd, limit: Duration) -> io::Result<bool> {
    let deadline = std::time::Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// User id.
    pub uid: u32,
    /// Process id at the time of connecting, or of who began to listen.
    pub pid: u32,
    /// It is the same user as we are.
    pub is_owner: bool,
}

/// Asks the kernel who connected, or listens there.
///
/// # Errors
/// The system's own.
pub fn peer(stream: &impl std::os::fd::AsFd) -> io::Result<Peer> {
    let found = getsockopt(stream, sockopt::PeerCredentials)?;
    Ok(Peer {
        uid: found.uid(),
        pid: u32::try_from(found.pid()).unwrap_or(0),
        is_owner: found.uid() == nix::unistd::geteuid().as_raw(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn long_paths_work_and_the_socket_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120)).join("e".repeat(120));
        private_directory(&deep).unwrap();
        let path = deep.join("socket");
        let listener = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let mut client = connect(&path, Duration::from_secs(5)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert!(peer(&server).unwrap().is_owner);
        assert_eq!(peer(&server).unwrap().pid, std::process::id());
        client.write_all(b"x").unwrap();
        assert!(readable(&server, Duration::from_secs(5)).unwrap());
        server.read_exact(&mut [0]).unwrap();
        assert!(!readable(&server, Duration::from_millis(1)).unwrap());
        // Replacing a stale socket is the same call.
        drop(listener);
        bind(&path).unwrap();
    }

    #[test]
    fn a_full_backlog_times_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _listener = bind(&path).unwrap();
        let mut waiting = Vec::new();
        let error = loop {
            match connect(&path, Duration::from_millis(30)) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 10_000);
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_directory_open_to_others_is_closed_and_a_link_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        private_directory(&open).unwrap();
        assert_eq!(fs::metadata(&open).unwrap().mode() & 0o777, 0o700);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&open, &link).unwrap();
        assert!(private_directory(&link).is_err());
    }
}
