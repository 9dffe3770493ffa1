//! Keeps room in the write-ahead log: a commit that overwrites what lies there flushes its
//! pages, one that makes the file longer waits for the file system to record the new
//! length as well, which takes about as long again.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that the log is made longer by…
const STEP: u64 = 1024 * 1024;
/// …when less than this is left: more than most commits take.
const LEFT: u64 = STEP / 2;

/// Sizes of the log's parts: <https://www.sqlite.org/fileformat2.html#walformat>.
const HEADER: u64 = 32;
const FRAME: u64 = 24 + 4096;

/// The room in a database's log.
#[derive(Debug)]
pub(super) struct LogRoom {
    path: PathBuf,
    /// How long the file is, as far as is known; `None` once it cannot be made longer.
    length: Option<u64>,
}

impl LogRoom {
    /// The room in the log of this database, which is open: the log exists.
    pub fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        let path = PathBuf::from(path);
        let length = path.metadata().map(|metadata| metadata.len()).ok();
        LogRoom { path, length }
    }

    /// Makes the file longer when the `pages` in it come near its end. SQLite reads no
    /// further than its own last page: what follows is left from before, or zeros.
    pub fn keep(&mut self, pages: i32) {
        let Some(length) = self.length else { return };
        let used = HEADER + FRAME * u64::try_from(pages).unwrap_or(0);
        if used + LEFT <= length {
            return;
        }
        let wanted = length.max(used) + STEP;
        self.length = match lengthen(&self.path, wanted) {
            Ok(()) => Some(wanted),
            Err(error) => {
                // It is only slower without.
                tracing::debug!(%error, "the database's log cannot be made longer ahead of use");
                None
            }
        };
    }
}

fn lengthen(path: &Path, wanted: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    // Written, not just reserved: the first use of reserved blocks has to be recorded too.
    let written = write_zeros(&mut file, wanted.saturating_sub(length)).and_then(|()| file.sync_data());
    if written.is_err() {
        // The last free blocks are for the history, not for its speed.
        file.set_len(length)?;
    }
    written
}

fn write_zeros(file: &mut File, mut count: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    while count > 0 {
        let part = count.min(ZEROS.len() as u64);
        #[expect(clippy::cast_possible_truncation, reason = "not more than the array")]
        file.write_all(&ZEROS[..part as usize])?;
        count -= part;
    }
    Ok(())
}
