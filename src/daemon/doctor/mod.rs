//! `autodev doctor`: whether all is as it should be, and what to do where it is not. It
//! needs no daemon, and disturbs none.

mod around;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::settings::Settings;
use crate::client::keeper_link::Link as KeeperLink;
use crate::clock::{Timestamp, short};
use crate::id::Uid;
use crate::lock::FileLock;
use crate::paths::{Paths, SessionDir};
use crate::process;
use crate::protocol::keeper;
use crate::protocol::launch::LaunchSpec;
use crate::protocol::view::{CheckLevel, CheckView};
use crate::recording::{Kept, Reader, Source};
use crate::recovery::{gather, plan};
use crate::socket;
use crate::store::{self, Glance, OpenError, StoreError};

/// With less room than this the next recordings and backups may not fit.
const LITTLE_ROOM: u64 = 1024 * 1024 * 1024;
/// An instance this young need not have a backup.
const NEW: Duration = Duration::from_secs(60 * 60);
/// A backup or a restore is made within this, or was interrupted.
const MAKING: Duration = Duration::from_secs(30 * 60);
/// A keeper says hello within this, or is stuck.
const HELLO_LIMIT: Duration = Duration::from_secs(1);
/// Problems of a kind that are named; more are counted.
const NAMED: usize = 5;

/// Examines the instance; with `deep` every byte of it that can be checked.
pub(super) fn examine(paths: &Paths, deep: bool) -> Vec<CheckView> {
    let settings = Settings::load(paths);
    let mut checks = vec![rights(paths), room(paths, &settings), clock(paths), in_order(&settings), marks()];
    let glance = match Glance::open(paths) {
        Ok(glance) => {
            let found = match paths.database().exists() {
                true => "it is as its marker and its witness say",
                false => "there is none yet: the first start of a daemon makes it",
            };
            checks.push(fine("database", found));
            Some(glance)
        }
        Err(error) => {
            let hint = match error {
                OpenError::Newer(_) => "install the version again that wrote it",
                OpenError::Io(_) => "see that its files can be read and written",
                OpenError::Damaged(_) => "autodev restore",
            };
            checks.push(bad("database", error.to_string(), hint));
            None
        }
    };
    if let Some(glance) = glance.as_ref().filter(|_| deep) {
        checks.extend(database(glance));
        checks.push(recordings(glance));
        checks.push(outputs(paths, glance));
        checks.push(strangers(paths, glance));
    }
    checks.push(backups(paths, &settings, glance.as_ref(), deep));
    checks.push(keepers(paths));
    checks.extend([
        around::daemon(paths),
        around::service(paths, &settings),
        around::agents(&settings),
        around::redis(&settings),
    ]);
    checks.push(leftovers(paths));
    checks
}

/// Whether what runs in a session can be told from the user's own programs.
fn marks() -> CheckView {
    if !process::can_mark() {
        return odd(
            "marks",
            "the limit for message queues is so low that programs of sessions cannot be marked: one whose keeper is \
             killed passes for the user",
            "raise the hard limit of 'ulimit -q' to 819200, the system's default",
        );
    }
    match process::stat(1) {
        Ok(_) => fine("marks", "programs of sessions can be told from the user's own"),
        Err(_) => odd(
            "marks",
            "/proc hides other users' processes (hidepid): who is above a program cannot always be seen",
            "where 'autodev' is refused outside of a session, mount /proc without hidepid, or add the group it allows",
        ),
    }
}

fn fine(name: &str, found: impl Into<String>) -> CheckView {
    CheckView { name: name.into(), level: CheckLevel::Ok, found: found.into(), hint: None }
}

fn odd(name: &str, found: impl Into<String>, hint: &str) -> CheckView {
    CheckView { name: name.into(), level: CheckLevel::Warning, found: found.into(), hint: Some(hint.into()) }
}

fn bad(name: &str, found: impl Into<String>, hint: &str) -> CheckView {
    CheckView { name: name.into(), level: CheckLevel::Error, found: found.into(), hint: Some(hint.into()) }
}

/// All of them, or the first and how many there are.
fn few(problems: &[String]) -> String {
    // Of a place in a file, which place it is.
    let shown: Vec<&str> = problems.iter().take(NAMED).filter_map(|problem| problem.lines().next()).collect();
    let more = problems.len().saturating_sub(NAMED);
    if more > 0 { format!("{}; and {more} more", shown.join("; ")) } else { shown.join("; ") }
}

/// Nobody else gets in.
fn rights(paths: &Paths) -> CheckView {
    let mut wrong = Vec::new();
    let mut open = Vec::new();
    let mut look = |path: &Path| {
        let Ok(found) = fs::symlink_metadata(path) else { return };
        let mode = found.permissions().mode() & 0o7777;
        if found.uid() != geteuid().as_raw() {
            wrong.push(format!("{} belongs to user {}", path.display(), found.uid()));
        } else if mode & 0o077 != 0 {
            wrong.push(format!("{} has mode {mode:o}", path.display()));
            open.push(path.display().to_string());
        }
    };
    for directory in [&paths.state, &paths.live_sessions(), &paths.done_sessions(), &paths.backups(), &paths.runtime] {
        look(directory);
    }
    for name in ["autodev.db-wal", "autodev.db-shm"] {
        look(&paths.state.join(name));
    }
    for file in [paths.database(), paths.witness(), paths.marker(), paths.daemon_lock(), paths.daemon_log()] {
        look(&file);
    }
    match (wrong.is_empty(), open.is_empty()) {
        (true, _) => fine("rights", "only you can read and write its files"),
        (false, false) => bad("rights", few(&wrong), &format!("chmod go= {}", open.join(" "))),
        (false, true) => bad("rights", few(&wrong), "move it away, or give it back to yourself with chown"),
    }
}

fn room(paths: &Paths, settings: &Settings) -> CheckView {
    let existing = paths.state.ancestors().find(|directory| directory.is_dir()).unwrap_or(Path::new("/"));
    let hint = "make room, or shorten [recording] and [backup]";
    match process::free_bytes(existing) {
        Ok(free) if free < settings.disk_reserve() => {
            let found = format!("{} MiB are free: with less than daemon.disk_reserve nothing is started", free >> 20);
            bad("disk", found, hint)
        }
        Ok(free) if free < LITTLE_ROOM => odd("disk", format!("{} MiB are free", free >> 20), hint),
        Ok(free) => fine("disk", format!("{} MiB are free", free >> 20)),
        Err(error) => bad("disk", error.to_string(), "see that the state directory can be reached"),
    }
}

fn clock(paths: &Paths) -> CheckView {
    // Written with each commit, so it is of the past.
    let newest = fs::metadata(paths.witness()).and_then(|file| file.modified()).ok();
    match newest.and_then(|newest| newest.duration_since(std::time::SystemTime::now()).ok()) {
        Some(ahead) => odd(
            "clock",
            format!("it has been {} ahead of what it is now", short(ahead)),
            "tasks run by their order all the same; see that the clock is set by the network",
        ),
        None => fine("clock", "it has not gone back"),
    }
}

fn in_order(settings: &Settings) -> CheckView {
    let problems: Vec<String> = settings.problem().into_iter().chain(settings.registry().problems()).collect();
    match problems.is_empty() {
        true => fine("settings", "they are in order"),
        false => bad("settings", few(&problems), "autodev config check"),
    }
}

fn database(glance: &Glance) -> Vec<CheckView> {
    let unreadable = |name: &str, error: StoreError| bad(name, error.to_string(), "autodev restore");
    let list = |name: &str, found: Result<Vec<String>, StoreError>, good: &str| match found {
        Ok(problems) if problems.is_empty() => fine(name, good),
        Ok(problems) => bad(name, few(&problems), "autodev restore"),
        Err(error) => unreadable(name, error),
    };
    vec![
        list("structure", glance.structure(), "SQLite finds nothing wrong with the database"),
        match glance.history() {
            Ok(Ok(entries)) => fine("history", format!("all {entries} entries are as they were written")),
            Ok(Err(problem)) => bad("history", problem, "autodev restore"),
            Err(error) => unreadable("history", error),
        },
        list("rows", glance.rows(), "every task stands where its history says"),
        list("counters", glance.counters(), "they count what is there"),
        list("texts", glance.texts(), "prompts and commands are those that were submitted"),
    ]
}

/// Every recording is where the database says, and what the program wrote.
fn recordings(glance: &Glance) -> CheckView {
    let places = match glance.recordings() {
        Ok(places) => places,
        Err(error) => return bad("recordings", error.to_string(), "autodev restore"),
    };
    let (mut wrong, mut whole, mut partial) = (Vec::new(), 0u64, 0u64);
    for place in places {
        let Some(path) = &place.path else { continue };
        let source = Source::new(PathBuf::from(path), place.offset);
        let name = &place.session;
        let kept = Reader::open(&source).and_then(|mut reader| reader.kept(place.bytes, place.sha256.as_deref()));
        match kept {
            Ok(Kept::Whole) => whole += 1,
            Ok(Kept::Part) => partial += 1,
            Ok(Kept::Changed) => wrong.push(format!("{name}: it is not what was recorded")),
            Err(error) => wrong.push(format!("{name}: {path}: {error}")),
        }
    }
    match wrong.is_empty() {
        true if partial == 0 => fine("recordings", format!("all {whole} are whole")),
        true => fine("recordings", format!("{whole} are whole, of {partial} a part is kept")),
        false => bad("recordings", few(&wrong), "what is damaged cannot be brought back; everything else can be read"),
    }
}

/// Every file kept with a task is as it was kept.
fn outputs(paths: &Paths, glance: &Glance) -> CheckView {
    let outputs = match glance.outputs(&paths.state) {
        Ok(outputs) => outputs,
        Err(error) => return bad("outputs", error.to_string(), "autodev restore"),
    };
    let count = outputs.len();
    let mut wrong = Vec::new();
    for output in outputs {
        match hash(Path::new(&output.path)) {
            Ok(sha256) if sha256 == output.sha256 => {}
            Ok(_) => wrong.push(format!("'{}' of task {} is not what was kept", output.name, output.task)),
            Err(error) => wrong.push(format!("'{}' of task {}: {}: {error}", output.name, output.task, output.path)),
        }
    }
    match wrong.is_empty() {
        true => fine("outputs", format!("all {count} are as they were kept")),
        false => bad("outputs", few(&wrong), "what is damaged cannot be brought back; everything else can be read"),
    }
}

fn hash(path: &Path) -> io::Result<String> {
    let mut sum = Sha256::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => sum.update(&buffer[..length]),
        }
    }
    Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Directories of sessions that the database does not know.
fn strangers(paths: &Paths, glance: &Glance) -> CheckView {
    let mut found: Vec<(Uid, PathBuf)> = Vec::new();
    let mut look = |directory: PathBuf| {
        let spec = fs::read(SessionDir(directory.clone()).launch()).ok();
        let spec = spec.and_then(|text| serde_json::from_slice::<LaunchSpec>(&text).ok());
        found.extend(spec.map(|spec| (spec.uid, directory)));
    };
    let list = |directory: &Path| -> Vec<PathBuf> {
        let listed = fs::read_dir(directory).into_iter().flatten().flatten();
        listed.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
    };
    list(&paths.live_sessions()).into_iter().for_each(&mut look);
    list(&paths.done_sessions()).iter().flat_map(|day| list(day)).for_each(&mut look);
    let uids: Vec<Uid> = found.iter().map(|(uid, _)| *uid).collect();
    match glance.unknown(&uids) {
        Ok(unknown) if unknown.is_empty() => fine("sessions", "every session's directory has its row"),
        Ok(unknown) => {
            let paths =
                found.iter().filter(|(uid, _)| unknown.contains(uid)).map(|(_, path)| path.display().to_string());
            odd(
                "sessions",
                format!("the database does not know {}", few(&paths.collect::<Vec<_>>())),
                "a restore has left them; 'autodev logs' cannot find them by name, their files can be read",
            )
        }
        Err(error) => bad("sessions", error.to_string(), "autodev restore"),
    }
}

fn backups(paths: &Paths, settings: &Settings, glance: Option<&Glance>, deep: bool) -> CheckView {
    let all = match store::backups(paths) {
        Ok(all) => all,
        Err(error) => return bad("backups", error.to_string(), "see that the directory can be read"),
    };
    let Some(newest) = all.first() else {
        let made = fs::metadata(paths.marker()).and_then(|file| file.modified()).ok();
        if made.is_none_or(|made| made.elapsed().is_ok_and(|age| age < NEW)) {
            return fine("backups", "there are none yet: nothing has been here for an hour");
        }
        return odd("backups", "there are none", "autodev backup");
    };
    if deep
        && let Some((path, problem)) =
            all.iter().find_map(|one| Some((&one.path, store::check_backup(&one.path).err()?)))
    {
        return bad("backups", format!("{}: {problem}", path.display()), "remove it, and make another: autodev backup");
    }
    let now = Timestamp::now();
    let age = short(now.since(newest.at));
    let next = glance.and_then(|glance| glance.next_entry_at(newest.seq).ok().flatten());
    if is_overdue(settings.backup_interval(), served_for(paths), next.map(|next| now.since(next))) {
        let found = format!("{}, the newest of {age} ago, and nothing that has happened since is in one", all.len());
        return odd("backups", found, "autodev backup; 'autodev daemon logs' may say why none was made");
    }
    let whole = if deep { ", all of them whole" } else { "" };
    fine("backups", format!("{}, the newest of {age} ago{whole}", all.len()))
}

/// Whether a daemon that has served for so long should have made a backup of what happened so
/// long ago.
fn is_overdue(interval: Option<Duration>, served: Option<Duration>, happened: Option<Duration>) -> bool {
    let (Some(interval), Some(served), Some(happened)) = (interval, served, happened) else { return false };
    served.min(happened) > interval * 2 + NEW
}

/// How long the daemon that runs has served; `None` when none does.
fn served_for(paths: &Paths) -> Option<Duration> {
    let lock = paths.daemon_lock();
    FileLock::is_held(&lock).ok().filter(|is_held| *is_held)?;
    fs::metadata(lock).ok()?.modified().ok()?.elapsed().ok()
}

/// Who keeps sessions, by version: one that is older than this program talks with it all
/// the same.
fn keepers(paths: &Paths) -> CheckView {
    let found = match gather(paths) {
        Ok(found) => found,
        Err(error) => return bad("keepers", error.to_string(), "see that the directory can be read"),
    };
    let mut versions: BTreeMap<u16, usize> = BTreeMap::new();
    let (mut replaced, mut gone, mut stuck) = (0, Vec::new(), Vec::new());
    for (name, session) in &found {
        let held = matches!(session.facts, plan::Dir::Present { held: true, .. });
        match &session.keeper {
            Some(keeper) if held => {
                *versions.entry(keeper.protocol).or_default() += 1;
                let greeted = socket::connect(&keeper.socket, HELLO_LIMIT);
                if let Err(error) = greeted.and_then(|stream| KeeperLink::open(stream, HELLO_LIMIT)) {
                    stuck.push(format!("{name}: {error}"));
                }
                let program = fs::read_link(format!("/proc/{}/exe", keeper.process.pid));
                replaced += usize::from(program.is_ok_and(|program| program.to_string_lossy().ends_with(" (deleted)")));
            }
            _ if held => *versions.entry(0).or_default() += 1,
            _ => gone.push(name.clone()),
        }
    }
    let each = versions.iter().map(|(version, count)| match *version {
        0 => format!("{count} about to begin"),
        version if version == keeper::VERSION => format!("{count} of this version"),
        version => format!("{count} of version {version}"),
    });
    let mut text = each.collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        text = "no session is live".into();
    }
    if replaced > 0 {
        text.push_str(&format!("; {replaced} run a program that has been replaced since, which is as it should be"));
    }
    if !stuck.is_empty() {
        let hint = "'autodev attach' and 'screen' show whether it goes on; 'autodev kill SESSION' ends it";
        return odd("keepers", format!("{text}; they do not answer: {}", few(&stuck)), hint);
    }
    let serves = FileLock::is_held(&paths.daemon_lock()).unwrap_or(false);
    match gone.is_empty() || serves {
        true => fine("keepers", text),
        false => {
            odd("keepers", format!("{text}; {} are gone and not settled", gone.len()), "autodev recover --dry-run")
        }
    }
}

/// What something that was interrupted has left.
fn leftovers(paths: &Paths) -> CheckView {
    let mut found = Vec::new();
    // What is so new may be in the making.
    let settled = |entry: &fs::DirEntry| {
        let changed = entry.metadata().and_then(|file| file.modified()).ok();
        changed.and_then(|changed| changed.elapsed().ok()).is_some_and(|age| age > MAKING)
    };
    for directory in [&paths.state, &paths.backups(), &paths.quarantine()] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ends = [".unfinished", ".unfinished-journal", ".unfinished-wal", ".tmp", ".restored", ".copy"];
            if ends.iter().any(|end| name.ends_with(end)) && settled(&entry) {
                found.push(entry.path().display().to_string());
            }
        }
    }
    match found.is_empty() {
        true => fine("leftovers", "there are none"),
        false => odd("leftovers", few(&found), "they were left by something that was interrupted, and may be removed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_overdue_when_a_daemon_could_have_made_it() {
        let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
        for (interval, served, happened, overdue) in [
            (Some(hour), Some(day), Some(day), true),
            (Some(hour), Some(hour * 3), Some(day), false),
            (Some(hour), Some(day), Some(hour), false),
            (Some(hour), Some(day), None, false),
            (Some(hour), None, Some(day), false),
            (None, Some(day), Some(day), false),
        ] {
            assert_eq!(is_overdue(interval, served, happened), overdue, "{interval:?} {served:?} {happened:?}");
        }
    }
}
