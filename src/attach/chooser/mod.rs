//! The list of sessions to choose from, with what the chosen one shows now.

mod preview;

use std::fs;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::cover::Outcome;
use super::keys::Key;
use super::notice;
use crate::client::find;
use crate::clock;
use crate::id::SessionName;
use crate::paths::Paths;
use crate::protocol::Fault;
use crate::protocol::keeper::{FromKeeper, KeeperStatus, ToKeeper};
use crate::protocol::launch::LaunchSpec;

use preview::Preview;

/// All keepers together may take this long to say how their sessions are. They answer
/// within a millisecond; of one that does not, only the name is shown.
const ASK_LIMIT: Duration = Duration::from_millis(500);
/// A session that has written nothing for this long is called quiet.
const QUIET: Duration = Duration::from_secs(10);
/// The preview has at least this part of the terminal.
const PREVIEW_SHARE: usize = 2;

/// The list.
#[derive(Debug)]
pub(super) struct Chooser {
    paths: Paths,
    entries: Vec<Entry>,
    chosen: usize,
    preview: Option<Preview>,
}

#[derive(Debug)]
struct Entry {
    name: SessionName,
    /// Where the user comes from.
    here: bool,
    tool: String,
    status: Option<KeeperStatus>,
}

impl Entry {
    /// Its program has called for somebody.
    fn asks(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.rang)
    }

    fn line(&self) -> String {
        let (what, title) = match &self.status {
            None => ("does not answer".to_owned(), ""),
            Some(status) => {
                let quiet = Duration::from_millis(status.quiet_ms);
                let what = match (status.frozen, status.rang, quiet >= QUIET) {
                    (true, ..) => "paused".to_owned(),
                    (_, true, _) => format!("asks, {} ago", clock::short(whole_seconds(quiet))),
                    (_, _, true) => format!("quiet {}", clock::short(whole_seconds(quiet))),
                    _ => "working".to_owned(),
                };
                (what, status.title.as_str())
            }
        };
        let here = if self.here { '*' } else { ' ' };
        format!("{here}{:<12} {:<10} {:<20} {title}", self.name.as_str(), self.tool, what)
    }
}

fn whole_seconds(length: Duration) -> Duration {
    Duration::from_secs(length.as_secs())
}

impl Chooser {
    /// All live sessions but `except`: those that call for somebody first, the longest
    /// waiting before the others. `shown` is the one the user comes from.
    ///
    /// # Errors
    /// When the directory of sessions cannot be read.
    pub(super) fn open(paths: &Paths, shown: &SessionName, except: Option<&SessionName>) -> Result<Chooser, Fault> {
        let deadline = Instant::now() + ASK_LIMIT;
        let mut names = find::live(paths)?;
        names.retain(|name| except.is_none_or(|except| !find::is_same(paths, name, except)));
        let entry = |name: SessionName| Entry {
            tool: tool(paths, &name).unwrap_or_default(),
            status: ask(paths, &name, deadline),
            here: name == *shown,
            name,
        };
        let mut entries: Vec<Entry> = names.into_iter().map(entry).collect();
        // Stable: the others stay in their order.
        entries.sort_by_key(|entry| {
            let waited = entry.status.as_ref().map_or(0, |status| status.quiet_ms);
            if entry.asks() { (0, u64::MAX - waited) } else { (1, 0) }
        });
        let calls = entries.iter().position(|entry| entry.asks() && entry.name != *shown);
        let chosen = calls.or_else(|| entries.iter().position(|entry| entry.name == *shown)).unwrap_or(0);
        let mut chooser = Chooser { paths: paths.clone(), entries, chosen, preview: None };
        chooser.look();
        Ok(chooser)
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: Key) -> Outcome {
        let last = self.entries.len().saturating_sub(1);
        let to = match key {
            Key::Escape | Key::Char('q') | Key::Control('c') => return Outcome::Back,
            Key::Enter => return self.chosen().map_or(Outcome::Back, |entry| Outcome::To(entry.name.clone())),
            Key::Up | Key::Char('k') | Key::Control('p') => self.chosen.saturating_sub(1),
            Key::Down | Key::Char('j') | Key::Control('n') | Key::Tab => (self.chosen + 1).min(last),
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => last,
            _ => return Outcome::Bell,
        };
        if to != self.chosen {
            self.chosen = to;
            self.look();
        }
        Outcome::Stay
    }

    /// What to wait for: the chosen session's output.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.preview.as_ref().map(Preview::fd)
    }

    /// Reads what has come there.
    pub(super) fn read(&mut self) {
        if self.preview.as_mut().is_some_and(|preview| preview.read().is_err()) {
            self.preview = None;
        }
    }

    /// When it is to be painted again, if it has changed.
    pub(super) fn paint_at(&self) -> Option<Instant> {
        self.preview.as_ref()?.paint_at()
    }

    /// Escape sequences that paint it on a whole terminal of this size.
    pub(super) fn paint(&mut self, (columns, rows): (u16, u16)) -> Vec<u8> {
        let (width, height) = (usize::from(columns), usize::from(rows));
        let room = (height.saturating_sub(1) - height.saturating_sub(1) / PREVIEW_SHARE).max(1);
        let listed = self.entries.len().min(room);
        let first = (self.chosen + 1).saturating_sub(listed);
        let mut lines: Vec<Vec<u8>> = Vec::with_capacity(height);
        for (index, entry) in self.entries.iter().enumerate().skip(first).take(listed) {
            let line = notice::fit(&entry.line(), width);
            let marked = if index == self.chosen { "\x1b[7m" } else { "" };
            lines.push(format!("{marked}{line}\x1b[0m").into_bytes());
        }
        if self.entries.is_empty() {
            lines.push(notice::fit(" there is no session", width).into_bytes());
        }
        let help = " Enter goes there, q goes back to * ";
        lines.push(
            format!("\x1b[2m{}\x1b[0m", notice::fit(&format!("──{help}{}", "─".repeat(width)), width)).into_bytes(),
        );
        let left = u16::try_from(height.saturating_sub(lines.len())).unwrap_or(0);
        match self.preview.as_mut() {
            Some(preview) if left > 0 => lines.extend(preview.lines((columns, left))),
            Some(preview) => preview.skip(),
            None => {}
        }
        notice::whole(&lines, rows)
    }

    fn chosen(&self) -> Option<&Entry> {
        self.entries.get(self.chosen)
    }

    /// Opens the preview of the chosen one. Without one the list is still of use.
    fn look(&mut self) {
        self.preview = self.chosen().and_then(|entry| {
            let status = entry.status.as_ref()?;
            Preview::open(&self.paths, &entry.name, (status.columns, status.rows)).ok()
        });
    }
}

fn tool(paths: &Paths, name: &SessionName) -> Option<String> {
    let spec = fs::read(paths.live_session(name).launch()).ok()?;
    Some(serde_json::from_slice::<LaunchSpec>(&spec).ok()?.tool)
}

fn ask(paths: &Paths, name: &SessionName, deadline: Instant) -> Option<KeeperStatus> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let (mut link, _) = find::connect_within(paths, name, left()).ok()?;
    link.ask(&ToKeeper::Status, left(), |message| match message {
        FromKeeper::Status(status) => Some(status),
        _ => None,
    })
    .ok()
}
