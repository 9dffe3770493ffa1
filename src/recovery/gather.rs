//! The facts about the sessions of an instance, read without changing anything.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::plan::Dir;
use crate::id::SessionName;
use crate::lock::FileLock;
use crate::paths::{KeeperFile, Paths, SessionDir};
use crate::process;
use crate::protocol::exit::ExitRecord;
use crate::protocol::launch::LaunchSpec;

/// Longest file of ours that is read whole: a launch specification with the largest
/// environment.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A directory in `sessions/live/`.
#[derive(Clone, Debug)]
pub struct Found {
    /// The directory.
    pub dir: SessionDir,
    /// Its state.
    pub facts: Dir,
    /// What was to be run; `None` when the directory was never finished.
    pub spec: Option<LaunchSpec>,
    /// Who the keeper is, or was.
    pub keeper: Option<KeeperFile>,
}

/// Reads `sessions/live/`. Entries that are no session's directory are skipped.
///
/// # Errors
/// When the directory cannot be listed.
pub fn gather(paths: &Paths) -> io::Result<BTreeMap<SessionName, Found>> {
    let boot = process::boot_id()?;
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(paths.live_sessions())? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().and_then(|n| n.parse::<SessionName>().ok()) else { continue };
        if entry.file_type()?.is_dir() {
            all.insert(name, look(SessionDir(entry.path()), &boot)?);
        }
    }
    Ok(all)
}

/// Reads one session's directory.
///
/// # Errors
/// When its lock cannot be asked.
pub fn look(dir: SessionDir, boot: &str) -> io::Result<Found> {
    // The lock first: a keeper that leaves while we look has written its record before.
    let held = FileLock::is_held(&dir.lock())?;
    let keeper: Option<KeeperFile> = json(&dir.keeper());
    let facts = Dir::Present {
        held,
        started: dir.started().exists(),
        record: json::<ExitRecord>(&dir.exit()).map(Box::new),
        same_boot: keeper.as_ref().is_none_or(|k| k.process.boot_id == boot),
    };
    Ok(Found { spec: json(&dir.launch()), keeper, facts, dir })
}

/// A file of ours; `None` when it is missing, damaged or absurdly long: then it says
/// nothing.
fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let length = fs::metadata(path).ok()?.len();
    if length > MAX_FILE {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
