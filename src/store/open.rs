//! Opening: when the database is made, when it is taken, and when it is refused.
//!
//! A database that is not as the marker and the witness say is never written to, and
//! never replaced by a fresh one: both would turn damage into loss.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicU64};
use std::sync::{Arc, mpsc};
use std::thread;

use rusqlite::Connection;
use tokio::sync::{Notify, Semaphore, broadcast};

use super::log_room::LogRoom;
use super::readers::{self, Reader};
use super::settings::{meta, set_meta};
use super::tx::{Chain, Wakes};
use super::witness::{Head, Witness};
use super::writer::Writer;
use super::{FEED, Inner, OpenError, QUEUE, Store, backup, events, migrate};
use crate::clock::Timestamp;
use crate::crash;
use crate::durable;
use crate::id::Uid;
use crate::paths::Paths;

/// Events at the end of the history that are checked at every start: what a crash could
/// have touched. `verify` checks all of them.
const TAIL: u32 = 1_000;

/// Opens the instance's database.
pub(super) fn open(paths: &Paths, seen: u64) -> Result<Store, OpenError> {
    finish_restore(paths)?;
    let found = Found::look(paths)?;
    let absent = found.decide(paths)?;
    if absent {
        prepare(paths).map_err(|e| io_error(&paths.state, &e))?;
    }
    let mut conn = migrate::connect(&paths.database(), true).map_err(|e| sql_error(paths, &e))?;
    if absent || (found.is_bare() && is_unfinished(&conn).map_err(|e| sql_error(paths, &e))?) {
        make(&mut conn, paths).map_err(|e| sql_error(paths, &e))?;
    }
    examine(&conn, paths, &found)?;
    let version = migrate::version(&conn).map_err(|e| sql_error(paths, &e))?;
    if version < migrate::latest() {
        let backup = backup::back_up_with(&conn, paths, None, Timestamp::now());
        let backup = backup.map_err(|error| {
            OpenError::Io(format!("the database's form is to be changed, but it cannot be backed up first: {error}"))
        })?;
        tracing::info!(file = %backup.path.display(), from = version, to = migrate::latest(), "backed up; changing the database's form");
        crash::point("migration-due");
        migrate::migrate(&mut conn).map_err(|e| sql_error(paths, &e))?;
    }
    start(conn, paths, &found, seen)
}

/// Puts a restored database in the place of the damaged one, if its restore had come so far
/// that it counts: the witness is of it. Whether there was one.
pub(super) fn finish_restore(paths: &Paths) -> Result<bool, OpenError> {
    let restored = paths.restored();
    if !restored.try_exists().map_err(|e| io_error(&restored, &e))? {
        return Ok(false);
    }
    let witness = Witness::read(&paths.witness()).map_err(|e| io_error(&paths.witness(), &e))?;
    let conn = backup::open_still(&restored).map_err(|e| sql_error(paths, &e))?;
    let (epoch, install) = (meta(&conn, "epoch"), meta(&conn, "install"));
    drop(conn);
    let (Ok(Some(epoch)), Ok(Some(install)), Some(witness)) = (epoch, install, witness) else { return Ok(false) };
    if epoch != witness.epoch.to_string() {
        return Ok(false);
    }
    let put = || {
        // The old log first: it would be taken for one of the new database.
        for name in ["autodev.db-wal", "autodev.db-shm"] {
            backup::remove_if_there(&paths.state.join(name))?;
        }
        File::open(&paths.state)?.sync_all()?;
        crash::point("restore-log-gone");
        mark(paths, &install)?;
        fs::rename(&restored, paths.database())?;
        File::open(&paths.state)?.sync_all()
    };
    put().map_err(|e| io_error(&restored, &e))?;
    crash::point("restore-put");
    tracing::warn!(database = %paths.database().display(), "a restored database was put in its place");
    Ok(true)
}

/// Opens the database for reading only, if there is one, and examines it as a start would.
pub(super) fn look(paths: &Paths) -> Result<Option<Connection>, OpenError> {
    let found = Found::look(paths)?;
    if found.decide(paths)? {
        return Ok(None);
    }
    let conn = migrate::connect(&paths.database(), false).map_err(|e| sql_error(paths, &e))?;
    if found.is_bare() && is_unfinished(&conn).map_err(|e| sql_error(paths, &e))? {
        return Ok(None);
    }
    examine(&conn, paths, &found)?;
    Ok(Some(conn))
}

/// What lies in the state directory.
struct Found {
    /// The install id in the marker.
    marker: Option<String>,
    database: Database,
    /// There is something in its log.
    log: bool,
    witness: Option<Head>,
    /// There is a witness file, readable or not.
    witness_file: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Database {
    Missing,
    Empty,
    /// Not a SQLite file.
    Foreign,
    /// Shorter than it says it is.
    Cut,
    Present,
}

impl Found {
    fn look(paths: &Paths) -> Result<Found, OpenError> {
        let marker = match fs::read_to_string(paths.marker()) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error(&paths.marker(), &error)),
        };
        let witness = Witness::read(&paths.witness()).map_err(|e| io_error(&paths.witness(), &e))?;
        let witness_file = fs::exists(paths.witness()).map_err(|e| io_error(&paths.witness(), &e))?;
        let log = fs::metadata(paths.state.join("autodev.db-wal")).is_ok_and(|log| log.len() > 0);
        Ok(Found { marker, database: database(&paths.database())?, log, witness, witness_file })
    }

    /// Neither marker nor witness: nothing was ever acknowledged here.
    fn is_bare(&self) -> bool {
        self.marker.is_none() && !self.witness_file
    }

    /// Whether the database has to be made.
    fn decide(&self, paths: &Paths) -> Result<bool, OpenError> {
        let what = match self.database {
            Database::Present => return Ok(false),
            // The first page goes first when the log is worked off: the rest may be in there.
            Database::Cut if self.log => return Ok(false),
            Database::Foreign => "is not a database",
            Database::Cut => "is shorter than it was",
            Database::Missing | Database::Empty if self.is_bare() => return Ok(true),
            Database::Missing => "is missing",
            Database::Empty => "is empty",
        };
        Err(damaged(paths, &format!("{} {what}, but there has been one", paths.database().display())))
    }
}

fn database(path: &Path) -> Result<Database, OpenError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Database::Missing),
        Err(error) => return Err(io_error(path, &error)),
    };
    let length = file.metadata().map_err(|e| io_error(path, &e))?.len();
    let mut start = Vec::new();
    file.take(HEADER).read_to_end(&mut start).map_err(|e| io_error(path, &e))?;
    Ok(match start.get(..MAGIC.len()) {
        None if start.is_empty() => Database::Empty,
        Some(magic) if magic == MAGIC && size(&start).is_some_and(|size| size > length) => Database::Cut,
        Some(magic) if magic == MAGIC => Database::Present,
        _ => Database::Foreign,
    })
}

/// What a database's file begins with, and how long its header is:
/// <https://sqlite.org/fileformat2.html>.
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER: u64 = 100;

/// How long the file was when its first page was last written, by what that says; the log
/// may hold more. SQLite notices a missing page only when it wants to read it.
fn size(header: &[u8]) -> Option<u64> {
    let page = match u16::from_be_bytes(header.get(16..18)?.try_into().ok()?) {
        1 => 65_536,
        page => u64::from(page),
    };
    Some(page * u64::from(u32::from_be_bytes(header.get(28..32)?.try_into().ok()?)))
}

/// The directory and an empty file that only the user can read; SQLite gives its other
/// files the same mode.
fn prepare(paths: &Paths) -> io::Result<()> {
    durable::directory(&paths.state)?;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(paths.database())?;
    Ok(())
}

/// Whether the making of the database was interrupted: it has no tables yet, or is ours
/// and nothing has happened in it.
fn is_unfinished(conn: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables == 0 || (application(conn)? == migrate::APPLICATION_ID && events::last(conn)?.0 == 0))
}

pub(super) fn application(conn: &Connection) -> rusqlite::Result<i32> {
    conn.pragma_query_value(None, "application_id", |row| row.get(0))
}

fn make(conn: &mut Connection, paths: &Paths) -> rusqlite::Result<()> {
    migrate::migrate(conn)?;
    let id = Uid::new().to_string();
    let tx = conn.transaction()?;
    // Interrupted earlier, it may be there already.
    if meta(&tx, "install")?.is_none() {
        set_meta(&tx, "install", &id)?;
        set_meta(&tx, "epoch", &Uid::new().to_string())?;
        set_meta(&tx, "generation", "0")?;
    }
    tx.commit()?;
    tracing::info!(database = %paths.database().display(), "made a new database");
    Ok(())
}

/// Compares the database with the marker and the witness.
fn examine(conn: &Connection, paths: &Paths, found: &Found) -> Result<(), OpenError> {
    let sql = |e: rusqlite::Error| sql_error(paths, &e);
    let version = migrate::version(conn).map_err(sql)?;
    if version > migrate::latest() {
        return Err(OpenError::Newer(format!(
            "{} was written by a newer version of autodev (its form is {version}, this version knows {}); nothing was \
             touched: install that version again",
            paths.database().display(),
            migrate::latest()
        )));
    }
    if found.database == Database::Cut
        && let Err(problem) = backup::check(conn)
    {
        return Err(damaged(paths, &format!("{} is shorter than it was: {problem}", paths.database().display())));
    }
    if version == 0 || application(conn).map_err(sql)? != migrate::APPLICATION_ID {
        return Err(damaged(paths, &format!("{} has no tasks in it", paths.database().display())));
    }
    let install = meta(conn, "install").map_err(sql)?;
    let (seq, _, _) = events::last(conn).map_err(sql)?;
    match (&found.marker, install) {
        (Some(marker), Some(install)) if *marker != install => {
            return Err(damaged(paths, "the database belongs to another instance than the file INITIALIZED says"));
        }
        (_, None) => return Err(damaged(paths, "the database does not say which instance it belongs to")),
        // The marker is the last thing to be made; before it there was nothing to lose.
        (None, _) if seq == 0 && !found.witness_file => return Ok(()),
        (None, _) if found.is_bare() => {
            return Err(damaged(paths, "there is a history, but neither the file INITIALIZED nor a witness of it"));
        }
        _ => {}
    }
    let Some(witness) = &found.witness else {
        let how = if found.witness_file { "cannot be read" } else { "is missing" };
        return Err(damaged(paths, &format!("the witness {} {how}", paths.witness().display())));
    };
    compare(conn, paths, witness, seq)
}

fn compare(conn: &Connection, paths: &Paths, witness: &Head, last: i64) -> Result<(), OpenError> {
    let sql = |e: rusqlite::Error| sql_error(paths, &e);
    let epoch = meta(conn, "epoch").map_err(sql)?;
    if epoch != Some(witness.epoch.to_string()) {
        return Err(damaged(paths, "the witness is of another database, or of one before it was restored"));
    }
    if witness.seq > last {
        let lost = witness.seq - last;
        return Err(damaged(
            paths,
            &format!(
                "the last {lost} entries of the history are gone: it ends at {last}, and had reached {}",
                witness.seq
            ),
        ));
    }
    if events::hash_of(conn, witness.seq).map_err(sql)? != Some(witness.hash) {
        return Err(damaged(paths, &format!("entry {} of the history is not the one that was written", witness.seq)));
    }
    let highest = highest_task(conn).map_err(sql)?;
    if highest < witness.highest_task {
        return Err(damaged(
            paths,
            &format!("tasks are gone: the last one is {highest}, and had been {}", witness.highest_task),
        ));
    }
    let from = (last - i64::from(TAIL)).max(0);
    let before = events::hash_of(conn, from).map_err(sql)?;
    let Some(before) = before else {
        return Err(damaged(paths, &format!("entry {from} of the history is missing")));
    };
    match events::check(conn, from, before, TAIL).map_err(sql)? {
        Ok(_) => Ok(()),
        Err(bad) => Err(damaged(paths, &format!("entry {} of the history is damaged: {}", bad.seq, bad.problem))),
    }
}

/// The highest number that a task has had, also of tasks that a restore has lost.
pub(super) fn highest_task(conn: &Connection) -> rusqlite::Result<i64> {
    let there: i64 = conn.query_row("SELECT coalesce(max(id), 0) FROM tasks", [], |row| row.get(0))?;
    Ok(meta(conn, "highest_task")?.and_then(|text| text.parse().ok()).unwrap_or(0).max(there))
}

/// Takes the database: a new generation, the witness, the marker, the threads.
fn start(conn: Connection, paths: &Paths, found: &Found, seen: u64) -> Result<Store, OpenError> {
    let sql = |e: rusqlite::Error| sql_error(paths, &e);
    let stored = meta(&conn, "generation").map_err(sql)?.and_then(|g| g.parse().ok()).unwrap_or(0);
    let witnessed = found.witness.map_or(0, |w| w.generation);
    let generation = stored.max(witnessed).max(seen).saturating_add(1);
    let epoch = meta(&conn, "epoch").map_err(sql)?.and_then(|e| e.parse::<Uid>().ok());
    let epoch = epoch.ok_or_else(|| damaged(paths, "the database does not say which life of it this is"))?;
    let install = meta(&conn, "install").map_err(sql)?.unwrap_or_default();
    let (seq, hash, last_at) = events::last(&conn).map_err(sql)?;
    let highest_task = highest_task(&conn).map_err(sql)?;
    // Copied from elsewhere they may be as open as that copy was.
    for name in ["autodev.db", "autodev.db-wal", "autodev.db-shm", "witness", "INITIALIZED"] {
        let file = paths.state.join(name);
        close_to_others(&file).map_err(|e| io_error(&file, &e))?;
    }
    // The first thing that is written: what is refused is not touched. (A restored one is of
    // the form that copies have.)
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(sql)?;
    set_meta(&conn, "generation", &generation.to_string()).map_err(sql)?;

    let mut witness = Witness::open(&paths.witness()).map_err(|e| io_error(&paths.witness(), &e))?;
    witness
        .write(&Head { epoch, seq, hash, generation, highest_task })
        .and_then(|()| witness.sync())
        .map_err(|e| io_error(&paths.witness(), &e))?;
    if found.marker.is_none() {
        mark(paths, &install).map_err(|e| io_error(&paths.marker(), &e))?;
    }

    let generation = Arc::new(AtomicU64::new(generation));
    let (feed, _) = broadcast::channel(FEED);
    let queue_changed = Arc::new(Notify::new());
    let (jobs, inbox) = mpsc::channel();
    let due_changed = Arc::new(Notify::new());
    let thread_ended = Arc::new(Notify::new());
    let (questions, asked) = crossbeam_channel::unbounded();
    for number in 0..readers::THREADS {
        let conn = migrate::connect(&paths.database(), false).map_err(sql)?;
        let reader = Reader { conn, live_sessions: paths.live_sessions(), state: paths.state.clone() };
        let asked = asked.clone();
        spawn(&format!("reader-{number}"), &thread_ended, move || readers::run(reader, &asked))?;
    }
    let writer = Writer {
        path: paths.database(),
        conn: Some(conn),
        witness,
        epoch,
        chain: Chain { seq, hash, highest_task },
        last_at: last_at.max(Timestamp(0)),
        generation: Arc::clone(&generation),
        feed: feed.clone(),
        queue_changed: Arc::clone(&queue_changed),
        due_changed: Arc::clone(&due_changed),
        doubt: None,
        wal_pages: Arc::new(AtomicI32::new(0)),
        log_room: LogRoom::of(&paths.database()),
        // What the last daemon did not get done.
        wakes: Wakes { queue: false, due: false, chores: true, index: true },
    };
    spawn("writer", &thread_ended, move || writer.run(&inbox))?;
    let inner = Inner {
        jobs,
        questions,
        job_places: Arc::new(Semaphore::new(QUEUE)),
        question_places: Arc::new(Semaphore::new(QUEUE)),
        generation,
        feed,
        queue_changed,
        due_changed,
        thread_ended,
    };
    Ok(Store { inner: Arc::new(inner) })
}

fn spawn(name: &str, ended: &Arc<Notify>, work: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    /// Dropped by a panic as well.
    struct Ended(Arc<Notify>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let ended = Ended(Arc::clone(ended));
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _ended = ended;
        work();
    });
    thread.map(|_| ()).map_err(|e| OpenError::Io(format!("no thread can be made for the database: {e}")))
}

/// Only the user may read and write a file, if it is there.
fn close_to_others(file: &Path) -> io::Result<()> {
    match fs::symlink_metadata(file) {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o7777 != 0o600 => {
            fs::set_permissions(file, fs::Permissions::from_mode(0o600))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Says durably that there is a database here, as the last step of making it.
fn mark(paths: &Paths, install: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(paths.marker())?;
    writeln!(file, "{install}")?;
    file.sync_all()?;
    File::open(&paths.state)?.sync_all()
}

fn damaged(paths: &Paths, what: &str) -> OpenError {
    OpenError::Damaged(format!(
        "{what}; nothing was touched. Running agents are not affected. 'autodev restore' \
         puts the newest whole backup in its place, with what can still be read; or move {0} away to begin anew",
        paths.state.display()
    ))
}

fn sql_error(paths: &Paths, error: &rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let text = format!("{}: {error}", paths.database().display());
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => damaged(paths, &text),
        _ => OpenError::Io(text),
    }
}

fn io_error(path: &Path, error: &io::Error) -> OpenError {
    OpenError::Io(format!("{}: {error}", path.display()))
}
