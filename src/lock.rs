//! File locks that say who is alive.
//!
//! Open-file-description locks: held as long as the file stays open, gone with the
//! process, not shared with children that exec, and they can be asked about without
//! being taken. Lock files are never removed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// A lock held until this is dropped.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Takes the lock at `path`, making the file (0600) if need be; `None` when another
    /// process holds it.
    ///
    /// # Errors
    /// When the file cannot be opened or the file system knows no locks.
    pub fn take(path: &Path) -> io::Result<Option<FileLock>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        lock(file)
    }

    /// The lock at `path` as the program before us, whose process we are, held it: open on
    /// `descriptor`. `None` when that is not this lock.
    ///
    /// # Errors
    /// When the descriptor is not open.
    pub fn inherit(descriptor: OwnedFd, path: &Path) -> io::Result<Option<FileLock>> {
        let file = File::from(descriptor);
        fcntl(&file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(lock(file)?.filter(|lock| lock.is_at(path)))
    }

    /// The file that is locked is the one at `path`: nobody has put another in its place.
    pub fn is_at(&self, path: &Path) -> bool {
        let (Ok(open), Ok(named)) = (self.0.metadata(), path.metadata()) else { return false };
        (open.dev(), open.ino()) == (named.dev(), named.ino())
    }

    /// A further descriptor that holds the lock, until this process ends or the program
    /// that it becomes next lets it go.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn bequeath(&self) -> io::Result<RawFd> {
        let file = self.0.try_clone()?;
        fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(file.into_raw_fd())
    }

    /// The locked file, for what is written in it.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// Whether anybody holds the lock at `path`. Takes nothing: asking at the wrong
    /// moment cannot make the holder's start fail. A missing file is not held.
    ///
    /// # Errors
    /// When the file cannot be opened for another reason than not being there.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // A read lock would conflict only with a holder's write lock, which is what we ask.
        let mut lock = libc::flock { l_type: libc::F_RDLCK as libc::c_short, ..whole_file() };
        // SAFETY: F_OFD_GETLK reads and writes one flock, which outlives the call.
        let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
        Errno::result(answer)?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }
}

fn lock(file: File) -> io::Result<Option<FileLock>> {
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file())) {
        Ok(_) => Ok(Some(FileLock(file))),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::FromRawFd;

    #[test]
    fn asking_takes_nothing_and_dropping_frees() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!FileLock::is_held(&path).unwrap());
        let lock = FileLock::take(&path).unwrap().unwrap();
        assert!(FileLock::is_held(&path).unwrap());
        assert!(FileLock::take(&path).unwrap().is_none());
        drop(lock);
        assert!(!FileLock::is_held(&path).unwrap());
        assert!(FileLock::take(&path).unwrap().is_some());
    }

    #[test]
    fn a_lock_can_be_handed_on_and_nothing_else_is_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let descriptor = FileLock::take(&path).unwrap().unwrap().bequeath().unwrap();
        assert!(FileLock::is_held(&path).unwrap());
        // SAFETY: `bequeath` has just given it away.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let lock = FileLock::inherit(descriptor, &path).unwrap().unwrap();
        assert!(FileLock::take(&path).unwrap().is_none());
        let other = File::create(dir.path().join("other")).unwrap();
        assert!(FileLock::inherit(other.into(), &path).unwrap().is_none());
        drop(lock);
        assert!(!FileLock::is_held(&path).unwrap());
    }
}
