//! An attendant looks after one session from its claim or adoption until its end is
//! stored and its keeper gone. All orders to the session pass through it, in order.

mod end;
mod limit;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Daemon, watched};
use crate::crash;
use crate::id::{AttemptId, SessionName, Uid};
use crate::lock::FileLock;
use crate::paths::SessionDir;
use crate::process::{self, PidFd, ProcessId};
use crate::protocol::exit::ExitRecord;
use crate::protocol::keeper::{FromKeeper, How, KeeperHello, Phase, ToKeeper};
use crate::protocol::launch::LaunchSpec;
use crate::protocol::view::SessionState;
use crate::recovery::{self, plan};
use crate::session::{self, Link, LinkError, Order, names};
use crate::store::{Claim, StoreError};
use crate::task::{Actor, Event, Outcome, Refused, Status, Stop};

use end::{End, Kept};
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
/// Longest argument that is stored to be shown, in bytes: a prompt is not.
const MAX_SHOWN: usize = 200;
/// It may be a newer keeper's.
const UNREADABLE: &str = "it has ended, and its exit record cannot be read";

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

/// Launches a claimed attempt and looks after it.
pub(super) fn spawn_claimed(daemon: &Arc<Daemon>, claim: Claim) {
    crash::point("claimed");
    let name = claim.attempt.session();
    let dir = daemon.paths.session_directory(&name, claim.session_uid);
    let marker = process::marker(daemon.paths.instance_number(), claim.session_number);
    let mut attendant = Attendant::new(daemon, &name, claim.session_uid, dir, marker);
    attendant.attempt = Some(claim.attempt);
    attendant.limit = Limit::new(claim.spec.timeout);
    tokio::spawn(async move {
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
            stopped: None,
            out_of_time: false,
            opener: None,
            give_up: None,
            barred: None,
        }
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

    /// Makes the keeper, commits the start, says Go, looks after the session.
    pub async fn launch(mut self, launch: Launch) {
        if let Err(error) = names::publish(&self.dir, &self.name) {
            tracing::warn!(session = %self.name, %error, "it has no link in sessions/live");
        }
        let (dir, spec, files) = (self.dir.clone(), launch.spec.clone(), launch.files);
        let launched = tokio::task::spawn_blocking(move || session::launch(&dir, &spec, &files)).await;
        let launched = match launched.map_err(io::Error::other).and_then(|r| r) {
            Ok(launched) => launched,
            Err(error) => {
                let why = format!("the session's keeper cannot be started: {error}");
                let outcome = self.blame(&error);
                return self.finish(End::Without(outcome, why), None).await;
            }
        };
        self.child = Some(launched.child);
        let (mut link, hello) = match Link::born(launched.control, self.daemon.store.generation()).await {
            Ok(ready) => ready,
            Err(error) => {
                let end = self.stillborn(&error).await;
                return self.finish(end, None).await;
            }
        };
        crash::point("ready");
        self.met(&hello);
        let size = (launch.spec.columns, launch.spec.rows);
        if self.commit_start(&mut link, launch.argv, size).await {
            if !launch.secrets.is_empty() {
                drop(link.send(&ToKeeper::Environment(launch.secrets)).await);
            }
            self.go(&mut link).await;
        }
        self.attend(Some(link)).await;
    }

    /// What is to blame for a launch that failed: the task, or a machine that has no room
    /// now and will have some again.
    fn blame(&self, error: &io::Error) -> Outcome {
        use io::ErrorKind::{OutOfMemory, QuotaExceeded, ResourceBusy, StorageFull, WouldBlock};
        let no_room = matches!(error.kind(), OutOfMemory | QuotaExceeded | ResourceBusy | StorageFull | WouldBlock)
            || matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EIO));
        if !no_room {
            return Outcome::LaunchFailed;
        }
        tracing::warn!(session = %self.name, %error, "no session can be started now; others wait");
        self.daemon.rest();
        Outcome::NeverStarted
    }

    /// The keeper did not become ready.
    async fn stillborn(&mut self, error: &LinkError) -> End {
        // One that has hung up is about to end by itself, and says how.
        let silent = matches!(error, LinkError::Silent);
        let ended = !silent && self.keeper_ends(LEAVE_LIMIT).await;
        let status = self.child.as_mut().filter(|_| ended).and_then(|child| child.try_wait().ok().flatten());
        self.kill_keeper().await;
        match status.and_then(|status| status.signal()) {
            // Somebody's wish, not its fault: the next one will do.
            Some(libc::SIGKILL | libc::SIGTERM | libc::SIGINT | libc::SIGHUP) => {
                End::Without(Outcome::NeverStarted, "its keeper was killed before it was ready".into())
            }
            // The machine is so slow that the others would fare no better.
            _ if silent => {
                self.daemon.rest();
                End::Without(Outcome::NeverStarted, self.keeper_words(error))
            }
            _ => End::Without(Outcome::LaunchFailed, self.keeper_words(error)),
        }
    }

    /// Commits that the program is to be started; `false` when it is not, and then the
    /// keeper was told to stop: it leaves, and its record brings the session to its end.
    async fn commit_start(&mut self, link: &mut Link, argv: Vec<String>, size: (u16, u16)) -> bool {
        let keeper = self.keeper.as_ref().map_or(0, |keeper| keeper.pid);
        let store = &self.daemon.store;
        let committed = match self.attempt {
            Some(attempt) => store.start_attempt(attempt, argv, keeper, size).await.map(drop),
            None => store.start_session(self.uid, argv, keeper).await,
        };
        let stop = match committed {
            Ok(()) => None,
            // It was committed, and the answer was lost.
            Err(StoreError::Refused(Refused::Already(Status::Running))) => None,
            // Ended meanwhile. That order may have come before there was anybody to take
            // it, so it is not left to the queue.
            Err(StoreError::Refused(Refused::Stopping(stop))) => Some(how(stop)),
            Err(error) => {
                tracing::error!(session = %self.name, %error, "its start cannot be stored");
                Some(How::Now)
            }
        };
        match stop {
            None => {
                self.started = true;
                crash::point("start-stored");
            }
            Some(how) => self.stop(link, how).await,
        }
        stop.is_none()
    }

    async fn go(&mut self, link: &mut Link) {
        let (generation, order) = link.next_order();
        if link.send(&ToKeeper::Go { generation, order }).await.is_ok() {
            crash::point("gone");
            self.limit.run(Instant::now());
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
                if self.started || self.commit_start(link, argv.collect(), (spec.columns, spec.rows)).await {
                    self.go(link).await;
                }
            }
            // Frozen or not: the keeper's status comes next.
            Phase::Started if !self.frozen => self.limit.run(Instant::now()),
            Phase::Started | Phase::Exited => {}
        }
    }

    fn met(&mut self, hello: &KeeperHello) {
        let boot_id = process::boot_id().unwrap_or_default();
        self.keeper = Some(ProcessId { pid: hello.pid, start: hello.start, boot_id });
        self.daemon.roster.update(self.uid, |live| {
            live.keeper_pid = Some(hello.pid);
            live.keeper_version = Some(hello.build.clone());
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
                        tracing::debug!(session = %self.name, %error, "lost the keeper's connection");
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
                },
                () = until(self.limit.deadline()) => self.limit_reached().await,
                () = until(self.give_up) => {
                    tracing::warn!(session = %self.name, "its keeper does not end it: killed");
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
                self.daemon.roster.update(self.uid, |live| {
                    live.status = status;
                    runs = live.pid.is_some();
                    if runs {
                        live.state = if status.frozen { SessionState::Paused } else { SessionState::Running };
                    }
                });
                // An order that was lost with a connection or a daemon.
                if runs && status.frozen != self.frozen && self.stopped.is_none() {
                    self.pass_freeze(link).await;
                }
            }
            FromKeeper::Refused { code, reason } => {
                tracing::warn!(session = %self.name, ?code, reason, "the keeper refused an order");
            }
            _ => {}
        }
    }

    async fn stop(&mut self, link: &mut Link, how: How) {
        self.must_stop(how);
        let (generation, order) = link.next_order();
        if let Err(error) = link.send(&ToKeeper::Stop { generation, order, how }).await {
            tracing::debug!(session = %self.name, %error, "an order to stop did not arrive");
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
            tracing::debug!(session = %self.name, %error, "an order to freeze did not arrive");
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
                self.limit.lift();
            }
            Err(error) => {
                tracing::error!(%attempt, %error, "that the time limit is over cannot be stored yet");
                self.limit.postpone(STORE_PAUSE, Instant::now());
            }
        }
    }

    /// Connects to the keeper, however long it takes, as long as its lock is held; else
    /// says how the session ended.
    async fn reach(&mut self) -> Result<(Link, KeeperHello), End> {
        let mut pause = RECONNECT_PAUSE.0;
        loop {
            self.reap();
            let found = self.look();
            if let Some(end) = self.ended(&found) {
                return Err(end);
            }
            // Without a word from it, it has just taken the lock and is about to say where
            // it is.
            if let Some(keeper) = &found.keeper {
                match Link::connect(&keeper.socket, self.daemon.store.generation()).await {
                    Ok((link, hello)) if hello.uid == self.uid => return Ok((link, hello)),
                    Err(LinkError::Generation(seen)) => match self.daemon.store.raise_generation(seen).await {
                        Ok(_) => continue,
                        Err(error) => tracing::error!(%error, "the generation cannot be raised"),
                    },
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
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(RECONNECT_PAUSE.1),
                Some(order) = self.orders.recv() => match order {
                    Order::Stop(how) => self.must_stop(how),
                    Order::Freeze(frozen) => self.freeze(frozen),
                },
                () = until(self.give_up) => {
                    tracing::warn!(session = %self.name, "it is to end, and its keeper does not answer: killed");
                    self.kill_keeper().await;
                }
            }
        }
    }

    /// How the session has ended; `None` while its lock is held: until then nothing is
    /// decided.
    fn ended(&mut self, found: &recovery::Found) -> Option<End> {
        // The row is unfinished, or there would be no attendant.
        let facts = plan::Facts { row: plan::Row::Free, dir: found.facts.clone(), started: self.started };
        let missing = facts.dir == plan::Dir::Missing;
        match plan::plan(&facts) {
            plan::Action::Finish(record) => Some(End::Record(record)),
            plan::Action::End(Outcome::NeverStarted) => {
                if self.barred.is_none() && !missing {
                    // Its keeper may be about to begin. Whoever has the lock decides.
                    self.barred = FileLock::take(&self.dir.lock()).ok()?;
                    self.barred.as_ref()?;
                }
                let why = "its daemon or keeper ended before the program was started";
                Some(End::Without(Outcome::NeverStarted, why.into()))
            }
            plan::Action::End(outcome) => {
                let why = match outcome {
                    Outcome::Unknown => UNREADABLE,
                    Outcome::Interrupted => "interrupted: the machine was started anew",
                    _ if missing => "its directory is gone",
                    _ => "its keeper was killed",
                };
                Some(End::Without(outcome, why.into()))
            }
            _ => None,
        }
    }

    fn look(&self) -> recovery::Found {
        recovery::gather::look(self.dir.clone()).of(self.uid)
    }

    fn keeper_process(&self) -> Option<ProcessId> {
        match (&self.keeper, &self.child) {
            (Some(keeper), _) => Some(keeper.clone()),
            (None, Some(child)) => ProcessId::of(child.id()),
            (None, None) => self.look().keeper.map(|keeper| keeper.process),
        }
    }

    fn keeper_handle(&self) -> Option<AsyncFd<PidFd>> {
        watched(self.keeper_process()?.open()?).ok()
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

fn how(stop: Stop) -> How {
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
