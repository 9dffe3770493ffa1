//! A session's directory for who outlives its name: it is renamed, and moved when the
//! session has ended.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

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
