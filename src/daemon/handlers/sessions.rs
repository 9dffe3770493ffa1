//! Sessions as they are now: the stored row, what the keeper says, where the program is.

use std::sync::Arc;

use super::{fault, named};
use crate::daemon::Daemon;
use crate::id::{SessionName, Uid};
use crate::process;
use crate::protocol::keeper::How;
use crate::protocol::view::SessionView;
use crate::protocol::{Fault, Reply};
use crate::session::{Order, names};
use crate::task::{Actor, Event};

pub(super) async fn list(daemon: &Arc<Daemon>, all: bool, before: Option<Uid>, limit: u32) -> Result<Reply, Fault> {
    let sessions = daemon.store.sessions(all, before, limit).await.map_err(fault)?;
    Ok(Reply::Sessions(live(daemon, sessions).await))
}

pub(super) async fn one(daemon: &Arc<Daemon>, target: String) -> Result<Reply, Fault> {
    let session = daemon.store.session(target).await.map_err(fault)?;
    view(daemon, session).await
}

/// One session as it is now.
pub(super) async fn view(daemon: &Arc<Daemon>, session: SessionView) -> Result<Reply, Fault> {
    match live(daemon, vec![session]).await.pop() {
        Some(session) => Ok(Reply::Session(Box::new(session))),
        None => Err(Fault::internal("the session cannot be looked at")),
    }
}

/// Adds what only a live keeper and its processes know.
pub(super) async fn live(daemon: &Arc<Daemon>, mut sessions: Vec<SessionView>) -> Vec<SessionView> {
    daemon.roster.measure(sessions.iter().map(|session| session.session_id)).await;
    for session in &mut sessions {
        let Some(live) = daemon.roster.get(session.session_id) else { continue };
        session.state = live.state;
        session.pid = live.pid;
        session.keeper_pid = live.keeper_pid;
        session.keeper_version = live.keeper_version;
        if live.status.columns > 0 {
            (session.columns, session.rows) = (live.status.columns, live.status.rows);
        }
        if let Some((usage, _)) = live.usage {
            session.cpu_ms = Some(usage.cpu_ms);
            session.memory_bytes = Some(usage.memory_bytes);
            session.processes = Some(usage.processes);
            session.peak_memory_bytes = Some(usage.peak_memory_bytes);
            session.peak_processes = Some(usage.peak_processes);
        }
        session.writers = live.status.writers;
        session.watchers = live.status.watchers;
        if let Some(recording) = &mut session.recording {
            recording.bytes = recording.bytes.max(live.status.bytes);
        }
    }
    let paths = daemon.paths.clone();
    let looked = tokio::task::spawn_blocking(move || {
        for session in sessions.iter_mut().filter(|session| session.keeper_pid.is_some()) {
            let directory = paths.session_directory(&session.name, session.session_id);
            let keeper = std::fs::read(directory.keeper()).ok();
            let keeper: Option<crate::paths::KeeperFile> = keeper.and_then(|text| serde_json::from_slice(&text).ok());
            session.socket = keeper.map(|keeper| keeper.socket.to_string_lossy().into_owned());
        }
        for session in &mut sessions {
            if let Some(directory) = session.pid.and_then(process::current_directory) {
                session.current_directory = directory;
            }
        }
        sessions
    });
    looked.await.unwrap_or_default()
}

/// Ends a session. One that works on a task ends with its task.
pub(super) async fn end(daemon: &Arc<Daemon>, session: &SessionName, now: bool) -> Result<Reply, Fault> {
    let found = daemon.store.session(session.to_string()).await.map_err(fault)?;
    if let Some(task) = found.task {
        let event = if now { Event::KillRequested } else { Event::CancelRequested };
        let applied = daemon.store.apply(task, event, Actor::User).await;
        let applied = applied.map_err(|e| named(e, &format!("task {task}")))?;
        daemon.carry_out(&applied);
        return Ok(Reply::Done);
    }
    let how = if now { How::Now } else { How::Gently };
    if daemon.roster.order(found.session_id, Order::Stop(how)) {
        Ok(Reply::Done)
    } else {
        Err(Fault::conflict(format!("session {session} has ended")))
    }
}

/// Gives a session without a task another name; the old one may be used again.
pub(super) async fn rename(daemon: &Arc<Daemon>, from: SessionName, to: SessionName) -> Result<Reply, Fault> {
    let found = daemon.store.session(from.to_string()).await.map_err(fault)?;
    if found.task.is_some() {
        return Err(Fault::conflict(format!("session {from} is named after its task"))
            .hint("only sessions without a task can be renamed"));
    }
    daemon.store.rename_session(from.clone(), to.clone()).await.map_err(fault)?;
    daemon.roster.update(found.session_id, |live| live.name = to.clone());
    // One that has ended meanwhile has no directory to be found.
    if daemon.roster.get(found.session_id).is_some() {
        let dir = daemon.paths.session_directory(&to, found.session_id);
        if let Err(error) = names::publish(&dir, &to).and_then(|()| names::withdraw(&dir, &from)) {
            tracing::warn!(%error, %from, %to, "the renamed session cannot be found without the daemon");
        }
    }
    Ok(Reply::Done)
}
