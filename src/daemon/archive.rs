//! Moves what ended sessions left out of `sessions/live/`: small recordings into the day's
//! pack, others with their directory and compressed. Several at a time, so that many short
//! tasks share one flush of the disk.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::crash;
use crate::durable;
use crate::id::Uid;
use crate::lock::FileLock;
use crate::paths::{Paths, SessionDir};
use crate::process;
use crate::recording::{self, Kept, Reader, Source};
use crate::recovery::gather;
use crate::socket::private_directory;
use crate::store::{RecordingMove, RecordingPlace, Store};

/// Sessions in one batch.
const MOST_AT_ONCE: usize = 64;

/// Before what could not be archived is tried again…
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// …which doubles so often.
const MOST_DOUBLINGS: u32 = 6;

/// A session whose end is stored and whose keeper is gone.
#[derive(Debug)]
struct Ended {
    uid: Uid,
    dir: SessionDir,
    bytes: u64,
    /// Keeps a keeper that comes late out of the directory until it is gone.
    barred: Option<FileLock>,
    /// How often it could not be archived.
    tries: u32,
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
        tokio::spawn(work(paths.done_sessions(), store.clone(), receiver, sender.downgrade()));
        Archiver(sender)
    }

    /// Takes a session over. `bytes` is the length of its recording; `u64::MAX` when it
    /// is not known.
    pub fn add(&self, uid: Uid, dir: SessionDir, bytes: u64, barred: Option<FileLock>) {
        if self.0.send(Ended { uid, dir, bytes, barred, tries: 0 }).is_err() {
            tracing::debug!(%uid, "left for the next start");
        }
    }
}

/// First the recording is durable, then its place is stored, then the directory leaves
/// `sessions/live/`. Whatever comes in between, the next start finds the directory there
/// and does it once more. After a power cut it may find it there again, and less in it than
/// is kept by then: what is kept stays what it is.
async fn work(
    done: PathBuf,
    store: Store,
    mut ended: mpsc::UnboundedReceiver<Ended>,
    again: mpsc::WeakUnboundedSender<Ended>,
) {
    let leftovers = done.clone();
    drop(tokio::task::spawn_blocking(move || remove_gone(&leftovers)).await);
    let mut batch = Vec::new();
    while ended.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
        crash::point("to-archive");
        let sessions = std::mem::take(&mut batch);
        let all: Vec<_> = sessions.iter().map(|one| (one.uid, one.dir.clone(), one.bytes, one.tries)).collect();
        archive(&done, &store, sessions).await;
        let left = tokio::task::spawn_blocking(move || {
            let is_left = |(uid, dir, ..): &(Uid, SessionDir, u64, u32)| {
                dir.path().exists() && gather::belongs(dir, *uid).unwrap_or(true)
            };
            all.into_iter().filter(is_left).collect::<Vec<_>>()
        });
        for (uid, dir, bytes, tries) in left.await.unwrap_or_default() {
            let pause = FIRST_PAUSE * 2u32.pow(tries.min(MOST_DOUBLINGS));
            let again = again.clone();
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                // The daemon may be leaving: the next start finds it.
                if let Some(again) = again.upgrade() {
                    drop(again.send(Ended { uid, dir, bytes, barred: None, tries: tries + 1 }));
                }
            });
        }
    }
}

async fn archive(done: &Path, store: &Store, sessions: Vec<Ended>) {
    let known = match store.recording_places(sessions.iter().map(|session| session.uid).collect()).await {
        Ok(known) => known.into_iter().map(|place| (place.uid, place)).collect(),
        Err(error) => {
            tracing::error!(%error, "ended sessions cannot be archived yet");
            return;
        }
    };
    let to = done.to_owned();
    let places = match tokio::task::spawn_blocking(move || find_places(&to, sessions, &known)).await {
        Ok(places) => places,
        Err(error) => {
            tracing::error!(%error, "ended sessions cannot be archived yet");
            return;
        }
    };
    if let Err(error) = store.recordings_moved(places.iter().filter_map(Place::moved).collect()).await {
        tracing::error!(%error, "where recordings lie now cannot be stored yet");
        return;
    }
    crash::point("archive-stored");
    let to = done.to_owned();
    let stranded = match tokio::task::spawn_blocking(move || leave_live(&to, places)).await {
        Ok(stranded) => stranded,
        Err(error) => {
            tracing::error!(%error, "archived sessions cannot be taken out of sessions/live");
            return;
        }
    };
    if !stranded.is_empty()
        && let Err(error) = store.recordings_moved(stranded).await
    {
        tracing::error!(%error, "where recordings lie cannot be stored yet");
    }
}

/// How directories are named that are being removed.
const GONE: &str = ".gone-";

/// Where a session's recording goes.
struct Place {
    ended: Ended,
    to: To,
    /// It is not what its keeper has written.
    changed: bool,
}

enum To {
    /// It is kept already.
    Kept,
    /// The directory moves there as it is.
    Directory(PathBuf),
    /// It lies in this pack already.
    Pack(PathBuf, u64),
    /// There is nothing to keep.
    Nowhere,
}

impl Place {
    fn moved(&self) -> Option<RecordingMove> {
        let (path, offset) = match &self.to {
            To::Kept => return None,
            To::Directory(path) => (Some(path), None),
            To::Pack(path, offset) => (Some(path), Some(*offset)),
            To::Nowhere => (None, None),
        };
        let path = path.map(|path| path.to_string_lossy().into_owned());
        Some(RecordingMove { session: self.ended.uid, path, offset, changed: self.changed })
    }
}

/// One that cannot be archived stays where it is, and does not concern the others.
fn find_places(done: &Path, mut sessions: Vec<Ended>, known: &HashMap<Uid, RecordingPlace>) -> Vec<Place> {
    let now = Timestamp::now();
    let pack = recording::pack::path(done, now);
    let day = done.join(now.to_string().chars().take(10).collect::<String>());
    // An attempt may end before it has a directory.
    sessions.retain(|session| session.dir.path().exists() && is_its_own(session));
    let (kept, sessions): (Vec<_>, Vec<_>) =
        sessions.into_iter().partition(|session| known.get(&session.uid).is_some_and(|row| is_kept(session, row)));
    let (small, large): (Vec<_>, Vec<_>) =
        sessions.into_iter().partition(|session| session.bytes <= recording::pack::LIMIT);

    let mut places = Vec::new();
    let mut add = |ended: Ended, to: To| {
        let changed = known.get(&ended.uid).is_some_and(|row| has_changed(&ended, row));
        places.push(Place { ended, to, changed });
    };
    let mut whole = Vec::new();
    for (ended, offset) in append(&pack, small) {
        match offset {
            Some(offset) => add(ended, To::Pack(pack.clone(), offset)),
            // Its timing may be too large for a pack although its output is not.
            None if ended.bytes > 0 => whole.push(ended),
            None => add(ended, To::Nowhere),
        }
    }
    whole.extend(large);
    for ended in make_durable(&day, whole) {
        let to = directory(&day, &ended);
        add(ended, to);
    }
    kept.into_iter().for_each(|ended| add(ended, To::Kept));
    places
}

/// Those whose directory may move as it is to that of the day, compressed.
fn make_durable(day: &Path, mut sessions: Vec<Ended>) -> Vec<Ended> {
    if sessions.is_empty() {
        return sessions;
    }
    if let Err(error) = private_directory(day) {
        tracing::error!(directory = %day.display(), %error, "ended sessions cannot be archived; it is tried again");
        return Vec::new();
    }
    compress(&sessions);
    sessions.retain(|session| {
        durable::sync_directory(session.dir.path())
            .inspect_err(|error| {
                tracing::error!(session = %session.uid, %error, "it cannot be archived; it is tried again");
            })
            .is_ok()
    });
    sessions
}

/// Whether its recording can be read where the database says that it has been moved to.
fn is_kept(session: &Ended, row: &RecordingPlace) -> bool {
    let Some(path) = row.path.as_ref().map(PathBuf::from) else { return false };
    path != session.dir.path() && Reader::open(&Source::new(path, row.offset)).is_ok()
}

/// Whether it is something else than what its keeper has written, by its hash. What cannot
/// be read now is left to the doctor.
fn has_changed(session: &Ended, row: &RecordingPlace) -> bool {
    let kept = Reader::open(&Source::Directory(session.dir.path().to_owned()))
        .and_then(|mut reader| reader.kept(row.bytes, row.sha256.as_deref()));
    matches!(kept, Ok(Kept::Changed))
}

/// In a thread of its own that goes behind all others: what still runs needs the processor
/// more.
fn compress(sessions: &[Ended]) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            process::go_behind_others();
            for session in sessions {
                if let Err(error) = recording::compress(session.dir.path()) {
                    tracing::warn!(session = %session.uid, %error, "its recording is not compressed");
                }
            }
        });
    });
}

/// A session that could not be launched because its name is taken leaves the directory of
/// whoever has it alone.
fn is_its_own(session: &Ended) -> bool {
    gather::belongs(&session.dir, session.uid).unwrap_or_else(|error| {
        tracing::error!(session = %session.uid, %error, "it cannot be archived; it is tried again");
        false
    })
}

/// All in one append; where that fails, each alone, so that one does not keep the others.
fn append(pack: &Path, sessions: Vec<Ended>) -> Vec<(Ended, Option<u64>)> {
    let entry = |session: &Ended| (session.uid, session.dir.path().to_owned());
    let entries: Vec<_> = sessions.iter().map(entry).collect();
    if let Ok(offsets) = recording::pack::append(pack, &entries) {
        return sessions.into_iter().zip(offsets).collect();
    }
    let mut appended = Vec::new();
    for session in sessions {
        match recording::pack::append(pack, &[entry(&session)]) {
            Ok(offsets) => appended.push((session, offsets.into_iter().next().flatten())),
            Err(error) => {
                tracing::error!(session = %session.uid, %error, "it cannot be archived; it is tried again");
            }
        }
    }
    appended
}

fn directory(day: &Path, session: &Ended) -> To {
    // The next start would remove it.
    if gather::is_unborn(&session.dir) {
        return To::Nowhere;
    }
    let Some(name) = session.dir.path().file_name() else { return To::Nowhere };
    // A directory's name is used once in an instance, but not across a restore.
    let target = day.join(name);
    let taken = target.exists();
    To::Directory(if taken { day.join(format!("{}-{}", name.to_string_lossy(), session.uid)) } else { target })
}

/// Takes the directories out of `sessions/live/`; where that fails, says that the
/// recording lies there still.
fn leave_live(done: &Path, places: Vec<Place>) -> Vec<RecordingMove> {
    let mut stranded = Vec::new();
    for Place { ended, to, changed } in places {
        let dir = ended.dir.path();
        let done = match &to {
            To::Directory(target) => fs::rename(dir, target),
            To::Pack(..) | To::Kept | To::Nowhere => {
                // At once out of sight: whoever reads it meanwhile finds all of it or nothing,
                // and then asks where it is now.
                let gone = done.join(format!("{GONE}{}", ended.uid));
                fs::rename(dir, &gone).and_then(|()| fs::remove_dir_all(&gone))
            }
        };
        match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(session = %ended.uid, %error, "its directory stays; it is tried again");
                if matches!(to, To::Directory(_)) {
                    let path = Some(dir.to_string_lossy().into_owned());
                    stranded.push(RecordingMove { session: ended.uid, path, offset: None, changed });
                }
            }
            // Not there: it ended before it had a directory, or was archived before.
            _ => drop(ended.barred),
        }
    }
    stranded
}

/// Removes what a daemon that was killed in between has left.
fn remove_gone(done: &Path) {
    let gone = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(GONE);
    for entry in fs::read_dir(done).into_iter().flatten().flatten().filter(gone) {
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(live: &Path, name: &str, bytes: u64) -> Ended {
        let dir = SessionDir(live.join(name));
        fs::create_dir_all(dir.path()).unwrap();
        fs::write(dir.launch(), name).unwrap();
        fs::write(dir.started(), "").unwrap();
        Ended { uid: Uid::new(), dir, bytes, barred: None, tries: 0 }
    }

    fn paths(places: &[Place]) -> Vec<(Uid, Option<String>, Option<u64>)> {
        places.iter().filter_map(Place::moved).map(|moved| (moved.session, moved.path, moved.offset)).collect()
    }

    #[test]
    fn doing_it_once_more_is_no_harm() {
        let home = tempfile::tempdir().unwrap();
        let (live, done) = (home.path().join("live"), home.path().join("done"));
        private_directory(&done).unwrap();
        let session = ended(&live, "1.1", u64::MAX);
        let again = || Ended { uid: session.uid, dir: session.dir.clone(), bytes: u64::MAX, barred: None, tries: 0 };
        // Killed after the place was stored.
        let first = paths(&find_places(&done, vec![again()], &HashMap::new()));
        let places = find_places(&done, vec![again()], &HashMap::new());
        assert_eq!(paths(&places), first);
        assert!(leave_live(&done, places).is_empty());
        assert_eq!(fs::read_to_string(Path::new(first[0].1.as_ref().unwrap()).join("launch.json")).unwrap(), "1.1");
        assert!(!session.dir.path().exists());
        // Its daemon died while making it: the next start removes it, so it must not be said to
        // be kept.
        for name in ["2.1", "3.1"] {
            let unborn = ended(&live, name, u64::MAX);
            fs::remove_file(unborn.dir.started()).unwrap();
            if name == "2.1" {
                fs::remove_file(unborn.dir.launch()).unwrap();
            } else {
                fs::write(unborn.dir.launch(), "{ torn").unwrap();
            }
            let uid = unborn.uid;
            assert_eq!(paths(&find_places(&done, vec![unborn], &HashMap::new())), [(uid, None, None)]);
        }
        // A name that is there already is somebody else's.
        let other = ended(&live, "1.1", u64::MAX);
        let moved = paths(&find_places(&done, vec![other], &HashMap::new()));
        assert_ne!(moved[0].1, first[0].1);
    }

    /// After a power cut a directory may be there again, with less in it.
    #[test]
    fn what_is_kept_is_not_replaced_by_less() {
        let home = tempfile::tempdir().unwrap();
        let (live, done) = (home.path().join("live"), home.path().join("done"));
        private_directory(&done).unwrap();
        let mut session = ended(&live, "1.1", 5);
        let uid = session.uid;
        fs::write(recording::segment(session.dir.path(), 1), "hello").unwrap();
        let sha256 = Reader::open(&Source::Directory(session.dir.path().to_owned())).unwrap().sha256().unwrap();
        let row = |path: Option<String>, offset| {
            let session = "1.1".parse().unwrap();
            HashMap::from([(
                uid,
                RecordingPlace { uid, session, path, offset, bytes: 5, sha256: Some(sha256.clone()) },
            )])
        };
        let places = find_places(&done, vec![session], &row(None, None));
        let (_, path, offset) = paths(&places).remove(0);
        assert!(!places[0].changed && leave_live(&done, places).is_empty());

        session = Ended { uid, ..ended(&live, "1.1", 5) };
        fs::write(recording::segment(session.dir.path(), 1), "he\0\0o").unwrap();
        let places = find_places(&done, vec![session], &row(path.clone(), offset));
        assert!(paths(&places).is_empty() && leave_live(&done, places).is_empty());
        assert!(!live.join("1.1").exists());

        // Nothing is kept yet: what is there is, and is not what was written.
        session = Ended { uid, ..ended(&live, "1.1", 5) };
        fs::write(recording::segment(session.dir.path(), 1), "he\0\0o").unwrap();
        let places = find_places(&done, vec![session], &row(path.map(|path| path + "-gone"), offset));
        assert!(places[0].changed && paths(&places)[0].1.is_some());
    }

    #[test]
    fn one_that_cannot_be_archived_does_not_concern_the_others() {
        let home = tempfile::tempdir().unwrap();
        let (live, done) = (home.path().join("live"), home.path().join("done"));
        private_directory(&done).unwrap();
        let (one, two, empty) = (ended(&live, "1.1", 5), ended(&live, "2.1", u64::MAX), ended(&live, "3.1", 0));
        // No recording can be read out of a file.
        let broken = Ended { dir: SessionDir(two.dir.launch()), ..ended(&live, "4.1", 3) };
        fs::write(recording::segment(one.dir.path(), 1), "hello").unwrap();
        let places = find_places(&done, vec![broken, one, two, empty], &HashMap::new());
        let gone: Vec<PathBuf> = places.iter().map(|place| place.ended.dir.path().to_owned()).collect();
        assert!(gone.ends_with(&[live.join("2.1")]) && gone.contains(&live.join("1.1")), "{gone:?}");
        assert!(leave_live(&done, places).is_empty());
        assert!(!live.join("1.1").exists() && !live.join("3.1").exists());
    }

    #[test]
    fn what_moves_with_its_directory_is_compressed() {
        let home = tempfile::tempdir().unwrap();
        let (live, done) = (home.path().join("live"), home.path().join("done"));
        private_directory(&done).unwrap();
        let session = ended(&live, "1.1", 100_000);
        fs::write(recording::segment(session.dir.path(), 1), "a line of it\n".repeat(8_000)).unwrap();
        let places = find_places(&done, vec![session], &HashMap::new());
        let moved = paths(&places);
        assert!(leave_live(&done, places).is_empty());
        let names = fs::read_dir(moved[0].1.as_ref().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        assert_eq!(names, ["launch.json", "rec-000001.raw.zst", "started"]);
    }

    #[test]
    fn what_cannot_be_moved_is_said_to_be_where_it_is() {
        let home = tempfile::tempdir().unwrap();
        let session = ended(home.path(), "1.1", u64::MAX);
        let (uid, dir) = (session.uid, session.dir.path().to_owned());
        let stranded = leave_live(
            home.path(),
            vec![Place { to: To::Directory(dir.join("within itself")), ended: session, changed: false }],
        );
        assert_eq!((stranded[0].session, stranded[0].path.as_deref()), (uid, dir.to_str()));
    }
}
