//! Values for shell completion: asked of a daemon that is there, within a deadline, and
//! nothing at all otherwise.

use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::client::Client;
use crate::paths::Paths;
use crate::protocol::request::{Filter, ListQuery, Listing};
use crate::protocol::view::SessionView;
use crate::protocol::{Reply, Request};
use crate::provider::Registry;

/// A shell that waits for its completion feels dead after this long.
const DEADLINE: Duration = Duration::from_millis(100);
/// More are not read by anybody.
const MOST: u32 = 200;

/// Completes task numbers, the newest first.
pub fn tasks() -> ArgValueCompleter {
    ArgValueCompleter::new(known_tasks)
}

/// Completes names of live sessions.
pub fn sessions() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| known_sessions(word, |_| true))
}

/// Completes task numbers and names of live sessions without a task.
pub fn tasks_and_sessions() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        let mut all = known_sessions(word, |session| session.task.is_none());
        all.extend(known_tasks(word));
        all
    })
}

fn known_tasks(word: &OsStr) -> Vec<CompletionCandidate> {
    let query = ListQuery { listing: Listing::All, filter: Filter::default(), limit: MOST, cursor: None };
    let Some(Reply::Tasks(page)) = ask(&Request::List(query)) else { return Vec::new() };
    candidates(word, page.tasks.into_iter().map(|t| (t.id.to_string(), format!("{} {}", t.state, t.title))))
}

fn known_sessions(word: &OsStr, wanted: impl Fn(&SessionView) -> bool) -> Vec<CompletionCandidate> {
    let Some(Reply::Sessions(sessions)) = ask(&Request::Sessions { all: false, before: None, limit: MOST }) else {
        return Vec::new();
    };
    let sessions = sessions.into_iter().filter(wanted);
    candidates(word, sessions.map(|s| (s.name.to_string(), format!("{} {}", s.state.name(), s.tool))))
}

/// Completes names of providers. No daemon is asked: that would run each of their tools.
pub fn providers() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        let Ok(paths) = Paths::from_env() else { return Vec::new() };
        let registry = Registry::load(&paths);
        let titled = |name: &str| {
            let title = registry.get(name).map(|entry| entry.title().to_owned());
            (name.to_owned(), title.unwrap_or_default())
        };
        candidates(word, registry.names().map(titled))
    })
}

/// Completes numbers of questions that nobody has answered.
pub fn requests() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        let Some(Reply::Asked(open)) = ask(&Request::Requests { all: false }) else { return Vec::new() };
        candidates(word, open.into_iter().map(|asked| (asked.id.to_string(), asked.question)))
    })
}

fn ask(request: &Request) -> Option<Reply> {
    let mut client = Client::connect_quickly(&Paths::from_env().ok()?, DEADLINE)?;
    client.call_within(request, Some(DEADLINE)).ok()
}

fn candidates(word: &OsStr, all: impl Iterator<Item = (String, String)>) -> Vec<CompletionCandidate> {
    let typed = word.to_string_lossy();
    // Of a list such as 3,5 the last word is completed.
    let before = typed.rfind(',').map_or("", |comma| &typed[..=comma]);
    let last = &typed[before.len()..];
    all.filter(|(name, _)| name.starts_with(last))
        .map(|(name, help)| {
            CompletionCandidate::new(format!("{before}{name}")).help(Some(super::table::plain(&help).into()))
        })
        .collect()
}
