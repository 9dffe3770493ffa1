//! Names of sessions without a task, as links in `sessions/live/`: such a name may be
//! changed, and be used again as soon as its session has ended, while the directory it
//! meant is still being cleared away. So a directory is named by the session's identity.
//! With the links a session is found by its name when the daemon is away.
//!
//! Only the daemon changes them, and only on its one thread.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::id::SessionName;
use crate::paths::SessionDir;

/// Makes `name` mean this directory, whatever it meant before. An attempt's directory has
/// its name already.
///
/// # Errors
/// The system's own.
pub fn publish(dir: &SessionDir, name: &SessionName) -> io::Result<()> {
    let Some((live, own)) = split(dir).filter(|(_, own)| *own != name.as_str()) else { return Ok(()) };
    // No session's name, so nobody takes it for one.
    let mut fresh = own.to_owned();
    fresh.push(".link");
    let fresh = live.join(fresh);
    removed(fs::remove_file(&fresh))?;
    symlink(own, &fresh)?;
    fs::rename(&fresh, live.join(name.as_str()))
}

/// Takes the name away, if it still means this directory.
///
/// # Errors
/// The system's own.
pub fn withdraw(dir: &SessionDir, name: &SessionName) -> io::Result<()> {
    let Some((live, own)) = split(dir) else { return Ok(()) };
    let link = live.join(name.as_str());
    match fs::read_link(&link) {
        Ok(target) if target.as_os_str() == own => removed(fs::remove_file(&link)),
        // Another session's by now, or no link.
        _ => Ok(()),
    }
}

/// Removes every link in `sessions/live/` but those in `kept`: what a daemon that was
/// killed has left.
///
/// # Errors
/// The system's own.
pub fn tidy(live: &Path, kept: &HashMap<SessionName, SessionDir>) -> io::Result<()> {
    for entry in fs::read_dir(live)? {
        let entry = entry?;
        if !entry.file_type()?.is_symlink() {
            continue;
        }
        let name = entry.file_name().to_str().and_then(|name| name.parse::<SessionName>().ok());
        let dir = name.and_then(|name| kept.get(&name));
        let target = fs::read_link(entry.path())?;
        if dir.and_then(split).is_none_or(|(_, own)| own != target) {
            removed(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

fn split(dir: &SessionDir) -> Option<(&Path, &OsStr)> {
    Some((dir.path().parent()?, dir.path().file_name()?))
}

fn removed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(live: &Path, own: &str) -> SessionDir {
        let dir = SessionDir(live.join(own));
        fs::create_dir(dir.path()).unwrap();
        fs::write(dir.path().join("who"), own).unwrap();
        dir
    }

    #[test]
    fn a_name_means_one_session_after_the_other() {
        let home = tempfile::tempdir().unwrap();
        let live = home.path();
        let name = |text: &str| text.parse::<SessionName>().unwrap();
        let who = |name: &str| fs::read_to_string(live.join(name).join("who")).ok();
        let (one, two) = (session(live, "@1"), session(live, "@2"));
        publish(&one, &name("foo")).unwrap();
        assert_eq!(who("foo").as_deref(), Some("@1"));
        // Its session has ended, its directory is not cleared away yet.
        publish(&two, &name("foo")).unwrap();
        withdraw(&one, &name("foo")).unwrap();
        assert_eq!(who("foo").as_deref(), Some("@2"));
        fs::remove_dir_all(two.path()).unwrap();
        withdraw(&two, &name("foo")).unwrap();
        assert!(fs::symlink_metadata(live.join("foo")).is_err());
        withdraw(&two, &name("foo")).unwrap();
    }

    #[test]
    fn what_a_killed_daemon_left_is_tidied_away() {
        let home = tempfile::tempdir().unwrap();
        let live = home.path();
        let name = |text: &str| text.parse::<SessionName>().unwrap();
        let (one, attempt) = (session(live, "@1"), session(live, "42.1"));
        for own in ["old", "new"] {
            publish(&one, &name(own)).unwrap();
        }
        publish(&attempt, &name("42.1")).unwrap();
        symlink("@gone", live.join("dangling")).unwrap();
        symlink("@1", live.join("@1.link")).unwrap();
        tidy(live, &HashMap::from([(name("new"), one), (name("42.1"), attempt)])).unwrap();
        let mut left: Vec<_> = fs::read_dir(live).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["42.1", "@1", "new"]);
    }
}
