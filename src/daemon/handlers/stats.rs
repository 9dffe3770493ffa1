//! Figures about what has been.

use std::fs;
use std::sync::Arc;

use super::{aside, fault};
use crate::clock::Timestamp;
use crate::daemon::Daemon;
use crate::daemon::tally::Tally;
use crate::id::TaskId;
use crate::protocol::request::StatsBy;
use crate::protocol::view::DatabaseView;
use crate::protocol::{Fault, Reply};
use crate::store;

/// Tasks read at once: others are answered in between.
const CHUNK: u32 = 2_000;

pub(super) async fn stats(daemon: &Arc<Daemon>, since: Timestamp, by: Option<StatsBy>) -> Result<Reply, Fault> {
    let mut tally = Tally::new(since, Timestamp::now(), by);
    let mut after = (Timestamp(since.0.saturating_sub(1)), TaskId(i64::MAX));
    loop {
        let (tasks, failures) = daemon.store.ended(after, CHUNK).await.map_err(fault)?;
        let Some(last) = tasks.last() else { break };
        after = (last.ended_at, last.id);
        tasks.iter().for_each(|task| tally.task(task));
        failures.into_iter().for_each(|failed| tally.failure(failed));
    }
    Ok(Reply::Stats(Box::new(tally.view())))
}

pub(super) async fn database(daemon: &Arc<Daemon>) -> Result<Reply, Fault> {
    let extent = daemon.store.extent().await.map_err(fault)?;
    let head = daemon.store.head().await.map_err(fault)?;
    let (wal_bytes, backups) = aside(daemon, |daemon| {
        let wal = fs::metadata(daemon.paths.state.join("autodev.db-wal")).map_or(0, |file| file.len());
        let backups = store::backups(&daemon.paths).map_err(|error| Fault::internal(error.to_string()))?;
        Ok((wal, backups))
    })
    .await?;
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    Ok(Reply::Database(Box::new(DatabaseView {
        path: daemon.paths.database().to_string_lossy().into_owned(),
        tasks: number(extent.tasks),
        sessions: number(extent.sessions),
        events: number(head.seq),
        head: head.hash,
        bytes: number(extent.bytes),
        free_bytes: number(extent.free_bytes),
        wal_bytes,
        unindexed: number(extent.unindexed),
        last_backup: backups.into_iter().next().map(Into::into),
    })))
}
