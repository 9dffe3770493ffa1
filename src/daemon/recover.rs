//! Carries out the recovery plan when the daemon starts. Sessions are met side by side,
//! so a keeper that does not answer holds up nobody.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use tracing::Instrument;

use super::Daemon;
use super::attend::{Attendant, Limit};
use crate::clock::Timestamp;
use crate::id::{SessionName, Uid};
use crate::paths::{Paths, SessionDir};
use crate::process;
use crate::protocol::launch::LaunchSpec;
use crate::protocol::view::{RecoveryView, SessionState};
use crate::recovery::plan::{Action, Dir, Facts, Record, Row, plan};
use crate::recovery::{Found, gather, pair, words};
use crate::session::names;
use crate::store::{Glance, Store, StoreError, Unfinished};
use crate::task::{Actor, Event, Exit, State, Status, step};

/// A session that a start has to do something about.
struct Case {
    /// Its row, if its end is not stored.
    row: Option<Unfinished>,
    /// Its directory in `sessions/live/`, if there is one.
    found: Option<Found>,
    facts: Facts,
}

impl Case {
    fn of_row(row: Unfinished, found: Option<Found>) -> Case {
        let facts = Facts {
            row: row.attempt.map_or(Row::Free, |(_, status)| Row::Attempt(status)),
            dir: found.as_ref().map_or(Dir::Missing, |found| found.facts.clone()),
            started: row.started,
        };
        Case { row: Some(row), found, facts }
    }

    /// A directory that belongs to no unfinished row; its session may be `known` all the
    /// same.
    fn of_directory(found: Found, known: bool) -> Case {
        let row = if known { Row::Finished } else { Row::Missing };
        let facts = Facts { row, dir: found.facts.clone(), started: false };
        Case { row: None, found: Some(found), facts }
    }

    fn view(&self, now: Timestamp) -> RecoveryView {
        let action = plan(&self.facts);
        let spec = self.found.as_ref().and_then(|found| found.spec.as_ref());
        let attempt = self.row.as_ref().and_then(|row| row.attempt);
        let state = self.row.as_ref().and_then(|row| row.state);
        let name = self.row.as_ref().map(|row| row.session.clone()).or_else(|| Some(spec?.session.clone()));
        RecoveryView {
            session: name.map_or_else(String::new, |name| name.to_string()),
            session_id: self.row.as_ref().map(|row| row.uid).or_else(|| Some(spec?.uid)),
            task: attempt.map(|(attempt, _)| attempt.task),
            state: attempt.map(|(_, status)| status),
            found: words::found(&self.facts),
            action: words::did(&action).to_owned(),
            will: words::will(&action).to_owned(),
            then: state.and_then(|state| then(&state, &action, now)),
        }
    }
}

/// What becomes of the task of an attempt about which this is done.
fn then(state: &State, action: &Action, now: Timestamp) -> Option<String> {
    let (outcome, exit) = match action {
        Action::Finish(record) => (record.outcome(), record.exit),
        Action::End(outcome) => (*outcome, Exit::default()),
        _ => return None,
    };
    let ended = Event::Ended { attempt: state.attempt, outcome, exit, error: None };
    let state = step(state, &ended, now).ok()?.state;
    let state = step(&state, &Event::Settled { attempt: state.attempt }, now).ok()?.state;
    Some(match state.status {
        Status::Queued if state.resume => "queued, to go on with its conversation".to_owned(),
        Status::Queued => "queued, to begin anew".to_owned(),
        status => status.to_string(),
    })
}

/// Looks at every unfinished row and every live directory, and starts what is to be done
/// about them.
pub(super) async fn run(daemon: &Arc<Daemon>) -> io::Result<()> {
    let mut names = HashMap::new();
    let mut summary: BTreeMap<&'static str, u32> = BTreeMap::new();
    for case in survey(&daemon.paths, &daemon.store).await? {
        if let Case { row: Some(row), found: Some(found), .. } = &case {
            names.insert(row.session.clone(), found.dir.clone());
        }
        let did = match case.row {
            Some(row) => unfinished(daemon, row, case.found).await,
            None => match case.found {
                Some(found) => directory(daemon, found, &case.facts, &mut names).await,
                None => continue,
            },
        };
        // What the last daemon had only to clear up is nothing that anybody would miss.
        if did != words::did(&Action::ClearUp) {
            *summary.entry(did).or_default() += 1;
        }
    }
    // A daemon that was killed may have left names that mean nothing, or another session.
    let named = names.iter().try_for_each(|(name, dir)| names::publish(dir, name));
    if let Err(error) = named.and_then(|()| names::tidy(&daemon.paths.live_sessions(), &names)) {
        tracing::warn!(%error, "the names in sessions/live are not in order");
    }
    if !summary.is_empty() {
        tracing::info!(?summary, "recovered");
        // Not waited for: a disk that is full must not keep sessions from being met.
        let store = daemon.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.note_recovery(summary).await {
                tracing::warn!(%error, "that sessions were recovered is not in the history");
            }
        });
    }
    Ok(())
}

/// All that a start has to look at.
async fn survey(paths: &Paths, store: &Store) -> io::Result<Vec<Case>> {
    let directories = paths.clone();
    let found = tokio::task::spawn_blocking(move || gather(&directories)).await.map_err(io::Error::other)??;
    let rows = store.unfinished().await.map_err(io::Error::other)?;
    let (mut cases, left) = cases(rows, found);
    for found in left {
        let known = match &found.spec {
            Some(spec) => store.has_session(spec.uid).await.map_err(io::Error::other)?,
            None => false,
        };
        cases.push(Case::of_directory(found, known));
    }
    Ok(cases)
}

/// The cases of the rows, and the directories that belong to none.
fn cases(rows: Vec<Unfinished>, found: BTreeMap<String, Found>) -> (Vec<Case>, Vec<Found>) {
    let keys: Vec<_> = rows.iter().map(|row| (row.uid, row.session.directory(row.uid))).collect();
    let (paired, left) = pair(&keys, found);
    let cases = rows.into_iter().zip(paired).map(|(row, found)| Case::of_row(row, found)).collect();
    (cases, left.into_values().collect())
}

/// What a start would do now, were there no daemon.
pub(super) async fn preview(daemon: &Arc<Daemon>) -> io::Result<Vec<RecoveryView>> {
    let now = Timestamp::now();
    Ok(survey(&daemon.paths, &daemon.store).await?.iter().map(|case| case.view(now)).collect())
}

/// The same without a daemon: the database is only looked at.
///
/// # Errors
/// What would keep a daemon from starting.
pub(super) fn preview_without(paths: &Paths) -> Result<Vec<RecoveryView>, String> {
    let glance = Glance::open(paths).map_err(|error| error.to_string())?;
    let found = gather(paths).map_err(|error| error.to_string())?;
    let (mut cases, left) = cases(glance.unfinished().map_err(|error| error.to_string())?, found);
    for found in left {
        let known = match &found.spec {
            Some(spec) => glance.has_session(spec.uid).map_err(|error| error.to_string())?,
            None => false,
        };
        cases.push(Case::of_directory(found, known));
    }
    let now = Timestamp::now();
    Ok(cases.iter().map(|case| case.view(now)).collect())
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
    let case = Case::of_row(row.clone(), found.clone());
    let action = plan(&case.facts);
    if action == Action::Settle {
        if let Some((attempt, _)) = row.attempt
            && let Err(error) =
                daemon.store.apply(attempt.task, Event::Settled { attempt: attempt.number }, Actor::Daemon).await
        {
            tracing::error!(%attempt, %error, "cannot be settled");
        }
        if let Some(found) = found {
            let facts = Facts { row: Row::Finished, ..case.facts };
            directory(daemon, found, &facts, &mut HashMap::new()).await;
        }
        return words::did(&action);
    }
    // A restore may have given its row another number.
    let marker = found.as_ref().and_then(|found| Some(found.spec.as_ref()?.marker));
    let keeper = found.as_ref().and_then(|found| match found.facts {
        Dir::Present { held: true, .. } => Some(found.keeper.as_ref()?.process.pid),
        _ => None,
    });
    let dir = found.map_or_else(|| daemon.paths.session_directory(&row.session, row.uid), |f| f.dir);
    let marker = marker.unwrap_or_else(|| process::marker(daemon.paths.instance_number(), row.number));
    let mut attendant = Attendant::new(daemon, &row.session, row.uid, dir, marker);
    // Its program may want something before it is met.
    daemon.roster.update(row.uid, |live| live.keeper_pid = keeper);
    attendant.limit = Limit::remaining(row.timeout, row.started_at);
    attendant.started = row.started;
    if row.started {
        // Until its keeper says how it is.
        let paused = matches!(row.attempt, Some((_, Status::Paused)));
        let state = if paused { SessionState::Paused } else { SessionState::Running };
        daemon.roster.update(row.uid, |live| live.state = state);
    }
    if let Some((attempt, status)) = row.attempt {
        attendant.resume(attempt, status, row.stop);
    }
    // It looks again by the same plan: a keeper may have come or gone since.
    let span = attendant.span();
    tokio::spawn(attendant.attend(None).instrument(span));
    words::did(&action)
}

async fn directory(
    daemon: &Arc<Daemon>,
    found: Found,
    facts: &Facts,
    names: &mut HashMap<SessionName, SessionDir>,
) -> &'static str {
    let Some(spec) = found.spec.clone() else {
        let Dir::Present { held: false, started, .. } = found.facts else {
            return words::did(&Action::Nothing);
        };
        if started {
            // The power was cut before it was on the disk what it is; its name says whose.
            let uid = session_of(daemon, &found.dir).await.unwrap_or_else(Uid::new);
            daemon.archiver.add(uid, found.dir, u64::MAX, None);
            return words::did(&Action::ClearUp);
        }
        // Its daemon died while writing it: nothing was ever started in it.
        return match std::fs::remove_dir_all(found.dir.path()) {
            Ok(()) => words::did(&Action::ClearUp),
            Err(error) => {
                tracing::warn!(directory = %found.dir.path().display(), %error, "it cannot be removed");
                words::did(&Action::Nothing)
            }
        };
    };
    let action = plan(facts);
    match action {
        Action::AdoptUnknown => return adopt_unknown(daemon, spec, found, names).await,
        Action::Acknowledge => {
            let attendant = Attendant::new(daemon, &spec.session, spec.uid, found.dir, spec.marker);
            let span = attendant.span();
            tokio::spawn(attendant.acknowledge().instrument(span));
        }
        Action::ClearUp => daemon.archiver.add(spec.uid, found.dir, recorded(&found.facts), None),
        _ => {}
    }
    words::did(&action)
}

/// Whose directory it is, by its name alone.
async fn session_of(daemon: &Daemon, dir: &SessionDir) -> Option<Uid> {
    let name = dir.path().file_name()?.to_str()?;
    match name.strip_prefix('@') {
        Some(uid) => uid.parse().ok(),
        None => Some(daemon.store.session(name.to_owned()).await.ok()?.session_id),
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
            daemon.roster.update(uid, |live| live.state = SessionState::Running);
            let span = attendant.span();
            tokio::spawn(attendant.attend(None).instrument(span));
            words::did(&Action::AdoptUnknown)
        }
        Err(error) => {
            tracing::error!(%uid, %error, "a session without a row cannot be stored; it is left alone");
            words::did(&Action::Nothing)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{OnInterrupt, Outcome, Policy};

    /// What is foretold is what the task's machine does.
    #[test]
    fn it_is_foretold_what_becomes_of_a_task() {
        let now = Timestamp(1_000_000);
        let running = |on_interrupt| State {
            status: Status::Running,
            attempt: 1,
            ..State::submitted(false, Policy { on_interrupt, max_restarts: 3, retries: 0 })
        };
        let foretold = |on_interrupt, action| then(&running(on_interrupt), &action, now);
        let interrupted = || Action::End(Outcome::Interrupted);
        assert_eq!(foretold(OnInterrupt::Resume, interrupted()).unwrap(), "queued, to go on with its conversation");
        assert_eq!(foretold(OnInterrupt::Requeue, interrupted()).unwrap(), "queued, to begin anew");
        assert_eq!(foretold(OnInterrupt::Hold, interrupted()).unwrap(), "held");
        assert_eq!(foretold(OnInterrupt::Fail, interrupted()).unwrap(), "error");
        assert_eq!(foretold(OnInterrupt::Resume, Action::Adopt), None);
    }
}
