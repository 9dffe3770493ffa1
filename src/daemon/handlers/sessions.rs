//! Sessions as they are now: the stored row, what the keeper says, what `/proc` says.

use std::sync::Arc;

use super::{fault, named};
use crate::daemon::Daemon;
use crate::id::SessionName;
use crate::protocol::keeper::How;
use crate::protocol::view::SessionView;
use crate::protocol::{Fault, Reply};
use crate::session::{Order, usage};
use crate::task::{Actor, Event};

pub(super) async fn list(daemon: &Arc<Daemon>, all: bool) -> Result<Reply, Fault> {
    let sessions = daemon.store.sessions(all).await.map_err(fault)?;
    Ok(Reply::Sessions(live(daemon, sessions).await))
}

pub(super) async fn one(daemon: &Arc<Daemon>, target: String) -> Result<Reply, Fault> {
    let session = daemon.store.session(target.clone()).await.map_err(fault)?;
    match live(daemon, vec![session]).await.pop() {
        Some(session) => Ok(Reply::Session(Box::new(session))),
        None => Err(Fault::not_found(format!("there is no session '{target}'"))),
    }
}

/// Adds what only a live keeper and its processes know.
pub(super) async fn live(daemon: &Arc<Daemon>, mut sessions: Vec<SessionView>) -> Vec<SessionView> {
    for session in &mut sessions {
        let Some(live) = daemon.roster.get(session.session_id) else { continue };
        session.state = live.state;
        session.pid = live.pid;
        session.keeper_pid = live.keeper_pid;
        session.keeper_version = live.keeper_version;
        if live.status.columns > 0 {
            (session.columns, session.rows) = (live.status.columns, live.status.rows);
        }
        session.writers = live.status.writers;
        session.watchers = live.status.watchers;
        if let Some(recording) = &mut session.recording {
            recording.bytes = recording.bytes.max(live.status.bytes);
        }
        let keeper = std::fs::read(daemon.paths.live_session(&session.name).keeper()).ok();
        let keeper: Option<crate::paths::KeeperFile> = keeper.and_then(|text| serde_json::from_slice(&text).ok());
        session.socket = keeper.map(|keeper| keeper.socket.to_string_lossy().into_owned());
    }
    // Looking through all of /proc takes milliseconds.
    let looked = tokio::task::spawn_blocking(move || {
        let keepers: Vec<u32> = sessions.iter().filter_map(|s| s.keeper_pid).collect();
        let used = usage::of_keepers(&keepers);
        for session in &mut sessions {
            if let Some(usage) = session.keeper_pid.and_then(|keeper| used.get(&keeper)) {
                session.cpu_ms = u64::try_from(usage.cpu.as_millis()).ok();
                session.memory_bytes = Some(usage.memory);
                session.processes = Some(usage.processes);
            }
            if let Some(directory) = session.pid.and_then(usage::current_directory) {
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
    if daemon.roster.order(session, Order::Stop(how)) {
        Ok(Reply::Done)
    } else {
        Err(Fault::conflict(format!("session {session} has ended")))
    }
}

/// Gives a session without a task another name. Its directory keeps the old one and gets
/// a link, so that it is found by the new name without the daemon too.
pub(super) async fn rename(daemon: &Arc<Daemon>, from: SessionName, to: SessionName) -> Result<Reply, Fault> {
    let found = daemon.store.session(from.to_string()).await.map_err(fault)?;
    if found.task.is_some() || to.attempt().is_some() {
        return Err(Fault::conflict(format!("session {from} is named after its task"))
            .hint("only sessions without a task can be renamed, and not to a task's name"));
    }
    daemon.store.rename_session(from.clone(), to.clone()).await.map_err(fault)?;
    daemon.roster.update(found.session_id, |live| live.name = to.clone());
    let link = daemon.paths.live_session(&to);
    if let Err(error) = std::os::unix::fs::symlink(from.as_str(), link.path()) {
        tracing::warn!(%error, %from, %to, "the renamed session has no link in sessions/live");
    }
    Ok(Reply::Done)
}
