use super::*;

async fn some_history(store: &Store) {
    for _ in 0..3 {
        submit(store, spec("one")).await;
    }
    claim(store, 2).await;
    run(store, TaskId(1), 1, Outcome::Succeeded).await;
    store.apply(TaskId(3), Event::CancelRequested, Actor::User).await.unwrap();
}

#[tokio::test]
async fn the_chain_holds_and_pages() {
    let (_home, store) = fresh();
    let empty = store.verify().await.unwrap();
    assert_eq!((empty.events, empty.first_bad), (0, None));
    some_history(&store).await;
    let report = store.verify().await.unwrap();
    assert_eq!((report.first_bad, report.problem), (None, None));
    assert_eq!(report.events, 9);
    let all = history(&store, None).await;
    assert_eq!(all.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    assert_eq!(all.last().unwrap().hash, report.head);
    assert_eq!(store.last_event().await.unwrap(), 9);
    assert!(all.is_sorted_by_key(|e| e.at));
    let mut paged = Vec::new();
    while let [.., last] = {
        let after = paged.last().map_or(0, |e: &EventView| e.seq);
        let page = store.events(EventsQuery { task: None, after, limit: 2 }).await.unwrap();
        paged.extend(page.clone());
        page
    }
    .as_slice()
    {
        assert!(last.seq <= 9);
    }
    assert_eq!(paged, all);
    let of_one = history(&store, Some(TaskId(1))).await;
    assert_eq!(
        of_one.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(),
        ["submitted", "claimed", "started", "ended", "settled"]
    );
    assert_eq!(of_one[1].attempt, Some(attempt(TaskId(1), 1)));
    let missing = store.events(EventsQuery { task: Some(TaskId(9)), after: 0, limit: 1 }).await.unwrap_err();
    assert_eq!(fault(missing).code, FaultCode::NotFound);
}

#[tokio::test]
async fn texts_are_not_in_it() {
    let (_home, store) = fresh();
    let secret = "hunter2hunter2";
    let task = submit(&store, TaskSpec { description: secret.into(), ..spec(secret) }).await;
    let edit = Edit { title: Some(format!("{secret}!")), description: Some(format!("{secret}?")), ..no_change(task) };
    store.edit(edit).await.unwrap();
    claim(&store, 1).await;
    let end = AttemptEnd { error: Some(secret.into()), ..ended(Outcome::AgentFailed) };
    store.end_attempt(attempt(task, 1), end).await.unwrap();
    for event in history(&store, None).await {
        assert!(!event.detail.contains(secret), "{event:?}");
        serde_json::from_str::<serde_json::Map<_, _>>(&event.detail).unwrap();
    }
}

#[tokio::test]
async fn nobody_changes_it_in_passing() {
    let (home, store) = fresh();
    some_history(&store).await;
    let stranger = home.stranger();
    for sql in ["UPDATE events SET kind = 'x' WHERE seq = 2", "DELETE FROM events", "DELETE FROM tasks WHERE id = 2"] {
        let error = stranger.execute(sql, []).unwrap_err();
        assert!(error.to_string().contains("append-only") || error.to_string().contains("never deleted"), "{error}");
    }
}

#[tokio::test]
async fn the_first_bad_entry_is_named() {
    for (sql, bad) in [
        ("UPDATE events SET kind = 'held' WHERE seq = 4", 4),
        ("UPDATE events SET detail = '{\"x\":1}' WHERE seq = 1", 1),
        ("UPDATE events SET at = at + 1 WHERE seq = 9", 9),
        ("UPDATE events SET task = NULL WHERE seq = 5", 5),
        ("UPDATE events SET hash = zeroblob(32) WHERE seq = 5", 5),
        ("DELETE FROM events WHERE seq = 6", 6),
        ("DELETE FROM events WHERE seq < 3", 1),
    ] {
        let (home, store) = fresh();
        some_history(&store).await;
        let stranger = home.stranger();
        stranger.execute_batch("DROP TRIGGER events_stay_update; DROP TRIGGER events_stay_delete").unwrap();
        stranger.execute(sql, []).unwrap();
        let report = store.verify().await.unwrap();
        assert_eq!(report.first_bad, Some(bad), "{sql}: {:?}", report.problem);
        assert!(report.problem.is_some());
    }
}
