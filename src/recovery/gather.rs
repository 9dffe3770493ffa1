//! The facts about the sessions of an instance, read without changing anything.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::plan::{Dir, Record};
use crate::id::{SessionName, Uid};
use crate::lock::FileLock;
use crate::paths::{KeeperFile, Paths, SessionDir};
use crate::process;
// No other file in a session's directory is as long.
use crate::protocol::launch::{LaunchSpec, MAX_FILE};

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

impl Found {
    /// As the session with this identity sees it: another's directory is none of its own,
    /// whatever its name.
    pub fn of(self, uid: Uid) -> Found {
        let other = self.spec.as_ref().is_some_and(|spec| spec.uid != uid)
            || matches!(&self.facts, Dir::Present { record: Record::Read(record), .. } if record.uid != uid);
        if other { Found { facts: Dir::Missing, spec: None, keeper: None, ..self } } else { self }
    }
}

/// Reads `sessions/live/`: directories by their name ([`SessionName::directory`]). Links
/// and entries that are no session's directory are skipped.
///
/// # Errors
/// When the directory cannot be listed.
pub fn gather(paths: &Paths) -> io::Result<BTreeMap<String, Found>> {
    let mut all = BTreeMap::new();
    let listed = match fs::read_dir(paths.live_sessions()) {
        Ok(listed) => listed,
        // Nothing was ever started here.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
        Err(error) => return Err(error),
    };
    for entry in listed {
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

/// Reads one session's directory. While anything in it cannot be asked (no descriptor is
/// left, the disk fails) its lock counts as held: then nothing is decided about the
/// session, and it is looked at again later.
pub fn look(dir: SessionDir) -> Found {
    read(&dir).unwrap_or_else(|error| {
        tracing::warn!(directory = %dir.path().display(), %error, "a session cannot be looked at");
        let facts = Dir::Present { held: true, started: false, record: Record::Absent, same_boot: false };
        Found { dir, facts, spec: None, keeper: None }
    })
}

fn read(dir: &SessionDir) -> io::Result<Found> {
    // The lock first: a keeper that leaves while we look has written its record before.
    let held = FileLock::is_held(&dir.lock())?;
    if !held && !dir.path().try_exists()? {
        return Ok(Found { dir: dir.clone(), facts: Dir::Missing, spec: None, keeper: None });
    }
    let keeper = json::<KeeperFile>(&dir.keeper())?.whole();
    let boot = process::boot_id()?;
    let facts = Dir::Present {
        held,
        started: dir.started().try_exists()?,
        record: match json(&dir.exit())? {
            Content::Absent => Record::Absent,
            Content::Damaged => Record::Unreadable,
            Content::Whole(record) => Record::Read(Box::new(record)),
        },
        same_boot: keeper.as_ref().is_some_and(|keeper| boot == keeper.process.boot_id),
    };
    Ok(Found { spec: json(&dir.launch())?.whole(), keeper, facts, dir: dir.clone() })
}

/// Whether a directory is, or may yet become, that of the session with this identity: its
/// name may mean another one's after a backup was put back.
///
/// # Errors
/// When that cannot be read now.
pub fn belongs(dir: &SessionDir, uid: Uid) -> io::Result<bool> {
    Ok(json::<LaunchSpec>(&dir.launch())?.whole().is_none_or(|spec| spec.uid == uid))
}

/// Whether its daemon died while making a directory: what it is cannot be read, and nothing was
/// ever started in it.
pub fn is_unborn(dir: &SessionDir) -> bool {
    !dir.started().exists() && json::<LaunchSpec>(&dir.launch()).is_ok_and(|launch| launch.whole().is_none())
}

/// A file of ours.
enum Content<T> {
    Absent,
    /// It is there, and absurdly long or nothing that we know: torn by a power cut, or of
    /// another version.
    Damaged,
    Whole(T),
}

impl<T> Content<T> {
    fn whole(self) -> Option<T> {
        match self {
            Content::Whole(content) => Some(content),
            Content::Absent | Content::Damaged => None,
        }
    }
}

/// Only a file that is known not to be there is absent: any other failure says nothing.
fn json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Content<T>> {
    let bytes = match fs::metadata(path) {
        Ok(found) if found.len() > MAX_FILE => return Ok(Content::Damaged),
        Ok(_) => fs::read(path),
        Err(error) => Err(error),
    };
    match bytes {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).map_or(Content::Damaged, Content::Whole)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Content::Absent),
        Err(error) => Err(error),
    }
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

    /// The same for the other files, of which each could say that the program has run.
    #[test]
    fn what_cannot_be_read_is_not_absent() {
        let home = tempfile::tempdir().unwrap();
        let dir = SessionDir(home.path().join("42.1"));
        fs::create_dir(dir.path()).unwrap();
        let held = |found: Found| matches!(found.facts, Dir::Present { held: true, .. });
        for file in [dir.exit(), dir.started(), dir.keeper(), dir.launch()] {
            assert!(!held(look(dir.clone())));
            symlink(file.file_name().unwrap(), &file).unwrap();
            assert!(held(look(dir.clone())), "{}", file.display());
            fs::remove_file(&file).unwrap();
        }
    }

    #[test]
    fn a_record_of_another_version_is_there_and_a_keeper_without_a_word_is_of_no_boot() {
        let home = tempfile::tempdir().unwrap();
        let dir = SessionDir(home.path().join("42.1"));
        fs::create_dir(dir.path()).unwrap();
        let nothing = Dir::Present { held: false, started: false, record: Record::Absent, same_boot: false };
        assert_eq!(look(dir.clone()).facts, nothing);
        fs::write(dir.exit(), r#"{"v":2,"reason":"of tomorrow"}"#).unwrap();
        let unreadable = Dir::Present { held: false, started: false, record: Record::Unreadable, same_boot: false };
        assert_eq!(look(dir.clone()).facts, unreadable);
        let keeper = KeeperFile {
            v: 1,
            process: process::ProcessId::current().unwrap(),
            socket: home.path().join("socket"),
            protocol: 1,
        };
        fs::write(dir.keeper(), serde_json::to_vec(&keeper).unwrap()).unwrap();
        assert!(matches!(look(dir).facts, Dir::Present { same_boot: true, .. }));
    }
}
