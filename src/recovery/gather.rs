//! The facts about the sessions of an instance, read without changing anything.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::plan::Dir;
use crate::id::{SessionName, Uid};
use crate::lock::FileLock;
use crate::paths::{KeeperFile, Paths, SessionDir};
use crate::process;
use crate::protocol::exit::ExitRecord;
use crate::protocol::launch::LaunchSpec;

/// Longest file of ours that is read whole: the longest launch specification that a keeper
/// takes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

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

/// Reads `sessions/live/`: directories by their name ([`SessionName::directory`]). Links
/// and entries that are no session's directory are skipped.
///
/// # Errors
/// When the directory cannot be listed.
pub fn gather(paths: &Paths) -> io::Result<BTreeMap<String, Found>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(paths.live_sessions())? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_directory_name(&name) && entry.file_type()?.is_dir() {
            all.insert(name, look(SessionDir(entry.path())));
        }
    }
    Ok(all)
}

fn is_directory_name(name: &str) -> bool {
    match name.strip_prefix('@') {
        Some(uid) => uid.parse::<Uid>().is_ok(),
        None => name.parse::<SessionName>().is_ok(),
    }
}

/// Reads one session's directory. While its lock cannot be asked (no descriptor is left,
/// the disk fails) it counts as held: then nothing is decided about the session.
pub fn look(dir: SessionDir) -> Found {
    // The lock first: a keeper that leaves while we look has written its record before.
    let held = FileLock::is_held(&dir.lock()).unwrap_or(true);
    if !held && matches!(dir.path().try_exists(), Ok(false)) {
        return Found { dir, facts: Dir::Missing, spec: None, keeper: None };
    }
    let keeper: Option<KeeperFile> = json(&dir.keeper());
    let boot = process::boot_id().ok();
    let facts = Dir::Present {
        held,
        started: dir.started().exists(),
        record: json::<ExitRecord>(&dir.exit()).map(Box::new),
        same_boot: keeper.as_ref().is_none_or(|keeper| boot.as_ref() == Some(&keeper.process.boot_id)),
    };
    Found { spec: json(&dir.launch()), keeper, facts, dir }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn directories_are_found_and_links_and_strangers_skipped() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let paths = Paths { config: at("config"), state: at("state"), runtime: at("run") };
        let live = paths.live_sessions();
        let own = format!("@{}", Uid::from_bytes([1; 16]));
        for name in ["42.1", "claude-1", &own, "@nobody", "No Session"] {
            fs::create_dir_all(live.join(name)).unwrap();
        }
        symlink(&own, live.join("mine")).unwrap();
        symlink("@gone", live.join("dangling")).unwrap();
        fs::write(live.join("file"), "").unwrap();
        let found: Vec<String> = gather(&paths).unwrap().into_keys().collect();
        assert_eq!(found, ["42.1", own.as_str(), "claude-1"]);
    }

    /// What cannot be asked is not decided: neither a start fails of it, nor is a session
    /// called ended.
    #[test]
    fn a_lock_that_cannot_be_asked_counts_as_held() {
        let home = tempfile::tempdir().unwrap();
        let dir = SessionDir(home.path().join("42.1"));
        assert_eq!(look(dir.clone()).facts, Dir::Missing);
        fs::create_dir(dir.path()).unwrap();
        let held = |found: Found| matches!(found.facts, Dir::Present { held: true, .. });
        assert!(!held(look(dir.clone())));
        // A name that leads round and round cannot be opened by anybody.
        symlink("lock", dir.lock()).unwrap();
        assert!(held(look(dir.clone())));
    }
}
