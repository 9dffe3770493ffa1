//! tmux, a terminal within a terminal: a server of our own on a private socket.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use autodev::process::PidFd;
use autodev::screen::Screen;
use autodev::socket::readable;

use crate::state::State;
use crate::table::Size;

/// A stream takes well below a second on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// What tmux tells of a pane beside its cells.
const TOLD: [&str; 23] = [
    "cursor_x",
    "cursor_y",
    "cursor_flag",
    "scroll_region_upper",
    "scroll_region_lower",
    "origin_flag",
    "insert_flag",
    "wrap_flag",
    "keypad_flag",
    "keypad_cursor_flag",
    "mouse_any_flag",
    "mouse_all_flag",
    "mouse_button_flag",
    "mouse_standard_flag",
    "mouse_sgr_flag",
    "mouse_utf8_flag",
    "pane_title",
    "pane_tabs",
    "pane_in_mode",
    "history_size",
    "alternate_on",
    "alternate_saved_x",
    "alternate_saved_y",
];

/// A server; it ends with this.
#[derive(Debug)]
pub struct Tmux {
    folder: tempfile::TempDir,
    columns: u16,
    count: usize,
}

impl Tmux {
    /// `None`, and says so, where it is not installed.
    pub fn start(size: Size) -> Option<Tmux> {
        if Command::new("tmux").arg("-V").output().is_err() {
            // Not eprintln!, which the test harness swallows.
            drop(io::stderr().write_all(b"terminal: tmux is not installed, its tests are skipped\n"));
            return None;
        }
        let folder = tempfile::Builder::new().prefix("autodev-tmux-").tempdir().unwrap();
        let tmux = Tmux { folder, columns: size.0, count: 0 };
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let settings = ["set -g status off", "set -g history-limit 5000", "set -g remain-on-exit on"];
        let mut command = tmux.command();
        command.args(["-f", "/dev/null", "start-server"]);
        for setting in settings {
            command.arg(";").args(setting.split(' '));
        }
        command.args([";", "new-session", "-d", "-x", &columns, "-y", &rows, "sleep 600"]);
        assert!(command.status().unwrap().success(), "tmux starts");
        Some(tmux)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color").arg("-u").arg("-S");
        command.arg(self.socket()).stdin(Stdio::null());
        command
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let output = self.command().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&self.ask(arguments).stdout).trim_end().to_owned()
    }

    /// What fresh panes are like that have each taken a stream in.
    pub fn ends<const N: usize>(&mut self, streams: [&[u8]; N]) -> [State; N] {
        let panes = streams.map(|stream| self.pane(stream));
        panes.map(|(pane, number)| {
            self.wait(&number);
            let state = self.look(&pane);
            self.ask(&["kill-pane", "-t", &pane]);
            state
        })
    }

    /// A pane in which a stream is written; its name, and what it signals when tmux has taken
    /// the stream in: it has then answered a question at the end of it.
    fn pane(&mut self, stream: &[u8]) -> (String, String) {
        self.count += 1;
        let number = self.count.to_string();
        let file = self.folder.path().join(&number);
        fs::write(&file, stream).unwrap();
        let (file, socket) = (file.display(), self.socket());
        let script = format!(
            "stty raw -echo; cat '{file}'; printf '\\033[5n'; head -c 4 >/dev/null; \
             tmux -S '{}' wait-for -S {number}; exec sleep 600",
            socket.display()
        );
        let pane = self.text(&["new-window", "-d", "-P", "-F", "#{pane_id}", &script]);
        (pane, number)
    }

    fn wait(&self, number: &str) {
        let mut child = self.command().args(["wait-for", number]).spawn().unwrap();
        let handle = PidFd::open(child.id()).unwrap();
        if !readable(&handle, PATIENCE).unwrap() {
            drop(child.kill());
            panic!("tmux takes the stream in");
        }
        assert!(child.wait().unwrap().success(), "tmux tells when a stream is through");
    }

    fn look(&self, pane: &str) -> State {
        let mut state = State::new();
        let format: Vec<_> = TOLD.iter().map(|name| format!("#{{{name}}}")).collect();
        let told = self.text(&["display-message", "-p", "-t", pane, &format.join("\n")]);
        assert!(told.lines().count() >= TOLD.len() - 2, "tmux tells all: {told}");
        state.extend(TOLD.iter().zip(told.lines()).map(|(name, value)| ((*name).to_owned(), value.to_owned())));
        // Nothing goes forward to the first column, and back it is where there is no stop.
        let first = |tabs: &mut String| *tabs = tabs.strip_prefix("0,").unwrap_or(tabs).to_owned();
        state.get_mut("pane_tabs").into_iter().for_each(first);
        let mut lines = |name: &str, arguments: &[&str]| {
            let text = self.text(&[&["capture-pane", "-p", "-e", "-t", pane], arguments].concat());
            let text = told_alike(&text, self.columns);
            let numbered = text.lines().enumerate().map(|(at, line)| (format!("{name} line {at:4}"), line.to_owned()));
            state.extend(numbered);
        };
        lines("screen", &["-S", "-"]);
        lines("hidden", &["-a", "-q"]);
        state
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        drop(self.command().arg("kill-server").output());
    }
}

/// What tmux shows, in one way of saying it: it has several, says what ends with a line in the
/// next, and tells lines and corners as letters of another charset.
fn told_alike(text: &str, columns: u16) -> String {
    let rows = u16::try_from(text.lines().count()).unwrap();
    let mut screen = Screen::new(columns, rows, 0);
    screen.feed(b"\x1b)0", &mut Vec::new());
    screen.feed(text.replace('\n', "\r\n").as_bytes(), &mut Vec::new());
    screen.text(true)
}
