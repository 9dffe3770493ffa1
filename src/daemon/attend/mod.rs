//! An attendant looks after one session from its claim or adoption until its end is
//! stored and its keeper gone. All orders to the session pass through it, in order.

mod end;
mod launch;
mod limit;
mod reach;

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::Span;

use super::callers::{Agent, Caller};
use super::{Daemon, Leave};
use crate::crash;
use crate::door::Inside;
use crate::id::{AttemptId, SessionName, Uid};
use crate::lock::FileLock;
use crate::paths::SessionDir;
use crate::process::{self, ProcessId};
use crate::protocol::exit::ExitRecord;
use crate::protocol::keeper::{FromKeeper, How, KeeperHello, Phase, ToKeeper};
use crate::protocol::view::SessionState;
use crate::session::{Link, Order};
use crate::store::StoreError;
use crate::task::{Actor, Event, Outcome, Refused, Status, Stop};

use end::{End, Kept};
pub(crate) use launch::{Launch, spawn_claimed};
pub(super) use limit::Limit;

/// A keeper that was told to stop gently and has not ended its session after its whole
/// ladder (5 s, 10 s and the kill) no longer does its work.
const GENTLE_LIMIT: Duration = Duration::from_secs(25);
/// The same after an order to kill.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// An acknowledged keeper leaves within this, or is killed: its work is done.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);
/// Between tries to store an end while the database refuses.
const STORE_PAUSE: Duration = Duration::from_secs(5);
/// Between tries to reach a keeper that lives but does not answer: doubles up to the
/// second. A socket gives no event when somebody begins to listen on it.
const RECONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// The first version of keepers that say what their session uses.
const MEASURES: u16 = 5;
/// Longest argument that is stored to be shown, in bytes: a prompt is not.
const MAX_SHOWN: usize = 200;
/// It may be a newer keeper's.
const UNREADABLE: &str = "it has ended, and its exit record cannot be read";

/// What a keeper refuses to programs inside sessions, in its words.
const KEEPER_REFUSALS: [&str; 6] = ["attach", "send", "screen", "logs", "detach", "orders"];

/// One session, as its attendant knows it.
pub(super) struct Attendant {
    daemon: Arc<Daemon>,
    /// Its name when it came to us.
    name: SessionName,
    uid: Uid,
    /// The attempt it runs; a session may also exist without a task.
    attempt: Option<AttemptId>,
    dir: SessionDir,
    marker: u64,
    orders: UnboundedReceiver<Order>,
    /// Only for keepers that this daemon has started: to be reaped.
    child: Option<Child>,
    /// The keeper, once it has said who it is.
    keeper: Option<ProcessId>,
    pub limit: Limit,
    /// The database has committed that the program is to be started.
    pub started: bool,
    /// It is to be frozen.
    pub frozen: bool,
    /// It has been asked what its processes use, and has not said.
    is_measuring: bool,
    /// The hardest order to end that was passed on.
    stopped: Option<How>,
    /// The reason was the time limit.
    out_of_time: bool,
    /// Whoever waits to hear that the program runs, or why it never will.
    pub opener: Option<oneshot::Sender<Result<(), String>>>,
    /// A keeper that has not ended the session by then is killed.
    give_up: Option<Instant>,
    /// Held when the session was called never started: a keeper that comes late finds its
    /// lock taken and leaves.
    barred: Option<FileLock>,
}

impl Drop for Attendant {
    fn drop(&mut self) {
        // Its session has nobody now. The next daemon takes it up again.
        if std::thread::panicking() {
            self.daemon.leave(Leave::Failed);
        }
    }
}

impl Attendant {
    /// Enters the session into the roster: from here on it takes orders.
    pub fn new(daemon: &Arc<Daemon>, name: &SessionName, uid: Uid, dir: SessionDir, marker: u64) -> Self {
        Attendant {
            orders: daemon.roster.enter(name, uid),
            daemon: Arc::clone(daemon),
            name: name.clone(),
            uid,
            attempt: None,
            dir,
            marker,
            child: None,
            keeper: None,
            limit: Limit::new(None),
            started: false,
            frozen: false,
            is_measuring: false,
            stopped: None,
            out_of_time: false,
            opener: None,
            give_up: None,
            barred: None,
        }
    }

    /// What everything that is logged of it says: whose it is.
    pub fn span(&self) -> Span {
        let task = self.attempt.map(|attempt| attempt.task.0);
        tracing::info_span!("session", session = %self.name, task)
    }

    /// Takes up what the database says of an attempt that was under way.
    pub fn resume(&mut self, attempt: AttemptId, status: Status, stop: Option<Stop>) {
        self.attempt = Some(attempt);
        self.started |= matches!(status, Status::Running | Status::Paused);
        self.frozen = status == Status::Paused;
        if let Some(stop) = stop {
            self.must_stop(how(stop));
        }
    }

    /// Goes on with a keeper that runs already, from what it says.
    async fn take_up(&mut self, link: &mut Link, hello: &KeeperHello) {
        self.met(hello);
        if let Some(how) = self.stopped {
            // What was ordered may have been lost with the last connection, or daemon.
            return self.stop(link, how).await;
        }
        match hello.phase {
            // Claimed, perhaps committed as started, but no Go has come: while its lock is
            // held it is said again, never made anew.
            Phase::NotStarted => {
                let Some(spec) = self.look().spec.filter(|spec| !spec.withholds) else {
                    // It lacks what only the daemon that launched it could give.
                    return self.stop(link, How::Now).await;
                };
                let argv = spec.steps.last().map_or(&[][..], |step| &step.argv);
                let argv = argv.iter().map(|a| if a.len() > MAX_SHOWN { "…".to_owned() } else { a.clone() });
                self.scoped().await;
                if self.started || self.commit_start(link, argv.collect(), &spec).await {
                    self.go(link).await;
                }
            }
            // Frozen or not: the keeper's status comes next.
            Phase::Started if !self.frozen => self.limit.run(Instant::now()),
            Phase::Started | Phase::Exited => {}
        }
    }

    fn met(&mut self, hello: &KeeperHello) {
        self.is_measuring = false;
        let boot_id = process::boot_id().unwrap_or_default();
        self.keeper = Some(ProcessId { pid: hello.pid, start: hello.start, boot_id });
        self.daemon.roster.update(self.uid, |live| {
            live.keeper_pid = Some(hello.pid);
            live.keeper_version = Some(hello.build.clone());
            live.measures = hello.version >= MEASURES;
            live.state = if hello.child == 0 { SessionState::Starting } else { SessionState::Running };
            if hello.child != 0 {
                live.pid = Some(hello.child);
            }
        });
    }

    /// Looks after the session until it has ended, over the connection there is or a new
    /// one.
    pub async fn attend(mut self, mut link: Option<Link>) {
        let (end, keeper) = loop {
            match link.take() {
                Some(connected) => {
                    if let Some(ended) = self.tend(connected).await {
                        break ended;
                    }
                }
                None => match self.reach().await {
                    Ok((mut again, hello)) => {
                        self.take_up(&mut again, &hello).await;
                        link = Some(again);
                    }
                    Err(end) => break (end, None),
                },
            }
        };
        self.finish(end, keeper).await;
    }

    /// Listens and passes orders on until the session has ended; `None` when the
    /// connection is lost.
    async fn tend(&mut self, mut link: Link) -> Option<(End, Option<Kept>)> {
        let Some(keeper) = self.keeper_handle() else {
            // It has ended, or there is no descriptor left to watch it with.
            sleep(RECONNECT_PAUSE.0).await;
            return None;
        };
        loop {
            tokio::select! {
                message = link.receive() => match message {
                    Ok(FromKeeper::Exited(record)) => {
                        crash::point("exit-heard");
                        let end = match serde_json::from_slice::<ExitRecord>(&record) {
                            Ok(record) => End::Record(Box::new(record)),
                            Err(error) => End::Without(Outcome::Unknown, format!("{UNREADABLE}: {error}")),
                        };
                        return Some((end, Some((link, keeper))));
                    }
                    Ok(message) => self.hear(&mut link, message).await,
                    Err(error) => {
                        tracing::debug!(%error, "lost the keeper's connection");
                        // The end of a keeper is the end of its connections first.
                        drop(timeout(RECONNECT_PAUSE.0, keeper.readable()).await);
                        return None;
                    }
                },
                Some(order) = self.orders.recv() => match order {
                    Order::Stop(how) => self.stop(&mut link, how).await,
                    Order::Freeze(frozen) => {
                        self.freeze(frozen);
                        self.pass_freeze(&mut link).await;
                    }
                    // It answers.
                    Order::Look => {}
                    // One that does not answer is not asked again and again.
                    Order::Measure if self.is_measuring => {}
                    Order::Measure => {
                        self.is_measuring = true;
                        if let Err(error) = link.send(&ToKeeper::Measure).await {
                            tracing::debug!(%error, "the keeper cannot be asked what is used");
                        }
                    }
                },
                () = until(self.limit.deadline()) => self.limit_reached().await,
                () = until(self.give_up) => {
                    tracing::warn!("its keeper does not end it: killed");
                    self.kill_keeper().await;
                    return None;
                }
                // The keeper is gone; its last words are in its directory.
                _ = keeper.readable() => return None,
            }
        }
    }

    fn tell_opener(&mut self, how: Result<(), String>) {
        if let Some(opener) = self.opener.take() {
            // Nobody waits any more when the client has left.
            drop(opener.send(how));
        }
    }

    async fn hear(&mut self, link: &mut Link, message: FromKeeper) {
        match message {
            FromKeeper::Started { pid, .. } => {
                self.daemon.roster.update(self.uid, |live| {
                    live.pid = Some(pid);
                    live.state = SessionState::Running;
                });
                self.tell_opener(Ok(()));
            }
            FromKeeper::Status(status) => {
                let mut runs = false;
                let frozen = status.frozen;
                if let Some(ran) = status.ran_ms.filter(|_| self.limit.is_guessed()) {
                    self.limit.ran(Duration::from_millis(ran), Instant::now());
                }
                self.daemon.roster.update(self.uid, |live| {
                    live.status = status;
                    runs = live.pid.is_some();
                    if runs {
                        live.state = if frozen { SessionState::Paused } else { SessionState::Running };
                    }
                });
                // An order that was lost with a connection or a daemon.
                if runs && frozen != self.frozen && self.stopped.is_none() {
                    self.pass_freeze(link).await;
                }
            }
            FromKeeper::Usage(usage) => {
                self.is_measuring = false;
                self.daemon.roster.measured(self.uid, usage);
            }
            FromKeeper::Intruder { pid, what } => {
                let inside = Inside { pid, keeper: None };
                let session = Some(self.uid);
                let what = KEEPER_REFUSALS.into_iter().find(|known| *known == what).unwrap_or("orders");
                self.daemon.note_refused(Caller::Agent(Agent { inside, session, attempt: self.attempt }), what);
            }
            FromKeeper::Refused { code, reason } => {
                tracing::warn!(?code, reason, "the keeper refused an order");
            }
            _ => {}
        }
    }

    async fn stop(&mut self, link: &mut Link, how: How) {
        self.must_stop(how);
        let (generation, order) = link.next_order();
        if let Err(error) = link.send(&ToKeeper::Stop { generation, order, how }).await {
            tracing::debug!(%error, "an order to stop did not arrive");
        }
    }

    fn must_stop(&mut self, how: How) {
        if self.stopped != Some(How::Now) {
            self.stopped = Some(how);
        }
        let latest = Instant::now() + stop_limit(how);
        self.give_up = Some(self.give_up.map_or(latest, |earlier| earlier.min(latest)));
    }

    fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
        if frozen {
            self.limit.stop(Instant::now());
        } else {
            self.limit.run(Instant::now());
        }
    }

    async fn pass_freeze(&mut self, link: &mut Link) {
        let (generation, order) = link.next_order();
        if let Err(error) = link.send(&ToKeeper::Freeze { generation, order, frozen: self.frozen }).await {
            tracing::debug!(%error, "an order to freeze did not arrive");
        }
    }

    async fn limit_reached(&mut self) {
        let Some(attempt) = self.attempt else { return self.limit.lift() };
        let event = Event::LimitReached { attempt: attempt.number };
        match self.daemon.store.apply(attempt.task, event, Actor::Daemon).await {
            Ok(applied) => {
                self.limit.lift();
                self.out_of_time = true;
                self.daemon.carry_out(&applied);
            }
            // Paused in this moment: it is over as soon as it runs on.
            Err(StoreError::Refused(Refused::NotRunning(Status::Paused))) => {
                self.limit.postpone(Duration::from_millis(1), Instant::now());
                self.limit.stop(Instant::now());
            }
            Err(StoreError::Refused(refused)) => {
                tracing::debug!(%attempt, %refused, "the time limit came too late");
                self.out_of_time |= matches!(refused, Refused::Stopping(Stop::Timeout));
                self.daemon.carry_out_again(attempt.task, &refused);
                self.limit.lift();
            }
            Err(error) => {
                tracing::error!(%attempt, %error, "that the time limit is over cannot be stored yet");
                self.limit.postpone(STORE_PAUSE, Instant::now());
            }
        }
    }
}

pub(super) fn how(stop: Stop) -> How {
    match stop {
        Stop::Kill => How::Now,
        Stop::Cancel | Stop::Timeout => How::Gently,
    }
}

/// How long a keeper may take to end its session.
fn stop_limit(how: How) -> Duration {
    match how {
        How::Gently => GENTLE_LIMIT,
        How::Now => KILL_LIMIT,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
