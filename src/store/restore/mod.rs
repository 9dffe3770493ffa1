//! Putting a backup in the place of a database that is damaged.
//!
//! A new database is built beside the damaged one: from the newest copy that is whole, with
//! whatever can still be read of what happened after it. The damaged files are kept. What
//! nobody can know any more, whether a task has run since, is never guessed: such a task is
//! held, or has ended in an unknown way, until a person looks.

mod doubt;
mod mend;
mod salvage;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde_json::json;

use super::backup::{self, open_still};
use super::settings::{meta, set_meta};
use super::tx::{Chain, Tx, Wakes};
use super::witness::{Head, Witness};
use super::{Failure, OpenError, events, findings, migrate, open, sessions};
use crate::clock::Timestamp;
use crate::crash;
use crate::durable;
use crate::id::{TaskId, Uid};
use crate::paths::Paths;
use crate::protocol::launch::LaunchSpec;
use crate::task::Actor;

/// Sessions may have been numbered since, of which nothing is known any more. Numbers lead
/// to the marks of processes, so those are passed over.
const SESSION_NUMBERS_SKIPPED: i64 = 10_000;

/// What a restore works from.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// This backup, instead of the newest that is whole.
    pub from: Option<PathBuf>,
    /// Leave out what happened after the backup.
    pub no_replay: bool,
    /// What the sessions were started with that are live now.
    pub live: Vec<LaunchSpec>,
    /// The highest generation that was seen elsewhere.
    pub generation: u64,
}

/// What a restore has done.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Restored {
    /// The copy it began with; the damaged database itself, where only its end is missing.
    pub from: PathBuf,
    /// The last entry of the history in that copy.
    pub from_event: i64,
    /// Entries that could be read of what happened after it.
    pub replayed: i64,
    /// Entries that are lost, first and last; the last is 0 when nobody knows.
    pub lost: Option<(i64, i64)>,
    /// Tables of which something could not be read that happened after the backup.
    pub unreadable: Vec<String>,
    /// Tasks that the history knows, and that could not be read.
    pub missing: Vec<TaskId>,
    /// Tasks that were held because they may have run since.
    pub held: u32,
    /// Attempts that were under way, of which nobody knows how they ended.
    pub unknown: u32,
    /// Attempts that are live and were not in the copy.
    pub adopted: u32,
    /// Where the damaged files are kept.
    pub quarantine: PathBuf,
}

/// Why nothing was restored. The files are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is nothing to restore.
    #[error("{0}")]
    Whole(String),
    /// There is nothing to restore from.
    #[error("{0}")]
    NoBackup(String),
    /// The database's own error.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    /// The system's own.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What was built is refused.
    #[error("the restored database cannot be completed: {0}")]
    Refused(String),
}

impl From<Failure> for RestoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => RestoreError::Sql(error),
            other => RestoreError::Refused(other.of_write().to_string()),
        }
    }
}

/// A copy to begin with.
struct Base {
    path: PathBuf,
    /// Open to be read.
    conn: Connection,
    /// It is what lies in the state directory, and only its end is missing.
    is_current: bool,
}

/// Restores the database. Only for who holds the instance's lock, and no daemon.
///
/// # Errors
/// [`RestoreError`], with nothing changed.
pub fn restore(paths: &Paths, wanted: &Wanted) -> Result<Restored, RestoreError> {
    if open::finish_restore(paths).map_err(|error| RestoreError::Refused(error.to_string()))? {
        let done = "an earlier restore had been interrupted, and is finished now";
        return Err(RestoreError::Whole(done.into()));
    }
    let now = Timestamp::now();
    let stamp = jiff::Timestamp::from_millisecond(now.0)
        .map_or_else(|_| now.0.to_string(), |at| at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string());
    let named = |number: u32| match number {
        1 => paths.quarantine().join(&stamp),
        number => paths.quarantine().join(format!("{stamp}-{number}")),
    };
    let is_free = |quarantine: &PathBuf| fs::symlink_metadata(quarantine).is_err();
    let quarantine = (1..).map(named).find(is_free).unwrap_or_else(|| named(1));
    // What is read of the damaged files is a copy: SQLite writes to what it opens.
    let scratch = Scratch::of(paths, &quarantine)?;
    let witness = Witness::read(&paths.witness()).unwrap_or(None);
    let base = base(paths, wanted, &scratch, witness.as_ref())?;

    let unfinished = paths.restored().with_extension("unfinished");
    for file in [&unfinished, &paths.restored()] {
        backup::remove_if_there(file)?;
    }
    base.conn.execute("VACUUM INTO ?1", [text(&unfinished)?])?;
    let mut restored = Restored { from: base.path, quarantine: quarantine.clone(), ..Restored::default() };
    let damaged = (!base.is_current && !wanted.no_replay).then(|| scratch.database());
    let head = build(&unfinished, wanted, damaged.as_deref(), witness.as_ref(), &mut restored)?;
    tracing::info!(directory = %paths.state.display(), "restored");
    File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, paths.restored())?;
    File::open(&paths.state)?.sync_all()?;
    crash::point("restore-built");
    keep(paths, &quarantine)?;
    crash::point("restore-kept");
    // From here on the new one counts: a start finishes what is left to do.
    let mut witness = Witness::open(&paths.witness())?;
    witness.write(&head)?;
    witness.sync()?;
    crash::point("restore-witnessed");
    open::finish_restore(paths).map_err(|error| RestoreError::Refused(error.to_string()))?;
    Ok(restored)
}

/// Builds the new database in the file, where the copy to begin with is; with what can be
/// read of the one that is `damaged`.
fn build(
    file: &Path,
    wanted: &Wanted,
    damaged: Option<&Path>,
    witness: Option<&Head>,
    restored: &mut Restored,
) -> Result<Head, RestoreError> {
    let mut conn = migrate::connect(file, true)?;
    migrate::migrate(&mut conn)?;
    let stored: u64 = meta(&conn, "generation")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let (from_event, ..) = events::last(&conn)?;
    restored.from_event = from_event;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    if let Some(damaged) = damaged {
        restored.unreadable = salvage::salvage(&conn, damaged)?.into_iter().map(str::to_owned).collect();
    }
    let (seq, hash, last_at) = events::last(&conn)?;
    restored.replayed = seq - from_event;
    restored.lost = lost(&conn, seq, witness)?;
    restored.missing = findings::missing(&conn)?.into_iter().map(TaskId).collect();
    // Numbers lead to the marks of processes.
    conn.execute("UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'sessions'", [SESSION_NUMBERS_SKIPPED])?;
    let now = Timestamp::now();
    let highest_task = open::highest_task(&conn)?.max(witness.map_or(0, |witness| witness.highest_task));
    let highest_task = wanted.live.iter().filter_map(|spec| spec.task).map(|task| task.0).fold(highest_task, i64::max);
    let generation = witness.map_or(0, |witness| witness.generation).max(stored).max(wanted.generation) + 1;
    let mut tx = Tx {
        conn: &conn,
        now: now.max(last_at),
        clock: now,
        head: Chain { seq, hash, highest_task },
        events: Vec::new(),
        wakes: Wakes::default(),
        generation,
        lone: true,
        failed: false,
    };
    let is_known = restored.lost.is_none() && restored.unreadable.is_empty() && restored.missing.is_empty();
    let in_doubt = !is_known || !findings::stale(&conn)?.is_empty();
    restored.adopted = doubt::adopt(&mut tx, &wanted.live)?;
    if in_doubt {
        (restored.held, restored.unknown) = doubt::settle(&mut tx, &wanted.live)?;
    }
    mend::mend(&mut tx)?;
    let detail = json!({
        "from": restored.from.file_name().map(|name| name.to_string_lossy().into_owned()),
        "from_event": restored.from_event,
        "replayed": restored.replayed,
        "lost_from": restored.lost.map(|(from, _)| from),
        "lost_to": restored.lost.map(|(_, to)| to).filter(|to| *to > 0),
        "unreadable": restored.unreadable,
        "missing": restored.missing.len(),
        "held": restored.held,
        "unknown": restored.unknown,
        "adopted": restored.adopted,
        "quarantine": restored.quarantine.file_name().map(|name| name.to_string_lossy().into_owned()),
    });
    sessions::append(&mut tx, "database_restored", Actor::User, detail)?;
    let epoch = Uid::new();
    set_meta(&conn, "epoch", &epoch.to_string())?;
    set_meta(&conn, "generation", &generation.to_string())?;
    set_meta(&conn, "highest_task", &highest_task.to_string())?;
    let head = tx.head;
    conn.execute_batch("COMMIT")?;
    if let Err(problem) = backup::check(&conn) {
        return Err(RestoreError::Refused(problem));
    }
    Ok(Head { epoch, seq: head.seq, hash: head.hash, generation, highest_task })
}

/// Entries that are lost of a history that now ends with `seq`, by the witness of the one
/// that was.
fn lost(conn: &Connection, seq: i64, witness: Option<&Head>) -> rusqlite::Result<Option<(i64, i64)>> {
    let Some(witness) = witness else { return Ok(Some((seq + 1, 0))) };
    if events::hash_of(conn, witness.seq)? == Some(witness.hash) {
        return Ok(None);
    }
    // Where it went another way after an earlier restore, numbers say nothing.
    let same_life = meta(conn, "epoch")? == Some(witness.epoch.to_string());
    Ok(Some((seq + 1, if same_life && witness.seq > seq { witness.seq } else { 0 })))
}

/// The copy to begin with.
fn base(paths: &Paths, wanted: &Wanted, scratch: &Scratch, witness: Option<&Head>) -> Result<Base, RestoreError> {
    let install = fs::read_to_string(paths.marker()).ok().map(|text| text.trim().to_owned());
    if let Some(from) = &wanted.from {
        let conn = scratch.open_other(from)?;
        if let Err(problem) = is_sound(&conn, install.as_deref()) {
            return Err(RestoreError::NoBackup(format!("{} cannot be used: {problem}", from.display())));
        }
        return Ok(Base { path: from.clone(), conn, is_current: false });
    }
    let examined = open::look(paths);
    if let Err(OpenError::Newer(why)) = examined {
        return Err(RestoreError::Refused(why));
    }
    let mut problems = Vec::new();
    match open_copy(&scratch.database()).map_err(|e| e.to_string()).and_then(|conn| {
        is_sound(&conn, install.as_deref())?;
        Ok(conn)
    }) {
        Ok(conn) if examined.is_ok() && lost(&conn, events::last(&conn)?.0, witness)?.is_none() => {
            return Err(RestoreError::Whole(
                "the database is whole; to go back to a backup all the same, name it with --from".into(),
            ));
        }
        // Only its end is missing: nothing is nearer to what there was.
        Ok(conn) => return Ok(Base { path: paths.database(), conn, is_current: true }),
        Err(problem) => problems.push(format!("{}: {problem}", paths.database().display())),
    }
    let mut backups = Vec::new();
    for backup in backup::backups(paths)? {
        match open_still(&backup.path) {
            Ok(conn) => {
                let epoch = meta(&conn, "epoch").ok().flatten();
                let is_of_this_life = witness.is_some_and(|witness| epoch == Some(witness.epoch.to_string()));
                backups.push((is_of_this_life, backup, conn));
            }
            Err(error) => problems.push(format!("{}: {error}", backup.path.display())),
        }
    }
    // Within one life the history tells better than a clock which is the newest.
    backups.sort_by_key(|(is_of_this_life, backup, _)| std::cmp::Reverse((*is_of_this_life, backup.seq)));
    if !backups.iter().any(|(is_of_this_life, ..)| *is_of_this_life) {
        backups.sort_by_key(|(_, backup, _)| std::cmp::Reverse((backup.at, backup.seq)));
    }
    for (_, backup, conn) in backups {
        match is_sound(&conn, install.as_deref()) {
            Ok(()) => return Ok(Base { path: backup.path, conn, is_current: false }),
            Err(problem) => problems.push(format!("{}: {problem}", backup.path.display())),
        }
    }
    Err(RestoreError::NoBackup(format!(
        "there is no whole copy to restore from ({}); --from names one elsewhere. Or move {} away to begin anew",
        problems.join("; "),
        paths.state.display()
    )))
}

/// That a database is ours, this instance's, built as it should be, and its history whole.
fn is_sound(conn: &Connection, install: Option<&str>) -> Result<(), String> {
    let sql = |error: rusqlite::Error| error.to_string();
    backup::check(conn)?;
    let version = migrate::version(conn).map_err(sql)?;
    if version == 0 || open::application(conn).map_err(sql)? != migrate::APPLICATION_ID {
        return Err("it has no tasks in it".into());
    }
    if version > migrate::latest() {
        return Err("it was written by a newer version of autodev".into());
    }
    let found = meta(conn, "install").map_err(sql)?.ok_or("it does not say which instance it belongs to")?;
    if install.is_some_and(|install| install != found) {
        return Err("it belongs to another instance".into());
    }
    match events::check(conn, 0, events::ORIGIN, u32::MAX).map_err(sql)? {
        Ok(_) => Ok(()),
        Err(bad) => Err(format!("entry {} of its history is damaged: {}", bad.seq, bad.problem)),
    }
}

/// Opens a copy that nobody else knows, with its log.
fn open_copy(path: &Path) -> rusqlite::Result<Connection> {
    migrate::connect(path, true)
}

/// A directory with a copy of the damaged files, to be read.
struct Scratch(PathBuf);

impl Scratch {
    fn of(paths: &Paths, quarantine: &Path) -> io::Result<Scratch> {
        // It is there from now on, and removed whatever happens.
        let scratch = Scratch(quarantine.with_extension("copy"));
        durable::directory(&scratch.0)?;
        for name in DATABASE_FILES {
            let from = paths.state.join(name);
            if from.try_exists()? {
                fs::copy(from, scratch.0.join(name))?;
            }
        }
        Ok(scratch)
    }

    fn database(&self) -> PathBuf {
        self.0.join(DATABASE_FILES[0])
    }

    /// Opens a database elsewhere, of which nothing may change; with its log, where there is
    /// one.
    fn open_other(&self, from: &Path) -> Result<Connection, RestoreError> {
        let log = PathBuf::from(format!("{}-wal", from.display()));
        if !fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            return Ok(open_still(from)?);
        }
        let copy = self.0.join("other.db");
        fs::copy(from, &copy)?;
        fs::copy(log, self.0.join("other.db-wal"))?;
        Ok(open_copy(&copy)?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(directory = %self.0.display(), %error, "a copy is left over");
        }
    }
}

/// What belongs together. (`-shm` is derived from the log, and made anew.)
const DATABASE_FILES: [&str; 2] = ["autodev.db", "autodev.db-wal"];

/// Keeps the damaged files, by second names for them: nobody writes to them any more.
fn keep(paths: &Paths, quarantine: &Path) -> io::Result<()> {
    durable::directory(quarantine)?;
    for name in DATABASE_FILES {
        match fs::hard_link(paths.state.join(name), quarantine.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // This one is written to again.
    match fs::copy(paths.witness(), quarantine.join("witness")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::open(quarantine)?.sync_all()?;
    File::open(paths.quarantine())?.sync_all()
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other("the state directory's name is not valid UTF-8"))
}
