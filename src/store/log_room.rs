//! Keeps room in the write-ahead log: a commit that overwrites what lies there flushes its
//! pages, one that makes the file longer waits for the file system to record the new
//! length as well, which takes about as long again. And it keeps in memory what comes next:
//! pages that lie on the disk only would have to be read before a part of them is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// Bytes that the log is made longer by…
const STEP: u64 = 1024 * 1024;
/// …when less than this is left: more than most commits take.
const LEFT: u64 = STEP / 2;
/// Bytes of the log that are kept in memory ahead of their use: what many small commits
/// take, and a large one does not notice.
const AHEAD: u64 = 128 * 1024;

/// Sizes of the log's parts: <https://www.sqlite.org/fileformat2.html#walformat>.
const HEADER: u64 = 32;
const FRAME: u64 = 24 + 4096;

/// The room in a database's log.
#[derive(Debug)]
pub(super) struct LogRoom {
    /// `None` when nothing can be done for it: it is only slower without.
    log: Option<File>,
    length: u64,
}

impl LogRoom {
    /// The room in the log of this database, which is open: the log exists.
    pub fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        let log = OpenOptions::new().write(true).open(path);
        let found = log.and_then(|log| Ok((log.metadata()?.len(), log)));
        match found {
            Ok((length, log)) => LogRoom { log: Some(log), length },
            Err(error) => LogRoom::none(&error),
        }
    }

    /// Prepares what follows the `pages` in it; makes the file longer when they come near
    /// its end. SQLite reads no further than its own last page: what follows is left from
    /// before, or zeros.
    pub fn keep(&mut self, pages: i32) {
        let Some(log) = &mut self.log else { return };
        let used = HEADER + FRAME * u64::try_from(pages).unwrap_or(0);
        if used + LEFT > self.length {
            let wanted = self.length.max(used) + STEP;
            match lengthen(log, wanted) {
                Ok(()) => self.length = wanted,
                Err(error) => {
                    *self = LogRoom::none(&error);
                    return;
                }
            }
        }
        if let (Ok(from), Ok(length)) = (i64::try_from(used), i64::try_from(AHEAD)) {
            // Advice: what comes of it need not be known.
            let _ = posix_fadvise(&*log, from, length, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
        }
    }

    fn none(error: &io::Error) -> Self {
        tracing::debug!(%error, "nothing can be done ahead of use for the database's log");
        LogRoom { log: None, length: 0 }
    }
}

fn lengthen(log: &mut File, wanted: u64) -> io::Result<()> {
    let length = log.seek(SeekFrom::End(0))?;
    // Written, not just reserved: the first use of reserved blocks has to be recorded too.
    let written = write_zeros(log, wanted.saturating_sub(length)).and_then(|()| log.sync_data());
    if written.is_err() {
        // The last free blocks are for the history, not for its speed.
        log.set_len(length)?;
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
