//! A person at a terminal: the real command line in a real PTY, read by our own terminal
//! model, and sessions with real keepers to attach to.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use autodev::clock::Timestamp;
use autodev::id::Uid;
use autodev::paths::{KeeperFile, SessionDir};
use autodev::process::{self, PidFd};
use autodev::protocol::keeper::{FromKeeper, Looks, Role, ToKeeper, VERSION, split};
use autodev::protocol::launch::{LaunchSpec, LaunchStep, RecordingLimits, Stdin};
use autodev::recording::Writer;
use autodev::screen::Screen;
use autodev::socket;
use autodev::task::Mode;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::pty::{Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode as FileMode;
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};

/// Nothing here takes longer; a test that gets here has failed.
pub const LONG: Duration = Duration::from_secs(20);

/// 2026-11-22T12:00:00Z.
pub const NOON: Timestamp = Timestamp(1_795_348_800_000);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// An instance without a daemon.
pub struct Home {
    base: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Home {
        Home { base: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.base.path()
    }

    pub fn dir(&self, name: &str) -> SessionDir {
        SessionDir(self.path().join("state/sessions/live").join(name))
    }

    /// The directory of the keepers' sockets.
    pub fn sockets(&self) -> PathBuf {
        self.path().join("run")
    }

    /// The command line, without what the tests' own environment has to do with terminals.
    pub fn autodev(&self, arguments: &[&str]) -> Command {
        self.with_daemon(&[&["--no-start"], arguments].concat())
    }

    /// The command line, starting a daemon if it needs one.
    pub fn with_daemon(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autodev"));
        command.args(arguments);
        for name in ["XDG_RUNTIME_DIR", "TMUX", "AUTODEV_SESSION", "SSH_CONNECTION", "AUTODEV_ATTACH_PREFIX"] {
            command.env_remove(name);
        }
        command.env("AUTODEV_HOME", self.path()).env("TERM", "xterm-256color").env("TZ", "UTC");
        command
    }

    /// A recording that began at noon, for a session whose keeper is gone.
    pub fn recording(&self, name: &str) -> Writer {
        let dir = self.dir(name);
        std::fs::create_dir_all(dir.path()).unwrap();
        let limits = RecordingLimits { max_bytes: 64 << 20, segment_bytes: 256 << 10 };
        let mut writer = Writer::new(dir.0, limits, NOON);
        writer.resize(0, 40, 10);
        writer
    }

    /// Runs the command line without a terminal.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.autodev(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts a session that runs this shell script.
    pub fn session(&self, name: &str, script: &str) -> Session {
        let dir = self.dir(name);
        std::fs::create_dir_all(dir.path()).unwrap();
        let environment = BTreeMap::from([
            ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("TERM".to_owned(), "xterm-256color".to_owned()),
        ]);
        let number = u64::from(std::process::id()) * 100 + NUMBER.fetch_add(1, Ordering::Relaxed);
        let spec = LaunchSpec {
            conversation: None,
            core: None,
            resumed: false,
            v: 1,
            session: name.parse().unwrap(),
            uid: Uid::new(),
            task: None,
            task_uid: None,
            tool: "shell".into(),
            mode: Mode::Cli,
            steps: vec![LaunchStep {
                name: "agent".into(),
                argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
                directory: self.path().to_owned(),
                environment,
                stdin: Stdin::Terminal,
            }],
            columns: 80,
            rows: 24,
            marker: process::marker(0, number),
            recording: RecordingLimits { max_bytes: 64 << 20, segment_bytes: 4 << 20 },
            history_bytes: 1 << 20,
            socket_directory: self.sockets(),
            withholds: false,
            prompt: None,
            umask: 0o022,
        };
        std::fs::write(dir.launch(), serde_json::to_vec(&spec).unwrap()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_autodevd"));
        command.arg("keeper").arg(dir.path()).args(["--control-fd", "3"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(dir.log()).unwrap());
        let fd = theirs.as_raw_fd();
        // SAFETY: dup2 and fcntl are async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                let done = if fd == 3 { libc::fcntl(3, libc::F_SETFD, 0) } else { libc::dup2(fd, 3) };
                if done < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
            });
        }
        let keeper = command.spawn().unwrap();
        drop(theirs);
        let mut session = Session { dir, keeper, control: ours, received: Vec::new() };
        session.wait(|m| matches!(m, FromKeeper::Hello(_)));
        session.send(&ToKeeper::Hello { version: VERSION, role: Role::Controller, generation: 1 });
        session.send(&ToKeeper::Go { generation: 1, order: 1 });
        session.wait(|m| matches!(m, FromKeeper::Started { .. }));
        session
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Without a daemon this does nothing.
        drop(self.run(&["daemon", "stop", "--kill-sessions"]));
    }
}

/// A session whose program was started.
pub struct Session {
    pub dir: SessionDir,
    pub keeper: Child,
    control: UnixStream,
    received: Vec<u8>,
}

impl Session {
    fn send(&mut self, message: &ToKeeper) {
        self.control.write_all(&message.encode()).unwrap();
    }

    fn wait(&mut self, mut pick: impl FnMut(FromKeeper) -> bool) {
        self.control.set_read_timeout(Some(LONG)).unwrap();
        loop {
            while let Some(whole) = split(&self.received).unwrap() {
                let message = FromKeeper::decode(whole.kind, whole.payload).unwrap();
                let length = whole.length;
                self.received.drain(..length);
                if message.is_some_and(&mut pick) {
                    return;
                }
            }
            let mut bytes = [0; 1 << 16];
            let read = match self.control.read(&mut bytes) {
                // A read with a limit is not restarted when the machine stops and resumes us.
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                read => read.unwrap(),
            };
            assert!(read > 0, "the keeper hung up: {}", std::fs::read_to_string(self.dir.log()).unwrap_or_default());
            self.received.extend_from_slice(&bytes[..read]);
        }
    }

    /// Its program has ended, and the record says so.
    pub fn ended(&mut self) {
        self.wait(|m| matches!(m, FromKeeper::Exited(_)));
    }

    pub fn socket(&self) -> PathBuf {
        let file: KeeperFile = serde_json::from_slice(&std::fs::read(self.dir.keeper()).unwrap()).unwrap();
        file.socket
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
        if std::thread::panicking() {
            eprintln!("keeper.log: {}", std::fs::read_to_string(self.dir.log()).unwrap_or_default());
        }
    }
}

/// Somebody at a terminal that runs one command.
pub struct User {
    master: Option<OwnedFd>,
    slave: OwnedFd,
    child: Child,
    before: Termios,
    screen: Screen,
    /// All that the terminal was told.
    pub told: Vec<u8>,
}

impl User {
    pub fn start(home: &Home, arguments: &[&str]) -> User {
        User::start_at(home, arguments, (80, 24))
    }

    pub fn start_at(home: &Home, arguments: &[&str], size: (u16, u16)) -> User {
        User::run(home.autodev(arguments), size)
    }

    pub fn run(mut command: Command, size: (u16, u16)) -> User {
        let (master, slave) = terminal(size);
        let before = tcgetattr(&slave).unwrap();
        // A shell's prompt and what was typed there: must still stand above in the end.
        let mut user_screen = Screen::new(size.0, size.1, 1 << 20);
        user_screen.feed(b"$ first\r\nits output\r\n$ autodev attach\r\n", &mut Vec::new());
        let end = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: setsid, ioctl and signal are async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                // Tests that run behind a shell have it ignored, and a login does not.
                libc::signal(libc::SIGINT, libc::SIG_DFL);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // The command keeps copies of the terminal; the child alone shall have it.
        drop(command);
        User { master: Some(master), slave, child, before, screen: user_screen, told: Vec::new() }
    }

    fn master(&self) -> &OwnedFd {
        self.master.as_ref().expect("hung up")
    }

    /// The terminal's window is closed.
    pub fn hang_up(&mut self) {
        self.master = None;
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn type_(&self, keys: &[u8]) {
        let mut rest = keys;
        while !rest.is_empty() {
            rest = &rest[nix::unistd::write(self.master(), rest).unwrap()..];
        }
    }

    /// Waits until the command has read all that was typed. Nobody tells us but the terminal.
    pub fn is_heard(&self) {
        let deadline = Instant::now() + LONG;
        while socket::readable(&self.slave, Duration::ZERO).unwrap() {
            assert!(Instant::now() < deadline, "the command does not read");
            std::thread::yield_now();
        }
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.screen.resize(columns, rows);
        set_size(self.master(), (columns, rows));
    }

    pub fn signal(&self, signal: i32) {
        PidFd::open(self.child.id()).unwrap().signal(signal).unwrap();
    }

    /// Reads what the command shows, if it shows something within `limit`.
    fn read(&mut self, limit: Duration) -> bool {
        if !socket::readable(self.master(), limit).unwrap() {
            return false;
        }
        let mut bytes = [0; 1 << 16];
        let read = nix::unistd::read(self.master().as_fd(), &mut bytes).unwrap();
        self.told.extend_from_slice(&bytes[..read]);
        self.screen.feed(&bytes[..read], &mut Vec::new());
        // As every terminal answers.
        let answers = self.screen.take_answers();
        self.type_(&answers);
        true
    }

    /// The screen now.
    pub fn shown(&mut self) -> String {
        self.screen.text(false)
    }

    /// Waits until the screen shows `text`.
    pub fn see(&mut self, text: &str) -> String {
        self.see_that(&format!("shows '{text}'"), |screen| screen.contains(text))
    }

    /// Waits until the screen is as `right` wants it.
    pub fn see_that(&mut self, what: &str, right: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + LONG;
        loop {
            let shown = self.shown();
            if right(&shown) {
                return shown;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(self.read(left), "the screen never {what}:\n{shown}\ntold: {}", self.told.escape_ascii());
        }
    }

    /// Waits until the command has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let handle = PidFd::open(self.child.id()).unwrap();
        let deadline = Instant::now() + LONG;
        loop {
            use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds =
                [PollFd::new(self.master().as_fd(), PollFlags::POLLIN), PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
            let ready = match poll(&mut fds, PollTimeout::try_from(left).unwrap()) {
                Err(Errno::EINTR) => continue,
                ready => ready.unwrap(),
            };
            assert!(ready > 0, "the command does not end:\n{}", self.shown());
            let over = fds[1].any().unwrap();
            while self.read(Duration::ZERO) {}
            if over {
                return self.child.wait().unwrap();
            }
        }
    }

    /// The terminal is as the shell left it: line by line, with echo and all else.
    pub fn assert_sane(&mut self) {
        let now = tcgetattr(&self.slave).unwrap();
        assert_eq!(libc::termios::from(now), libc::termios::from(self.before.clone()), "stty");
        assert!(!socket::readable(&self.slave, Duration::ZERO).unwrap(), "something is left to read");
    }

    /// As a terminal with a light background.
    pub fn look_light(&mut self) {
        self.screen.set_looks(Looks { background: [0xfa, 0xf0, 0xe6], cell: (8, 15), ..Looks::default() });
    }

    /// The terminal is in no other modes than a fresh one.
    pub fn assert_plain(&mut self) {
        fn modes(screen: &mut Screen) -> String {
            let known = [1, 5, 6, 7, 9, 25, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1049, 2004, 2026, 2031];
            for mode in known.into_iter().chain([67, 2027]) {
                screen.feed(format!("\x1b[?{mode}$p").as_bytes(), &mut Vec::new());
            }
            for colour in ["4;1", "10", "11", "12"] {
                screen.feed(format!("\x1b]{colour};?\x07").as_bytes(), &mut Vec::new());
            }
            let rest = b"\x1b[4$p\x1b[20$p\x1b[?u\x1b[?4m\x1bP$qr\x1b\\\x1bP$qm\x1b\\\x1bP$q q\x1b\\";
            screen.feed(rest, &mut Vec::new());
            screen.take_answers().escape_ascii().to_string()
        }
        let (columns, rows) = self.screen.size();
        let mut fresh = Screen::new(columns, rows, 0);
        fresh.set_looks(self.screen.looks());
        assert_eq!(modes(&mut self.screen), modes(&mut fresh));
        assert_eq!(self.screen.title().unwrap_or_default(), "");
    }

    /// The terminal was told this at some time.
    pub fn was_told(&self, what: &str) {
        let told = self.told.windows(what.len()).any(|told| told == what.as_bytes());
        assert!(told, "never {what:?}: {}", self.told.escape_ascii());
    }

    /// The window's title.
    pub fn title(&self) -> String {
        self.screen.title().unwrap_or_default()
    }

    /// The terminal tells what is pasted from what is typed.
    pub fn marks_pastes(&self) -> bool {
        self.screen.bracketed_paste()
    }

    /// The terminal is in raw mode.
    pub fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_flags.contains(LocalFlags::ICANON)
    }
}

/// What the command ended with.
pub fn code(user: &mut User) -> i32 {
    user.ended().code().expect("ended by a signal")
}

/// Both ends of a terminal. Programs that other tests start meanwhile must not get them.
fn terminal(size: (u16, u16)) -> (OwnedFd, OwnedFd) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = open(ptsname_r(&master).unwrap().as_str(), flags, FileMode::empty()).unwrap();
    // SAFETY: the descriptor was just opened and is given away whole.
    let master = unsafe { OwnedFd::from_raw_fd(master.into_raw_fd()) };
    set_size(&master, size);
    (master, slave)
}

fn set_size(terminal: &OwnedFd, (columns, rows): (u16, u16)) {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize, which outlives the call.
    assert_eq!(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }, 0);
}

impl Drop for User {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
