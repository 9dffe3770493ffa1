//! Carries out the recovery plan when the daemon starts. Sessions are met side by side,
//! so a keeper that does not answer holds up nobody.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use super::Daemon;
use super::attend::{Attendant, Limit, remaining};
use crate::id::{SessionName, Uid};
use crate::process;
use crate::protocol::launch::LaunchSpec;
use crate::protocol::view::SessionState;
use crate::recovery::plan::{Action, Dir, Facts, Row, plan};
use crate::recovery::{Found, gather};
use crate::store::{StoreError, Unfinished};
use crate::task::{Actor, Event, Status};

/// Looks at every unfinished row and every live directory, and starts what is to be done
/// about them.
pub(super) async fn run(daemon: &Arc<Daemon>) -> io::Result<()> {
    let paths = daemon.paths.clone();
    let mut found = tokio::task::spawn_blocking(move || gather(&paths)).await.map_err(io::Error::other)??;
    let rows = daemon.store.unfinished().await.map_err(io::Error::other)?;
    // A directory belongs to a row by its identity; its name may have changed, or mean
    // another session after a restore.
    let by_uid: HashMap<Uid, SessionName> =
        found.iter().filter_map(|(name, found)| Some((found.spec.as_ref()?.uid, name.clone()))).collect();
    let mut summary: BTreeMap<&'static str, u32> = BTreeMap::new();
    for row in rows {
        let dir = match by_uid.get(&row.uid) {
            Some(name) => found.remove(name),
            // Never finished being written, so it does not know its identity.
            None => match found.get(&row.session) {
                Some(other) if other.spec.is_none() => found.remove(&row.session),
                _ => None,
            },
        };
        let did = unfinished(daemon, row, dir).await;
        *summary.entry(did).or_default() += 1;
    }
    for (name, dir) in found {
        let did = directory(daemon, name, dir).await;
        *summary.entry(did).or_default() += 1;
    }
    if !summary.is_empty() {
        tracing::info!(?summary, "recovered");
    }
    Ok(())
}

async fn unfinished(daemon: &Arc<Daemon>, row: Unfinished, found: Option<Found>) -> &'static str {
    let status = row.attempt.map(|(_, status)| status);
    let facts = Facts {
        row: status.map_or(Row::Free, Row::Attempt),
        dir: found.as_ref().map_or(Dir::Missing, |f| f.facts.clone()),
        started: row.started,
    };
    let action = plan(&facts);
    if action == Action::Settle {
        if let Some((attempt, _)) = row.attempt
            && let Err(error) =
                daemon.store.apply(attempt.task, Event::Settled { attempt: attempt.number }, Actor::Daemon).await
        {
            tracing::error!(%attempt, %error, "cannot be settled");
        }
        if let Some(found) = found {
            return directory(daemon, row.session, found).await;
        }
        return "settled";
    }
    let dir = found.map_or_else(|| daemon.paths.live_session(&row.session), |f| f.dir);
    let attendant = Attendant {
        orders: daemon.roster.enter(&row.session, row.uid),
        daemon: Arc::clone(daemon),
        uid: row.uid,
        attempt: row.attempt.map(|(attempt, _)| attempt),
        dir,
        marker: process::marker(daemon.paths.instance_number(), row.number),
        child: None,
        limit: remaining(row.timeout),
        stopped: None,
        opener: None,
        name: row.session,
    };
    match action {
        Action::Adopt => {
            let started = row.started || matches!(status, Some(Status::Running | Status::Paused));
            tokio::spawn(attendant.adopt(started, row.stop));
            "adopted"
        }
        Action::Finish(record) => {
            tokio::spawn(attendant.end_recorded(record));
            "ended meanwhile"
        }
        Action::End(outcome) => {
            tokio::spawn(attendant.end_found(outcome));
            outcome.name()
        }
        Action::AdoptUnknown | Action::Acknowledge | Action::ClearUp | Action::Settle | Action::Nothing => {
            // The plan gives none of these for an unfinished row (its tests say so).
            daemon.roster.leave(row.uid);
            "left alone"
        }
    }
}

async fn directory(daemon: &Arc<Daemon>, name: SessionName, found: Found) -> &'static str {
    let Some(spec) = found.spec.clone() else {
        // Its daemon died while writing it: nothing was ever started in it.
        if let Dir::Present { held: false, started: false, .. } = found.facts
            && let Err(error) = std::fs::remove_dir_all(found.dir.path())
        {
            tracing::warn!(session = %name, %error, "an unfinished directory cannot be removed");
        }
        return "removed";
    };
    let known = match daemon.store.session(name.to_string()).await {
        Ok(session) => session.session_id == spec.uid && session.state != SessionState::Starting,
        Err(StoreError::Fault(_)) => false,
        Err(error) => {
            tracing::error!(session = %name, %error, "cannot be looked up");
            return "left alone";
        }
    };
    let row = if known { Row::Finished } else { Row::Missing };
    let facts = Facts { row, dir: found.facts.clone(), started: false };
    match plan(&facts) {
        Action::AdoptUnknown => adopt_unknown(daemon, spec, found).await,
        Action::Acknowledge => {
            let attendant = lone(daemon, &name, spec.uid, found, spec.marker);
            tokio::spawn(attendant.acknowledge());
            "acknowledged"
        }
        Action::ClearUp => {
            daemon.archiver.add(spec.uid, found.dir, recorded(&found.facts));
            "cleared up"
        }
        _ => "left alone",
    }
}

fn recorded(dir: &Dir) -> u64 {
    match dir {
        Dir::Present { record: Some(record), .. } => record.recording_bytes,
        _ => u64::MAX,
    }
}

async fn adopt_unknown(daemon: &Arc<Daemon>, spec: LaunchSpec, found: Found) -> &'static str {
    let marker = spec.marker;
    let uid = spec.uid;
    match daemon.store.adopt_unknown(spec).await {
        Ok(stored) => {
            let attendant = lone(daemon, &stored.name, uid, found, marker);
            tokio::spawn(attendant.adopt(true, None));
            "adopted as unknown"
        }
        Err(error) => {
            tracing::error!(%uid, %error, "a session without a row cannot be stored; it is left alone");
            "left alone"
        }
    }
}

/// An attendant for a session without a task.
fn lone(daemon: &Arc<Daemon>, name: &SessionName, uid: Uid, found: Found, marker: u64) -> Attendant {
    Attendant {
        orders: daemon.roster.enter(name, uid),
        daemon: Arc::clone(daemon),
        name: name.clone(),
        uid,
        attempt: None,
        dir: found.dir,
        marker,
        child: None,
        limit: Limit::new(None),
        stopped: None,
        opener: None,
    }
}
