//! Backups: a whole copy of the database as it was at one moment, made beside the work,
//! checked before it gets its name. And which of them are kept.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use rusqlite::{Connection, OpenFlags};

use super::{events, migrate};
use crate::clock::Timestamp;
use crate::durable;
use crate::paths::Paths;
use crate::process;

/// Of the newest hours that have one, each keeps its last.
const HOURLY: usize = 24;
/// Of the newest days that have one, each keeps its last.
const DAILY: usize = 7;
/// So many are kept whatever room they take.
const AT_LEAST: usize = 2;
/// What is left free on the disk beside a backup: a full disk keeps the queue from taking
/// anything.
const ROOM_LEFT: u64 = 64 * 1024 * 1024;
/// What a backup's name ends with until it is whole.
const UNFINISHED: &str = "unfinished";
/// How the time is written in a backup's name: sorts as it is, and no shell minds it.
const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// A backup, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The file.
    pub path: PathBuf,
    /// When it was made, to the second.
    pub at: Timestamp,
    /// The last entry of the history in it.
    pub seq: i64,
    /// Its size.
    pub bytes: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there already.
    #[error("{0} is there already")]
    Exists(PathBuf),
    /// It would not leave enough room.
    #[error("a backup takes {needed} bytes, and {free} are free in {directory}")]
    NoRoom {
        /// What it takes, with what has to be left.
        needed: u64,
        /// What there is.
        free: u64,
        /// Where.
        directory: PathBuf,
    },
    /// The copy is not what was copied.
    #[error("the copy is damaged: {0}")]
    Damaged(String),
    /// The database's own error.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    /// The system's own.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The backups of an instance, newest first.
///
/// # Errors
/// When the directory cannot be read.
pub fn backups(paths: &Paths) -> io::Result<Vec<Backup>> {
    let listed = match fs::read_dir(paths.backups()) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry?;
        let Some((at, seq)) = entry.file_name().to_str().and_then(parse) else { continue };
        found.push(Backup { path: entry.path(), at, seq, bytes: entry.metadata()?.len() });
    }
    found.sort_by_key(|backup| std::cmp::Reverse((backup.at, backup.seq)));
    Ok(found)
}

/// Copies the database as it is now into a new file: `to`, or a name of its own in the
/// instance's directory of backups. It is whole and durable when this returns. Blocking,
/// for seconds with a large database; meanwhile reads and writes go on.
///
/// # Errors
/// [`BackupError`]; then there is no new file.
pub fn back_up(paths: &Paths, to: Option<&Path>) -> Result<Backup, BackupError> {
    let conn = migrate::connect(&paths.database(), false)?;
    back_up_with(&conn, paths, to, Timestamp::now())
}

/// The same over a connection there is.
pub(super) fn back_up_with(
    conn: &Connection,
    paths: &Paths,
    to: Option<&Path>,
    now: Timestamp,
) -> Result<Backup, BackupError> {
    let (seq, ..) = events::last(conn)?;
    let path = match to {
        Some(path) if path.is_dir() => path.join(name(now, seq)),
        Some(path) => path.to_owned(),
        None => {
            durable::directory(&paths.backups())?;
            paths.backups().join(name(now, seq))
        }
    };
    if to.is_none() && path.is_file() {
        // Nothing has happened since.
        return Ok(Backup { bytes: fs::metadata(&path)?.len(), path, at: now, seq });
    }
    if fs::symlink_metadata(&path).is_ok() {
        return Err(BackupError::Exists(path));
    }
    let directory = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.to_owned();
    let size: i64 =
        conn.query_row("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", [], |r| r.get(0))?;
    let (needed, free) = (u64::try_from(size).unwrap_or(0) + ROOM_LEFT, process::free_bytes(&directory)?);
    if free < needed {
        return Err(BackupError::NoRoom { needed, free, directory });
    }
    // Its name is no backup's. Those that were interrupted are of no use.
    let unfinished = path.with_extension(UNFINISHED);
    remove_unfinished(&paths.backups())?;
    remove_copy(&unfinished)?;
    let made = copy(conn, &unfinished).and_then(|seq| {
        crate::crash::point("backup-copied");
        // What has happened since the name was chosen may be in it.
        fs::rename(&unfinished, &path)?;
        File::open(&directory)?.sync_all()?;
        crate::crash::point("backup-named");
        Ok(Backup { bytes: fs::metadata(&path)?.len(), path, at: now, seq })
    });
    if made.is_err() {
        remove_copy(&unfinished)?;
    }
    made
}

/// Removes a copy that was not finished, and what SQLite has put beside it.
fn remove_copy(unfinished: &Path) -> io::Result<()> {
    remove_if_there(unfinished)?;
    remove_if_there(&unfinished.with_extension(format!("{UNFINISHED}-journal")))
}

/// The same for all in a directory of backups. Backups are made one at a time.
fn remove_unfinished(directory: &Path) -> io::Result<()> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in listed {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension.to_string_lossy().starts_with(UNFINISHED)) {
            remove_if_there(&path)?;
        }
    }
    Ok(())
}

/// A checked, durable copy; the last entry of the history in it.
fn copy(conn: &Connection, to: &Path) -> Result<i64, BackupError> {
    let name = to.to_str().ok_or_else(|| io::Error::other("the backup's name is not valid UTF-8"))?;
    conn.execute("VACUUM INTO ?1", [name])?;
    File::open(to)?.sync_all()?;
    let copy = open_still(to)?;
    check(&copy).map_err(BackupError::Damaged)?;
    Ok(events::last(&copy)?.0)
}

/// Opens a database that nobody writes to, without making any file beside it.
pub(super) fn open_still(path: &Path) -> rusqlite::Result<Connection> {
    let text = path.to_string_lossy();
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    Ok(conn)
}

/// That a backup is built as it should be, and its history whole.
///
/// # Errors
/// What is wrong with it.
pub fn check_backup(path: &Path) -> Result<(), String> {
    let conn = open_still(path).map_err(|error| error.to_string())?;
    check(&conn)?;
    match events::check(&conn, 0, events::ORIGIN, u32::MAX).map_err(|error| error.to_string())? {
        Ok(_) => Ok(()),
        Err(bad) => Err(format!("entry {} of its history is damaged: {}", bad.seq, bad.problem)),
    }
}

/// That the database is built as it should be.
pub(super) fn check(conn: &Connection) -> Result<(), String> {
    let said: rusqlite::Result<String> = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match said {
        Ok(said) if said == "ok" => Ok(()),
        Ok(said) => Err(said),
        Err(error) => Err(error.to_string()),
    }
}

/// Removes the backups that are not to be kept; gives them.
///
/// # Errors
/// When one cannot be removed, or the directory cannot be read.
pub fn prune(paths: &Paths, max_bytes: u64) -> io::Result<Vec<Backup>> {
    let mut all = backups(paths)?;
    // By a clock that was ahead: whatever was made since is newer.
    let now = Timestamp::now();
    all.sort_by_key(|backup| backup.at > now);
    let expired = expired(all, max_bytes);
    for backup in &expired {
        remove_if_there(&backup.path)?;
    }
    Ok(expired)
}

/// Which of these, newest first, are not to be kept. It counts hours and days that have a
/// backup, not those on the calendar: a clock that jumps ahead makes none old.
fn expired(backups: Vec<Backup>, max_bytes: u64) -> Vec<Backup> {
    const HOUR: i64 = 60 * 60 * 1000;
    let (mut hours, mut days) = (HashSet::new(), HashSet::new());
    let (mut kept, mut bytes) = (0, 0);
    let mut expired = Vec::new();
    for backup in backups {
        let (hour, day) = (backup.at.0.div_euclid(HOUR), backup.at.0.div_euclid(24 * HOUR));
        let of_hour = hours.len() < HOURLY && hours.insert(hour);
        let of_day = days.len() < DAILY && days.insert(day);
        let fits = bytes + backup.bytes <= max_bytes;
        if kept < AT_LEAST || ((of_hour || of_day) && fits) {
            kept += 1;
            bytes += backup.bytes;
        } else {
            expired.push(backup);
        }
    }
    expired
}

fn name(at: Timestamp, seq: i64) -> String {
    let stamp =
        jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_zoned(TimeZone::UTC).strftime(STAMP).to_string());
    format!("autodev-{}-{seq}.db", stamp.unwrap_or_else(|_| at.0.to_string()))
}

fn parse(name: &str) -> Option<(Timestamp, i64)> {
    let (stamp, seq) = name.strip_prefix("autodev-")?.strip_suffix(".db")?.split_once('-')?;
    let at = jiff::civil::DateTime::strptime(STAMP, stamp).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some((Timestamp(at.timestamp().as_millisecond()), seq.parse().ok()?))
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn at(minutes: i64) -> Backup {
        Backup { path: PathBuf::from(minutes.to_string()), at: Timestamp(minutes * MINUTE), seq: minutes, bytes: 10 }
    }

    fn kept(minutes: impl Iterator<Item = i64>, max_bytes: u64) -> Vec<i64> {
        let all: Vec<Backup> = minutes.map(at).collect();
        let gone = expired(all.clone(), max_bytes);
        all.into_iter().filter(|backup| !gone.contains(backup)).map(|backup| backup.seq).collect()
    }

    #[test]
    fn a_day_of_hours_and_a_week_of_days_are_kept() {
        // Every half hour for ten days, newest first.
        let now = 20_000 * 24 * 60;
        let kept = kept((0..480).map(|half| now - half * 30), u64::MAX);
        // 24 hours, of which the first is the newest of its day and the others are of that
        // day and the one before; and the last of each day before.
        assert_eq!(kept.len(), 24 + 5, "{kept:?}");
        assert_eq!(kept[0], now);
        assert!(now - kept[23] <= 24 * 60 && now - kept[28] > 5 * 24 * 60);
    }

    #[test]
    fn the_newest_are_kept_whatever_they_take() {
        assert_eq!(kept([300, 200, 100].into_iter(), 0), [300, 200]);
        assert_eq!(kept([300, 200, 100].into_iter(), 30), [300, 200, 100]);
        // Made one after the other.
        assert_eq!(kept([3, 2, 1].into_iter(), u64::MAX), [3, 2]);
        assert!(kept(std::iter::empty(), 0).is_empty());
    }

    #[test]
    fn names_say_when_and_how_far() {
        let at = Timestamp(1_795_470_000_000);
        assert_eq!(parse(&name(at, 42)), Some((at, 42)));
        for other in
            ["autodev-20261123T221552Z-42.unfinished", "autodev-x-42.db", "other.db", "autodev-20261123T221552Z.db"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
        assert_eq!(parse("autodev-20261123T221552Z-42.db").unwrap().1, 42);
    }
}
