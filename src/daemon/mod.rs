//! The daemon: the one owner of all state. Requests come in over the socket, the store
//! decides and commits, then effects go out to the keepers.

mod admission;
mod archive;
mod attend;
mod backups;
mod callers;
mod connection;
mod doctor;
mod exporter;
mod handlers;
mod listener;
mod lock_file;
mod metrics;
pub mod offline;
pub mod options;
mod places;
mod recover;
mod redis_copy;
mod scheduler;
mod scopes;
mod settings;
mod start;
mod tally;
mod totals;
mod wait;

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use callers::{Agent, Caller};
pub use start::{EXIT_HELD, Options, run};

use crate::clock::Timestamp;
use crate::crash;
use crate::door::Inside;
use crate::id::{AttemptId, TaskId, Uid};
use crate::lock::FileLock;
use crate::paths::Paths;
use crate::process;
use crate::protocol::Fault;
use crate::protocol::keeper::How;
use crate::protocol::reply::Reloaded;
use crate::queue::{Closed, Limits};
use crate::session::{Order, Roster};
use crate::store::{Applied, Store};
use crate::task::{Effect, Refused, Status};

/// Nothing is started for this long after the machine had no room for a session.
const REST: Duration = Duration::from_secs(10);

/// Refusals of programs inside sessions that are written down while the daemon runs; more
/// are not even remembered.
const MOST_REFUSALS: usize = 10_000;

/// How the daemon is to leave; a stronger order replaces a weaker one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leave {
    /// A part of it has failed: end with an error; whoever needs a daemon starts a new one.
    Failed,
    /// Start the binary at our own path in our place.
    Restart,
    /// End; sessions run on.
    Stop,
    /// End every session first, then end.
    StopAll,
}

/// Lets the runtime watch a descriptor that becomes readable: a process that ends, a timer
/// that fires.
fn watched<T: AsFd + AsRawFd>(owner: T) -> std::io::Result<AsyncFd<T>> {
    // SAFETY: `owner` owns its descriptor (both of our kinds hold an OwnedFd), moves into
    // the AsyncFd, and gives the same one out as long as it lives.
    unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE) }.map_err(Into::into)
}

/// What all parts of a running daemon share.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub paths: Paths,
    pub store: Store,
    pub roster: Roster,
    pub settings: settings::Settings,
    pub admission: admission::Switch,
    pub archiver: archive::Archiver,
    pub since: Timestamp,
    /// What has ended since then.
    pub totals: tokio::sync::Mutex<totals::Totals>,
    /// Says who serves this instance, and where.
    pub lock: FileLock,
    /// File mode mask for programs: the one the daemon was started with.
    pub umask: u32,
    /// Soft and hard limit of core files for programs: those the daemon was started with.
    pub core: (u64, u64),
    /// Where clients reach us now.
    pub socket: Mutex<PathBuf>,
    /// Something other than the queue itself may let a task start.
    pub reschedule: Notify,
    /// The machine is in trouble: until then nothing is started.
    pub rests_until: Mutex<Option<Instant>>,
    /// What programs inside sessions were refused.
    pub refusals: Mutex<HashSet<(Option<Uid>, &'static str)>>,
    /// The copy in Redis.
    pub redis: redis_copy::RedisCopy,
    /// Control groups for sessions.
    pub scopes: scopes::Scopes,
    /// Held while a backup is made.
    pub backing_up: tokio::sync::Mutex<()>,
    /// A session has left the roster.
    pub session_left: Notify,
    pub leaving: watch::Sender<Option<Leave>>,
}

impl Daemon {
    /// The limits in force now.
    pub fn limits(&self) -> Limits {
        let mut limits = self.settings.limits();
        let leaving = self.leaving.borrow().is_some();
        let closed = self.admission.closed().or(limits.closed).or(leaving.then_some(Closed::Draining));
        limits.closed = closed.or_else(|| self.is_disk_low().then_some(Closed::LowDisk));
        limits.paused_providers = self.admission.paused_providers();
        limits
    }

    /// Whether less room is left on the state directory's disk than is to be kept free. What
    /// cannot be asked is not low.
    pub fn is_disk_low(&self) -> bool {
        process::free_bytes(&self.paths.state).is_ok_and(|free| free < self.settings.disk_reserve())
    }

    /// Carries out what a committed step orders for a live session. Launching and going
    /// are the scheduler's and the attendant's own.
    pub fn carry_out(&self, applied: &Applied) {
        let Some(attempt) = applied.attempt else { return };
        if !applied.effects.is_empty() {
            crash::point("order-due");
        }
        for effect in &applied.effects {
            match effect {
                Effect::StopGently => self.order(attempt, Order::Stop(How::Gently)),
                Effect::StopNow => self.order(attempt, Order::Stop(How::Now)),
                Effect::Freeze => self.order(attempt, Order::Freeze(true)),
                Effect::Thaw => self.order(attempt, Order::Freeze(false)),
                Effect::Launch | Effect::Go | Effect::Collect => {}
            }
        }
    }

    /// What a program inside a session is to us.
    pub fn caller(&self, inside: Inside) -> Caller {
        let session = inside.keeper.and_then(|keeper| self.roster.kept_by(keeper));
        let attempt = session.as_ref().and_then(|(_, name)| name.attempt());
        Caller::Agent(Agent { inside, session: session.map(|(uid, _)| uid), attempt })
    }

    /// Writes down that a program inside a session has asked for something that it may not:
    /// each thing once for a session, for it may ask without end.
    pub fn note_refused(&self, caller: Caller, what: &'static str) {
        let Caller::Agent(agent) = caller else { return };
        let first = {
            let mut noted = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            noted.len() < MOST_REFUSALS && noted.insert((agent.session, what))
        };
        if !first {
            return;
        }
        tracing::warn!(pid = agent.inside.pid, attempt = ?agent.attempt, what, "refused a program inside a session");
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.note_refused(agent.attempt, agent.session, what, agent.inside.pid).await {
                tracing::warn!(%error, "a refusal is not in the history");
            }
        });
    }

    /// Gives an order again that a task has been given before, by what it says of being asked
    /// again. It may never have arrived: when the disk failed in the middle of its commit.
    pub fn carry_out_again(&self, task: TaskId, refused: &Refused) {
        let order = match refused {
            Refused::Stopping(stop) => Order::Stop(attend::how(*stop)),
            Refused::Already(Status::Paused) => Order::Freeze(true),
            Refused::Already(Status::Running) => Order::Freeze(false),
            Refused::Active(_) => Order::Look,
            _ => return,
        };
        self.roster.order_task(task, order);
    }

    fn order(&self, attempt: AttemptId, order: Order) {
        if !self.roster.order_attempt(attempt, order) {
            // Its attendant has just left: the end of the attempt is stored. Or it is
            // about to come: then it meets what was ordered when it stores the start.
            tracing::debug!(%attempt, ?order, "no live session for this order");
        }
    }

    /// Reads the settings again, and brings what follows from them in line.
    pub fn reload(&self) -> Result<Reloaded, Fault> {
        let reloaded = self.settings.reload(&self.paths)?;
        self.settle_redis();
        self.reschedule.notify_one();
        Ok(reloaded)
    }

    /// Starts nothing for a while: what fails now for want of something would only use up
    /// the queue's attempts.
    pub fn rest(&self) {
        let until = Instant::now() + REST;
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// How long nothing is started from now on.
    pub fn rests_for(&self) -> Option<Duration> {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    pub fn socket_path(&self) -> PathBuf {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the daemon is told to leave; at once when it was told before.
    pub async fn is_leaving(&self) {
        drop(self.leaving.subscribe().wait_for(Option::is_some).await);
    }

    /// Waits until the daemon is told to stay away, so that nobody waits for it to come back.
    pub async fn is_stopping(&self) {
        let stops = |how: &Option<Leave>| matches!(how, Some(Leave::Stop | Leave::StopAll));
        drop(self.leaving.subscribe().wait_for(stops).await);
    }

    pub fn leave(&self, how: Leave) {
        self.leaving.send_if_modified(|now| {
            let change = *now < Some(how);
            *now = (*now).max(Some(how));
            change
        });
    }
}
