//! Finds sessions and their keepers without the daemon: from the directories of live
//! sessions and the locks in them.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::keeper_link::Link;
use crate::id::{SessionName, TaskId};
use crate::lock::FileLock;
use crate::paths::{KeeperFile, Paths, SessionDir};
use crate::process::PidFd;
use crate::protocol::keeper::KeeperHello;
use crate::protocol::launch::LaunchSpec;
use crate::protocol::{Fault, FaultCode};

/// How long a keeper may take to bind its socket, the first time or anew, and to say
/// hello. It is a matter of milliseconds; the rest is for a machine under load.
const KEEPER_LIMIT: Duration = Duration::from_secs(5);
/// First and longest pause between two looks for a keeper's new socket.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// The sessions whose keeper lives, in the order of tasks and attempts, others by name.
///
/// # Errors
/// When their directory cannot be read; that there is none means no sessions.
pub fn live(paths: &Paths) -> Result<Vec<SessionName>, Fault> {
    let mut names = unsettled(paths)?;
    names.retain(|name| is_live(paths, name));
    Ok(names)
}

/// The sessions that have a directory among the live ones: also those whose program has
/// ended and whose end the daemon has not settled yet.
///
/// # Errors
/// As [`live`].
pub fn unsettled(paths: &Paths) -> Result<Vec<SessionName>, Fault> {
    let directory = paths.live_sessions();
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Fault::internal(format!("cannot read {}: {error}", directory.display()))),
    };
    let mut names: Vec<SessionName> = Vec::new();
    let mut former: Vec<PathBuf> = Vec::new();
    for entry in entries.flatten() {
        // A session that was given another name has a link of that name to its directory.
        former.extend(fs::read_link(entry.path()));
        names.extend(entry.file_name().to_str().and_then(|name| name.parse::<SessionName>().ok()));
    }
    names.retain(|name| !former.iter().any(|target| target.as_os_str() == name.as_str()));
    names.sort_by_cached_key(|name| (name.attempt(), name.clone()));
    Ok(names)
}

/// Whether two names mean one session. One of them may be the name it was launched with,
/// as its own programs know it, as long as no other session has it.
pub fn is_same(paths: &Paths, one: &SessionName, other: &SessionName) -> bool {
    let directory = |name| fs::canonicalize(paths.live_session(name).path());
    let former = |name| {
        let spec = serde_json::from_slice::<LaunchSpec>(&fs::read(paths.live_session(name).launch()).ok()?);
        spec.ok().map(|spec| spec.session)
    };
    one == other
        || match (directory(one), directory(other)) {
            (Ok(one), Ok(other)) => one == other,
            (Ok(_), Err(_)) => former(one).as_ref() == Some(other),
            (Err(_), Ok(_)) => former(other).as_ref() == Some(one),
            (Err(_), Err(_)) => false,
        }
}

/// Whether the session's keeper lives.
pub fn is_live(paths: &Paths, name: &SessionName) -> bool {
    FileLock::is_held(&paths.live_session(name).lock()).unwrap_or(false)
}

/// The session among `names` that `target` means: a session's name, or a task's number
/// for its last attempt. `None` when none of them is meant; the daemon may know more.
pub fn by_target(names: Vec<SessionName>, target: &str) -> Option<SessionName> {
    let task = target.parse::<TaskId>().ok();
    let of_task = |name: &SessionName| name.attempt().filter(|attempt| Some(attempt.task) == task);
    let last = names.iter().filter(|name| of_task(name).is_some()).max_by_key(|name| of_task(name)).cloned();
    last.or_else(|| names.into_iter().find(|name| name.as_str() == target))
}

/// The live session whose keeper was started last.
///
/// # Errors
/// As [`live`].
pub fn newest(paths: &Paths) -> Result<Option<SessionName>, Fault> {
    let started = |name: &SessionName| keeper_file(&paths.live_session(name)).map(|file| file.process.start).ok();
    Ok(live(paths)?.into_iter().max_by_key(started))
}

/// The live session that comes `steps` after `name` in the order of [`live`], beginning
/// anew at the end; `None` when there is no other. `except` is passed over: the session we
/// are in cannot be shown within itself.
///
/// # Errors
/// As [`live`].
pub fn neighbour(
    paths: &Paths,
    name: &SessionName,
    steps: isize,
    except: Option<&SessionName>,
) -> Result<Option<SessionName>, Fault> {
    let mut names = live(paths)?;
    names.retain(|n| except.is_none_or(|except| !is_same(paths, n, except)));
    let at = names.iter().position(|n| n == name).unwrap_or(0);
    let count = isize::try_from(names.len()).unwrap_or(isize::MAX);
    if count == 0 {
        return Ok(None);
    }
    let to = (isize::try_from(at).unwrap_or(0) + steps).rem_euclid(count);
    Ok(names.into_iter().nth(to.unsigned_abs()).filter(|n| n != name))
}

/// Connects to a session's keeper. One whose socket was removed (the runtime directory
/// vanishes at logout) is told to bind it anew.
///
/// # Errors
/// `NotFound` when the session has no keeper, `Unreachable` when it does not answer,
/// `Permission` when it refuses us.
pub fn connect(paths: &Paths, name: &SessionName) -> Result<(Link, KeeperHello), Fault> {
    connect_within(paths, name, KEEPER_LIMIT)
}

/// As [`connect`], with no more patience than `limit`.
///
/// # Errors
/// As [`connect`].
pub fn connect_within(paths: &Paths, name: &SessionName, limit: Duration) -> Result<(Link, KeeperHello), Fault> {
    let directory = paths.live_session(name);
    let deadline = Instant::now() + limit;
    let unreachable = |why: &dyn std::fmt::Display| {
        Fault::new(FaultCode::Unreachable, format!("the keeper of session {name} cannot be reached: {why}"))
            .hint(format!("look at {}", directory.log().display()))
    };
    let stream = match reach(&directory, deadline) {
        Ok(Some(stream)) => stream,
        Ok(None) => {
            return Err(Fault::not_found(format!("there is no session {name}, or it has ended"))
                .hint(format!("autodev sessions --all, autodev logs {name}")));
        }
        Err(error) => return Err(unreachable(&error)),
    };
    let left = deadline.saturating_duration_since(Instant::now());
    Link::open(stream, left).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Fault::new(FaultCode::Permission, format!("session {name} refuses this program: {error}"))
        }
        _ => unreachable(&error),
    })
}

/// A connection to the keeper of this directory; `None` when there is no keeper.
fn reach(directory: &SessionDir, deadline: Instant) -> io::Result<Option<UnixStream>> {
    let mut asked = false;
    let mut pause = PAUSES.0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // What keeper.json says counts only while the lock is held.
        if !FileLock::is_held(&directory.lock())? {
            return Ok(None);
        }
        let mut keeper: Option<PidFd> = None;
        let problem = match keeper_file(directory) {
            Ok(file) => match crate::socket::connect(&file.socket, left) {
                Ok(stream) => return Ok(Some(stream)),
                Err(error) if is_gone(&error) => {
                    keeper = file.process.open();
                    if let Some(keeper) = keeper.as_ref().filter(|_| !asked) {
                        keeper.signal(libc::SIGUSR1)?;
                        asked = true;
                    }
                    error
                }
                Err(error) => return Err(error),
            },
            // It has taken its lock and is about to say who it is.
            Err(error) if error.kind() == io::ErrorKind::NotFound => error,
            Err(error) => return Err(error),
        };
        if left.is_zero() {
            return Err(problem);
        }
        // The directory that the socket will lie in may not be there yet, so there is
        // nothing to watch for it; the keeper's own end we hear of at once.
        let mut fds: Vec<PollFd<'_>> = keeper.iter().map(|k| PollFd::new(k.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::try_from(pause.min(left)).unwrap_or(PollTimeout::ZERO)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Nobody listens there.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn keeper_file(directory: &SessionDir) -> io::Result<KeeperFile> {
    serde_json::from_slice(&fs::read(directory.keeper())?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("keeper.json is damaged: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessId;
    use crate::protocol::keeper::{self, FromKeeper, Phase, ToKeeper};

    fn paths(home: &std::path::Path) -> Paths {
        Paths { config: home.join("config"), state: home.join("state"), runtime: home.join("run") }
    }

    /// A session directory; with a lock its keeper counts as alive.
    fn session(paths: &Paths, name: &str, live: bool) -> (SessionDir, Option<FileLock>) {
        let directory = paths.live_session(&name.parse().unwrap());
        fs::create_dir_all(directory.path()).unwrap();
        let lock = live.then(|| FileLock::take(&directory.lock()).unwrap().unwrap());
        (directory, lock)
    }

    fn describe(directory: &SessionDir, process: ProcessId, socket: &std::path::Path) {
        let file = KeeperFile { v: 1, process, socket: socket.to_owned(), protocol: keeper::VERSION };
        // At once, as a keeper does it.
        let temporary = directory.keeper().with_extension("tmp");
        fs::write(&temporary, serde_json::to_vec(&file).unwrap()).unwrap();
        fs::rename(temporary, directory.keeper()).unwrap();
    }

    #[test]
    fn targets_mean_live_sessions_only() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        assert_eq!(live(&paths).unwrap(), Vec::new());
        assert_eq!(newest(&paths).unwrap(), None);
        let mut locks = Vec::new();
        for (start, name) in ["42.2", "claude-1", "42.10", "7.1"].into_iter().enumerate() {
            let (directory, lock) = session(&paths, name, true);
            locks.push(lock);
            let me = ProcessId::current().unwrap();
            describe(&directory, ProcessId { start: 100 - start as u64, ..me }, home.path());
        }
        session(&paths, "42.11", false);
        fs::create_dir_all(paths.live_sessions().join("No Session")).unwrap();

        let names: Vec<String> = live(&paths).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["claude-1", "7.1", "42.2", "42.10"]);
        let found = |target: &str| by_target(live(&paths).unwrap(), target).map(|n| n.to_string());
        assert_eq!(found("42").as_deref(), Some("42.10"));
        assert_eq!(found("42.2").as_deref(), Some("42.2"));
        assert_eq!(found("claude-1").as_deref(), Some("claude-1"));
        for none in ["42.11", "43", "claude", "", "../live/7.1", "No Session"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(by_target(unsettled(&paths).unwrap(), "42").unwrap().as_str(), "42.11");
        assert_eq!(newest(&paths).unwrap().unwrap().as_str(), "42.2");
        let next = |name: &str, steps| {
            let except = "42.2".parse().unwrap();
            neighbour(&paths, &name.parse().unwrap(), steps, Some(&except)).unwrap().unwrap().to_string()
        };
        assert_eq!(next("42.10", 1), "claude-1");
        assert_eq!(next("claude-1", -1), "42.10");
        assert_eq!(next("7.1", 1), "42.10");
    }

    #[test]
    fn a_renamed_session_has_one_name() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let _kept = session(&paths, "claude-1", true);
        std::os::unix::fs::symlink("claude-1", paths.live_sessions().join("review")).unwrap();
        std::os::unix::fs::symlink("review", paths.live_sessions().join("second")).unwrap();
        let names: Vec<String> = live(&paths).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["second"]);
        let same = |one: &str, other: &str| is_same(&paths, &one.parse().unwrap(), &other.parse().unwrap());
        assert!(same("second", "claude-1") && same("none", "none"));
        assert!(!same("second", "none") && !same("none", "other"));
    }

    #[test]
    fn a_session_alone_has_no_neighbour() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let _kept = session(&paths, "42.1", true);
        assert_eq!(neighbour(&paths, &"42.1".parse().unwrap(), 1, None).unwrap(), None);
    }

    #[test]
    fn a_session_without_a_keeper_is_not_found() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let (directory, _) = session(&paths, "42.1", false);
        describe(&directory, ProcessId::current().unwrap(), &home.path().join("socket"));
        let fault = connect(&paths, &"42.1".parse().unwrap()).unwrap_err();
        assert_eq!(fault.code, FaultCode::NotFound);
    }

    /// keeper.json comes late, and the socket after it: both are waited for.
    #[test]
    fn a_keeper_that_is_still_starting_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let (directory, _lock) = session(&paths, "42.1", true);
        let socket = home.path().join("late").join("socket");
        let keeper = std::thread::spawn(move || {
            // A process that has ended: it must get no signal.
            let mut child = std::process::Command::new("true").spawn().unwrap();
            let gone = ProcessId::of(child.id()).unwrap_or(ProcessId { pid: 1, start: 0, boot_id: String::new() });
            child.wait().unwrap();
            describe(&directory, gone, &socket);
            fs::create_dir(socket.parent().unwrap()).unwrap();
            let listener = crate::socket::bind(&socket).unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            let hello = keeper::KeeperHello {
                version: 9,
                pid: 7,
                start: 8,
                generation: 9,
                phase: Phase::Started,
                child: 10,
                uid: crate::id::Uid::new(),
                build: "x".into(),
            };
            std::io::Write::write_all(&mut stream, &FromKeeper::Hello(hello).encode()).unwrap();
            let expected = [
                ToKeeper::Hello { version: keeper::VERSION, role: keeper::Role::Client, generation: 0 },
                ToKeeper::Status,
            ];
            let mut asked = vec![0; expected.iter().map(|m| m.encode().len()).sum()];
            std::io::Read::read_exact(&mut stream, &mut asked).unwrap();
            assert_eq!(asked, expected.map(|m| m.encode()).concat());
            // An answer of a type not known here, in two pieces, then one that is.
            std::io::Write::write_all(&mut stream, b"\x03\0\0\0\xc8").unwrap();
            std::io::Write::write_all(&mut stream, b"xy").unwrap();
            std::io::Write::write_all(&mut stream, &FromKeeper::Done.encode()).unwrap();
        });
        let (mut link, hello) = connect(&paths, &"42.1".parse().unwrap()).unwrap();
        assert_eq!((hello.version, hello.pid), (9, 7));
        link.ask(&ToKeeper::Status, KEEPER_LIMIT, |message| matches!(message, FromKeeper::Done).then_some(())).unwrap();
        keeper.join().unwrap();
    }
}
