//! A real keeper of the real binary, and both ends of its wire.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use autodev::id::Uid;
use autodev::paths::{KeeperFile, SessionDir};
use autodev::process::{self, PidFd};
use autodev::protocol::exit::ExitRecord;
use autodev::protocol::keeper::{
    Attach, FromKeeper, How, KeeperHello, KeeperStatus, Role, ToKeeper, VERSION, Whole, split,
};
use autodev::protocol::launch::{LaunchSpec, LaunchStep, RecordingLimits, Stdin};
use autodev::socket;
use autodev::task::Mode;

/// Nothing here takes longer; a test that gets here has failed.
pub const LONG: Duration = Duration::from_secs(60);

static MARKER: AtomicU64 = AtomicU64::new(0);

/// A session's directory, with everything below one temporary directory.
pub struct Home {
    pub base: tempfile::TempDir,
    pub spec: LaunchSpec,
}

impl Home {
    /// A session that will run this shell script.
    pub fn script(script: &str) -> Home {
        Home::program(&["/bin/sh", "-c", script])
    }

    pub fn program(argv: &[&str]) -> Home {
        let base = tempfile::tempdir().unwrap();
        let environment = BTreeMap::from([
            ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ]);
        let step = LaunchStep {
            name: "agent".into(),
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            directory: base.path().to_owned(),
            environment,
            stdin: Stdin::Terminal,
        };
        let number = u64::from(std::process::id()) * 100 + MARKER.fetch_add(1, Ordering::Relaxed);
        let spec = LaunchSpec {
            conversation: None,
            core: None,
            resumed: false,
            v: 1,
            session: "42.1".parse().unwrap(),
            uid: Uid::new(),
            task: None,
            task_uid: None,
            tool: "shell".into(),
            mode: Mode::Cli,
            steps: vec![step],
            columns: 80,
            rows: 24,
            marker: process::marker(0, number),
            recording: RecordingLimits { max_bytes: 64 << 20, segment_bytes: 4 << 20 },
            history_bytes: 1 << 20,
            socket_directory: base.path().join("run"),
            withholds: false,
            prompt: None,
            umask: 0o022,
        };
        std::fs::create_dir(base.path().join("session")).unwrap();
        Home { base, spec }
    }

    pub fn path(&self) -> &Path {
        self.base.path()
    }

    pub fn dir(&self) -> SessionDir {
        SessionDir(self.base.path().join("session"))
    }

    /// An executable file.
    pub fn file(&self, name: &str, text: &[u8], mode: u32) -> PathBuf {
        let path = self.base.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Starts a keeper for it; the answer is not ready yet.
    pub fn spawn(&self) -> (Child, Link) {
        std::fs::write(self.dir().launch(), serde_json::to_vec(&self.spec).unwrap()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let log = std::fs::OpenOptions::new().append(true).create(true).open(self.dir().log()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_autodevd"));
        command.arg("keeper").arg(self.dir().path()).args(["--control-fd", "3"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let fd = theirs.as_raw_fd();
        // SAFETY: dup2 and fcntl are async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                let done = if fd == 3 { libc::fcntl(3, libc::F_SETFD, 0) } else { libc::dup2(fd, 3) };
                if done < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
            });
        }
        (command.spawn().unwrap(), Link::new(ours))
    }

    /// A keeper that is ready, with the daemon's connection of generation 1.
    pub fn keep(self) -> Session {
        let (keeper, mut control) = self.spawn();
        let hello = control.hello();
        control.send(&ToKeeper::Hello { version: VERSION, role: Role::Controller, generation: 1 });
        control.hello();
        Session { home: self, keeper, control, hello, order: 0 }
    }

    /// A keeper whose program was started.
    pub fn run(self) -> Session {
        let mut session = self.keep();
        session.go();
        session.control.wait(|m| matches!(m, FromKeeper::Started { .. }).then_some(()));
        session
    }

    /// Processes that carry this session's mark.
    pub fn processes(&self) -> Vec<u32> {
        let all = process::all().unwrap();
        all.into_iter()
            .filter(|pid| process::mark_of(*pid).ok() == Some(process::Mark::Session(self.spec.marker)))
            .filter(|pid| process::stat(*pid).is_ok_and(|stat| stat.state != 'Z'))
            .collect()
    }

    pub fn recorded(&self) -> Vec<u8> {
        let source = autodev::recording::Source::Directory(self.dir().0);
        let mut reader = autodev::recording::Reader::open(&source).unwrap();
        let mut found = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        let mut at = 0;
        while let Some(piece) = reader.read(at, &mut buffer).unwrap() {
            assert_eq!(piece.offset, at, "a gap");
            found.extend_from_slice(&buffer[..piece.length]);
            at += piece.length as u64;
        }
        found
    }
}

/// A running keeper.
pub struct Session {
    pub home: Home,
    pub keeper: Child,
    pub control: Link,
    pub hello: KeeperHello,
    pub order: u64,
}

impl Session {
    fn order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    pub fn go(&mut self) {
        let order = self.order();
        self.control.send(&ToKeeper::Go { generation: 1, order });
    }

    pub fn stop(&mut self, how: How) {
        let order = self.order();
        self.control.send(&ToKeeper::Stop { generation: 1, order, how });
    }

    pub fn freeze(&mut self, frozen: bool) {
        let order = self.order();
        self.control.send(&ToKeeper::Freeze { generation: 1, order, frozen });
        self.control.wait(|m| (m == FromKeeper::Done).then_some(()));
    }

    pub fn signal(&self, signal: i32) {
        PidFd::open(self.keeper.id()).unwrap().signal(signal).unwrap();
    }

    /// The exit record, as told.
    pub fn exit(&mut self) -> ExitRecord {
        let record = self.control.exit();
        assert_eq!(std::fs::read(self.home.dir().exit()).unwrap(), record, "told before it was durable");
        serde_json::from_slice(&record).unwrap()
    }

    pub fn acknowledge(&mut self) -> ExitStatus {
        let order = self.order();
        self.control.send(&ToKeeper::Acknowledge { generation: 1, order });
        self.ended()
    }

    pub fn ended(&mut self) -> ExitStatus {
        wait(&mut self.keeper)
    }

    pub fn socket(&self) -> PathBuf {
        let file: KeeperFile = serde_json::from_slice(&std::fs::read(self.home.dir().keeper()).unwrap()).unwrap();
        file.socket
    }

    /// The program's process id.
    pub fn program(&self) -> u32 {
        let mut link = self.connect();
        link.send(&ToKeeper::Hello { version: VERSION, role: Role::Client, generation: 0 });
        link.hello().child
    }

    pub fn connect(&self) -> Link {
        Link::new(socket::connect(&self.socket(), LONG).unwrap())
    }

    /// A client that has said hello.
    pub fn client(&self) -> Link {
        let mut link = self.connect();
        link.send(&ToKeeper::Hello { version: VERSION, role: Role::Client, generation: 0 });
        link.hello();
        link
    }

    /// An attached client that may type, and its first picture.
    pub fn attach(&self, attach: Attach) -> (Link, Vec<u8>) {
        let mut link = self.client();
        link.send(&ToKeeper::Attach(attach));
        let picture = link.wait(|m| match m {
            FromKeeper::Picture { bytes, .. } => Some(bytes),
            _ => None,
        });
        (link, picture)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
        if std::thread::panicking() {
            eprintln!("keeper.log: {}", std::fs::read_to_string(self.home.dir().log()).unwrap_or_default());
        }
    }
}

/// Waits for a process by its handle.
pub fn wait(child: &mut Child) -> ExitStatus {
    if let Some(handle) = PidFd::open(child.id()) {
        assert!(socket::readable(&handle, LONG).unwrap(), "process {} does not end", child.id());
    }
    child.wait().unwrap()
}

/// One end of a keeper's wire.
pub struct Link {
    pub stream: UnixStream,
    buffer: Vec<u8>,
    /// Output and pictures that came and were not yet looked at.
    screen: String,
}

impl Link {
    pub fn new(stream: UnixStream) -> Link {
        stream.set_write_timeout(Some(LONG)).unwrap();
        Link { stream, buffer: Vec::new(), screen: String::new() }
    }

    pub fn send(&mut self, message: &ToKeeper) {
        self.stream.write_all(&message.encode()).unwrap();
    }

    /// The next message; `None` at the end of the connection.
    pub fn receive(&mut self) -> Option<FromKeeper> {
        let deadline = Instant::now() + LONG;
        loop {
            if let Some(Whole { kind, payload, length }) = split(&self.buffer).unwrap() {
                let message = FromKeeper::decode(kind, payload).unwrap().expect("a known message");
                self.buffer.drain(..length);
                if let FromKeeper::Output { bytes, .. } | FromKeeper::Picture { bytes, .. } = &message {
                    self.screen.push_str(&String::from_utf8_lossy(bytes));
                }
                return Some(message);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nothing came");
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut bytes = [0; 1 << 16];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(length) => self.buffer.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                // A read with a limit is not restarted when the machine stops and resumes us.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The first message that `pick` takes; others are passed over.
    pub fn wait<T>(&mut self, mut pick: impl FnMut(FromKeeper) -> Option<T>) -> T {
        loop {
            let message = self.receive().expect("the connection has ended");
            if let Some(found) = pick(message) {
                return found;
            }
        }
    }

    pub fn hello(&mut self) -> KeeperHello {
        self.wait(|m| match m {
            FromKeeper::Hello(hello) => Some(hello),
            _ => None,
        })
    }

    pub fn exit(&mut self) -> Vec<u8> {
        self.wait(|m| match m {
            FromKeeper::Exited(record) => Some(record),
            _ => None,
        })
    }

    /// Reads output and pictures until `text` was in them. Answers all that came before.
    pub fn see(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LONG;
        while !self.screen.contains(text) {
            assert!(Instant::now() < deadline, "'{text}' never came");
            match self.receive() {
                Some(FromKeeper::Exited(_)) | None => panic!("ended before '{text}' was seen in {:?}", self.screen),
                Some(_) => {}
            }
        }
        std::mem::take(&mut self.screen)
    }

    pub fn refused(&mut self) -> (autodev::protocol::keeper::RefusedCode, String) {
        self.wait(|m| match m {
            FromKeeper::Refused { code, reason } => Some((code, reason)),
            _ => None,
        })
    }

    /// The connection ends, whatever comes before.
    pub fn ends(&mut self) {
        while self.receive().is_some() {}
    }
}

/// Attaches with a size.
pub fn sized(columns: u16, rows: u16) -> Attach {
    Attach { columns, rows, ..Attach::default() }
}

/// Asks how the session is.
pub fn status(link: &mut Link) -> KeeperStatus {
    link.send(&ToKeeper::Status);
    link.wait(|m| match m {
        FromKeeper::Status(status) => Some(status),
        _ => None,
    })
}
