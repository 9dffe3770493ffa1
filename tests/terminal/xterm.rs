//! xterm.js, the engine of many web terminals: without a window, driven by `xterm.mjs`.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::state::State;
use crate::table::Size;

/// The slowest job takes well below a second on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running driver; it ends with this.
#[derive(Debug)]
pub struct Xterm {
    child: Child,
    jobs: ChildStdin,
    outcomes: Receiver<String>,
}

impl Xterm {
    /// `None`, and says so, where it is not installed.
    pub fn start() -> Option<Xterm> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let installed: PathBuf = root.join("target/xterm");
        if !installed.join("node_modules/@xterm/headless").exists() {
            // Not eprintln!, which the test harness swallows.
            let line = "terminal: xterm.js is not installed, its tests are skipped: run make xterm\n";
            drop(io::stderr().write_all(line.as_bytes()));
            return None;
        }
        let mut child = Command::new("node")
            .arg(root.join("tests/terminal/xterm.mjs"))
            .arg(installed)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("who installed it has node");
        let jobs = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, outcomes) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Some(Xterm { child, jobs, outcomes })
    }

    /// What a fresh terminal is like that has taken `stream` in, but for what has moved.
    pub fn end(&mut self, size: Size, stream: &[u8]) -> State {
        let mut state = self.run(size, &[stream]).remove(0);
        state.remove(MOVES);
        state
    }

    /// A fresh terminal takes `parts` in; what it is like after each.
    pub fn run(&mut self, size: Size, parts: &[&[u8]]) -> Vec<State> {
        let parts: Vec<String> = parts.iter().map(|part| part.iter().map(|byte| char::from(*byte)).collect()).collect();
        let job = json!({ "columns": size.0, "rows": size.1, "parts": parts });
        writeln!(self.jobs, "{job}").unwrap();
        let outcome = self.outcomes.recv_timeout(PATIENCE).expect("xterm.js answers; what it said is above");
        let states: Vec<Vec<(String, String)>> = serde_json::from_str(&outcome).unwrap();
        assert_eq!(states.len(), parts.len());
        states.into_iter().map(|pairs| pairs.into_iter().collect()).collect()
    }
}

/// Moves along with the text in xterm.js, but not in others and in ours. Whoever restores it
/// shows whether it is right.
const MOVES: &str = "screen saved cursor";

impl Drop for Xterm {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
