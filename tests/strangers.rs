//! Other users of the machine: not let in, not believed, and their directories not used.
//! Who they are takes root to try; without it those parts are left out, and say so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use autodev::paths::{KeeperFile, LockFile};
use autodev::protocol::Hello;
use autodev::protocol::hello::Role;
use common::{DEADLINE, Fifo, Instance};

/// `nobody`, as most systems have it.
const ANOTHER: u32 = 65534;

/// Does something as another user; `None` where only root could.
fn as_another<T: Send>(act: impl FnOnce() -> T + Send) -> Option<T> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can be another user");
        return None;
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            // The system call is for this thread alone, where the library's would be for all.
            // SAFETY: it takes integers.
            let done = unsafe { libc::syscall(libc::SYS_setresuid, -1, ANOTHER, -1) };
            assert_eq!(done, 0, "{}", io::Error::last_os_error());
            act()
        });
        Some(other.join().unwrap())
    })
}

/// An instance with a session whose program waits for a line.
fn running() -> (Instance, Fifo) {
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    instance.submit(&[], &format!("echo ready; echo > {}; read line", begun.path()));
    begun.read();
    (instance, begun)
}

/// The daemon's socket, and the keeper's.
fn sockets(instance: &Instance) -> [PathBuf; 2] {
    let lock = fs::read(instance.state().join("daemon.lock")).unwrap();
    let keeper = fs::read(instance.live("1.1").join("keeper.json")).unwrap();
    [
        serde_json::from_slice::<LockFile>(&lock).unwrap().socket,
        serde_json::from_slice::<KeeperFile>(&keeper).unwrap().socket,
    ]
}

/// Opens a path to everybody, as a careless hand would.
fn open_to_all(instance: &Instance, path: &Path) {
    let within = path.ancestors().take_while(|part| part.starts_with(instance.home()));
    within.for_each(|part| fs::set_permissions(part, Permissions::from_mode(0o777)).unwrap());
}

#[test]
fn another_user_is_not_let_in() {
    let (instance, _begun) = running();
    for socket in sockets(&instance) {
        let closed = as_another(|| UnixStream::connect(&socket).unwrap_err().kind());
        assert!(closed.is_none_or(|kind| kind == io::ErrorKind::PermissionDenied));
        open_to_all(&instance, &socket);
        let said = as_another(|| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            drop(stream.write_all(&Hello::mine(Role::Client).encode()));
            let mut said = Vec::new();
            // A reset is an end as well.
            let end = stream.read_to_end(&mut said);
            assert!(end.is_ok() || end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
            said
        });
        assert!(said.is_none_or(|said| said.is_empty()));
    }
    assert!(instance.ok(&["screen", "1"]).contains("ready"));
    if nix::unistd::geteuid().is_root() {
        assert!(instance.log().contains("refused a connection of another user"), "{}", instance.log());
    }
}

/// Somebody who could write to the directory listens in the place of a daemon and a keeper.
#[test]
fn a_socket_of_another_user_is_not_believed() {
    let (instance, _begun) = running();
    let daemon = instance.daemon_pid();
    let planted: Option<Vec<UnixListener>> = sockets(&instance)
        .iter()
        .map(|socket| {
            open_to_all(&instance, socket);
            as_another(|| {
                fs::remove_file(socket).unwrap();
                let listener = UnixListener::bind(socket).unwrap();
                fs::set_permissions(socket, Permissions::from_mode(0o777)).unwrap();
                listener.set_nonblocking(true).unwrap();
                listener
            })
        })
        .collect();
    let Some(planted) = planted else { return };
    instance.ok(&["--no-start", "status"]);
    assert!(instance.ok(&["screen", "1"]).contains("ready"));
    assert_eq!(instance.daemon_pid(), daemon, "it has bound its own again");
    for listener in planted {
        let (mut stream, _) = listener.accept().expect("somebody has tried");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "and has said nothing");
    }
    for socket in sockets(&instance) {
        assert_eq!(fs::metadata(socket.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    }
}

/// What lies where the sockets' directory is to be is not followed, and not used.
#[test]
fn a_planted_directory_is_not_used() {
    let instance = Instance::new();
    let base = instance.home().join("runtime");
    fs::create_dir(&base).unwrap();
    let elsewhere = instance.home().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let lock =
        || -> LockFile { serde_json::from_slice(&fs::read(instance.state().join("daemon.lock")).unwrap()).unwrap() };
    let start = || {
        let start = instance.autodev(&["daemon", "start"]).env("XDG_RUNTIME_DIR", &base).output().unwrap();
        assert!(start.status.success(), "{start:?}");
        lock().socket.parent().unwrap().to_owned()
    };
    let usual = start();
    assert!(usual.starts_with(&base));
    let again = |plant: &dyn Fn()| {
        instance.ok(&["daemon", "stop"]);
        drop(fs::remove_file(&usual));
        drop(fs::remove_dir_all(&usual));
        plant();
        start()
    };
    let spare = instance.state().join("run");
    assert_eq!(again(&|| symlink(&elsewhere, &usual).unwrap()), spare, "a link");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!(again(&|| fs::write(&usual, "").unwrap()), spare, "a file");
    let open = || {
        fs::create_dir(&usual).unwrap();
        fs::set_permissions(&usual, Permissions::from_mode(0o777)).unwrap();
    };
    assert_eq!(again(&open), usual, "one of ours that was open");
    assert_eq!(fs::metadata(&usual).unwrap().mode() & 0o777, 0o700);
    // A link where the socket is to be is replaced, and what it points to left alone.
    let file = elsewhere.join("file");
    fs::write(&file, "kept").unwrap();
    let socket = lock().socket;
    let link = || {
        fs::create_dir(&usual).unwrap();
        symlink(&file, &socket).unwrap();
    };
    assert_eq!(again(&link), usual);
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    if nix::unistd::geteuid().is_root() {
        let theirs = || {
            fs::create_dir(&usual).unwrap();
            chown(&usual, Some(ANOTHER), None).unwrap();
        };
        assert_eq!(again(&theirs), spare, "another user's");
        assert_eq!(again(&|| chown(&base, Some(ANOTHER), None).unwrap()), spare, "within another user's");
    }
}

#[test]
fn a_state_directory_that_is_not_ours_is_refused() {
    let instance = Instance::new();
    let elsewhere = instance.home().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, instance.state()).unwrap();
    let error = instance.fails(3, &["submit", "--", "true"]);
    assert!(error.contains("state is not a directory"), "{error}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    fs::remove_file(instance.state()).unwrap();
    if nix::unistd::geteuid().is_root() {
        fs::create_dir(instance.state()).unwrap();
        chown(instance.state(), Some(ANOTHER), None).unwrap();
        let error = instance.fails(3, &["submit", "--", "true"]);
        assert!(error.contains("belongs to another user"), "{error}");
        assert_eq!(fs::read_dir(instance.state()).unwrap().count(), 0);
        fs::remove_dir(instance.state()).unwrap();
    }
    fs::create_dir(instance.state()).unwrap();
    fs::set_permissions(instance.state(), Permissions::from_mode(0o755)).unwrap();
    instance.ok(&["submit", "--hold", "--", "true"]);
    assert_eq!(fs::metadata(instance.state()).unwrap().mode() & 0o777, 0o700);
}
