//! Cancel, hold and the like; edit; the queue's own switch.

use std::sync::Arc;

use super::{aside, change, fault, named, submit};
use crate::daemon::Daemon;
use crate::id::TaskId;
use crate::protocol::reply::{Acted, Change};
use crate::protocol::request::{Act, Action, Admission, Edit};
use crate::protocol::{Fault, Reply};
use crate::store::{Applied, StoreError};
use crate::task::{Actor, Event, Refused, Status as State};

pub(super) async fn act(daemon: &Arc<Daemon>, order: Act) -> Result<Reply, Fault> {
    if let Action::Priority(priority) = order.action {
        submit::check_priority(priority)?;
    }
    let store = &daemon.store;
    let tasks = store.select(order.select).await.map_err(fault)?;
    if tasks.len() > Act::MOST {
        let fault = Fault::usage(format!("{} tasks are too many for one request", tasks.len()));
        return Err(fault.hint(format!("at most {}; the command line sends several", Act::MOST)));
    }
    if order.dry_run {
        let found = store.briefs(tasks).await.map_err(fault)?.into_iter().map(|task| {
            let change = Change { state: task.state, changed: false };
            Acted { task: task.id, title: task.title, result: Ok(change) }
        });
        return Ok(Reply::Acted(found.collect()));
    }
    let results = match event(order.action) {
        Ok(event) => {
            let carry_out = |task, result: &Result<Applied, StoreError>| match result {
                Ok(applied) => daemon.carry_out(applied),
                Err(StoreError::Refused(refused)) => daemon.carry_out_again(task, refused),
                Err(_) => {}
            };
            store.apply_all(tasks, event, Actor::User, carry_out).await
        }
        Err(priority) => {
            let mut results = Vec::with_capacity(tasks.len());
            for task in tasks {
                results.push((task, store.set_priority(task, priority).await));
            }
            results
        }
    };
    Ok(Reply::Acted(results.into_iter().map(|(task, result)| acted(task, result)).collect()))
}

/// The event of an action; a priority is none.
fn event(action: Action) -> Result<Event, i32> {
    Ok(match action {
        Action::Cancel => Event::CancelRequested,
        Action::Kill => Event::KillRequested,
        Action::Hold => Event::Held,
        Action::Release => Event::Released,
        Action::Pause => Event::Paused,
        Action::Resume => Event::Resumed,
        Action::Retry => Event::Retried,
        Action::Recover => Event::Recovered,
        Action::Priority(priority) => return Err(priority),
    })
}

fn acted(task: TaskId, result: Result<Applied, StoreError>) -> Acted {
    match result {
        Ok(applied) => Acted { task, title: applied.title.clone(), result: Ok(change(&applied)) },
        // Asking twice for the same is no error.
        Err(StoreError::Refused(Refused::Already(state))) => {
            Acted { task, title: String::new(), result: Ok(Change { state, changed: false }) }
        }
        Err(error) => {
            let again = match &error {
                StoreError::Refused(Refused::Ended(State::Passed)) => {
                    Some(format!("'autodev resubmit {task}' makes a new task of it"))
                }
                StoreError::Refused(Refused::Ended(_)) => Some(format!(
                    "'autodev retry {task}' runs it again, 'autodev resubmit {task}' makes a new task of it"
                )),
                _ => None,
            };
            let mut fault = named(error, &format!("task {task}"));
            fault.hint = fault.hint.or(again);
            Acted { task, title: String::new(), result: Err(fault) }
        }
    }
}

pub(super) async fn edit(daemon: &Arc<Daemon>, edit: Edit) -> Result<Reply, Fault> {
    let task = edit.task;
    let fault = |error| named(error, &format!("task {task}"));
    let spec = daemon.store.edited(edit.clone()).await.map_err(fault)?;
    submit::check(&spec)?;
    aside(daemon, move |daemon| daemon.settings.check_run(&spec)).await?;
    let applied = daemon.store.edit(edit).await.map_err(fault)?;
    Ok(Reply::Acted(vec![acted(task, Ok(applied))]))
}

pub(super) async fn admission(
    daemon: &Arc<Daemon>,
    change: Admission,
    provider: Option<String>,
) -> Result<Reply, Fault> {
    if let Some(provider) = &provider {
        daemon.settings.check_provider(provider)?;
    }
    daemon.admission.turn(&daemon.store, change, provider).await.map_err(fault)?;
    daemon.reschedule.notify_one();
    Ok(Reply::Done)
}
