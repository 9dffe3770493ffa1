use super::*;
use crate::clock::Span;
use crate::task::Refused;
use std::time::Duration;

#[tokio::test]
async fn a_task_is_read_back_as_it_was_asked_for() {
    let (_home, store) = fresh();
    let parent = submit(&store, spec("parent")).await;
    let asked = TaskSpec {
        command: vec!["ls".into(), "-l".into()],
        role: Some("reviewer".into()),
        provider: "claude".into(),
        model: Some("opus".into()),
        mode: Mode::Interactive,
        full_access: true,
        priority: 7,
        after: after(parent, When::Any),
        retries: 2,
        timeout: Some(Span(Duration::from_secs(90))),
        labels: vec!["b".into(), "a".into()],
        environment: [("LANG".to_owned(), "C".to_owned())].into(),
        size: Some((100, 30)),
        ..spec("child")
    };
    let task = submit(&store, asked.clone()).await;
    let TaskDetail { task: seen, environment, attempts, damage, .. } = view(&store, task).await;
    assert_eq!(damage, None);
    assert_eq!((seen.title, seen.description, seen.command), (asked.title, asked.description, asked.command));
    assert_eq!(
        (seen.role, seen.provider, seen.model, seen.mode),
        (asked.role, asked.provider, asked.model, asked.mode)
    );
    assert_eq!((seen.full_access, seen.priority, seen.retries, seen.timeout), (true, 7, 2, asked.timeout));
    assert_eq!(
        (seen.after, seen.labels, seen.dir.as_str()),
        (asked.after, vec!["a".to_owned(), "b".into()], "/src/project")
    );
    assert_eq!((seen.state, seen.attempt, seen.exit_code, seen.ended_at), (Status::Queued, None, None, None));
    assert_eq!(environment, ["LANG"]);
    assert!(attempts.is_empty());
}

#[tokio::test]
async fn a_key_stores_once() {
    let (_home, store) = fresh();
    let ask = |title: &str| Submit { key: "k1".into(), spec: spec(title) };
    let first = store.submit(ask("one")).await.unwrap();
    let again = store.submit(ask("one")).await.unwrap();
    assert!(!first.repeated && again.repeated);
    assert_eq!((first.task, first.uid), (again.task, again.uid));
    let conflict = fault(store.submit(ask("two")).await.unwrap_err());
    assert_eq!(conflict.code, FaultCode::Conflict);
    assert!(conflict.message.contains("k1"), "{conflict}");
    assert_eq!(numbers(&store, Listing::All).await, [1]);
}

#[tokio::test]
async fn a_task_submitted_again_is_a_new_one_once() {
    let (_home, store) = fresh();
    let task = submit(&store, TaskSpec { labels: vec!["x".into()], ..spec("one") }).await;
    let early = fault(store.resubmit(task, "again".into()).await.unwrap_err());
    assert_eq!(early.code, FaultCode::Conflict);
    claim(&store, 1).await;
    run(&store, task, 1, Outcome::AgentFailed).await;
    let copy = store.resubmit(task, "again".into()).await.unwrap();
    assert_eq!((copy.task, copy.repeated), (TaskId(2), false));
    assert!(store.resubmit(task, "again".into()).await.unwrap().repeated);
    let seen = view(&store, copy.task).await.task;
    assert_eq!((seen.title.as_str(), seen.labels, seen.attempt), ("one", vec!["x".to_owned()], None));
    assert_eq!(fault(store.resubmit(TaskId(9), "other".into()).await.unwrap_err()).code, FaultCode::NotFound);
}

#[tokio::test]
async fn a_life_is_counted_and_written_down() {
    let (_home, store) = fresh();
    let task = submit(&store, TaskSpec { retries: 1, ..spec("one") }).await;
    assert_eq!(claim(&store, 1).await, [task]);
    let failed = AttemptEnd {
        conversation: None,
        outcome: Outcome::AgentFailed,
        error: Some("it said no".into()),
        record: Some(record(&attempt(task, 1).session(), Exit { code: Some(3), signal: None })),
    };
    store.start_attempt(attempt(task, 1), started(&["sh"], 77, (90, 20))).await.unwrap();
    let applied = store.end_attempt(attempt(task, 1), failed).await.unwrap();
    assert_eq!((applied.before, applied.after), (Status::Running, Status::Queued));

    let detail = view(&store, task).await;
    let seen = &detail.task;
    assert_eq!((seen.exit_code, seen.error_count, seen.outcome), (Some(3), 1, Some(Outcome::AgentFailed)));
    assert_eq!(seen.last_error.as_deref(), Some("it said no"));
    assert_eq!(seen.reason.as_ref().unwrap().code, crate::queue::ReasonCode::Backoff);
    let due = seen.due_at.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(due));
    assert!(claim(&store, 1).await.is_empty(), "it waits");
    store.release_due(Timestamp(due.0 - 1)).await.unwrap();
    assert!(claim(&store, 1).await.is_empty(), "it still waits");
    store.release_due(due).await.unwrap();
    assert_eq!(claim(&store, 1).await, [task]);
    assert_eq!(run(&store, task, 2, Outcome::Succeeded).await.after, Status::Passed);

    let detail = view(&store, task).await;
    assert_eq!((detail.task.state, detail.task.attempt), (Status::Passed, Some(attempt(task, 2))));
    assert!(detail.task.ended_at.is_some());
    let outcomes: Vec<_> = detail.attempts.iter().map(|a| (a.id.number, a.outcome, a.exit_code)).collect();
    assert_eq!(outcomes, [(1, Some(Outcome::AgentFailed), Some(3)), (2, Some(Outcome::Succeeded), None)]);
    let recording = detail.attempts[0].recording.clone().unwrap();
    assert_eq!((recording.bytes, recording.sha256.as_deref()), (10, Some("ab")));

    let kinds: Vec<_> = history(&store, Some(task)).await.into_iter().map(|e| e.kind).collect();
    let life = ["claimed", "started", "ended", "settled"];
    assert_eq!(kinds, [&["submitted"][..], &life[..], &life[..]].concat());
    let counts: Vec<_> = store.counts().await.unwrap().into_iter().filter(|c| c.tasks > 0).collect();
    assert_eq!(counts, [Count { state: Status::Passed, tasks: 1 }]);
}

#[tokio::test]
async fn the_machine_decides() {
    let (_home, store) = fresh();
    let task = submit(&store, spec("one")).await;
    assert_eq!(
        store.end_attempt(attempt(task, 1), ended(Outcome::Succeeded)).await.unwrap_err(),
        StoreError::Refused(Refused::Stale { event: 1, current: 0 })
    );
    let held = store.apply(task, Event::Held, Actor::User).await.unwrap();
    assert_eq!((held.before, held.after, held.title.as_str()), (Status::Queued, Status::Held, "one"));
    assert!(claim(&store, 1).await.is_empty());
    assert_eq!(
        store.apply(task, Event::Held, Actor::User).await.unwrap_err(),
        StoreError::Refused(Refused::Already(Status::Held))
    );
    store.apply(task, Event::Released, Actor::User).await.unwrap();
    assert_eq!(claim(&store, 1).await, [task]);
    store.start_attempt(attempt(task, 1), started(&[], 1, (80, 24))).await.unwrap();
    let ordered = store.apply(task, Event::CancelRequested, Actor::User).await.unwrap();
    assert_eq!(ordered.effects, [Effect::StopGently]);
    assert_eq!(store.unfinished().await.unwrap()[0].stop, Some(crate::task::Stop::Cancel));
    let end = store.end_attempt(attempt(task, 1), ended(Outcome::Succeeded)).await.unwrap();
    assert_eq!(end.after, Status::Cancelled);
    assert_eq!(fault(store.apply(TaskId(9), Event::Held, Actor::User).await.unwrap_err()).code, FaultCode::NotFound);
}

#[tokio::test]
async fn many_at_once_each_get_their_answer() {
    let (_home, store) = fresh();
    let mut tasks = Vec::new();
    for number in 0..250 {
        tasks.push(submit(&store, TaskSpec { hold: number % 2 == 0, ..spec("one") }).await);
    }
    tasks.push(TaskId(999));
    let results = store.apply_all(tasks.clone(), Event::Held, Actor::User, |_, _| ()).await;
    assert_eq!(results.iter().map(|(task, _)| *task).collect::<Vec<_>>(), tasks);
    for (place, (_, result)) in results.iter().enumerate() {
        match result {
            Ok(applied) => assert_eq!((applied.after, place % 2), (Status::Held, 1)),
            Err(StoreError::Refused(why)) => assert_eq!((*why, place % 2), (Refused::Already(Status::Held), 0)),
            Err(other) => assert!(place == 250, "{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_waiting_task_can_be_changed() {
    let (_home, store) = fresh();
    let parent = submit(&store, spec("parent")).await;
    let task = submit(&store, TaskSpec { labels: vec!["old".into()], ..spec("one") }).await;
    let begin = Timestamp(Timestamp::now().0 + 60_000);
    let edit = Edit {
        title: Some("two".into()),
        description: Some("another prompt".into()),
        provider: Some("codex".into()),
        model: Some("m".into()),
        mode: Some(Mode::Interactive),
        full_access: Some(true),
        after: Some(after(parent, When::Ok)),
        begin: Some(begin),
        retries: Some(5),
        timeout: Some(Span(Duration::from_secs(5))),
        labels: Some(vec!["new".into()]),
        ..no_change(task)
    };
    store.edit(edit).await.unwrap();
    let seen = view(&store, task).await.task;
    assert_eq!((seen.title.as_str(), seen.description.as_str()), ("two", "another prompt"));
    assert_eq!((seen.provider.as_str(), seen.model.as_deref(), seen.mode), ("codex", Some("m"), Mode::Interactive));
    assert_eq!((seen.full_access, seen.after.len(), seen.due_at, seen.retries), (true, 1, Some(begin), 5));
    assert_eq!((seen.timeout, seen.labels), (Some(Span(Duration::from_secs(5))), vec!["new".to_owned()]));
    assert_eq!(claim(&store, 9).await, [parent]);

    let back = Edit {
        model: Some(String::new()),
        after: Some(Vec::new()),
        begin: Some(Timestamp(0)),
        timeout: Some(Span::default()),
        ..no_change(task)
    };
    store.edit(back).await.unwrap();
    let seen = view(&store, task).await.task;
    assert_eq!((seen.model, seen.after.len(), seen.due_at, seen.timeout), (None, 0, None, None));
    assert_eq!(seen.provider, "codex");
    assert_eq!(claim(&store, 9).await, [task], "it is ready in its new lane");
    let late = Edit { title: Some("x".into()), ..no_change(task) };
    assert_eq!(fault(store.edit(late).await.unwrap_err()).code, FaultCode::Conflict);
}

#[tokio::test]
async fn an_ended_task_keeps_its_priority() {
    let (_home, store) = fresh();
    let task = submit(&store, spec("one")).await;
    store.set_priority(task, 9).await.unwrap();
    assert_eq!(view(&store, task).await.task.priority, 9);
    store.apply(task, Event::CancelRequested, Actor::User).await.unwrap();
    assert_eq!(store.set_priority(task, 1).await.unwrap_err(), StoreError::Refused(Refused::Ended(Status::Cancelled)));
}

#[tokio::test]
async fn a_start_time_is_waited_for() {
    let (_home, store) = fresh();
    let now = Timestamp::now();
    let past = submit(&store, TaskSpec { begin: Some(Timestamp(now.0 - 1)), ..spec("past") }).await;
    let mut later = Vec::new();
    for number in 0..due::CHUNK as i64 + 10 {
        let begin = Some(Timestamp(now.0 + 100_000 + number));
        later.push(submit(&store, TaskSpec { begin, ..spec("later") }).await);
    }
    assert_eq!(claim(&store, 1_000).await, [past]);
    assert_eq!(store.next_due().await.unwrap(), Some(Timestamp(now.0 + 100_000)));
    store.release_due(Timestamp(now.0 + 100_000)).await.unwrap();
    assert_eq!(claim(&store, 1_000).await, later[..1]);
    store.release_due(Timestamp(now.0 + 200_000)).await.unwrap();
    assert_eq!(claim(&store, 1_000).await, later[1..]);
    assert_eq!(store.next_due().await.unwrap(), None);
}

#[tokio::test]
async fn switches_outlive_the_daemon() {
    let (home, store) = fresh();
    assert_eq!(store.preference("admission").await.unwrap(), None);
    store.set_preference("admission", "paused".into()).await.unwrap();
    store.set_preference("admission", "draining".into()).await.unwrap();
    store.close().await;
    assert_eq!(home.open().preference("admission").await.unwrap().as_deref(), Some("draining"));
}

/// A wait that a wrong clock has made is not waited for, whichever way the clock was wrong.
#[tokio::test]
async fn a_clock_that_was_wrong_parks_nothing() {
    let (home, store) = fresh();
    let task = submit(&store, TaskSpec { retries: 3, ..spec("one") }).await;
    let by_wish = submit(&store, TaskSpec { begin: Some(Timestamp::now().plus(YEARS)), ..spec("later") }).await;
    claim(&store, 4).await;
    run(&store, task, 1, Outcome::AgentFailed).await;
    // As if the clock had been years ahead when the attempt failed.
    let conn = home.stranger();
    conn.execute("UPDATE tasks SET due_at = due_at + ?2 WHERE id = ?1", (task.0, YEARS.as_millis() as i64)).unwrap();
    drop(conn);
    assert!(store.next_due().await.unwrap().unwrap() <= Timestamp::now());
    store.release_due(Timestamp::now()).await.unwrap();
    assert_eq!(view(&store, task).await.task.due_at, None);
    let waits = view(&store, by_wish).await.task.due_at.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(waits), "what somebody has wished for is waited for");
}

const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
