//! Backups: every hour when something has changed, and when somebody asks.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Daemon;
use crate::clock::Timestamp;
use crate::process;
use crate::protocol::view::BackupView;
use crate::protocol::{Fault, FaultCode, Reply};
use crate::store::{self, Backup, BackupError};

/// Before the first backup after a start that is overdue: what starts with the machine has
/// other things to do.
const FIRST: Duration = Duration::from_secs(60);

impl From<Backup> for BackupView {
    fn from(backup: Backup) -> Self {
        BackupView {
            path: backup.path.to_string_lossy().into_owned(),
            made_at: backup.at,
            last_event: backup.seq,
            bytes: backup.bytes,
        }
    }
}

/// Makes backups until the daemon leaves.
///
/// # Errors
/// None: it tries again the next time.
pub(super) async fn run(daemon: Arc<Daemon>) -> io::Result<()> {
    let mut first = true;
    loop {
        let interval = daemon.settings.backup_interval();
        let newest = newest(&daemon).await;
        let wait = match (interval, &newest) {
            (None, _) => Duration::MAX,
            // Never longer than the interval, whatever the clock says by now.
            (Some(interval), Some(newest)) => {
                interval.saturating_sub(Timestamp::now().since(newest.at)).max(if first { FIRST } else { interval / 2 })
            }
            (Some(interval), None) => interval.min(FIRST),
        };
        first = false;
        let changed = daemon.settings.changed();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = changed => continue,
            () = daemon.is_leaving() => return Ok(()),
        }
        match daemon.store.last_event().await {
            Ok(last) if newest.is_some_and(|newest| newest.seq == last) || last == 0 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the database cannot be asked whether anything has changed"),
        }
        // Whoever comes back finds it half made, and removes it.
        let made = tokio::select! {
            made = make(&daemon, None) => made,
            () = daemon.is_leaving() => return Ok(()),
        };
        match made {
            Ok(backup) => tracing::info!(file = backup.path, "backed up"),
            Err(fault) => tracing::error!(error = fault.message, "the hourly backup was not made"),
        }
    }
}

async fn newest(daemon: &Arc<Daemon>) -> Option<Backup> {
    let paths = daemon.paths.clone();
    let listed = tokio::task::spawn_blocking(move || store::backups(&paths)).await;
    match listed.map_err(io::Error::other).and_then(|listed| listed) {
        Ok(all) => all.into_iter().next(),
        Err(error) => {
            tracing::warn!(%error, "the backups cannot be listed");
            None
        }
    }
}

/// `autodev backup`.
pub(super) async fn on_request(daemon: &Arc<Daemon>, to: Option<PathBuf>) -> Result<Reply, Fault> {
    make(daemon, to).await.map(|backup| Reply::Backups(vec![backup]))
}

/// Makes one, behind everything else that wants the processor or the disk, and removes those
/// that are not to be kept.
async fn make(daemon: &Arc<Daemon>, to: Option<PathBuf>) -> Result<BackupView, Fault> {
    // One at a time: each reads and writes all of the database.
    let _only = daemon.backing_up.lock().await;
    let (paths, max_bytes) = (daemon.paths.clone(), daemon.settings.backup_bytes());
    let (done, made) = oneshot::channel();
    let work = move || {
        process::go_behind_others();
        process::leave_the_disk_to_others();
        let made = store::back_up(&paths, to.as_deref()).and_then(|backup| {
            if to.is_none() {
                for old in store::prune(&paths, max_bytes)? {
                    tracing::info!(file = %old.path.display(), "removed an old backup");
                }
            }
            Ok(backup)
        });
        // Whoever asked may have left.
        drop(done.send(made));
    };
    thread::Builder::new().name("backup".into()).spawn(work).map_err(|e| Fault::internal(e.to_string()))?;
    let made = made.await.map_err(|_| Fault::internal("the backup's thread has failed"))?;
    made.map(BackupView::from).map_err(|error| {
        let code = match error {
            BackupError::Exists(_) => FaultCode::Conflict,
            BackupError::NoRoom { .. } => FaultCode::NotStored,
            _ => FaultCode::Internal,
        };
        Fault::new(code, format!("no backup was made: {error}"))
    })
}
