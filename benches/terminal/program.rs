//! The programs that run in the sessions, and the pipes over which they talk with the bench:
//! past the terminal that is measured.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use super::shared::programs;
use super::tied::LIMIT;

/// A directory with two pipes: one for what programs say, one to let them go.
pub struct Stage {
    dir: tempfile::TempDir,
    said: File,
    /// Said, not asked for yet.
    rest: String,
}

/// What a program has printed.
#[derive(Clone, Copy)]
pub struct Printed {
    pub begin: u64,
    pub end: u64,
    pub bytes: u64,
}

impl Printed {
    /// Megabytes a second.
    pub fn speed(&self) -> f64 {
        self.bytes as f64 * 1000.0 / (self.end - self.begin) as f64
    }
}

impl Stage {
    pub fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
        for name in ["said", "go"] {
            mkfifo(&dir.path().join(name), Mode::S_IRWXU).expect("a pipe");
        }
        // For writing too, so that it never ends.
        let said = OpenOptions::new().read(true).write(true).open(dir.path().join("said")).expect("a pipe");
        Stage { dir, said, rest: String::new() }
    }

    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// The arguments of a program that prints a file when it is let go, once or for some
    /// seconds.
    pub fn write(&self, file: &Path, seconds: usize) -> Vec<String> {
        let (program, dir) = (programs::path("write"), self.dir.path());
        [text(&program), text(file), text(&dir.join("said")), text(&dir.join("go")), seconds.to_string()].into()
    }

    /// Of a program that gives back every key.
    pub fn echo(&self) -> Vec<String> {
        [text(&programs::path("echo")), text(&self.dir.path().join("said"))].into()
    }

    /// Of one that says when it runs.
    pub fn now(&self) -> Vec<String> {
        [text(&programs::path("now")), text(&self.dir.path().join("said"))].into()
    }

    /// What a program says next, if it does within a time.
    pub fn line(&mut self, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                let line = line.to_owned();
                self.rest = rest.to_owned();
                return Some(line);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !autodev::socket::readable(&self.said, left).expect("waited") {
                return None;
            }
            let mut bytes = [0; 4096];
            let read = self.said.read(&mut bytes).expect("said");
            self.rest.push_str(std::str::from_utf8(&bytes[..read]).expect("text"));
        }
    }

    /// The program that has just come up.
    pub fn ready(&mut self) -> Running {
        let line = self.line(LIMIT).expect("the program runs");
        Running(line.strip_prefix("ready ").and_then(|pid| pid.parse().ok()).expect("its process id"))
    }

    /// Lets all programs go that wait for it.
    pub fn go(&self) {
        // Ready is said just before the pipe is opened.
        std::thread::sleep(Duration::from_millis(50));
        let go = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(self.dir.path().join("go"));
        drop(go.expect("somebody waits"));
    }

    /// What a program that was let go has printed, if it is done within a time.
    pub fn printed(&mut self, limit: Duration) -> Option<Printed> {
        let line = self.line(limit)?;
        let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().expect("a number")).collect();
        let [begin, end, bytes] = numbers.try_into().expect("three numbers");
        Some(Printed { begin, end, bytes })
    }
}

/// A program in a session; dropping it ends both.
pub struct Running(i32);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0), Signal::SIGKILL);
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path").to_owned()
}
