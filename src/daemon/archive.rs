//! Moves what ended sessions left out of `sessions/live/`: small recordings into the day's
//! pack, others with their directory and compressed. Several at a time, so that many short
//! tasks share one flush of the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::crash;
use crate::id::Uid;
use crate::lock::FileLock;
use crate::paths::{Paths, SessionDir};
use crate::process;
use crate::recording;
use crate::recovery::gather;
use crate::socket::private_directory;
use crate::store::Store;

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

/// First the place is durable, then it is stored, then the directory leaves
/// `sessions/live/`. Whatever comes in between, the next start finds the directory there
/// and does it once more.
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
    let to = done.to_owned();
    let places = match tokio::task::spawn_blocking(move || find_places(&to, sessions)).await {
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
}

enum To {
    /// The directory moves there as it is.
    Directory(PathBuf),
    /// It lies in this pack already.
    Pack(PathBuf, u64),
    /// There is nothing to keep.
    Nowhere,
}

/// Session, path, offset in a pack.
type Moved = (Uid, String, Option<u64>);

impl Place {
    fn moved(&self) -> Option<Moved> {
        match &self.to {
            To::Directory(path) => Some((self.ended.uid, path.to_string_lossy().into_owned(), None)),
            To::Pack(path, offset) => Some((self.ended.uid, path.to_string_lossy().into_owned(), Some(*offset))),
            To::Nowhere => None,
        }
    }
}

/// One that cannot be archived stays where it is, and does not concern the others.
fn find_places(done: &Path, mut sessions: Vec<Ended>) -> Vec<Place> {
    let now = Timestamp::now();
    // An attempt may end before it has a directory.
    sessions.retain(|session| session.dir.path().exists() && is_its_own(session));
    let (small, large): (Vec<_>, Vec<_>) =
        sessions.into_iter().partition(|session| session.bytes <= recording::pack::LIMIT);
    let mut places = pack(&recording::pack::path(done, now), small);
    let day: String = now.to_string().chars().take(10).collect();
    let to = done.join(day);
    for place in &mut places {
        // Its timing may be too large for a pack although its output is not.
        if matches!(place.to, To::Nowhere) && place.ended.bytes > 0 {
            place.to = directory(&to, &place.ended);
        }
    }
    places.extend(large.into_iter().map(|ended| Place { to: directory(&to, &ended), ended }));
    if places.iter().any(|place| matches!(place.to, To::Directory(_)))
        && let Err(error) = private_directory(&to)
    {
        tracing::error!(directory = %to.display(), %error, "ended sessions cannot be archived; it is tried again");
        places.retain(|place| !matches!(place.to, To::Directory(_)));
    }
    compress(places.iter().filter(|place| matches!(place.to, To::Directory(_))).map(|place| &place.ended));
    places
}

/// In a thread of its own that goes behind all others: what still runs needs the processor
/// more.
fn compress<'a>(sessions: impl Iterator<Item = &'a Ended> + Send) {
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
fn pack(pack: &Path, sessions: Vec<Ended>) -> Vec<Place> {
    let entry = |session: &Ended| (session.uid, session.dir.path().to_owned());
    let place = |(ended, offset): (Ended, Option<u64>)| Place {
        ended,
        to: offset.map_or(To::Nowhere, |offset| To::Pack(pack.to_owned(), offset)),
    };
    let entries: Vec<_> = sessions.iter().map(entry).collect();
    if let Ok(offsets) = recording::pack::append(pack, &entries) {
        return sessions.into_iter().zip(offsets).map(place).collect();
    }
    let mut places = Vec::new();
    for session in sessions {
        match recording::pack::append(pack, &[entry(&session)]) {
            Ok(offsets) => places.push(place((session, offsets.into_iter().next().flatten()))),
            Err(error) => {
                tracing::error!(session = %session.uid, %error, "it cannot be archived; it is tried again");
            }
        }
    }
    places
}

fn directory(day: &Path, session: &Ended) -> To {
    let Some(name) = session.dir.path().file_name() else { return To::Nowhere };
    // A directory's name is used once in an instance, but not across a restore.
    let target = day.join(name);
    let taken = target.exists();
    To::Directory(if taken { day.join(format!("{}-{}", name.to_string_lossy(), session.uid)) } else { target })
}

/// Takes the directories out of `sessions/live/`; where that fails, says that the
/// recording lies there still.
fn leave_live(done: &Path, places: Vec<Place>) -> Vec<Moved> {
    let mut stranded = Vec::new();
    for Place { ended, to } in places {
        let dir = ended.dir.path();
        let done = match &to {
            To::Directory(target) => fs::rename(dir, target),
            To::Pack(..) | To::Nowhere => {
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
                    stranded.push((ended.uid, dir.to_string_lossy().into_owned(), None));
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
        Ended { uid: Uid::new(), dir, bytes, barred: None, tries: 0 }
    }

    fn paths(places: &[Place]) -> Vec<Moved> {
        places.iter().filter_map(Place::moved).collect()
    }

    #[test]
    fn doing_it_once_more_is_no_harm() {
        let home = tempfile::tempdir().unwrap();
        let (live, done) = (home.path().join("live"), home.path().join("done"));
        private_directory(&done).unwrap();
        let session = ended(&live, "1.1", u64::MAX);
        let again = || Ended { uid: session.uid, dir: session.dir.clone(), bytes: u64::MAX, barred: None, tries: 0 };
        // Killed after the place was stored.
        let first = paths(&find_places(&done, vec![again()]));
        let places = find_places(&done, vec![again()]);
        assert_eq!(paths(&places), first);
        assert!(leave_live(&done, places).is_empty());
        assert_eq!(fs::read_to_string(Path::new(&first[0].1).join("launch.json")).unwrap(), "1.1");
        assert!(!session.dir.path().exists());
        // A name that is there already is somebody else's.
        let other = ended(&live, "1.1", u64::MAX);
        let moved = paths(&find_places(&done, vec![other]));
        assert_ne!(moved[0].1, first[0].1);
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
        let places = find_places(&done, vec![broken, one, two, empty]);
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
        let places = find_places(&done, vec![session]);
        let moved = paths(&places);
        assert!(leave_live(&done, places).is_empty());
        let names = fs::read_dir(&moved[0].1).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        assert_eq!(names, ["launch.json", "rec-000001.raw.zst"]);
    }

    #[test]
    fn what_cannot_be_moved_is_said_to_be_where_it_is() {
        let home = tempfile::tempdir().unwrap();
        let session = ended(home.path(), "1.1", u64::MAX);
        let (uid, dir) = (session.uid, session.dir.path().to_owned());
        let stranded =
            leave_live(home.path(), vec![Place { to: To::Directory(dir.join("within itself")), ended: session }]);
        assert_eq!(stranded, [(uid, dir.to_string_lossy().into_owned(), None)]);
    }
}
