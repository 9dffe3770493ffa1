use super::*;

fn chunk(key: &str, first: u32, titles: &[&str], last: bool) -> SubmitChunk {
    let tasks = titles.iter().map(|t| spec(t)).collect();
    SubmitChunk { key: key.into(), first, tasks, after: Vec::new(), last }
}

/// What can be claimed, once the chores are done with it.
async fn all_claimed(store: &Store, expected: usize) -> Vec<TaskId> {
    let changed = store.queue_changed();
    let mut all = Vec::new();
    while all.len() < expected {
        let claimed = claim(store, 10_000).await;
        if claimed.is_empty() {
            changed.notified().await;
        }
        all.extend(claimed);
    }
    all
}

#[tokio::test]
async fn a_batch_is_claimable_once_it_is_whole() {
    let (_home, store) = fresh();
    let first = store.submit_chunk(chunk("k", 0, &["a", "b"], false)).await.unwrap();
    assert_eq!((first.stored, first.complete, first.tasks.len()), (2, false, 2));
    assert!(claim(&store, 9).await.is_empty());
    let reason = view(&store, first.tasks[0]).await.task.reason.unwrap();
    assert!(reason.detail.contains("batch"), "{}", reason.detail);
    let other = submit(&store, spec("another")).await;
    let second = store.submit_chunk(chunk("k", 2, &["c"], true)).await.unwrap();
    assert_eq!((second.stored, second.complete, &second.tasks), (3, true, &vec![TaskId(4)]));
    assert_eq!(all_claimed(&store, 4).await.len(), 4);
    assert_eq!(state(&store, other).await, Status::Starting);
}

#[tokio::test]
async fn a_repeated_batch_is_the_same_batch() {
    let (home, store) = fresh();
    let first = store.submit_chunk(chunk("k", 0, &["a", "b"], false)).await.unwrap();
    let again = store.submit_chunk(chunk("k", 0, &["a", "b"], false)).await.unwrap();
    assert_eq!(first, again);
    store.close().await;
    let store = home.open();
    let last = store.submit_chunk(chunk("k", 2, &["c"], true)).await.unwrap();
    assert_eq!(store.submit_chunk(chunk("k", 2, &["c"], true)).await.unwrap(), last);
    let first_again = store.submit_chunk(chunk("k", 0, &["a", "b"], false)).await.unwrap();
    assert_eq!((first_again.tasks, first_again.stored, first_again.complete), (first.tasks, 3, true));
    assert_eq!(numbers(&store, Listing::All).await, [3, 2, 1]);
}

#[tokio::test]
async fn chunks_out_of_place_are_refused() {
    let (_home, store) = fresh();
    store.submit_chunk(chunk("k", 0, &["a", "b"], false)).await.unwrap();
    for (bad, why) in [
        (chunk("k", 3, &["c"], false), "a gap"),
        (chunk("k", 0, &["a", "x"], false), "other content"),
        (chunk("k", 1, &["b"], false), "cut differently"),
    ] {
        assert_eq!(fault(store.submit_chunk(bad).await.unwrap_err()).code, FaultCode::Conflict, "{why}");
    }
    store.submit_chunk(chunk("k", 2, &[], true)).await.unwrap();
    let late = fault(store.submit_chunk(chunk("k", 2, &["d"], false)).await.unwrap_err());
    assert_eq!(late.code, FaultCode::Conflict);
    let single = store.submit(Submit { key: "k".into(), spec: spec("a") }).await.unwrap_err();
    assert_eq!(fault(single).code, FaultCode::Conflict);
    let big = SubmitChunk { tasks: vec![spec("x"); SubmitChunk::MAX_TASKS + 1], ..chunk("big", 0, &[], true) };
    assert_eq!(fault(store.submit_chunk(big).await.unwrap_err()).code, FaultCode::Limit);
    assert_eq!(numbers(&store, Listing::All).await, [2, 1]);
}

#[tokio::test]
async fn tasks_of_a_batch_may_wait_for_one_another() {
    let (_home, store) = fresh();
    let first = SubmitChunk { after: vec![(1, 0, When::Ok)], ..chunk("k", 0, &["a", "b"], false) };
    store.submit_chunk(first).await.unwrap();
    submit(&store, TaskSpec { hold: true, ..spec("between") }).await;
    let second = SubmitChunk { after: vec![(2, 1, When::Any), (3, 2, When::Ok)], ..chunk("k", 2, &["c", "d"], true) };
    assert_eq!(store.submit_chunk(second).await.unwrap().tasks, [TaskId(4), TaskId(5)]);
    assert_eq!(view(&store, TaskId(4)).await.task.after, after(TaskId(2), When::Any));
    assert_eq!(view(&store, TaskId(5)).await.task.after, after(TaskId(4), When::Ok));
    assert_eq!(all_claimed(&store, 1).await, [TaskId(1)]);
    for bad in [(0, 0, When::Ok), (0, 1, When::Ok), (5, 0, When::Ok)] {
        let chunk = SubmitChunk { after: vec![bad], ..chunk("bad", 0, &["a", "b"], true) };
        assert_eq!(fault(store.submit_chunk(chunk).await.unwrap_err()).code, FaultCode::Usage, "{bad:?}");
    }
}

#[tokio::test]
async fn a_big_batch_is_released_in_order_across_a_restart() {
    let (home, store) = fresh();
    let mut stored = Vec::new();
    for first in (0..1_000).step_by(250) {
        let tasks = vec![spec("x"); 250];
        let chunk = SubmitChunk { key: "k".into(), first, tasks, after: Vec::new(), last: first == 750 };
        stored.extend(store.submit_chunk(chunk).await.unwrap().tasks);
    }
    store.close().await;
    let store = home.open();
    let mut claimed = all_claimed(&store, 1_000).await;
    claimed.sort_unstable();
    assert_eq!(claimed, stored);
}
