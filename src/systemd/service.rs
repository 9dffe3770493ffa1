//! Words to the service manager (sd_notify(3)). Nobody may be listening.

use std::time::Duration;

use sd_notify::NotifyState;

/// How long a start in place may take before it counts as hung: a database of a million tasks
/// is backed up and brought to a new form in it.
const START_LIMIT: Duration = Duration::from_secs(600);
/// After trouble the next look comes so soon.
const AGAIN: Duration = Duration::from_secs(1);

/// The daemon serves. It is said again after a restart in place.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    if let Some(limit) = limit() {
        watch_within(limit);
    }
}

/// The daemon starts anew in its place: until it is ready it says nothing.
pub fn starting_anew() {
    if limit().is_some() {
        watch_within(START_LIMIT);
    }
}

/// How long the service manager waits for a word.
fn limit() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

fn watch_within(limit: Duration) {
    tell(&[NotifyState::WatchdogUsec(u32::try_from(limit.as_micros()).unwrap_or(u32::MAX))]);
}

/// The daemon is about to leave.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// All is well; to be said again within the time that [`interval`] gives.
fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Says that all is well for as long as `is_well` says so: half of the time that the
/// service manager waits is between two of them, and less after one that was not: a moment's
/// trouble is not the end. For ever where nobody waits.
pub async fn watchdog(mut is_well: impl AsyncFnMut() -> bool) {
    let Some(limit) = limit() else {
        return std::future::pending().await;
    };
    let interval: Duration = limit / 2;
    loop {
        let pause = match is_well().await {
            true => {
                alive();
                interval
            }
            false => interval.min(AGAIN),
        };
        tokio::time::sleep(pause).await;
    }
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
