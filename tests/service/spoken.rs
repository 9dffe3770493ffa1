//! A service manager of the test's own: its socket for words, and a socket it has bound.

use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use autodev::paths::LockFile;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{DEADLINE, Instance};

/// What a daemon says to its manager.
struct Ear(UnixDatagram);

impl Ear {
    fn at(instance: &Instance) -> (Ear, PathBuf) {
        let path = instance.home().join("notify");
        let ear = UnixDatagram::bind(&path).unwrap();
        ear.set_read_timeout(Some(DEADLINE)).unwrap();
        (Ear(ear), path)
    }

    /// The next message that has this word; others are passed over.
    fn hears(&self, word: &str) -> String {
        let mut buffer = [0; 1024];
        loop {
            let length = self.0.recv(&mut buffer).unwrap_or_else(|error| panic!("no {word}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line == word) {
                return text;
            }
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

#[test]
fn the_manager_is_told() {
    let instance = Instance::new();
    let (ear, path) = Ear::at(&instance);
    let mut daemon = instance.program("autodevd");
    daemon.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let mut daemon = daemon.spawn().unwrap();
    let said = ear.hears("READY=1");
    assert!(said.contains(instance.state().to_str().unwrap()), "{said}");
    // It is served when that was said.
    assert_eq!(instance.ok(&["daemon", "status", "-q", "--no-start"]).trim(), daemon.id().to_string());
    for _ in 0..3 {
        ear.hears("WATCHDOG=1");
    }
    // Anew in its place: the same process, with time to change the database, and ready again.
    instance.ok(&["daemon", "restart"]);
    ear.hears("WATCHDOG_USEC=600000000");
    ear.hears("READY=1");
    ear.hears("WATCHDOG_USEC=200000");
    ear.hears("WATCHDOG=1");
    kill(pid(&daemon), Signal::SIGTERM).unwrap();
    ear.hears("STOPPING=1");
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn a_stuck_database_is_not_called_well() {
    let instance = Instance::new();
    let (ear, path) = Ear::at(&instance);
    let mut daemon = instance.program("autodevd");
    daemon.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    let mut daemon = daemon.spawn().unwrap();
    ear.hears("WATCHDOG=1");
    // Another program has the database for itself: nothing can be stored.
    let database = rusqlite::Connection::open(instance.state().join("autodev.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    // What was said before that.
    ear.0.set_nonblocking(true).unwrap();
    while ear.0.recv(&mut [0; 1024]).is_ok() {}
    ear.0.set_nonblocking(false).unwrap();
    ear.0.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut said = [0; 1024];
    // One that was being said.
    if ear.0.recv(&mut said).is_ok() {
        assert!(ear.0.recv(&mut said).is_err());
    }
    database.execute_batch("ROLLBACK").unwrap();
    ear.0.set_read_timeout(Some(DEADLINE)).unwrap();
    ear.hears("WATCHDOG=1");
    kill(pid(&daemon), Signal::SIGTERM).unwrap();
    daemon.wait().unwrap();
}

/// A socket as systemd would bind it, and the program that gets it.
fn with_socket(instance: &Instance) -> (UnixListener, PathBuf, Command) {
    let directory = instance.home().join("sockets");
    fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
    let path = directory.join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let shell = instance.program("autodevd");
    let mut command = Command::new("/bin/sh");
    // The process that is meant is the one that the shell becomes.
    command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\""]).arg(env!("CARGO_BIN_EXE_autodevd"));
    command.env_clear().current_dir(instance.work());
    for (name, value) in shell.get_envs() {
        command.env(name, value.unwrap());
    }
    let number = listener.as_raw_fd();
    // SAFETY: dup2 is safe between fork and exec; the listener is open as long as that.
    unsafe {
        command.pre_exec(move || pass(number));
    }
    (listener, path, command)
}

/// Gives a descriptor the number that a manager would pass it by.
fn pass(number: i32) -> std::io::Result<()> {
    // By way of another: to itself it would stay closed on exec.
    // SAFETY: integers; safe between fork and exec.
    let done = unsafe { libc::dup2(libc::fcntl(number, libc::F_DUPFD, 100), 3) };
    if done == 3 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn socket_of(instance: &Instance) -> PathBuf {
    let text = fs::read(instance.state().join("daemon.lock")).unwrap();
    serde_json::from_slice::<LockFile>(&text).unwrap().socket
}

#[test]
fn a_socket_that_is_passed_is_served() {
    let instance = Instance::new();
    let (listener, path, mut command) = with_socket(&instance);
    fs::DirBuilder::new().mode(0o700).create(instance.state()).unwrap();
    // Somebody is there before the daemon.
    let early = UnixStream::connect(&path).unwrap();
    let mut daemon = command.spawn().unwrap();
    drop(listener);
    crate::common::appears(&instance.state().join("daemon.lock"));
    let task = instance.submit(&[], "true");
    assert_eq!(instance.wait(task), "passed");
    assert_eq!(socket_of(&instance), path);
    drop(early);
    // Kept over a restart in place, and left to the manager at the end.
    instance.ok(&["daemon", "restart"]);
    assert_eq!(socket_of(&instance), path);
    assert_eq!(instance.daemon_pid(), daemon.id());
    instance.ok(&["status"]);
    instance.ok(&["daemon", "stop"]);
    assert!(daemon.wait().unwrap().success());
    assert!(path.exists());
}

#[test]
fn who_comes_too_late_leaves_with_75_and_sends_away_who_waits() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    let (listener, path, mut command) = with_socket(&instance);
    let mut waiting = UnixStream::connect(&path).unwrap();
    waiting.set_read_timeout(Some(DEADLINE)).unwrap();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert_eq!(waiting.read(&mut [0; 1]).unwrap_or(0), 0);
    // Nobody waits any more: the manager would start the next one for them.
    assert!(!autodev::socket::readable(&listener, std::time::Duration::ZERO).unwrap());
    instance.ok(&["status"]);
}

#[test]
fn what_is_no_socket_is_refused() {
    let instance = Instance::new();
    let (_listener, _, mut command) = with_socket(&instance);
    let file = fs::File::open("/dev/null").unwrap();
    let number = file.as_raw_fd();
    // SAFETY: as above.
    unsafe {
        command.pre_exec(move || pass(number));
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("socket that was passed"), "{output:?}");
}
