//! An instance of its own for each test: real binaries, real sockets, real database, in
//! a temporary directory that ends with the test.

#![allow(dead_code, reason = "each test file uses its part of the harness")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

pub mod random;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use autodev::paths::LockFile;
use autodev::process::PidFd;
use serde_json::Value;

/// Nothing that a test waits for takes this long, unless it is broken.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// An isolated instance.
pub struct Instance {
    home: tempfile::TempDir,
}

impl Instance {
    pub fn new() -> Self {
        let home = tempfile::Builder::new().prefix("autodev-test-").tempdir().unwrap();
        fs::create_dir_all(home.path().join("work")).unwrap();
        Instance { home }
    }

    /// With a configuration file.
    pub fn configured(config: &str) -> Self {
        let instance = Instance::new();
        fs::create_dir_all(instance.home().join("config")).unwrap();
        fs::write(instance.home().join("config/config.toml"), config).unwrap();
        instance
    }

    /// `AUTODEV_HOME`.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A directory to run tasks in.
    pub fn work(&self) -> PathBuf {
        self.home().join("work")
    }

    pub fn state(&self) -> PathBuf {
        self.home().join("state")
    }

    pub fn live(&self, session: &str) -> PathBuf {
        self.state().join("sessions/live").join(session)
    }

    /// A command of one of our programs in this instance.
    pub fn program(&self, program: &str) -> Command {
        let path = match program {
            "autodev" => env!("CARGO_BIN_EXE_autodev"),
            "autodevd" => env!("CARGO_BIN_EXE_autodevd"),
            other => panic!("{other} is not ours"),
        };
        let mut command = Command::new(path);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home())
            .env("SHELL", "/bin/sh")
            .env("LANG", "C.UTF-8")
            .env("AUTODEV_HOME", self.home())
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    pub fn autodev(&self, args: &[&str]) -> Command {
        let mut command = self.program("autodev");
        command.args(args);
        command
    }

    /// Runs `autodev`, whatever comes of it.
    pub fn run(&self, args: &[&str]) -> Output {
        self.autodev(args).output().unwrap()
    }

    /// Runs `autodev`, which must succeed; its standard output.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "autodev {args:?}: {}\nstdout: {}\nstderr: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.log(),
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `autodev`, which must end with `code`; its standard error.
    #[track_caller]
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "autodev {args:?}\nstdout: {out}\nstderr: {err}\n{}", self.log());
        err.into_owned()
    }

    /// Runs `autodev … --json`, which must succeed; what it says.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("autodev {args:?} --json: {e}\n{text}"))
    }

    /// Submits a shell command; the task's number.
    #[track_caller]
    pub fn submit(&self, options: &[&str], command: &str) -> i64 {
        let args = [&["submit", "-q", "--provider", "shell"], options, &["--", "sh", "-c", command]].concat();
        self.ok(&args).trim().parse().unwrap()
    }

    /// Waits until the task has ended; its state.
    #[track_caller]
    pub fn wait(&self, task: i64) -> String {
        let task = task.to_string();
        self.run(&["wait", &task, "--timeout", "60s"]);
        self.json(&["show", &task])["task"]["state"].as_str().unwrap().to_owned()
    }

    pub fn task(&self, task: i64) -> Value {
        self.json(&["show", &task.to_string()])["task"].clone()
    }

    /// The daemon that serves the instance now.
    pub fn daemon_pid(&self) -> u32 {
        let text = fs::read(self.state().join("daemon.lock")).unwrap();
        serde_json::from_slice::<LockFile>(&text).unwrap().process.pid
    }

    /// `kill -9` of the daemon; returns when it is dead.
    pub fn kill_daemon(&self) {
        let handle = PidFd::open(self.daemon_pid()).unwrap();
        handle.signal(libc::SIGKILL).unwrap();
        assert!(autodev::socket::readable(&handle, DEADLINE).unwrap());
    }

    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.state().join("autodevd.log")).unwrap_or_default();
        format!("--- autodevd.log\n{log}")
    }

    /// A named pipe that a task writes to and the test reads from: both wait for the
    /// other, so nobody has to sleep.
    pub fn fifo(&self, name: &str) -> Fifo {
        let path = self.home().join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        Fifo(path)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let stop = self.autodev(&["daemon", "stop", "--kill-sessions"]).output();
        if std::thread::panicking() {
            eprintln!("{}\n{stop:?}", self.log());
        }
    }
}

/// See [`Instance::fifo`].
pub struct Fifo(PathBuf);

impl Fifo {
    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Waits for a writer and reads all it says.
    pub fn read(&self) -> String {
        // Opened without waiting, so that a writer that never comes is a failed test and
        // not one that hangs.
        let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&self.0).unwrap();
        assert!(autodev::socket::readable(&file, DEADLINE).unwrap(), "nobody writes to {}", self.0.display());
        let flags = nix::fcntl::OFlag::empty();
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFL(flags)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits for a reader and tells it something: lets a task that reads go on.
    pub fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }
}

/// Waits until a file is there. The kernel says so: no polling.
#[track_caller]
pub fn appears(path: &Path) {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    let deadline = Instant::now() + DEADLINE;
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
    inotify.add_watch(path.parent().unwrap(), AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO).unwrap();
    while !path.exists() {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(autodev::socket::readable(&inotify, left).unwrap(), "{} does not appear", path.display());
        inotify.read_events().unwrap();
    }
}

/// Waits until a file, directory or link is gone. The kernel says so: no polling.
#[track_caller]
pub fn vanishes(path: &Path) {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    let deadline = Instant::now() + DEADLINE;
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
    inotify.add_watch(path.parent().unwrap(), AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM).unwrap();
    while fs::symlink_metadata(path).is_ok() {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(autodev::socket::readable(&inotify, left).unwrap(), "{} stays", path.display());
        inotify.read_events().unwrap();
    }
}

/// Waits until nothing is left in a directory. The kernel says so: no polling.
#[track_caller]
pub fn empties(directory: &Path) {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    let deadline = Instant::now() + DEADLINE;
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
    inotify.add_watch(directory, AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM).unwrap();
    loop {
        let left: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        if left.is_empty() {
            return;
        }
        let wait = deadline.saturating_duration_since(Instant::now());
        assert!(autodev::socket::readable(&inotify, wait).unwrap(), "{left:?} stays in {}", directory.display());
        inotify.read_events().unwrap();
    }
}

/// Waits until a process has ended.
#[track_caller]
pub fn dies(pid: u32) {
    if let Some(handle) = PidFd::open(pid) {
        assert!(autodev::socket::readable(&handle, DEADLINE).unwrap(), "process {pid} lives on");
    }
}
