//! An attendant looks after one session from its claim or adoption until its end is
//! stored and its keeper gone. All orders to the session pass through it, in order.

use std::io;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Daemon, watched};
use crate::clock::{Span, Timestamp};
use crate::id::{AttemptId, SessionName, Uid};
use crate::paths::SessionDir;
use crate::process::{self, PidFd, ProcessId};
use crate::protocol::exit::{ExitReason, ExitRecord};
use crate::protocol::keeper::{FromKeeper, How, KeeperHello, Phase, ToKeeper};
use crate::protocol::launch::LaunchSpec;
use crate::protocol::view::SessionState;
use crate::recovery::{self, plan};
use crate::session::sweep::{Quarry, sweep};
use crate::session::{self, Link, LinkError, Order};
use crate::store::{AttemptEnd, Claim, StoreError};
use crate::task::{Actor, Event, Outcome, Refused, Stop};

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

/// One session, as its attendant knows it.
pub(super) struct Attendant {
    pub daemon: Arc<Daemon>,
    pub name: SessionName,
    pub uid: Uid,
    /// The attempt it runs; a session may also exist without a task.
    pub attempt: Option<AttemptId>,
    pub dir: SessionDir,
    pub marker: u64,
    pub orders: UnboundedReceiver<Order>,
    /// Only for keepers that this daemon has started: to be reaped.
    pub child: Option<Child>,
    pub limit: Limit,
    /// The hardest order to end that was passed on.
    pub stopped: Option<How>,
    /// Whoever waits to hear that the program runs, or why it never will.
    pub opener: Option<oneshot::Sender<Result<(), String>>>,
}

/// The task's time limit: counts while the program runs and is not frozen, and not while
/// the machine sleeps.
pub(super) struct Limit {
    left: Option<Duration>,
    running_since: Option<Instant>,
}

impl Limit {
    pub fn new(timeout: Option<Span>) -> Self {
        Limit { left: timeout.map(|t| t.0).filter(|t| !t.is_zero()), running_since: None }
    }

    fn run(&mut self) {
        self.running_since.get_or_insert_with(Instant::now);
    }

    fn stop(&mut self) {
        if let (Some(left), Some(since)) = (&mut self.left, self.running_since.take()) {
            *left = left.saturating_sub(since.elapsed());
        }
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.running_since? + self.left?)
    }
}

/// How a session came to its end.
enum End {
    /// The keeper's record.
    Record(Box<ExitRecord>),
    /// Without one.
    Without(Outcome, String),
}

/// Launches a claimed attempt and looks after it.
pub(super) fn spawn_claimed(daemon: &Arc<Daemon>, claim: Claim) {
    let orders = daemon.roster.enter(&claim.attempt.session(), claim.session_uid);
    let daemon = Arc::clone(daemon);
    tokio::spawn(async move {
        let attendant = Attendant {
            name: claim.attempt.session(),
            uid: claim.session_uid,
            attempt: Some(claim.attempt),
            dir: daemon.paths.live_session(&claim.attempt.session()),
            marker: process::marker(daemon.paths.instance_number(), claim.session_number),
            orders,
            child: None,
            limit: Limit::new(claim.spec.timeout),
            stopped: None,
            opener: None,
            daemon,
        };
        match attendant.daemon.settings.launch_attempt(&attendant.daemon, &claim) {
            Ok(launch) => attendant.launch(launch).await,
            Err((outcome, why)) => attendant.finish(End::Without(outcome, why), None).await,
        }
    });
}

/// What is to be launched.
pub(crate) struct Launch {
    pub spec: LaunchSpec,
    pub files: Vec<(String, Vec<u8>)>,
    /// Variables with values that are never written down: they go to the keeper over the
    /// connection it was born with.
    pub secrets: Vec<(String, String)>,
    /// The argument vector as it may be shown.
    pub argv: Vec<String>,
}

impl Attendant {
    /// Makes the keeper, commits the start, says Go, looks after the session.
    pub async fn launch(mut self, launch: Launch) {
        let (dir, spec, files) = (self.dir.clone(), launch.spec.clone(), launch.files);
        let launched = tokio::task::spawn_blocking(move || session::launch(&dir, &spec, &files)).await;
        let launched = match launched.map_err(io::Error::other).and_then(|r| r) {
            Ok(launched) => launched,
            Err(error) => {
                let why = format!("the session's keeper cannot be started: {error}");
                return self.finish(End::Without(Outcome::LaunchFailed, why), None).await;
            }
        };
        self.child = Some(launched.child);
        let (mut link, hello) = match Link::born(launched.control, self.daemon.store.generation()).await {
            Ok(ready) => ready,
            Err(error) => {
                let why = self.keeper_words(&error);
                self.kill_keeper().await;
                return self.finish(End::Without(Outcome::LaunchFailed, why), None).await;
            }
        };
        let size = (launch.spec.columns, launch.spec.rows);
        self.met(&hello);
        match self.commit_start(launch.argv, hello.pid, size).await {
            Ok(()) => {
                if !launch.secrets.is_empty() {
                    drop(link.send(&ToKeeper::Environment(launch.secrets)).await);
                }
                let (generation, order) = link.next_order();
                if link.send(&ToKeeper::Go { generation, order }).await.is_ok() {
                    self.limit.run();
                }
            }
            // Cancelled meanwhile: the order to stop is in the queue and latches.
            Err(StoreError::Refused(Refused::Stopping(_))) => {}
            Err(error) => {
                // Without the commit there is no Go; the order to stop makes the keeper
                // leave, and its record brings the attempt to its end.
                tracing::error!(session = %self.name, %error, "the start cannot be stored");
                self.stop(&mut link, How::Now).await;
            }
        }
        self.tend(link).await;
    }

    async fn commit_start(&self, argv: Vec<String>, keeper: u32, size: (u16, u16)) -> Result<(), StoreError> {
        match self.attempt {
            Some(attempt) => self.daemon.store.start_attempt(attempt, argv, keeper, size).await.map(drop),
            None => self.daemon.store.start_session(self.uid, argv, keeper).await,
        }
    }

    /// Meets a keeper that runs already, and goes on from what it says.
    pub async fn adopt(mut self, started: bool, stop: Option<Stop>) {
        let Some((mut link, hello)) = self.reach().await else { return self.gone().await };
        self.met(&hello);
        match stop {
            Some(Stop::Kill) => self.stop(&mut link, How::Now).await,
            Some(Stop::Cancel | Stop::Timeout) => self.stop(&mut link, How::Gently).await,
            None if hello.phase == Phase::NotStarted => {
                // Claimed, perhaps committed as started, but the last daemon's Go never
                // came: while the lock is held it is said again, never made anew.
                let size = (0, 0);
                let committed = started || self.commit_start(Vec::new(), hello.pid, size).await.is_ok();
                let (generation, order) = link.next_order();
                if committed && link.send(&ToKeeper::Go { generation, order }).await.is_ok() {
                    self.limit.run();
                }
            }
            None => self.limit.run(),
        }
        self.tend(link).await;
    }

    fn met(&self, hello: &KeeperHello) {
        self.daemon.roster.update(self.uid, |live| {
            live.keeper_pid = Some(hello.pid);
            live.keeper_version = Some(hello.build.clone());
            if hello.child != 0 {
                live.pid = Some(hello.child);
                live.state = SessionState::Running;
            }
        });
    }

    /// Listens and passes orders on until the session has ended.
    async fn tend(mut self, mut link: Link) {
        let Some(keeper) = self.keeper_handle() else { return self.gone().await };
        let mut give_up: Option<Instant> = None;
        loop {
            tokio::select! {
                message = link.receive() => match message {
                    Ok(FromKeeper::Exited(record)) => match serde_json::from_slice::<ExitRecord>(&record) {
                        Ok(record) => return self.finish(End::Record(Box::new(record)), Some((link, keeper))).await,
                        Err(error) => {
                            tracing::error!(session = %self.name, %error, "an unreadable exit record");
                            return self.gone().await;
                        }
                    },
                    Ok(message) => self.hear(message),
                    Err(error) => {
                        tracing::debug!(session = %self.name, %error, "lost the keeper's connection");
                        match self.reach().await {
                            Some((again, hello)) => {
                                link = again;
                                self.met(&hello);
                                // What was ordered may have been lost with the connection.
                                if let Some(how) = self.stopped {
                                    self.stop(&mut link, how).await;
                                }
                            }
                            None => return self.gone().await,
                        }
                    }
                },
                Some(order) = self.orders.recv() => match order {
                    Order::Stop(how) => {
                        self.stop(&mut link, how).await;
                        let latest = Instant::now() + stop_limit(how);
                        give_up = Some(give_up.map_or(latest, |earlier| earlier.min(latest)));
                    }
                    Order::Freeze(frozen) => self.freeze(&mut link, frozen).await,
                },
                () = until(self.limit.deadline()) => {
                    self.limit = Limit::new(None);
                    self.limit_reached().await;
                }
                () = until(give_up) => {
                    tracing::warn!(session = %self.name, "its keeper does not end it: killed");
                    self.kill_keeper().await;
                    return self.gone().await;
                }
                // The keeper is gone without a word.
                _ = keeper.readable() => {
                    // Its last words may still lie in the socket.
                    while let Ok(Ok(message)) = timeout(Duration::ZERO, link.receive()).await {
                        self.hear(message);
                    }
                    return self.gone().await;
                }
            }
        }
    }

    fn hear(&mut self, message: FromKeeper) {
        match message {
            FromKeeper::Started { pid, .. } => {
                self.daemon.roster.update(self.uid, |live| {
                    live.pid = Some(pid);
                    live.state = SessionState::Running;
                });
                self.tell_opener(Ok(()));
            }
            FromKeeper::Status(status) => self.daemon.roster.update(self.uid, |live| {
                live.status = status;
                if live.pid.is_some() {
                    live.state = if status.frozen { SessionState::Paused } else { SessionState::Running };
                }
            }),
            FromKeeper::Refused { code, reason } => {
                tracing::warn!(session = %self.name, ?code, reason, "the keeper refused an order");
            }
            _ => {}
        }
    }

    fn tell_opener(&mut self, how: Result<(), String>) {
        if let Some(opener) = self.opener.take() {
            // Nobody waits any more when the client has left.
            drop(opener.send(how));
        }
    }

    async fn stop(&mut self, link: &mut Link, how: How) {
        self.stopped = Some(how);
        let (generation, order) = link.next_order();
        if let Err(error) = link.send(&ToKeeper::Stop { generation, order, how }).await {
            tracing::debug!(session = %self.name, %error, "an order to stop did not arrive");
        }
    }

    async fn freeze(&mut self, link: &mut Link, frozen: bool) {
        if frozen {
            self.limit.stop();
        } else {
            self.limit.run();
        }
        let (generation, order) = link.next_order();
        if let Err(error) = link.send(&ToKeeper::Freeze { generation, order, frozen }).await {
            tracing::debug!(session = %self.name, %error, "an order to freeze did not arrive");
        }
    }

    async fn limit_reached(&self) {
        let Some(attempt) = self.attempt else { return };
        let event = Event::LimitReached { attempt: attempt.number };
        match self.daemon.store.apply(attempt.task, event, Actor::Daemon).await {
            Ok(applied) => self.daemon.carry_out(&applied),
            Err(error) => tracing::debug!(%attempt, %error, "the time limit came too late"),
        }
    }

    /// Connects to the keeper, however long it takes, as long as it lives.
    async fn reach(&mut self) -> Option<(Link, KeeperHello)> {
        let mut pause = RECONNECT_PAUSE.0;
        let mut give_up = None;
        loop {
            let found = self.look()?;
            let keeper = found.keeper.filter(|keeper| keeper.process.is_alive())?;
            match Link::connect(&keeper.socket, self.daemon.store.generation()).await {
                Ok((link, hello)) if hello.uid == self.uid => return Some((link, hello)),
                Err(LinkError::Generation(seen)) => {
                    if let Err(error) = self.daemon.store.raise_generation(seen).await {
                        tracing::error!(%error, "the generation cannot be raised");
                    }
                }
                other => {
                    let why = match other {
                        Err(error) => error.to_string(),
                        Ok(_) => "another session's keeper answers at its socket".to_owned(),
                    };
                    tracing::info!(session = %self.name, why, "its keeper cannot be reached");
                    self.daemon.roster.update(self.uid, |live| live.state = SessionState::Unresponsive);
                    // Perhaps its socket has vanished with the runtime directory.
                    if let Some(handle) = keeper.process.open() {
                        drop(handle.signal(libc::SIGUSR1));
                    }
                }
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(RECONNECT_PAUSE.1),
                Some(Order::Stop(how)) = self.orders.recv() => {
                    self.stopped = Some(how);
                    let latest = Instant::now() + stop_limit(how);
                    give_up = Some(give_up.map_or(latest, |earlier| earlier.min(latest)));
                }
                () = until(give_up) => {
                    tracing::warn!(session = %self.name, "it is to end, and its keeper does not answer: killed");
                    self.kill_keeper().await;
                    return None;
                }
            }
        }
    }

    fn look(&self) -> Option<recovery::Found> {
        let boot = process::boot_id().ok()?;
        recovery::gather::look(self.dir.clone(), &boot).ok()
    }

    fn keeper_process(&self) -> Option<ProcessId> {
        match &self.child {
            Some(child) => ProcessId::of(child.id()),
            None => self.look()?.keeper.map(|keeper| keeper.process),
        }
    }

    fn keeper_handle(&self) -> Option<AsyncFd<PidFd>> {
        watched(self.keeper_process()?.open()?).ok()
    }

    async fn kill_keeper(&mut self) {
        if let Some(handle) = self.keeper_process().and_then(|process| process.open()) {
            drop(handle.signal(libc::SIGKILL));
            if let Ok(handle) = watched(handle) {
                drop(timeout(LEAVE_LIMIT, handle.readable()).await);
            }
        }
        self.reap();
    }

    fn reap(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.try_wait());
        }
    }

    /// The keeper does not live any more: what its directory says is how it ended.
    async fn gone(mut self) {
        let mut pause = RECONNECT_PAUSE.0;
        let end = loop {
            self.reap();
            let Some(found) = self.look() else {
                break End::Without(Outcome::Lost, "its directory cannot be read".into());
            };
            // The row is unfinished, or there would be no attendant.
            let facts = plan::Facts { row: plan::Row::Free, dir: found.facts, started: false };
            match plan::plan(&facts) {
                plan::Action::Finish(record) => break End::Record(record),
                plan::Action::End(Outcome::NeverStarted) => {
                    let why = "its keeper ended before the program was started";
                    break End::Without(Outcome::NeverStarted, why.into());
                }
                plan::Action::End(outcome) => break End::Without(outcome, "its keeper was killed".into()),
                // Its lock is held although its keeper is gone: while that is so, nothing
                // may be decided.
                _ => {
                    tracing::warn!(session = %self.name, "an unknown process holds its lock");
                    self.daemon.roster.update(self.uid, |live| live.state = SessionState::Unresponsive);
                    sleep(pause).await;
                    pause = (pause * 2).min(RECONNECT_PAUSE.1);
                }
            }
        };
        self.finish(end, None).await;
    }

    /// Ends what is left of a session found by recovery, then stores the outcome.
    pub async fn end_found(self, outcome: Outcome) {
        let why = match outcome {
            Outcome::Interrupted => "interrupted: the machine was started anew",
            Outcome::NeverStarted => "the daemon ended before the program was started",
            _ => "its keeper was killed while no daemon was there",
        };
        self.finish(End::Without(outcome, why.into()), None).await;
    }

    /// Stores the end found by recovery in an exit record.
    pub async fn end_recorded(self, record: Box<ExitRecord>) {
        self.finish(End::Record(record), None).await;
    }

    /// The end is stored already: lets the keeper go, then clears up.
    pub async fn acknowledge(mut self) {
        let mut bytes = u64::MAX;
        if let Some((link, hello)) = self.reach().await
            && let Some(handle) = self.keeper_handle()
        {
            self.met(&hello);
            self.let_go(link, handle).await;
        }
        if let Some(plan::Dir::Present { record: Some(record), .. }) = self.look().map(|found| found.facts) {
            bytes = record.recording_bytes;
        }
        self.clear_up(bytes);
    }

    /// Stores the end, then lets the keeper go, then clears up.
    async fn finish(mut self, end: End, keeper: Option<(Link, AsyncFd<PidFd>)>) {
        if let End::Without(Outcome::Lost, _) = end {
            // Nothing of the attempt may live when it is called ended. With the other
            // outcomes its program never ran, or ran before this boot.
            self.sweep().await;
        }
        let bytes = match &end {
            End::Record(record) => record.recording_bytes,
            End::Without(..) => u64::MAX,
        };
        let told = match &end {
            End::Record(record) if record.reason != ExitReason::LaunchFailed => Ok(()),
            End::Record(record) => Err(record.problem().unwrap_or_default()),
            End::Without(_, why) => Err(why.clone()),
        };
        self.store_end(end).await;
        self.tell_opener(told);
        if let Some((link, handle)) = keeper {
            self.let_go(link, handle).await;
        }
        self.clear_up(bytes);
    }

    async fn let_go(&mut self, mut link: Link, keeper: AsyncFd<PidFd>) {
        let (generation, order) = link.next_order();
        drop(link.send(&ToKeeper::Acknowledge { generation, order }).await);
        if timeout(LEAVE_LIMIT, keeper.readable()).await.is_err() {
            drop(keeper.get_ref().signal(libc::SIGKILL));
            drop(timeout(LEAVE_LIMIT, keeper.readable()).await);
        }
    }

    fn clear_up(mut self, bytes: u64) {
        self.reap();
        self.daemon.roster.leave(self.uid);
        self.daemon.session_left.notify_waiters();
        self.daemon.archiver.add(self.uid, self.dir, bytes);
    }

    async fn sweep(&self) {
        let quarry = Quarry {
            session: self.name.clone(),
            state: self.daemon.paths.state.to_string_lossy().into_owned(),
            marker: self.marker,
        };
        loop {
            let quarry = quarry.clone();
            match tokio::task::spawn_blocking(move || sweep(&quarry)).await.map_err(io::Error::other).and_then(|r| r) {
                Ok(0) => return,
                Ok(killed) => {
                    tracing::info!(session = %self.name, killed, "ended what a lost keeper had left");
                    return;
                }
                Err(error) => {
                    tracing::error!(session = %self.name, %error, "what a lost keeper left cannot be ended yet");
                    sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    async fn store_end(&self, end: End) {
        let (outcome, error, record) = match end {
            End::Record(record) => (record.outcome(), record.problem(), Some(*record)),
            End::Without(outcome, why) => (outcome, Some(why), None),
        };
        loop {
            let stored = match self.attempt {
                Some(attempt) => {
                    let end = AttemptEnd { outcome, error: error.clone(), record: record.clone() };
                    self.daemon.store.end_attempt(attempt, end).await.map(drop)
                }
                None => {
                    let state = if record.is_some() { SessionState::Ended } else { SessionState::Lost };
                    self.daemon.store.end_session(self.uid, state, error.clone(), record.clone()).await
                }
            };
            match stored {
                Ok(()) => return,
                Err(StoreError::Refused(refused)) => {
                    tracing::debug!(session = %self.name, %refused, "its end is stored already");
                    return;
                }
                Err(error) => {
                    // The keeper waits with its record; nothing is lost.
                    tracing::error!(session = %self.name, %error, "its end cannot be stored yet");
                    sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Why a keeper did not become ready, in its own words if it left any.
    fn keeper_words(&self, error: &LinkError) -> String {
        let log = std::fs::read_to_string(self.dir.log()).unwrap_or_default();
        match log.lines().rev().find(|line| !line.trim().is_empty()) {
            Some(line) => format!("the session's keeper did not become ready: {line}"),
            None => format!("the session's keeper did not become ready: {error}"),
        }
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

/// What is left of a time limit for a session that was started at `started_at`.
pub(super) fn remaining(timeout: Option<(Span, Timestamp)>) -> Limit {
    let Some((Span(limit), started_at)) = timeout else { return Limit::new(None) };
    let used = Timestamp::now().since(started_at);
    // One that ran out while nobody looked is over at once, not never.
    Limit::new(Some(Span(limit.saturating_sub(used).max(Duration::from_millis(1)))))
}
