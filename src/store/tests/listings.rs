use std::sync::atomic::AtomicU64;

use super::*;

/// Tasks in every state a list knows, in two directories, some with labels.
async fn some_tasks(store: &Store) {
    for number in 0..40 {
        let labels = if number % 4 == 0 { vec!["four".into()] } else { Vec::new() };
        let dir = if number % 2 == 0 { "/even" } else { "/odd" };
        let role = (number % 5 == 0).then(|| "five".to_owned());
        let provider = if number % 3 == 0 { "claude" } else { "shell" };
        let hold = number % 10 == 9;
        let priority = number % 7;
        let spec = TaskSpec { labels, role, hold, priority, provider: provider.into(), dir: dir.into(), ..spec("one") };
        submit(store, spec).await;
    }
    let claimed = claim(store, 20).await;
    for (place, task) in claimed.iter().enumerate().take(15) {
        let outcome = if place % 3 == 0 { Outcome::AgentFailed } else { Outcome::Succeeded };
        run(store, *task, 1, outcome).await;
    }
}

#[tokio::test]
async fn pages_have_neither_gaps_nor_doubles() {
    let (_home, store) = fresh();
    some_tasks(&store).await;
    for listing in [Listing::Live, Listing::All, Listing::History] {
        let whole = pages(&store, query(listing), 1_000).await;
        for limit in [1, 3, 7, 50] {
            assert_eq!(pages(&store, query(listing), limit).await, whole, "{listing:?} by {limit}");
        }
    }
    let live = numbers(&store, Listing::Live).await;
    let done = numbers(&store, Listing::History).await;
    assert_eq!((live.len(), done.len()), (25, 15));
    let mut all = [live, done].concat();
    all.sort_unstable_by_key(|n| -n);
    assert_eq!(all, numbers(&store, Listing::All).await);
}

#[tokio::test]
async fn each_list_has_its_order() {
    let (_home, store) = fresh();
    some_tasks(&store).await;
    let page = |listing| {
        let store = store.clone();
        async move { store.list(ListQuery { limit: 1_000, ..query(listing) }, limits(4)).await.unwrap().tasks }
    };
    let live = page(Listing::Live).await;
    assert!(live.iter().take(5).all(|t| t.state.is_active() && t.reason.is_none()));
    assert!(live.iter().skip(5).all(|t| !t.state.is_active() && !t.state.is_final() && t.reason.is_some()));
    let rank = |t: &crate::protocol::view::TaskView| (crate::queue::rank(t.created_at, t.priority), t.id);
    assert!(live[5..].is_sorted_by_key(rank));
    let done = page(Listing::History).await;
    assert!(done.is_sorted_by_key(|t| std::cmp::Reverse((t.ended_at, t.id))));
    assert!(done.iter().all(|t| t.ended_at.is_some() && t.description.is_empty()));
}

#[tokio::test]
async fn filters_find_what_they_say() {
    let (_home, store) = fresh();
    some_tasks(&store).await;
    let everything = store.list(ListQuery { limit: 1_000, ..query(Listing::All) }, limits(4)).await.unwrap().tasks;
    let middle = everything[20].created_at;
    type Test = fn(&crate::protocol::view::TaskView, Timestamp) -> bool;
    let cases: Vec<(Filter, Test)> = vec![
        (Filter { states: vec![Status::Held], ..Filter::default() }, |t, _| t.state == Status::Held),
        (Filter { states: vec![Status::Passed, Status::Failed, Status::Queued], ..Filter::default() }, |t, _| {
            matches!(t.state, Status::Passed | Status::Failed | Status::Queued)
        }),
        (Filter { provider: Some("claude".into()), ..Filter::default() }, |t, _| t.provider == "claude"),
        (Filter { dir: Some("/odd".into()), ..Filter::default() }, |t, _| t.dir == "/odd"),
        (Filter { dir: Some("/none".into()), ..Filter::default() }, |_, _| false),
        (Filter { role: Some("five".into()), ..Filter::default() }, |t, _| t.role.is_some()),
        (Filter { labels: vec!["four".into()], ..Filter::default() }, |t, _| !t.labels.is_empty()),
        (Filter { labels: vec!["four".into(), "none".into()], ..Filter::default() }, |_, _| false),
        (Filter { labels: vec!["four".into()], states: vec![Status::Queued], ..Filter::default() }, |t, _| {
            !t.labels.is_empty() && t.state == Status::Queued
        }),
        (Filter { since: Some(middle), ..Filter::default() }, |t, m| t.created_at >= m),
        (Filter { until: Some(middle), provider: Some("shell".into()), ..Filter::default() }, |t, m| {
            t.created_at < m && t.provider == "shell"
        }),
    ];
    for (filter, test) in cases {
        let expected: Vec<i64> = everything.iter().filter(|t| test(t, middle)).map(|t| t.id.0).collect();
        let asked = ListQuery { filter: filter.clone(), ..query(Listing::All) };
        for limit in [2, 50] {
            assert_eq!(pages(&store, asked.clone(), limit).await, expected, "{filter:?}");
        }
        let selected = store.select(Select { filter: Some(filter.clone()), ..Select::default() }).await.unwrap();
        let mut sorted = expected.clone();
        sorted.sort_unstable();
        assert_eq!(selected.iter().map(|t| t.0).collect::<Vec<_>>(), sorted, "{filter:?}");
        for (listing, fits) in
            [(Listing::Live, (|s| !s.is_final()) as fn(Status) -> bool), (Listing::History, |s| s.is_final())]
        {
            if listing == Listing::History && (filter.since.is_some() || filter.until.is_some()) {
                continue; // There the end counts, not the beginning.
            }
            let mut found = pages(&store, ListQuery { filter: filter.clone(), ..query(listing) }, 3).await;
            found.sort_unstable();
            let states: Vec<_> = everything.iter().filter(|t| fits(t.state)).map(|t| t.id.0).collect();
            let wanted: Vec<_> = sorted.iter().copied().filter(|n| states.contains(n)).collect();
            assert_eq!(found, wanted, "{listing:?} {filter:?}");
        }
    }
    let done = store.list(query(Listing::History), limits(4)).await.unwrap().tasks;
    let at = done[5].ended_at.unwrap();
    for (filter, expected) in [
        (Filter { since: Some(at), ..Filter::default() }, done.iter().filter(|t| t.ended_at >= Some(at)).count()),
        (Filter { until: Some(at), ..Filter::default() }, done.iter().filter(|t| t.ended_at < Some(at)).count()),
    ] {
        let found = pages(&store, ListQuery { filter, ..query(Listing::History) }, 2).await;
        assert_eq!(found.len(), expected);
    }
}

#[tokio::test]
async fn selections_are_numbers_ranges_and_filters() {
    let (_home, store) = fresh();
    for _ in 0..6 {
        submit(&store, spec("one")).await;
    }
    let select = Select {
        tasks: vec![TaskId(5), TaskId(1)],
        ranges: vec![(TaskId(2), TaskId(3)), (TaskId(6), TaskId(99))],
        filter: None,
    };
    let found = store.select(select).await.unwrap();
    assert_eq!(found.iter().map(|t| t.0).collect::<Vec<_>>(), [1, 2, 3, 5, 6]);
    let missing = Select { tasks: vec![TaskId(7)], ..Select::default() };
    assert_eq!(fault(store.select(missing).await.unwrap_err()).code, FaultCode::NotFound);
    let empty = Select { ranges: vec![(TaskId(1), TaskId(2)), (TaskId(7), TaskId(9))], ..Select::default() };
    assert_eq!(fault(store.select(empty).await.unwrap_err()).code, FaultCode::NotFound);
    assert!(store.select(Select::default()).await.unwrap().is_empty());
    let all = Select { filter: Some(Filter::default()), ..Select::default() };
    assert_eq!(store.select(all).await.unwrap().len(), 6);
    let beside = |filter| Select { ranges: vec![(TaskId(2), TaskId(3))], filter: Some(filter), ..Select::default() };
    assert_eq!(store.select(beside(Filter::default())).await.unwrap(), [TaskId(2), TaskId(3)]);
    let labelled = Filter { labels: vec!["none".into()], ..Filter::default() };
    assert!(store.select(beside(labelled)).await.unwrap().is_empty());
    let found = Filter { search: Some("one".into()), ..Filter::default() };
    assert!(store.select(beside(found)).await.unwrap().iter().all(|task| [2, 3].contains(&task.0)));
}

#[tokio::test]
async fn cursors_from_elsewhere_are_refused() {
    let (_home, store) = fresh();
    for _ in 0..3 {
        submit(&store, spec("one")).await;
    }
    let page = store.list(ListQuery { limit: 1, ..query(Listing::All) }, limits(1)).await.unwrap();
    let other = ListQuery { cursor: page.next, ..query(Listing::Live) };
    assert_eq!(fault(store.list(other, limits(1)).await.unwrap_err()).code, FaultCode::Usage);
    for bad in [
        "",
        "x",
        "a",
        "a.0",
        "a.0.1",
        "a.0.1.2.3",
        "a.9.1.2",
        "a.-9223372036854775808.0.0",
        "a.0.-9223372036854775808.0",
        "h.0.x.1",
        "l.1..2",
    ] {
        let asked = ListQuery { cursor: Some(bad.into()), ..query(Listing::All) };
        assert_eq!(fault(store.list(asked, limits(1)).await.unwrap_err()).code, FaultCode::Usage, "{bad}");
    }
    let extreme = ListQuery { cursor: Some(format!("a.1.{}.{0}", i64::MAX)), ..query(Listing::All) };
    assert!(store.list(extreme, limits(1)).await.unwrap().tasks.is_empty());
}

/// A database with this many tasks more than `some_tasks` makes, half of them ended.
async fn crowd(more: i64) -> (Home, Connection) {
    let (home, store) = fresh();
    some_tasks(&store).await;
    store.close().await;
    let conn = migrate::connect(&home.paths().database(), true).unwrap();
    conn.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO tasks (uid, title, lane, mode, full_access, priority, rank, status, attempt, retries, failures,
             restarts, unmet, batch_open, backing_off, created_at, updated_at, error_count, ended_at)
         SELECT uid, title, lane, mode, full_access, priority, rank + i, iif(i % 2, 'passed', 'queued'), attempt,
             retries, failures, restarts, unmet, batch_open, backing_off, created_at, updated_at, error_count,
             iif(i % 2, created_at + i, NULL)
           FROM tasks, n WHERE id = 40",
        [more],
    )
    .unwrap();
    (home, conn)
}

fn page_cost(conn: &mut Connection, query: &ListQuery) -> (u64, TaskPage) {
    // Preparing costs, too, but only once.
    list::page(conn, query, &limits(4)).unwrap();
    let steps = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&steps);
    conn.progress_handler(1, Some(move || counter.fetch_add(1, Ordering::Relaxed) == u64::MAX)).unwrap();
    let page = list::page(conn, query, &limits(4)).unwrap();
    conn.progress_handler(0, None::<fn() -> bool>).unwrap();
    (steps.load(Ordering::Relaxed), page)
}

#[tokio::test]
async fn a_page_costs_the_same_wherever_it_is_and_however_many_there_are() {
    let (_few_home, mut few) = crowd(200).await;
    let (_many_home, mut many) = crowd(10_000).await;
    let failed = Filter { states: vec![Status::Failed], ..Filter::default() };
    for (listing, filter) in [
        (Listing::Live, Filter::default()),
        (Listing::All, Filter::default()),
        (Listing::History, Filter::default()),
        (Listing::All, failed),
    ] {
        let mut asked = ListQuery { filter, ..query(listing) };
        let (small, _) = page_cost(&mut few, &asked);
        let (mut most, mut count) = (0, 0);
        loop {
            most = page_cost(&mut many, &asked).0.max(most);
            let far = ListQuery { limit: ListQuery::MAX_LIMIT, ..asked.clone() };
            let page = list::page(&mut many, &far, &limits(4)).unwrap();
            count += page.tasks.len();
            match page.next {
                Some(next) => asked.cursor = Some(next),
                None => break,
            }
        }
        assert!(most <= small + small / 2, "{listing:?}: {small} steps with few tasks, {most} with many");
        assert!(count >= if asked.filter.states.is_empty() { 5_000 } else { 5 });
    }
}
