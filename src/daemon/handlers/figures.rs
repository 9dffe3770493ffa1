//! Figures about how it is and has been.

use std::fs;
use std::sync::Arc;

use super::{aside, fault};
use crate::clock::Timestamp;
use crate::daemon::Daemon;
use crate::daemon::tally::Tally;
use crate::id::{AttemptId, TaskId};
use crate::process;
use crate::protocol::Fault;
use crate::protocol::hello::BUILD;
use crate::protocol::request::{ListQuery, StatsBy};
use crate::protocol::view::{DatabaseView, SessionView, StatsView, StatusView};
use crate::store;

/// Tasks read at once: others are answered in between.
const CHUNK: u32 = 2_000;

/// The whole at a glance.
pub(in crate::daemon) async fn status(daemon: &Arc<Daemon>) -> Result<StatusView, Fault> {
    let tasks = daemon.store.counts().await.map_err(fault)?;
    let limits = daemon.limits();
    let waiting = daemon.store.waiting(limits.clone()).await.map_err(fault)?;
    let last_event = daemon.store.last_event().await.map_err(fault)?;
    let slots_used = tasks.iter().filter(|c| c.state.is_active()).map(|c| c.tasks).sum::<u64>();
    Ok(StatusView {
        pid: std::process::id(),
        version: BUILD.to_owned(),
        since: daemon.since,
        state_directory: daemon.paths.state.to_string_lossy().into_owned(),
        socket: daemon.socket_path().to_string_lossy().into_owned(),
        closed: limits.closed,
        paused_providers: limits.paused_providers,
        slots: limits.slots,
        slots_used: u32::try_from(slots_used).unwrap_or(u32::MAX),
        tasks,
        sessions: u32::try_from(daemon.roster.len()).unwrap_or(u32::MAX),
        config_error: daemon.settings.problem(),
        last_event,
        redis: daemon.redis_view(last_event).await?,
        disk_free: process::free_bytes(&daemon.paths.state).ok(),
        requests: daemon.store.open_requests().await.map_err(fault)?,
        waiting,
    })
}

/// What has ended since then.
pub(in crate::daemon) async fn stats(
    daemon: &Arc<Daemon>,
    since: Timestamp,
    by: Option<StatsBy>,
) -> Result<StatsView, Fault> {
    let mut tally = Tally::new(since, Timestamp::now(), by);
    let before = Timestamp(since.0.saturating_sub(1));
    let mut after = (before, TaskId(i64::MAX));
    loop {
        let tasks = daemon.store.ended(after, CHUNK).await.map_err(fault)?;
        let Some(last) = tasks.last() else { break };
        after = (last.ended_at, last.id);
        tasks.iter().for_each(|task| tally.task(task));
    }
    let mut after = (before, AttemptId { task: TaskId(i64::MAX), number: 0 });
    loop {
        let failures = daemon.store.failures(after, CHUNK).await.map_err(fault)?;
        let Some(last) = failures.last() else { break };
        after = (last.at, last.attempt);
        failures.into_iter().for_each(|failed| tally.failure(failed));
    }
    // A million times are sorted.
    aside(daemon, move |_| Ok(tally.view())).await
}

/// How large the database is.
pub(in crate::daemon) async fn database(daemon: &Arc<Daemon>) -> Result<DatabaseView, Fault> {
    let extent = daemon.store.extent().await.map_err(fault)?;
    let head = daemon.store.head().await.map_err(fault)?;
    let (wal_bytes, backups) = aside(daemon, |daemon| {
        let wal = fs::metadata(daemon.paths.state.join("autodev.db-wal")).map_or(0, |file| file.len());
        let backups = store::backups(&daemon.paths).map_err(|error| Fault::internal(error.to_string()))?;
        Ok((wal, backups))
    })
    .await?;
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    Ok(DatabaseView {
        path: daemon.paths.database().to_string_lossy().into_owned(),
        tasks: number(extent.tasks),
        sessions: number(extent.sessions),
        said: number(extent.said),
        events: number(head.seq),
        head: head.hash,
        bytes: number(extent.bytes),
        free_bytes: number(extent.free_bytes),
        wal_bytes,
        unindexed: number(extent.unindexed),
        last_backup: backups.into_iter().next().map(Into::into),
    })
}

/// Live sessions, with what they use.
pub(in crate::daemon) async fn sessions(daemon: &Arc<Daemon>) -> Result<Vec<SessionView>, Fault> {
    let stored = daemon.store.sessions(false, None, ListQuery::MAX_LIMIT).await.map_err(fault)?;
    Ok(super::sessions::live(daemon, stored).await)
}
