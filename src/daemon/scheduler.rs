//! Starts what may start. Sleeps until something has changed: a commit that freed a slot
//! or made a task claimable, a turned switch, a due date.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::{Daemon, attend, recover, watched};
use crate::clock::Timestamp;
use crate::queue::Closed;
use crate::store::StoreError;

/// Claims in one transaction: enough to fill all slots of a small machine at once, few
/// enough that others get their turn with the writer.
const MOST_CLAIMS: usize = 16;
/// Between looks whether there is room on the disk again.
const LOW_DISK_PAUSE: Duration = Duration::from_secs(2);
/// When the database cannot be read or written, this long passes before the next try.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// Runs until the daemon leaves.
///
/// # Errors
/// None: it tries again.
pub(crate) async fn run(daemon: Arc<Daemon>) -> io::Result<()> {
    let queue_changed = daemon.store.queue_changed();
    let mut doubt = false;
    loop {
        // Asked for before looking, so that a change during the look is not missed.
        let changed = queue_changed.notified();
        let turned = daemon.reschedule.notified();
        tokio::pin!(changed, turned);
        changed.as_mut().enable();
        turned.as_mut().enable();
        if let Some(pause) = daemon.rests_for() {
            tokio::select! {
                () = tokio::time::sleep(pause) => continue,
                () = daemon.is_leaving() => return Ok(()),
            }
        }
        if daemon.limits().closed == Some(Closed::LowDisk) {
            // Nothing tells of room that somebody makes.
            tokio::select! {
                () = tokio::time::sleep(LOW_DISK_PAUSE) => continue,
                () = &mut turned => continue,
                () = daemon.is_leaving() => return Ok(()),
            }
        }
        let claimed = match doubt {
            true => recover::claims_in_doubt(&daemon).await.map(|()| doubt = false),
            false => Ok(()),
        };
        let claimed = match claimed {
            Ok(()) => claim_all(&daemon).await,
            error => error,
        };
        if let Err(error) = claimed {
            doubt |= matches!(error, StoreError::Unknown(_));
            tracing::error!(%error, "nothing can be claimed");
            tokio::select! {
                () = tokio::time::sleep(TROUBLE_PAUSE) => continue,
                () = daemon.is_leaving() => return Ok(()),
            }
        }
        tokio::select! {
            () = &mut changed => {}
            () = &mut turned => {}
            () = daemon.is_leaving() => return Ok(()),
        }
    }
}

async fn claim_all(daemon: &Arc<Daemon>) -> Result<(), StoreError> {
    loop {
        let limits = daemon.limits();
        if limits.closed.is_some() || daemon.rests_for().is_some() {
            return Ok(());
        }
        let claims = daemon.store.claim(limits, MOST_CLAIMS).await?;
        let found = claims.len();
        for claim in claims {
            attend::spawn_claimed(daemon, claim);
        }
        if found < MOST_CLAIMS {
            return Ok(());
        }
    }
}

/// Releases tasks whose moment has come. Due dates are wall time: the timer fires early
/// when somebody sets the clock, and then it is set anew.
pub(crate) async fn run_due(daemon: Arc<Daemon>) -> io::Result<()> {
    let timer = TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
    let timer = watched(Timer(timer))?;
    let due_changed = daemon.store.due_changed();
    loop {
        let changed = due_changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let next = next_due(&daemon).await;
        let trouble = next.is_err();
        match next {
            Ok(Some(due)) if !timer.get_ref().set(due)? => continue,
            Ok(Some(_)) => {}
            Ok(None) => timer.get_ref().0.unset()?,
            Err(error) => tracing::error!(%error, "due dates cannot be kept"),
        }
        tokio::select! {
            () = tokio::time::sleep(TROUBLE_PAUSE), if trouble => {}
            () = &mut changed => {}
            ready = timer.readable() => {
                let mut ready = ready?;
                timer.get_ref().drain();
                ready.clear_ready();
            }
            () = daemon.is_leaving() => return Ok(()),
        }
    }
}

/// Releases what is due; the next moment that is not.
async fn next_due(daemon: &Daemon) -> Result<Option<Timestamp>, StoreError> {
    loop {
        // The writer is asked only when it has something to do.
        match daemon.store.next_due().await? {
            Some(due) if due <= Timestamp::now() => daemon.store.release_due(Timestamp::now()).await?,
            next => return Ok(next),
        }
    }
}

#[derive(Debug)]
struct Timer(TimerFd);

impl Timer {
    /// `false` when the clock was set since it was looked at last.
    fn set(&self, due: Timestamp) -> io::Result<bool> {
        // Zero would disarm it; a moment long past fires at once all the same.
        let at = Duration::from_millis(u64::try_from(due.0).unwrap_or(1).max(1));
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        match self.0.set(Expiration::OneShot(TimeSpec::from_duration(at)), flags) {
            Ok(()) => Ok(true),
            Err(Errno::ECANCELED) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads off what made it readable: an expiry, or ECANCELED for a clock that was set.
    fn drain(&self) {
        let mut count = [0; 8];
        let _ = nix::unistd::read(self.0.as_fd(), &mut count);
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for Timer {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&self.0.as_fd())
    }
}
