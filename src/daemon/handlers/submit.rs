//! Storing tasks. The command line checks as well, with nicer words; this is the check
//! that counts.

use std::sync::Arc;

use super::{aside, fault};
use crate::daemon::Daemon;
use crate::daemon::callers::Caller;
use crate::protocol::request::{Submit, SubmitChunk};
use crate::protocol::{Fault, Reply};
use crate::task::TaskSpec;
use crate::task::spec::{
    MAX_DEPENDENCIES, MAX_DESCRIPTION, MAX_ENVIRONMENT, MAX_LABEL, MAX_LABELS, MAX_PRIORITY, MAX_RESTARTS, MAX_RETRIES,
    MAX_TITLE, secret_in,
};

/// Longest idempotency key, in bytes.
const MAX_KEY: usize = 200;

pub(super) async fn submit(daemon: &Arc<Daemon>, caller: Caller, task: Submit) -> Result<Reply, Fault> {
    check_key(&task.key)?;
    check(&task.spec)?;
    let is_child = caller.attempt().is_some();
    let (task, warnings) = aside(daemon, move |daemon| {
        let mut task = task;
        if is_child {
            // Its name may lie within the directory, and lead out of it.
            task.spec.dir = task
                .spec
                .dir
                .canonicalize()
                .map_err(|error| Fault::usage(format!("the directory {}: {error}", task.spec.dir.display())))?;
        }
        let warnings = daemon.settings.check_task(&task.spec)?;
        Ok((task, warnings))
    })
    .await?;
    let stored = match caller.attempt() {
        None => daemon.store.submit(task).await,
        Some(parent) => daemon.store.submit_child(task, parent).await,
    };
    let mut stored = stored.map_err(fault)?;
    stored.warnings.extend(warnings);
    Ok(Reply::Submitted(stored))
}

pub(super) async fn chunk(daemon: &Arc<Daemon>, chunk: SubmitChunk) -> Result<Reply, Fault> {
    check_key(&chunk.key)?;
    if chunk.tasks.len() > SubmitChunk::MAX_TASKS {
        return Err(Fault::usage(format!("a chunk holds at most {} tasks", SubmitChunk::MAX_TASKS)));
    }
    let chunk = aside(daemon, move |daemon| {
        for (index, spec) in chunk.tasks.iter().enumerate() {
            let number = u64::from(chunk.first) + index as u64 + 1;
            let place =
                |fault: Fault| Fault { message: format!("task {number} of the batch: {}", fault.message), ..fault };
            check(spec).map_err(place)?;
            daemon.settings.check_task(spec).map_err(place)?;
        }
        Ok(chunk)
    })
    .await?;
    daemon.store.submit_chunk(chunk).await.map(Reply::BatchStored).map_err(fault)
}

pub(super) fn check_key(key: &str) -> Result<(), Fault> {
    if key.is_empty() || key.len() > MAX_KEY || key.chars().any(char::is_control) {
        return Err(Fault::usage(format!("an idempotency key has 1 to {MAX_KEY} bytes and no control characters")));
    }
    Ok(())
}

/// Everything about a task that does not depend on this machine.
pub(super) fn check(spec: &TaskSpec) -> Result<(), Fault> {
    let refuse = |why: String| Err(Fault::usage(why));
    if spec.command.is_empty() && spec.description.trim().is_empty() {
        return refuse("the prompt is empty: say what is to be done".into());
    }
    let prompt = spec.description.len() + spec.command.iter().map(|a| a.len() + 1).sum::<usize>();
    if prompt > MAX_DESCRIPTION {
        return refuse(format!("the prompt has {prompt} bytes; the limit is {MAX_DESCRIPTION}"));
    }
    if spec.description.contains('\0') || spec.command.iter().any(|a| a.contains('\0')) {
        return refuse("the prompt holds a NUL byte".into());
    }
    if spec.title.trim().is_empty()
        || spec.title.chars().count() > MAX_TITLE
        || spec.title.chars().any(char::is_control)
    {
        return refuse(format!("a title has 1 to {MAX_TITLE} printable characters"));
    }
    if spec.labels.len() > MAX_LABELS || spec.labels.iter().any(|l| !is_label(l)) {
        return refuse(format!(
            "a task has at most {MAX_LABELS} labels, each 1 to {MAX_LABEL} bytes without blanks and commas"
        ));
    }
    if spec.after.len() > MAX_DEPENDENCIES {
        return refuse(format!("a task waits for at most {MAX_DEPENDENCIES} others"));
    }
    check_priority(spec.priority)?;
    if spec.retries > MAX_RETRIES {
        return refuse(format!("at most {MAX_RETRIES} retries are possible"));
    }
    if spec.max_restarts > MAX_RESTARTS {
        return refuse(format!("at most {MAX_RESTARTS} restarts within an hour are possible"));
    }
    check_secrets(&spec.environment)?;
    let environment: usize = spec.environment.iter().map(|(k, v)| k.len() + v.len() + 2).sum();
    if environment > MAX_ENVIRONMENT {
        return refuse(format!("the environment has {environment} bytes; the limit is {MAX_ENVIRONMENT}"));
    }
    Ok(())
}

/// The command line sends only references; this is for whoever else speaks to us.
pub(super) fn check_secrets<'a>(environment: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<(), Fault> {
    match secret_in(environment) {
        None => Ok(()),
        Some(name) => Err(Fault::usage(format!("the value of {name} looks like a secret and would be written down"))
            .hint(format!("send 'env:{name}': it is read from the daemon's environment when the task is started"))),
    }
}

pub(super) fn check_priority(priority: i32) -> Result<(), Fault> {
    if (-MAX_PRIORITY..=MAX_PRIORITY).contains(&priority) {
        Ok(())
    } else {
        Err(Fault::usage(format!("a priority lies between -{MAX_PRIORITY} and {MAX_PRIORITY}")))
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= MAX_LABEL
        && !label.chars().any(|c| c.is_control() || c.is_whitespace() || c == ',')
}
