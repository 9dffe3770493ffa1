//! What the lock file says: who serves the instance, where, and in which generation.

use std::fs::File;
use std::io::{self, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::lock::FileLock;
use crate::paths::{LockFile, Paths};
use crate::process::ProcessId;

/// Says in the lock file who serves the instance, and where.
pub(super) fn write(lock: &FileLock, socket: &Path, generation: u64) -> io::Result<()> {
    let content = LockFile { v: 1, process: ProcessId::current()?, socket: socket.to_owned(), generation };
    let file = lock.file();
    let mut text = serde_json::to_vec(&content)?;
    // One write that covers what was there: a reader sees the old text or the new one. The
    // blanks belong to it.
    let before = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    text.resize(text.len().max(before.saturating_sub(1)), b' ');
    text.push(b'\n');
    file.write_all_at(&text, 0)
}

/// The generation of who had the lock last.
pub(super) fn last_generation(lock: &FileLock) -> u64 {
    read(lock.file()).map_or(0, |file| file.generation)
}

/// Says who holds the lock.
pub(super) fn held(paths: &Paths) -> String {
    match File::open(paths.daemon_lock()).ok().and_then(|file| read(&file)) {
        Some(file) => format!("another daemon runs already: process {}", file.process.pid),
        None => "another daemon is just starting".to_owned(),
    }
}

fn read(mut file: &File) -> Option<LockFile> {
    file.rewind().ok()?;
    serde_json::from_reader(file).ok()
}
