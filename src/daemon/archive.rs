//! Moves what ended sessions left out of `sessions/live/`: small recordings into the
//! day's pack, others with their directory. Several at a time, so that many short tasks
//! share one flush of the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::id::Uid;
use crate::paths::{Paths, SessionDir};
use crate::recording;
use crate::socket::private_directory;
use crate::store::Store;

/// Recordings up to this many bytes go into a pack: most tasks leave less, and a file
/// each would cost a block and an inode.
const MAX_PACKED: u64 = 16 * 1024;
/// Sessions in one batch.
const MOST_AT_ONCE: usize = 64;

/// A session whose end is stored and whose keeper is gone.
#[derive(Debug)]
struct Ended {
    uid: Uid,
    dir: SessionDir,
    bytes: u64,
}

/// The queue of ended sessions. What is in it when the daemon leaves is found again by
/// the next start.
#[derive(Debug)]
pub(crate) struct Archiver(mpsc::UnboundedSender<Ended>);

impl Archiver {
    /// Begins to work; must be called on the runtime.
    pub fn start(paths: &Paths, store: &Store) -> Self {
        // Not bounded: each entry stands for a session that has just left the roster.
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(work(paths.done_sessions(), store.clone(), receiver));
        Archiver(sender)
    }

    /// Takes a session over. `bytes` is the length of its recording; `u64::MAX` when it
    /// is not known.
    pub fn add(&self, uid: Uid, dir: SessionDir, bytes: u64) {
        if self.0.send(Ended { uid, dir, bytes }).is_err() {
            tracing::debug!(%uid, "left for the next start");
        }
    }
}

async fn work(done: PathBuf, store: Store, mut ended: mpsc::UnboundedReceiver<Ended>) {
    let mut batch = Vec::new();
    while ended.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
        let sessions = std::mem::take(&mut batch);
        let to = done.clone();
        let moved = tokio::task::spawn_blocking(move || move_all(&to, sessions)).await;
        let (moved, emptied) = match moved.map_err(io::Error::other).and_then(|r| r) {
            Ok(moved) => moved,
            Err(error) => {
                tracing::error!(%error, "ended sessions cannot be archived; the next start tries again");
                continue;
            }
        };
        if let Err(error) = store.recordings_moved(moved).await {
            tracing::error!(%error, "where recordings lie now cannot be stored; the next start tries again");
            continue;
        }
        let removed = tokio::task::spawn_blocking(move || emptied.iter().try_for_each(|dir| remove(dir))).await;
        if let Err(error) = removed.map_err(io::Error::other).and_then(|r| r) {
            tracing::warn!(%error, "an archived session's directory cannot be removed");
        }
    }
}

/// Where recordings went: session, path, offset in a pack.
type Moved = Vec<(Uid, String, Option<u64>)>;

fn move_all(done: &Path, sessions: Vec<Ended>) -> io::Result<(Moved, Vec<PathBuf>)> {
    let now = Timestamp::now();
    let day: String = now.to_string().chars().take(10).collect();
    let (mut moved, mut emptied, mut small) = (Vec::new(), Vec::new(), Vec::new());
    for session in sessions {
        if session.bytes <= MAX_PACKED {
            small.push(session);
            continue;
        }
        let Some(name) = session.dir.path().file_name() else { continue };
        let to = done.join(&day);
        private_directory(&to)?;
        // A name is used once in an instance, but not across a restore.
        let mut target = to.join(name);
        if target.exists() {
            target = to.join(format!("{}-{}", name.to_string_lossy(), session.uid));
        }
        match fs::rename(session.dir.path(), &target) {
            Ok(()) => moved.push((session.uid, target.to_string_lossy().into_owned(), None)),
            // Never made: the attempt ended before it had a directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if !small.is_empty() {
        let pack = recording::pack::path(done, now);
        let entries: Vec<_> = small.iter().map(|s| (s.uid, s.dir.path().to_owned())).collect();
        let offsets = recording::pack::append(&pack, &entries)?;
        for (session, offset) in small.into_iter().zip(offsets) {
            // A session that ended before it had a recording has no place in the pack.
            if let Some(offset) = offset {
                moved.push((session.uid, pack.to_string_lossy().into_owned(), Some(offset)));
            }
            emptied.push(session.dir.path().to_owned());
        }
    }
    Ok((moved, emptied))
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
