use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::queue::{Closed, ReasonCode};
use crate::task::{Actor, Event};

/// Queued tasks by reason, counted one by one.
async fn one_by_one(store: &Store, limits: &Limits) -> BTreeMap<String, u64> {
    let filter = Filter { states: vec![Status::Queued], ..Filter::default() };
    let query = ListQuery { listing: Listing::Live, filter, limit: 1_000, cursor: None };
    let page = store.list(query, limits.clone()).await.unwrap();
    let mut counts = BTreeMap::new();
    for task in page.tasks {
        *counts.entry(task.reason.unwrap().code.to_string()).or_default() += 1;
    }
    counts
}

async fn counted(store: &Store, limits: &Limits) -> BTreeMap<String, u64> {
    let counts = store.waiting(limits.clone()).await.unwrap();
    counts.into_iter().map(|count| (count.reason.to_string(), count.tasks)).collect()
}

#[tokio::test]
async fn what_waits_is_counted_by_its_reason() {
    let home = Home::new();
    let store = home.open();
    let wide = Limits { slots: 3, directory: [("codex".into(), Some(1))].into(), ..Limits::default() };
    let shut = Limits { closed: Some(Closed::Paused), ..wide.clone() };
    let paused = Limits { paused_providers: vec!["shell".into()], ..wide.clone() };
    let agree = async || {
        for limits in [&wide, &shut, &paused] {
            assert_eq!(counted(&store, limits).await, one_by_one(&store, limits).await);
        }
    };
    assert!(counted(&store, &wide).await.is_empty());
    let first = submit(&store, spec("first")).await;
    let of = |provider: &str| TaskSpec { provider: provider.into(), retries: 2, ..spec("one of many") };
    for _ in 0..3 {
        submit(&store, of("codex")).await;
        submit(&store, of("shell")).await;
    }
    let child = submit(&store, TaskSpec { after: after(first, When::Ok), ..spec("child") }).await;
    let later = Timestamp::now().plus(Duration::from_secs(3600));
    let begins = submit(&store, TaskSpec { begin: Some(later), ..spec("later") }).await;
    let held = submit(&store, TaskSpec { hold: true, ..spec("held") }).await;
    agree().await;
    let claimed = store.claim(wide.clone(), usize::MAX).await.unwrap();
    assert_eq!(claimed.len(), 3);
    agree().await;
    assert_eq!(counted(&store, &wide).await["Slots"], 4);
    let more = Limits { slots: 9, ..wide.clone() };
    assert_eq!(counted(&store, &more).await["RepoLock"], 2);
    // One fails and waits for its repetition, the others free what waits for them.
    for claim in claimed {
        let outcome = if claim.attempt.task == first { Outcome::Succeeded } else { Outcome::AgentFailed };
        run(&store, claim.attempt.task, claim.attempt.number, outcome).await;
        agree().await;
    }
    assert_eq!(counted(&store, &wide).await["Backoff"], 2);
    assert!(!counted(&store, &wide).await.contains_key("Dependency"));
    store.apply(held, Event::Released, Actor::User).await.unwrap();
    store.apply(begins, Event::CancelRequested, Actor::User).await.unwrap();
    let edit = Edit { provider: Some("codex".into()), ..no_change(child) };
    store.edit(edit).await.unwrap();
    agree().await;
    assert!(!counted(&store, &wide).await.contains_key(&ReasonCode::Begin.to_string()));
    // Found out anew it is the same.
    let before = counted(&store, &wide).await;
    store.close().await;
    let conn = home.stranger();
    let kept = |conn: &rusqlite::Connection| {
        let mut statement = conn.prepare("SELECT lane, cause, tasks FROM waiting WHERE tasks > 0").unwrap();
        let rows =
            statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)));
        rows.unwrap().collect::<rusqlite::Result<Vec<_>>>().unwrap()
    };
    let rows = kept(&conn);
    crate::store::lanes::count_waiting(&conn).unwrap();
    assert_eq!(kept(&conn), rows);
    drop(conn);
    assert_eq!(counted(&home.open(), &wide).await, before);
}

#[tokio::test]
async fn what_has_ended_is_found_once() {
    let home = Home::new();
    let store = home.open();
    let since = store.head().await.unwrap().seq;
    let ended = async |after: i64, most: u32| {
        let (mut to, mut tasks, mut attempts, mut waited) = (after, Vec::new(), Vec::new(), 0);
        loop {
            let found = store.ended_since(to, most).await.unwrap();
            to = found.to;
            tasks.extend(found.tasks.into_iter().map(|(_, state)| state));
            attempts.extend(found.attempts.into_iter().map(|ended| (ended.provider, ended.outcome)));
            waited += found.waited_ms.len();
            if !found.more {
                return (to, tasks, attempts, waited);
            }
        }
    };
    let (one, two) = (submit(&store, TaskSpec { retries: 1, ..spec("one") }).await, submit(&store, spec("two")).await);
    let three = submit(&store, spec("three")).await;
    claim(&store, 2).await;
    run(&store, one, 1, Outcome::AgentFailed).await;
    run(&store, two, 1, Outcome::Succeeded).await;
    store.apply(three, Event::CancelRequested, Actor::User).await.unwrap();
    let shell = |outcome| ("shell".to_owned(), outcome);
    let expected_tasks = vec![Status::Passed, Status::Cancelled];
    let expected_attempts = vec![shell(Outcome::AgentFailed), shell(Outcome::Succeeded)];
    let (to, tasks, attempts, waited) = ended(since, 1_000).await;
    assert_eq!((&tasks, &attempts, waited), (&expected_tasks, &expected_attempts, 2));
    // However it is read, and not again.
    assert_eq!(ended(since, 1).await, (to, expected_tasks, expected_attempts, 2));
    assert_eq!(ended(to, 1_000).await, (to, Vec::new(), Vec::new(), 0));
    // What happens later changes nothing of what has been: run again it has ended twice.
    store.apply(two, Event::Retried, Actor::User).await.unwrap_err();
    store.apply(three, Event::Retried, Actor::User).await.unwrap();
    claim(&store, 9).await;
    run(&store, three, 1, Outcome::AgentFailed).await;
    let (_, tasks, _, waited) = ended(since, 1_000).await;
    assert_eq!((tasks, waited), (vec![Status::Passed, Status::Cancelled, Status::Failed], 3));
    // The failed attempt counts at once, though its task has not ended.
    let failures = store.failures((Timestamp(0), attempt(TaskId(0), 0)), 10).await.unwrap();
    assert_eq!(failures.iter().map(|failed| failed.attempt).collect::<Vec<_>>(), [attempt(one, 1), attempt(three, 1)]);
    let last = (failures[1].at, failures[1].attempt);
    assert!(store.failures(last, 10).await.unwrap().is_empty());
}
