use std::sync::atomic::AtomicI32;

use super::*;
use crate::store::log_room::LogRoom;
use crate::store::tx::{Chain, Wakes};
use crate::store::witness::Witness;
use crate::store::writer::{End, Writer};

#[tokio::test]
async fn the_death_of_a_thread_is_told() {
    let (_home, store) = fresh();
    let answer = store.write::<(), _>(FEW_ROWS, |_| panic!("a defect")).await;
    assert!(matches!(answer, Err(StoreError::NotStored(_))), "{answer:?}");
    store.thread_ended().await;
    let (_home, store) = fresh();
    let answer = store.read::<(), _>(|_| panic!("a defect")).await;
    assert!(answer.is_err(), "{answer:?}");
    store.thread_ended().await;
}

#[tokio::test]
async fn what_arrives_together_is_committed_together() {
    let (_home, store) = fresh();
    // Holds the writer until everything else is in its queue.
    let (go, wait) = mpsc::channel::<()>();
    let blocker = tokio::spawn({
        let store = store.clone();
        async move { store.write(FEW_ROWS, move |_| wait.recv().map_err(|_| Fault::usage("gone").into())).await }
    });
    let mut waiting = Vec::new();
    for number in 0..100 {
        let store = store.clone();
        // Every tenth is refused, and must not concern the others.
        let mut spec = spec("one");
        if number % 10 == 0 {
            spec.after = after(TaskId(9_999), When::Ok);
        }
        waiting.push(tokio::spawn(async move {
            store.submit(Submit { key: format!("k{number}"), spec }).await.map(|s| s.task)
        }));
    }
    let mut feed = store.feed();
    while store.inner.job_places.available_permits() > QUEUE - 101 {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    blocker.await.unwrap().unwrap();
    let mut tasks = Vec::new();
    let mut refused = 0;
    for answer in waiting {
        match answer.await.unwrap() {
            Ok(task) => tasks.push(task.0),
            Err(error) => {
                assert_eq!(fault(error).code, FaultCode::NotFound);
                refused += 1;
            }
        }
    }
    tasks.sort_unstable();
    assert_eq!((tasks, refused), ((1..=90).collect(), 10), "numbers have no gaps");
    let all = history(&store, None).await;
    assert!(all.iter().all(|e| e.at == all[0].at), "one transaction, one time");
    for event in &all {
        assert_eq!(*feed.recv().await.unwrap(), *event);
    }
    assert_eq!(store.verify().await.unwrap().first_bad, None);
}

#[tokio::test]
async fn a_full_disk_is_said_and_survived() {
    let (_home, store) = fresh();
    submit(&store, spec("one")).await;
    let limit = |pages: i64| {
        let store = store.clone();
        async move { store.write(FEW_ROWS, move |tx| Ok(tx.conn.pragma_update(None, "max_page_count", pages)?)).await }
    };
    limit(1).await.unwrap();
    let big = TaskSpec { description: "x".repeat(500_000), ..spec("big") };
    let ask = Submit { key: "big".into(), spec: big };
    let error = store.submit(ask.clone()).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotStored(_)), "{error:?}");
    assert_eq!(numbers(&store, Listing::All).await, [1]);
    // A new connection has no such limit; else this lifts it.
    limit(1_000_000).await.unwrap();
    let stored = store.submit(ask).await.unwrap();
    assert_eq!((stored.task, stored.repeated), (TaskId(2), false));
    assert_eq!(store.verify().await.unwrap().first_bad, None);
}

/// A writer without its thread, on a database that others may change.
fn writer(home: &Home) -> Writer {
    let conn = migrate::connect(&home.paths().database(), true).unwrap();
    let (seq, hash, last_at) = events::last(&conn).unwrap();
    let witness = Witness::open(&home.paths().witness()).unwrap();
    let epoch = settings::meta(&conn, "epoch").unwrap().unwrap().parse().unwrap();
    let highest_task = conn.query_row("SELECT coalesce(max(id), 0) FROM tasks", [], |row| row.get(0)).unwrap();
    Writer {
        path: home.paths().database(),
        conn: Some(conn),
        witness,
        epoch,
        chain: Chain { seq, hash, highest_task },
        last_at,
        generation: Arc::new(AtomicU64::new(1)),
        feed: broadcast::channel(16).0,
        queue_changed: Arc::new(Notify::new()),
        due_changed: Arc::new(Notify::new()),
        doubt: None,
        wal_pages: Arc::new(AtomicI32::new(0)),
        log_room: LogRoom::of(&home.paths().database()),
        wakes: Wakes::default(),
    }
}

fn store_one(tx: &mut Tx<'_>) -> Result<TaskId, Failure> {
    Ok(submit::submit(tx, &Submit { key: "k".into(), spec: spec("one") })?.task)
}

/// After a commit of which SQLite says it failed, what is there is what counts.
#[tokio::test]
async fn doubt_is_resolved_by_looking() {
    let (home, store) = fresh();
    submit(&store, spec("zero")).await;
    store.close().await;
    let mut writer = writer(&home);
    let before = writer.chain;
    let (task, pending) = writer.commit(true, |tx| tx.savepoint(store_one)).unwrap();
    let after = writer.chain;
    assert_eq!((task.unwrap(), after.seq), (TaskId(2), before.seq + 1));

    // It is stored, though the writer does not know.
    writer.chain = before;
    (writer.conn, writer.doubt) = (None, Some(pending));
    let found = writer.reopen().unwrap().unwrap();
    assert_eq!(writer.chain, after);

    // It is not stored: here, because something else is claimed to have been.
    let mut elsewhere = found;
    elsewhere.chain.seq += 1;
    (writer.conn, writer.doubt) = (None, Some(elsewhere));
    assert!(writer.reopen().unwrap().is_none());
    assert!(writer.doubt.is_none());

    // Neither: what was acknowledged is gone. Nothing is written on top of that.
    writer.chain.seq += 7;
    writer.conn = None;
    assert!(writer.reopen().unwrap_err().contains("was acknowledged"));
    let end = writer.commit(true, |_| ()).map(|_| ()).unwrap_err();
    assert!(matches!(end, End::NotStored(_)), "{end:?}");

    // And it goes on when it is back.
    writer.chain = after;
    let (task, _) =
        writer.commit(true, |tx| tx.savepoint(|tx| apply::create(tx, &spec("two"), &[], None, None))).unwrap();
    assert_eq!(task.unwrap().0, TaskId(3));
}

#[tokio::test]
async fn a_job_that_fails_leaves_nothing_behind() {
    let (home, store) = fresh();
    submit(&store, spec("zero")).await;
    store.close().await;
    let mut writer = writer(&home);
    let before = writer.chain;
    let (result, pending) = writer
        .commit(false, |tx| {
            tx.savepoint(|tx| {
                store_one(tx)?;
                Err::<(), _>(Failure::Fault(Fault::usage("no")))
            })
        })
        .unwrap();
    assert!(result.is_err());
    assert_eq!(writer.chain, before);
    drop(pending);
    let conn = home.stranger();
    let count: i64 = conn.query_row("SELECT count(*) FROM tasks", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
    assert_eq!(Witness::read(&home.paths().witness()).unwrap().unwrap().seq, before.seq);
}

#[tokio::test]
async fn time_does_not_go_back() {
    let (home, store) = fresh();
    submit(&store, spec("zero")).await;
    store.close().await;
    let mut writer = writer(&home);
    writer.last_at = Timestamp(Timestamp::now().0 + 3_600_000);
    let future = writer.last_at;
    let (now, _) = writer
        .commit(false, |tx| {
            tx.savepoint(store_one).unwrap();
            tx.now
        })
        .unwrap();
    assert_eq!(now, future);
    assert_eq!(events::last(&home.stranger()).unwrap().2, future);
}
