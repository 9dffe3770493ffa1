//! Providers, and reading the configuration again.

use std::sync::Arc;

use super::aside;
use crate::daemon::Daemon;
use crate::protocol::{Fault, Reply};

pub(super) async fn providers(daemon: &Arc<Daemon>) -> Result<Reply, Fault> {
    let (registry, limits) = (daemon.settings.registry(), daemon.settings.provider_limits());
    let path = std::env::var("PATH").ok().map(|path| ("PATH".to_owned(), path));
    let environment = path.into_iter().collect();
    // Asking each tool for its version runs it.
    let views = tokio::task::spawn_blocking(move || registry.views(&environment, &limits)).await;
    views.map(Reply::Providers).map_err(|e| Fault::internal(e.to_string()))
}

pub(super) async fn reload(daemon: &Arc<Daemon>) -> Result<Reply, Fault> {
    aside(daemon, Daemon::reload).await.map(Reply::Reloaded)
}
