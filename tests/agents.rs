//! The real agents, started exactly as a launch says, with a terminal for their output
//! and the prompt as a file on standard input. A server on the loopback stands for every
//! model: it refuses, so each run ends with the tool's own message, and it sees whether
//! the prompt came through.
//!
//! `make agents` installs them; a test whose agent is not there says so on
//! standard error and passes.

// Helpers fail a test as the test itself would.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use autodev::id::{SessionName, Uid};
use autodev::paths::Paths;
use autodev::process::{self, PidFd};
use autodev::protocol::launch::Stdin;
use autodev::provider::{LaunchRequest, Registry};
use autodev::task::Mode;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The slowest takes 15 seconds on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(180);
/// Longer than one argument may be.
const LONG: usize = 200_000;
const LAST_WORDS: &str = "these are the last words of the prompt";

/// Refuses every request with one status, and keeps what was sent.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    fn start(status: &'static str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keep = keep.clone();
                // A client that hangs up early is its own affair.
                thread::spawn(move || drop(answer(stream, status, &keep)));
            }
        });
        Server { port, seen }
    }

    fn saw(&self, text: &str) -> bool {
        memchr::memmem::find(&self.seen.lock().unwrap(), text.as_bytes()).is_some()
    }
}

fn answer(mut stream: TcpStream, status: &str, seen: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut length, mut upgrade, mut chunked) = (0, false, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        length = line.strip_prefix("content-length:").and_then(|n| n.trim().parse().ok()).unwrap_or(length);
        upgrade |= line.starts_with("upgrade:");
        chunked |= line.starts_with("transfer-encoding:");
    }
    assert!(!chunked, "this server reads no chunks");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    seen.lock().unwrap().extend_from_slice(&body);
    // No web sockets here: clients fall back to plain requests at once.
    let status = if upgrade { "426 Upgrade Required" } else { status };
    let body = r#"{"type":"error","error":{"type":"refused","code":403,"message":"the test refuses"}}"#;
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A home of its own for one run.
struct Home {
    dir: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

impl Home {
    /// With what makes the agents talk to `server` and to nobody else.
    fn new(server: &Server, bin: &Path) -> Home {
        // Below target: codex refuses to work with its state under /tmp.
        let dir = tempfile::Builder::new().prefix("agent").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let base = format!("http://127.0.0.1:{}", server.port);
        let home = dir.path();
        for name in ["work", "session", ".codex", ".gemini"] {
            fs::create_dir(home.join(name)).unwrap();
        }
        fs::write(home.join(".codex/config.toml"), format!("openai_base_url = \"{base}/v1\"\n")).unwrap();
        let opencode = format!(
            r#"{{"autoupdate":false,"share":"disabled","model":"fake/m","small_model":"fake/m","provider":{{"fake":{{
                "npm":"@ai-sdk/openai-compatible","options":{{"baseURL":"{base}/v1","apiKey":"{{env:FAKE_KEY}}"}},
                "models":{{"m":{{"name":"m"}}}}}}}}}}"#
        );
        fs::write(home.join("opencode.json"), opencode).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let environment = [
            ("PATH", path),
            ("HOME", home.display().to_string()),
            ("TMPDIR", home.display().to_string()),
            ("ANTHROPIC_BASE_URL", base.clone()),
            ("OPENCODE_CONFIG", home.join("opencode.json").display().to_string()),
            ("OPENCODE_DISABLE_MODELS_FETCH", "1".into()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        Home { dir, environment }
    }

    fn gemini_with_key(&mut self, server: &Server) {
        let settings = r#"{"security":{"auth":{"selectedType":"gemini-api-key"}}}"#;
        fs::write(self.dir.path().join(".gemini/settings.json"), settings).unwrap();
        let base = format!("http://127.0.0.1:{}", server.port);
        self.environment.insert("GOOGLE_GEMINI_BASE_URL".into(), base);
    }
}

struct Run {
    status: ExitStatus,
    /// What it printed, without escape sequences.
    screen: String,
    program: PathBuf,
}

/// The agents' programs; `None`, and says so, when they are not installed.
fn installed(agent: &str) -> Option<PathBuf> {
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/agents/node_modules/.bin");
    if bin.join(agent).exists() {
        return Some(bin);
    }
    // Not eprintln!, which the test harness swallows.
    let line = format!("agents: {agent} is not installed, its test is skipped: run make agents\n");
    drop(io::stderr().write_all(line.as_bytes()));
    None
}

/// Runs an agent in mode `cli` to its end.
fn run(agent: &str, home: &Home, full_access: bool, model: Option<&str>, keys: &[(&str, &str)]) -> Run {
    let root = home.dir.path();
    let paths = Paths { config: root.join("config"), state: root.join("state"), runtime: root.join("run") };
    let session: SessionName = "1.1".parse().unwrap();
    let prompt = format!("--help is no option here. {} {LAST_WORDS}", "word ".repeat(LONG / 5));
    let request = LaunchRequest {
        conversation: None,
        trial: false,
        provider: agent,
        description: &prompt,
        command: &[],
        model,
        mode: Mode::Cli,
        full_access,
        directory: &root.join("work"),
        environment: &home.environment,
        session: &session,
        session_uid: Uid::new(),
        session_directory: &root.join("session"),
        task: None,
        attempt: None,
        socket: &root.join("none"),
    };
    let keys: HashMap<String, String> = keys.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let launch = Registry::load(&paths).launch(&request, &|name| keys.get(name).cloned()).unwrap();
    let (name, content) = launch.prompt_file.expect("the prompt goes by file");
    fs::write(root.join("session").join(&name), content).unwrap();
    let step = &launch.steps[0];
    assert_eq!(step.stdin, Stdin::File(name.clone()));
    let mut command = Command::new(&step.argv[0]);
    command.args(&step.argv[1..]).current_dir(&step.directory).env_clear();
    command.envs(&step.environment).envs(&launch.secrets.0);
    command.stdin(File::open(root.join("session").join(name)).unwrap());
    let (status, printed) = on_terminal(command);
    Run { status, screen: plain(&printed), program: PathBuf::from(&step.argv[0]) }
}

/// Runs a command with a terminal as its output and controlling terminal.
fn on_terminal(mut command: Command) -> (ExitStatus, Vec<u8>) {
    let pty = nix::pty::openpty(None, None).unwrap();
    command.stdout(pty.slave.try_clone().unwrap()).stderr(pty.slave);
    // SAFETY: setsid and ioctl are plain system calls, allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            if libc::setsid() < 0 || libc::ioctl(1, libc::TIOCSCTTY, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    // It holds our ends of the terminal.
    drop(command);
    let id = child.id();
    let printed = read_all(pty.master, Instant::now() + PATIENCE);
    let left = || -> Vec<u32> {
        let here = |pid: &u32| process::stat(*pid).is_ok_and(|stat| stat.session == id && stat.state != 'Z');
        process::all().unwrap().into_iter().filter(here).collect()
    };
    if printed.is_none() {
        left().into_iter().filter_map(PidFd::open).for_each(|handle| drop(handle.signal(libc::SIGKILL)));
    }
    let status = child.wait().unwrap();
    assert!(left().is_empty(), "processes are left");
    (status, printed.expect("it ends by itself"))
}

/// Everything printed until nobody has the terminal open; `None` when that takes too long.
fn read_all(master: OwnedFd, deadline: Instant) -> Option<Vec<u8>> {
    let mut master = File::from(master);
    let mut all = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap();
        if poll(&mut [PollFd::new(master.as_fd(), PollFlags::POLLIN)], timeout).unwrap() == 0 {
            eprintln!("{}", plain(&all));
            return None;
        }
        match master.read(&mut buffer) {
            Ok(n @ 1..) => all.extend_from_slice(&buffer[..n]),
            // EIO: the last one has closed it.
            _ => return Some(all),
        }
    }
}

/// Text without the usual escape sequences.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            out.push(c);
        } else if rest.next_if_eq(&'[').is_some() {
            while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
        }
    }
    out
}

fn check(run: &Run, code: i32, words: &str) {
    let tail: String = run.screen.chars().rev().take(2_000).collect::<Vec<_>>().into_iter().rev().collect();
    assert_eq!(run.status.code(), Some(code), "{tail}");
    assert!(run.screen.contains(words), "no '{words}' in:\n{tail}");
}

#[test]
fn claude_ends_by_itself() {
    let Some(bin) = installed("claude") else { return };
    let server = Server::start("403 Forbidden");
    check(&run("claude", &Home::new(&server, &bin), false, None, &[]), 1, "Not logged in");
    assert!(!server.saw(LAST_WORDS));

    let key = [("ANTHROPIC_API_KEY", "sk-fake")];
    let refused = run("claude", &Home::new(&server, &bin), false, Some("opus"), &key);
    check(&refused, 1, "API Error: 403");
    assert!(server.saw(LAST_WORDS), "the whole prompt came through");

    // Root gets full access only where IS_SANDBOX says that the machine is one.
    if nix::unistd::geteuid().is_root() {
        let refused = run("claude", &Home::new(&server, &bin), true, None, &key);
        check(&refused, 1, "cannot be used with root");
    }
}

#[test]
fn codex_ends_by_itself() {
    let Some(bin) = installed("codex") else { return };
    let server = Server::start("401 Unauthorized");
    let refused = run("codex", &Home::new(&server, &bin), false, None, &[]);
    check(&refused, 1, "401 Unauthorized");
    assert!(refused.program.to_str().unwrap().contains("/vendor/"), "the program itself, not the script: {refused:?}");
    assert!(server.saw(LAST_WORDS), "the whole prompt came through");
}

#[test]
fn gemini_ends_by_itself() {
    let Some(bin) = installed("gemini") else { return };
    let server = Server::start("403 Forbidden");
    check(&run("gemini", &Home::new(&server, &bin), false, None, &[]), 41, "Please set an Auth method");

    let mut home = Home::new(&server, &bin);
    home.gemini_with_key(&server);
    let refused = run("gemini", &home, true, Some("gemini-2.5-flash"), &[("GEMINI_API_KEY", "fake")]);
    check(&refused, 1, "the test refuses");
    assert!(server.saw(LAST_WORDS), "the whole prompt came through");
}

#[test]
fn opencode_ends_by_itself() {
    let Some(bin) = installed("opencode") else { return };
    let server = Server::start("401 Unauthorized");
    let refused = run("opencode", &Home::new(&server, &bin), true, Some("fake/m"), &[]);
    check(&refused, 1, "the test refuses");
    assert!(server.saw(LAST_WORDS), "the whole prompt came through");
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("status", &self.status).field("program", &self.program).finish_non_exhaustive()
    }
}
