//! The session's directory, for a keeper that outlives its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::paths::SessionDir;

/// The session's directory, wherever it is moved: by a name that leads through our own
/// descriptor.
#[derive(Debug)]
pub struct Place {
    open: File,
    /// Its files, by that name.
    pub dir: SessionDir,
}

impl Place {
    /// Where it is now.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn of(dir: &SessionDir) -> io::Result<Self> {
        let open = File::open(dir.path())?;
        let dir = SessionDir(format!("/proc/self/fd/{}", open.as_raw_fd()).into());
        Ok(Place { open, dir })
    }

    /// It was removed: nothing can ever be written there again.
    pub fn is_gone(&self) -> bool {
        self.open.metadata().is_ok_and(|found| found.nlink() == 0)
    }
}

/// Writes a file so that after a power loss it is there whole or not at all, and is there
/// once this has returned.
///
/// # Errors
/// The system's own.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
