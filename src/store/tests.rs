//! The store on a real database in a directory of its own.

mod batches;
mod claims;
mod dependencies;
mod figures;
mod history;
mod listings;
mod opening;
mod restoring;
mod searching;
mod sessions;
mod tasks;
mod writing;

use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::protocol::fault::FaultCode;
use crate::protocol::reply::TaskPage;
use crate::protocol::request::{Edit, EventsQuery, Filter, ListQuery, Listing, Select, Submit, SubmitChunk};
use crate::protocol::view::{Count, SessionState, TaskDetail};
use crate::queue::Limits;
use crate::task::spec::DEFAULT_RESTARTS;
use crate::task::{Actor, Dependency, Event, Exit, OnInterrupt, When};

/// An instance in a temporary directory.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Home {
        Home { dir: tempfile::tempdir().unwrap() }
    }

    fn paths(&self) -> Paths {
        let at = |name: &str| self.dir.path().join(name);
        Paths { config: at("config"), state: at("state"), runtime: at("run") }
    }

    fn open(&self) -> Store {
        Store::open(&self.paths(), 0).unwrap()
    }

    /// A connection of somebody who is not autodev.
    fn stranger(&self) -> Connection {
        Connection::open(self.paths().database()).unwrap()
    }
}

/// A store in a fresh directory.
fn fresh() -> (Home, Store) {
    let home = Home::new();
    let store = home.open();
    (home, store)
}

fn spec(title: &str) -> TaskSpec {
    TaskSpec {
        title: title.into(),
        description: format!("please do {title}"),
        command: Vec::new(),
        role: None,
        provider: "shell".into(),
        model: None,
        mode: Mode::Cli,
        dir: PathBuf::from("/src/project"),
        full_access: false,
        priority: 0,
        after: Vec::new(),
        begin: None,
        hold: false,
        retries: 0,
        on_interrupt: OnInterrupt::default(),
        max_restarts: DEFAULT_RESTARTS,
        timeout: None,
        labels: Vec::new(),
        environment: std::collections::BTreeMap::new(),
        size: None,
    }
}

async fn submit(store: &Store, spec: TaskSpec) -> TaskId {
    let key = Uid::new().to_string();
    store.submit(Submit { key, spec }).await.unwrap().task
}

fn after(task: TaskId, when: When) -> Vec<Dependency> {
    vec![Dependency { task, when }]
}

/// Room for `slots` attempts and no other limit.
fn limits(slots: u32) -> Limits {
    Limits { slots, ..Limits::default() }
}

async fn claim(store: &Store, slots: u32) -> Vec<TaskId> {
    store.claim(limits(slots), usize::MAX).await.unwrap().into_iter().map(|c| c.attempt.task).collect()
}

/// What is started, with nothing to go on with.
fn started(argv: &[&str], keeper_pid: u32, size: (u16, u16)) -> AttemptStart {
    let argv = argv.iter().map(ToString::to_string).collect();
    AttemptStart { argv, keeper_pid: Some(keeper_pid), size, conversation: None, resumed: false }
}

fn ended(outcome: Outcome) -> AttemptEnd {
    AttemptEnd { outcome, error: None, record: None, conversation: None }
}

fn attempt(task: TaskId, number: u32) -> AttemptId {
    AttemptId { task, number }
}

/// Runs a claimed task to its end.
async fn run(store: &Store, task: TaskId, number: u32, outcome: Outcome) -> Applied {
    let attempt = attempt(task, number);
    store.start_attempt(attempt, started(&["true"], 7, (80, 24))).await.unwrap();
    store.end_attempt(attempt, ended(outcome)).await.unwrap()
}

async fn view(store: &Store, task: TaskId) -> TaskDetail {
    store.show(task, limits(4)).await.unwrap()
}

async fn state(store: &Store, task: TaskId) -> Status {
    view(store, task).await.task.state
}

fn fault(error: StoreError) -> Fault {
    match error {
        StoreError::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

fn query(listing: Listing) -> ListQuery {
    ListQuery { listing, filter: Filter::default(), limit: 50, cursor: None }
}

/// The numbers on all pages of a list, asked for `limit` at a time.
async fn pages(store: &Store, mut query: ListQuery, limit: u32) -> Vec<i64> {
    query.limit = limit;
    let mut all = Vec::new();
    loop {
        let page = store.list(query.clone(), limits(4)).await.unwrap();
        assert!(page.tasks.len() <= limit as usize);
        assert!(!page.incomplete);
        all.extend(page.tasks.iter().map(|t| t.id.0));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return all,
        }
    }
}

async fn numbers(store: &Store, listing: Listing) -> Vec<i64> {
    pages(store, query(listing), 50).await
}

fn no_change(task: TaskId) -> Edit {
    Edit {
        task,
        title: None,
        description: None,
        provider: None,
        model: None,
        mode: None,
        full_access: None,
        after: None,
        begin: None,
        retries: None,
        on_interrupt: None,
        max_restarts: None,
        timeout: None,
        labels: None,
    }
}

/// A keeper's record of ten bytes of output.
fn record(session: &SessionName, exit: Exit) -> ExitRecord {
    ExitRecord {
        v: crate::protocol::exit::VERSION,
        session: session.clone(),
        uid: Uid::new(),
        reason: crate::protocol::exit::ExitReason::Ended,
        exit,
        error: None,
        started_at: Some(Timestamp::now()),
        ended_at: Timestamp::now(),
        recording_bytes: 10,
        recording_sha256: "ab".into(),
        recording_lost: 0,
        leftovers: 0,
        used: None,
        boot_id: "boot".into(),
    }
}

async fn history(store: &Store, task: Option<TaskId>) -> Vec<EventView> {
    store.events(EventsQuery { task, after: 0, limit: ListQuery::MAX_LIMIT }).await.unwrap()
}
