//! Carries out the recovery plan when the daemon starts. Sessions are met side by side,
//! so a keeper that does not answer holds up nobody.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use super::Daemon;
use super::attend::{Attendant, Limit};
use crate::id::{SessionName, Uid};
use crate::paths::SessionDir;
use crate::process;
use crate::protocol::launch::LaunchSpec;
use crate::recovery::plan::{Action, Dir, Facts, Record, Row, plan};
use crate::recovery::{Found, gather};
use crate::session::names;
use crate::store::{StoreError, Unfinished};
use crate::task::{Actor, Event};

/// Looks at every unfinished row and every live directory, and starts what is to be done
/// about them.
pub(super) async fn run(daemon: &Arc<Daemon>) -> io::Result<()> {
    let paths = daemon.paths.clone();
    let mut found = tokio::task::spawn_blocking(move || gather(&paths)).await.map_err(io::Error::other)??;
    let rows = daemon.store.unfinished().await.map_err(io::Error::other)?;
    // A directory belongs to a row by its identity; its name may have changed, or mean
    // another session after a restore.
    let by_uid: HashMap<Uid, String> =
        found.iter().filter_map(|(name, found)| Some((found.spec.as_ref()?.uid, name.clone()))).collect();
    let mut names = HashMap::new();
    let mut summary: BTreeMap<&'static str, u32> = BTreeMap::new();
    for row in rows {
        let dir = match by_uid.get(&row.uid) {
            Some(name) => found.remove(name),
            // Never finished being written, so it does not know its identity.
            None => {
                let name = row.session.directory(row.uid);
                found.get(&name).is_some_and(|other| other.spec.is_none()).then(|| found.remove(&name)).flatten()
            }
        };
        if let Some(dir) = &dir {
            names.insert(row.session.clone(), dir.dir.clone());
        }
        let did = unfinished(daemon, row, dir).await;
        *summary.entry(did).or_default() += 1;
    }
    for (name, dir) in found {
        let did = directory(daemon, &name, dir, &mut names).await;
        *summary.entry(did).or_default() += 1;
    }
    // A daemon that was killed may have left names that mean nothing, or another session.
    let named = names.iter().try_for_each(|(name, dir)| names::publish(dir, name));
    if let Err(error) = named.and_then(|()| names::tidy(&daemon.paths.live_sessions(), &names)) {
        tracing::warn!(%error, "the names in sessions/live are not in order");
    }
    if !summary.is_empty() {
        tracing::info!(?summary, "recovered");
    }
    Ok(())
}

/// Looks after attempts that are claimed and have nobody: it was not known whether their
/// claim was stored. Only whoever claims may call this, between two claims.
pub(super) async fn claims_in_doubt(daemon: &Arc<Daemon>) -> Result<(), StoreError> {
    for row in daemon.store.unfinished().await? {
        if row.attempt.is_some() && daemon.roster.get(row.uid).is_none() {
            let did = unfinished(daemon, row, None).await;
            tracing::warn!(did, "a claim had been stored after all");
        }
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
            let name = row.session.directory(row.uid);
            return directory(daemon, &name, found, &mut HashMap::new()).await;
        }
        return "settled";
    }
    let dir = found.map_or_else(|| daemon.paths.session_directory(&row.session, row.uid), |f| f.dir);
    let marker = process::marker(daemon.paths.instance_number(), row.number);
    let mut attendant = Attendant::new(daemon, &row.session, row.uid, dir, marker);
    attendant.limit = Limit::remaining(row.timeout, row.started_at);
    attendant.started = row.started;
    if let Some((attempt, status)) = row.attempt {
        attendant.resume(attempt, status, row.stop);
    }
    // It looks again by the same plan: a keeper may have come or gone since.
    tokio::spawn(attendant.attend(None));
    match action {
        Action::Adopt => "adopted",
        Action::Finish(_) => "ended meanwhile",
        Action::End(outcome) => outcome.name(),
        // The plan gives none of these for an unfinished row (its tests say so).
        Action::AdoptUnknown | Action::Acknowledge | Action::ClearUp | Action::Settle | Action::Nothing => "left alone",
    }
}

async fn directory(
    daemon: &Arc<Daemon>,
    name: &str,
    found: Found,
    names: &mut HashMap<SessionName, SessionDir>,
) -> &'static str {
    let Some(spec) = found.spec.clone() else {
        let Dir::Present { held: false, started: false, .. } = found.facts else { return "left alone" };
        // Its daemon died while writing it: nothing was ever started in it.
        if let Err(error) = std::fs::remove_dir_all(found.dir.path()) {
            tracing::warn!(session = %name, %error, "an unfinished directory cannot be removed");
            return "left alone";
        }
        return "removed";
    };
    // Its row, if it has one, is finished: the others have been looked at.
    let known = match daemon.store.has_session(spec.uid).await {
        Ok(known) => known,
        Err(error) => {
            tracing::error!(session = %name, %error, "cannot be looked up");
            return "left alone";
        }
    };
    let row = if known { Row::Finished } else { Row::Missing };
    let facts = Facts { row, dir: found.facts.clone(), started: false };
    match plan(&facts) {
        Action::AdoptUnknown => adopt_unknown(daemon, spec, found, names).await,
        Action::Acknowledge => {
            let attendant = Attendant::new(daemon, &spec.session, spec.uid, found.dir, spec.marker);
            tokio::spawn(attendant.acknowledge());
            "acknowledged"
        }
        Action::ClearUp => {
            daemon.archiver.add(spec.uid, found.dir, recorded(&found.facts), None);
            "cleared up"
        }
        _ => "left alone",
    }
}

fn recorded(dir: &Dir) -> u64 {
    match dir {
        Dir::Present { record: Record::Read(record), .. } => record.recording_bytes,
        _ => u64::MAX,
    }
}

async fn adopt_unknown(
    daemon: &Arc<Daemon>,
    spec: LaunchSpec,
    found: Found,
    names: &mut HashMap<SessionName, SessionDir>,
) -> &'static str {
    let marker = spec.marker;
    let uid = spec.uid;
    match daemon.store.adopt_unknown(spec).await {
        Ok(stored) => {
            names.insert(stored.name.clone(), found.dir.clone());
            let mut attendant = Attendant::new(daemon, &stored.name, uid, found.dir, marker);
            attendant.started = true;
            tokio::spawn(attendant.attend(None));
            "adopted as unknown"
        }
        Err(error) => {
            tracing::error!(%uid, %error, "a session without a row cannot be stored; it is left alone");
            "left alone"
        }
    }
}
