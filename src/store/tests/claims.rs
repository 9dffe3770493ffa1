use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::*;
use crate::queue::Closed;
use crate::store::tx::{Chain, Wakes};

fn of(provider: &str, dir: &str) -> TaskSpec {
    TaskSpec { provider: provider.into(), dir: dir.into(), ..spec("one") }
}

#[tokio::test]
async fn the_order_is_priority_then_age() {
    let (_home, store) = fresh();
    let plain = submit(&store, of("claude", "/a")).await;
    let low = submit(&store, TaskSpec { priority: -1, ..of("shell", "/a") }).await;
    let high = submit(&store, TaskSpec { priority: 1, ..of("codex", "/b") }).await;
    let young = submit(&store, of("claude", "/b")).await;
    assert_eq!(numbers(&store, Listing::Live).await, [high.0, plain.0, young.0, low.0]);
    assert_eq!(claim(&store, 3).await, [high, plain, young]);
    assert!(claim(&store, 3).await.is_empty(), "the slots are taken");
    assert_eq!(claim(&store, 4).await, [low]);
}

#[tokio::test]
async fn no_more_than_asked_for() {
    let (_home, store) = fresh();
    for _ in 0..3 {
        submit(&store, spec("one")).await;
    }
    assert_eq!(store.claim(limits(9), 2).await.unwrap().len(), 2);
    assert_eq!(store.claim(limits(9), 0).await.unwrap().len(), 0);
    assert_eq!(store.claim(limits(9), 2).await.unwrap().len(), 1);
}

#[tokio::test]
async fn limits_are_kept_and_do_not_hold_up_others() {
    let (_home, store) = fresh();
    let mut tasks = Vec::new();
    for (provider, dir) in [("a", "/x"), ("a", "/x"), ("a", "/y"), ("a", "/z"), ("b", "/x"), ("b", "/x")] {
        tasks.push(submit(&store, of(provider, dir)).await);
    }
    let narrow = Limits {
        slots: 10,
        provider: HashMap::from([("a".into(), Some(2))]),
        directory: HashMap::from([("a".into(), Some(1)), ("b".into(), Some(1))]),
        ..Limits::default()
    };
    let claimed = |claims: Vec<Claim>| claims.into_iter().map(|c| c.attempt.task).collect::<Vec<_>>();
    let first = claimed(store.claim(narrow.clone(), 99).await.unwrap());
    assert_eq!(first, [tasks[0], tasks[2], tasks[4]]);
    for closed in [Closed::Paused, Closed::Draining, Closed::Config, Closed::LowDisk] {
        let shut = Limits { closed: Some(closed), ..limits(99) };
        assert!(store.claim(shut, 99).await.unwrap().is_empty());
    }
    let paused = Limits { paused_providers: vec!["a".into()], ..limits(99) };
    assert_eq!(claimed(store.claim(paused, 99).await.unwrap()), [tasks[5]]);
    run(&store, tasks[0], 1, Outcome::Succeeded).await;
    assert_eq!(claimed(store.claim(narrow, 99).await.unwrap()), [tasks[1]], "its directory and provider have room");
}

#[tokio::test]
async fn a_claim_has_all_that_a_launch_needs() {
    let (_home, store) = fresh();
    let asked = TaskSpec {
        command: vec!["ls".into()],
        environment: [("A".to_owned(), "b".to_owned())].into(),
        labels: vec!["l".into()],
        size: Some((70, 20)),
        ..spec("one")
    };
    let key = "k".to_owned();
    let stored = store.submit(Submit { key, spec: asked.clone() }).await.unwrap();
    let claim = store.claim(limits(1), 1).await.unwrap().remove(0);
    assert_eq!((claim.attempt, claim.task_uid, claim.session_number), (attempt(stored.task, 1), stored.uid, 1));
    assert_eq!(claim.spec, asked);
    let session = store.session("1.1".into()).await.unwrap();
    assert_eq!((session.session_id, session.state), (claim.session_uid, SessionState::Starting));
    assert_eq!((session.columns, session.rows, session.task), (70, 20, Some(stored.task)));
    assert_eq!(session.recording, None);
}

#[tokio::test]
async fn the_queue_is_announced() {
    let (_home, store) = fresh();
    let changed = store.queue_changed();
    // Who listens only afterwards has missed it.
    let submitted = changed.notified();
    let task = submit(&store, spec("one")).await;
    submitted.await;
    claim(&store, 1).await;
    let freed = changed.notified();
    run(&store, task, 1, Outcome::Succeeded).await;
    freed.await;
}

/// Lanes and their heads.
type Heads = Vec<(i64, Option<i64>)>;

/// The heads of the lanes, and what they must be.
fn heads(conn: &Connection) -> (Heads, Heads) {
    let read = |sql: &str| {
        let mut statement = conn.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<rusqlite::Result<Vec<_>>>().unwrap()
    };
    (
        read("SELECT id, head_task FROM lanes ORDER BY id"),
        read(
            "SELECT l.id, (SELECT t.id FROM tasks AS t WHERE t.lane = l.id AND t.status = 'queued' AND t.unmet = 0
                              AND t.batch_open = 0 AND t.due_at IS NULL ORDER BY t.rank, t.id LIMIT 1)
               FROM lanes AS l ORDER BY l.id",
        ),
    )
}

#[tokio::test]
async fn heads_of_lanes_follow_every_change() {
    let (home, store) = fresh();
    let stranger = home.stranger();
    // A fixed sequence that looks like chance: the same in every run.
    let mut seed = 7u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let (mut tasks, mut seen) = (Vec::new(), BTreeSet::new());
    for round in 0..300 {
        let task = match tasks.len() as u64 {
            0 => TaskId(0),
            count => tasks[next(count) as usize],
        };
        // Refusals do not matter here.
        match next(8) {
            0..=2 => {
                let hold = next(4) == 0;
                let dir = ["/a", "/b"][next(2) as usize];
                let priority = next(5) as i32;
                let begin = (next(6) == 0).then(|| Timestamp::now().plus(Duration::from_secs(3600)));
                let waits = task.0 > 0 && next(6) == 0;
                let after = if waits { after(task, When::Any) } else { Vec::new() };
                let retries = next(3) as u32;
                let of = of(["p", "q"][next(2) as usize], dir);
                tasks.push(submit(&store, TaskSpec { hold, priority, begin, after, retries, ..of }).await);
            }
            3 => drop(store.apply(task, Event::Held, Actor::User).await),
            4 => drop(store.apply(task, Event::Released, Actor::User).await),
            5 => drop(store.set_priority(task, next(9) as i32 - 4).await),
            6 => {
                drop(store.edit(Edit { provider: Some(["p", "q"][next(2) as usize].into()), ..no_change(task) }).await)
            }
            _ => {
                for claimed in store.claim(limits(next(40) as u32), 1).await.unwrap() {
                    if next(2) == 0 {
                        let outcome = [Outcome::Succeeded, Outcome::AgentFailed][next(2) as usize];
                        run(&store, claimed.attempt.task, claimed.attempt.number, outcome).await;
                    }
                }
            }
        }
        let (kept, right) = heads(&stranger);
        assert_eq!(kept, right, "round {round}");
        let wrong: i64 = stranger
            .query_row(
                "WITH counted AS (SELECT lane, cause, tasks FROM waiting WHERE tasks <> 0),
                      there AS (SELECT lane, cause, count(*) AS tasks FROM tasks WHERE status = 'queued' GROUP BY lane, cause)
                 SELECT (SELECT count(*) FROM (SELECT * FROM there EXCEPT SELECT * FROM counted))
                      + (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM there))",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(wrong, 0, "round {round}");
        let mut causes = stranger.prepare_cached("SELECT cause FROM waiting WHERE tasks > 0").unwrap();
        seen.extend(causes.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap));
    }
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), ["backoff", "begin", "dependency", "ready"]);
    let mut ready = stranger.prepare("SELECT id FROM tasks WHERE cause = 'ready'").unwrap();
    let ready: Vec<i64> = ready.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let live = numbers(&store, Listing::Live).await;
    let waiting: Vec<TaskId> = live.into_iter().filter(|task| ready.contains(task)).map(TaskId).collect();
    assert!(waiting.len() > 10);
    assert_eq!(claim(&store, 1_000).await, waiting, "claims and lists have one order");
}

/// Copies task 1 `count` times, all at once.
fn multiply(conn: &Connection, count: i64) {
    conn.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO tasks (uid, title, lane, mode, full_access, priority, rank, status, attempt, retries, failures,
             restarts, unmet, batch_open, backing_off, created_at, updated_at, error_count)
         SELECT uid, title, lane, mode, full_access, priority, rank + i, status, attempt, retries, failures,
             restarts, unmet, batch_open, backing_off, created_at, updated_at, error_count FROM tasks, n WHERE id = 1",
        [count],
    )
    .unwrap();
}

/// Steps of SQLite's machine that a claim takes with this many tasks in front that
/// cannot run.
async fn claim_cost(blocked: i64) -> u64 {
    let (home, store) = fresh();
    submit(&store, of("full", "/a")).await;
    submit(&store, of("tight", "/a")).await;
    let running = claim(&store, 1).await;
    assert_eq!(running, [TaskId(1)]);
    // Many lanes of a provider without room, and many tasks in a lane without room.
    for dir in 0..50 {
        submit(&store, of("full", &format!("/{dir}"))).await;
    }
    submit(&store, of("tight", "/a")).await;
    let wanted = submit(&store, of("free", "/a")).await;
    store.close().await;

    let mut conn = migrate::connect(&home.paths().database(), true).unwrap();
    conn.execute("UPDATE tasks SET rank = rank + 1000000000 WHERE id = ?1", [wanted.0]).unwrap();
    conn.execute("UPDATE tasks SET status = 'queued' WHERE id = 1", []).unwrap();
    multiply(&conn, blocked);
    conn.execute("UPDATE tasks SET status = 'running' WHERE id = 1", []).unwrap();

    let narrow = Limits {
        slots: 9,
        provider: HashMap::from([("full".into(), Some(1))]),
        directory: HashMap::from([("tight".into(), Some(0))]),
        ..Limits::default()
    };
    let steps = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&steps);
    conn.progress_handler(1, Some(move || counter.fetch_add(1, Ordering::Relaxed) == u64::MAX)).unwrap();
    let (seq, hash, now) = events::last(&conn).unwrap();
    let head = Chain { seq, hash, highest_task: wanted.0 };
    let mut tx = Tx {
        conn: &conn,
        now,
        clock: now,
        head,
        events: Vec::new(),
        wakes: Wakes::default(),
        generation: 1,
        lone: false,
        failed: false,
    };
    let claims = claim::claim(&mut tx, &narrow, 9).unwrap();
    assert_eq!(claims.iter().map(|c| c.attempt.task).collect::<Vec<_>>(), [wanted]);
    steps.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_claim_costs_the_same_behind_a_hundred_thousand_blocked_tasks() {
    let (few, many) = (claim_cost(10).await, claim_cost(100_000).await);
    assert!(many <= few + 20, "{few} steps with few tasks, {many} with many");
    assert!(many < 3_000, "{many} steps");
}
