//! The whole at a glance, providers, and reading the configuration again.

use std::sync::Arc;

use super::{aside, fault};
use crate::daemon::Daemon;
use crate::process;
use crate::protocol::hello::BUILD;
use crate::protocol::request::{Filter, ListQuery, Listing};
use crate::protocol::view::{Count, StatusView, WaitingCount};
use crate::protocol::{Fault, Reply};
use crate::queue::Limits;
use crate::task::Status;

pub(super) async fn status(daemon: &Arc<Daemon>) -> Result<Reply, Fault> {
    let tasks = daemon.store.counts().await.map_err(fault)?;
    let limits = daemon.limits();
    let waiting = waiting(daemon, &tasks, &limits).await?;
    let last_event = daemon.store.last_event().await.map_err(fault)?;
    let slots_used = tasks.iter().filter(|c| c.state.is_active()).map(|c| c.tasks).sum::<u64>();
    Ok(Reply::Status(Box::new(StatusView {
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
    })))
}

/// Why the next tasks in the queue wait.
async fn waiting(daemon: &Arc<Daemon>, tasks: &[Count], limits: &Limits) -> Result<Vec<WaitingCount>, Fault> {
    // Mostly nothing waits.
    if !tasks.iter().any(|count| count.state == Status::Queued && count.tasks > 0) {
        return Ok(Vec::new());
    }
    let filter = Filter { states: vec![Status::Queued], ..Filter::default() };
    let query = ListQuery { listing: Listing::Live, filter, limit: StatusView::LOOKED_AT, cursor: None };
    let page = daemon.store.list(query, limits.clone()).await.map_err(fault)?;
    let mut counts: Vec<WaitingCount> = Vec::new();
    for reason in page.tasks.into_iter().filter_map(|task| Some(task.reason?.code)) {
        match counts.iter_mut().find(|count| count.reason == reason) {
            Some(count) => count.tasks += 1,
            None => counts.push(WaitingCount { reason, tasks: 1 }),
        }
    }
    Ok(counts)
}

pub(super) async fn providers(daemon: &Arc<Daemon>) -> Result<Reply, Fault> {
    let (registry, limits) = (daemon.settings.registry(), daemon.settings.provider_limits());
    let path = std::env::var("PATH").ok().map(|path| ("PATH".to_owned(), path));
    let environment = path.into_iter().collect();
    // Asking each tool for its version runs it.
    let views = tokio::task::spawn_blocking(move || registry.views(&environment, &limits)).await;
    views.map(Reply::Providers).map_err(|e| Fault::internal(e.to_string()))
}

pub(super) async fn reload(daemon: &Arc<Daemon>) -> Result<Reply, Fault> {
    let restart_needed = aside(daemon, Daemon::reload).await?;
    Ok(Reply::Reloaded { restart_needed })
}
