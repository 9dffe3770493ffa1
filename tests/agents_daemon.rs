//! Real agents through the whole of it: submitted, run in a terminal by a keeper, ended
//! without a key by a message of their own, which log and history show.
//!
//! `make agents` installs them; a test whose agent is not there says so on
//! standard error and passes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use autodev::paths::KeeperFile;
use autodev::process::PidFd;
use autodev::provider::GO_ON;
use common::{DEADLINE, Instance};

/// The agents' own programs before everything else.
fn with_agents(mut command: Command) -> Option<Command> {
    let agents = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/agents/node_modules/.bin");
    let path = format!("{}:{}", agents.display(), std::env::var("PATH").unwrap());
    command.env("PATH", path);
    agents.is_dir().then_some(command)
}

fn ends_with_its_own_words(agent: &str, code: i64, words: &str) {
    let instance = Instance::new();
    let args = ["submit", "--provider", agent, "--timeout", "120s", "--wait", "say hi"];
    let Some(mut submit) = with_agents(instance.autodev(&args)) else {
        eprintln!("{agent} is not installed: skipped");
        return;
    };
    let output = submit.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let shown = instance.task(1);
    assert_eq!((shown["state"].as_str(), shown["exit_code"].as_i64()), (Some("failed"), Some(code)), "{shown}");
    let log = instance.ok(&["logs", "1"]);
    assert!(log.contains(words), "{log}");
    let ended = instance.json(&["history", "1"]);
    assert!(
        ended.as_array().unwrap().iter().any(|e| e["kind"] == "ended" && e["detail"]["exit_code"] == code),
        "{ended}"
    );
    // Nothing of the agent is left, whatever it had started.
    assert_eq!(instance.json(&["sessions"]).as_array().map(Vec::len), Some(0));
    let home = instance.home().to_str().unwrap().to_owned();
    for pid in autodev::process::all().unwrap() {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let ours = memchr::memmem::find(&environment, home.as_bytes()).is_some();
        let session = memchr::memmem::find(&environment, b"AUTODEV_SESSION=1.1").is_some();
        assert!(!(ours && session), "process {pid} of {agent} is left");
    }
}

#[test]
fn claude() {
    ends_with_its_own_words("claude", 1, "Please run /login");
}

#[test]
fn gemini() {
    ends_with_its_own_words("gemini", 41, "set an Auth method");
}

/// Stands for a model that thinks for ever: keeps what it is asked, and answers nothing.
struct Silent {
    port: u16,
    asked: Arc<(Mutex<Vec<Vec<u8>>>, Condvar)>,
}

impl Silent {
    fn start() -> Silent {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let keep = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keep = keep.clone();
                thread::spawn(move || Self::listen(stream, &keep));
            }
        });
        Silent { port, asked }
    }

    /// Until the client leaves. Who wants a web socket is sent away, and asks plainly.
    fn listen(stream: TcpStream, asked: &(Mutex<Vec<Vec<u8>>>, Condvar)) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                let line = line.trim_end().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if line.starts_with("upgrade:") {
                    return;
                }
                length = line.strip_prefix("content-length:").and_then(|n| n.trim().parse().ok()).unwrap_or(length);
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            asked.0.lock().unwrap().push(body);
            asked.1.notify_all();
        }
    }

    /// Waits until one request has held all of these texts.
    #[track_caller]
    fn was_asked(&self, texts: &[&str]) {
        let holds = |body: &Vec<u8>| texts.iter().all(|text| memchr::memmem::find(body, text.as_bytes()).is_some());
        let asked = self.asked.0.lock().unwrap();
        let (asked, late) = self.asked.1.wait_timeout_while(asked, DEADLINE, |asked| !asked.iter().any(holds)).unwrap();
        assert!(!late.timed_out(), "{} requests, and none holds {texts:?}", asked.len());
    }
}

/// The model is asked with all that was said before the interruption, and with the words
/// that tell it to go on.
fn goes_on(agent: &str, tool: &str, signal: i32, environment: &[(&str, &str)]) {
    let server = Silent::start();
    let instance = Instance::new();
    let base = format!("http://127.0.0.1:{}", server.port);
    // Not below /tmp: codex does not like its state there.
    let state = tempfile::Builder::new().prefix("agent").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(state.path().join("config.toml"), format!("openai_base_url = \"{base}/v1\"\n")).unwrap();
    let Some(mut start) = with_agents(instance.autodev(&["daemon", "start"])) else {
        eprintln!("{agent} is not installed: skipped");
        return;
    };
    start.env("ANTHROPIC_BASE_URL", &base).env("CODEX_HOME", state.path()).envs(environment.iter().copied());
    assert!(start.output().unwrap().status.success());
    let submitted = with_agents(instance.autodev(&["submit", "--provider", agent, "say hello to the world"]));
    assert!(submitted.unwrap().output().unwrap().status.success());
    // With the tools it has: requests for a title come earlier.
    server.was_asked(&["say hello to the world", tool]);
    let keeper = std::fs::read(instance.live("1.1").join("keeper.json")).unwrap();
    let keeper: KeeperFile = serde_json::from_slice(&keeper).unwrap();
    PidFd::open(keeper.process.pid).unwrap().signal(signal).unwrap();
    server.was_asked(&["say hello to the world", GO_ON]);
    let shown = instance.json(&["show", "1"]);
    let [first, second] = shown["attempts"].as_array().unwrap().as_slice() else { panic!("{shown}") };
    assert_eq!(first["conversation"], second["conversation"]);
    assert_eq!((first["resumed"].as_bool(), second["resumed"].as_bool()), (Some(false), Some(true)));
}

#[test]
fn claude_goes_on() {
    // Ended gently it writes down what was said so far.
    goes_on("claude", "\"name\":\"Edit\"", libc::SIGTERM, &[("ANTHROPIC_API_KEY", "fake")]);
}

#[test]
fn codex_goes_on() {
    goes_on("codex", "", libc::SIGKILL, &[("CODEX_API_KEY", "fake")]);
}
