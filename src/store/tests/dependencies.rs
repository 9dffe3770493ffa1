use super::*;
use crate::queue::ReasonCode;

/// Stores `count` tasks that wait for `parent`.
async fn children(store: &Store, parent: TaskId, when: When, count: usize) -> Vec<TaskId> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(submit(store, TaskSpec { after: after(parent, when), ..spec("child") }).await);
    }
    all
}

#[tokio::test]
async fn ends_that_count_release_and_others_do_not() {
    for (outcome, released) in [(Outcome::Succeeded, [true, true, false]), (Outcome::AgentFailed, [false, true, true])]
    {
        let (_home, store) = fresh();
        let parent = submit(&store, spec("parent")).await;
        let mut waiting = Vec::new();
        for when in [When::Ok, When::Any, When::NotOk] {
            waiting.extend(children(&store, parent, when, 1).await);
        }
        assert_eq!(claim(&store, 9).await, [parent]);
        let reason = view(&store, waiting[0]).await.task.reason.unwrap();
        assert_eq!(reason.code, ReasonCode::Dependency);
        run(&store, parent, 1, outcome).await;
        let expected: Vec<_> = waiting.iter().zip(released).filter(|(_, r)| *r).map(|(t, _)| *t).collect();
        assert_eq!(claim(&store, 9).await, expected, "{outcome}");
        // The one whose condition is not met waits on, and says for what.
        let left = waiting.iter().zip(released).find(|(_, r)| !*r).map(|(t, _)| *t).unwrap();
        let seen = view(&store, left).await.task;
        assert_eq!((seen.state, seen.reason.unwrap().code), (Status::Queued, ReasonCode::Dependency));
    }
}

#[tokio::test]
async fn all_of_several_must_be_met() {
    let (_home, store) = fresh();
    let first = submit(&store, spec("first")).await;
    let second = submit(&store, spec("second")).await;
    let both = [after(first, When::Ok), after(second, When::Any), after(second, When::NotOk)].concat();
    let child = submit(&store, TaskSpec { after: both, ..spec("child") }).await;
    assert_eq!(claim(&store, 9).await, [first, second]);
    run(&store, first, 1, Outcome::Succeeded).await;
    assert!(claim(&store, 9).await.is_empty());
    run(&store, second, 1, Outcome::AgentFailed).await;
    assert_eq!(claim(&store, 9).await, [child]);
}

#[tokio::test]
async fn an_end_that_is_there_already_counts() {
    let (_home, store) = fresh();
    let parent = submit(&store, spec("parent")).await;
    claim(&store, 1).await;
    run(&store, parent, 1, Outcome::Succeeded).await;
    let child = children(&store, parent, When::Ok, 1).await;
    assert_eq!(claim(&store, 1).await, child);
}

#[tokio::test]
async fn a_missing_task_is_named() {
    let (_home, store) = fresh();
    let bad = TaskSpec { after: after(TaskId(77), When::Ok), ..spec("child") };
    let fault = fault(store.submit(Submit { key: "k".into(), spec: bad }).await.unwrap_err());
    assert_eq!(fault.code, FaultCode::NotFound);
    assert!(fault.message.contains("77"));
    assert!(numbers(&store, Listing::All).await.is_empty(), "nothing of it is stored");
    assert_eq!(store.last_event().await.unwrap(), 0);
}

#[tokio::test]
async fn a_task_run_again_is_waited_for_again() {
    let (_home, store) = fresh();
    let parent = submit(&store, spec("parent")).await;
    let waiting = children(&store, parent, When::NotOk, 3).await;
    claim(&store, 1).await;
    run(&store, parent, 1, Outcome::AgentFailed).await;
    // One is claimed, one is held, one is queued when the parent is run again.
    assert_eq!(claim(&store, 1).await, waiting[..1]);
    store.apply(waiting[1], Event::Held, Actor::User).await.unwrap();
    store.apply(parent, Event::Retried, Actor::User).await.unwrap();
    assert_eq!(state(&store, waiting[0]).await, Status::Starting);
    assert_eq!(claim(&store, 9).await, [parent]);
    store.apply(waiting[1], Event::Released, Actor::User).await.unwrap();
    assert!(claim(&store, 9).await.is_empty());
    run(&store, parent, 2, Outcome::AgentFailed).await;
    assert_eq!(claim(&store, 9).await, waiting[1..]);
}

#[tokio::test]
async fn a_child_run_again_looks_at_what_it_waits_for() {
    let (_home, store) = fresh();
    let parent = submit(&store, spec("parent")).await;
    let child = children(&store, parent, When::Any, 1).await[0];
    claim(&store, 1).await;
    run(&store, parent, 1, Outcome::AgentFailed).await;
    claim(&store, 1).await;
    run(&store, child, 1, Outcome::AgentFailed).await;
    store.apply(parent, Event::Retried, Actor::User).await.unwrap();
    store.apply(child, Event::Retried, Actor::User).await.unwrap();
    assert_eq!(claim(&store, 9).await, [parent]);
    run(&store, parent, 2, Outcome::Succeeded).await;
    assert_eq!(claim(&store, 9).await, [child]);
}

#[tokio::test]
async fn more_dependents_than_one_transaction_looks_at() {
    let (home, store) = fresh();
    let parent = submit(&store, spec("parent")).await;
    let mut waiting = Vec::new();
    for first in [0, 250, 500] {
        let tasks = vec![TaskSpec { after: after(parent, When::NotOk), ..spec("child") }; 250];
        let chunk = SubmitChunk { key: "k".into(), first, tasks, after: Vec::new(), last: first == 500 };
        waiting.extend(store.submit_chunk(chunk).await.unwrap().tasks);
    }
    assert_eq!(claim(&store, 1).await, [parent]);
    run(&store, parent, 1, Outcome::AgentFailed).await;
    // Daemons come and go; the work goes on.
    store.close().await;
    let store = home.open();
    settled(&store).await;
    assert_eq!(store.claim(limits(1_000), 10).await.unwrap().len(), 10);

    // Run again, it is waited for again: at once for who would be claimed, whatever the
    // chore has reached.
    store.apply(parent, Event::Retried, Actor::User).await.unwrap();
    assert_eq!(claim(&store, 1_000).await, [parent]);
    settled(&store).await;
    run(&store, parent, 2, Outcome::AgentFailed).await;
    settled(&store).await;
    assert_eq!(claim(&store, 1_000).await, waiting[10..]);
    let unmet: i64 = home.stranger().query_row("SELECT sum(unmet) FROM tasks", [], |row| row.get(0)).unwrap();
    assert_eq!(unmet, 0);
}

/// Waits until the chores are done, by asking the writer itself.
async fn settled(store: &Store) {
    loop {
        let left: i64 = store
            .write(FEW_ROWS, |tx| {
                let sql = "SELECT (SELECT count(*) FROM rechecks)
                         + (SELECT count(*) FROM batches WHERE complete = 1 AND released = 0)";
                Ok(tx.conn.query_row(sql, [], |row| row.get(0))?)
            })
            .await
            .unwrap();
        if left == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn circles_are_refused() {
    let (_home, store) = fresh();
    let first = submit(&store, spec("first")).await;
    let second = children(&store, first, When::Ok, 1).await[0];
    let third = children(&store, second, When::Ok, 1).await[0];
    for (task, on) in [(first, third), (first, first), (second, third)] {
        let edit = Edit { after: Some(after(on, When::Any)), ..no_change(task) };
        assert_eq!(fault(store.edit(edit).await.unwrap_err()).code, FaultCode::Conflict, "{task} on {on}");
    }
    // What was refused has left nothing behind.
    assert_eq!(view(&store, second).await.task.after, after(first, When::Ok));
    assert_eq!(claim(&store, 9).await, [first]);
    let edit = Edit { after: Some(after(TaskId(99), When::Any)), ..no_change(third) };
    assert_eq!(fault(store.edit(edit).await.unwrap_err()).code, FaultCode::NotFound);
}
