//! Follows the history, on a thread of its own: whatever Redis, the network or a password
//! manager does, nobody else notices.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use super::copy::{Copy, Fit};
use super::link::{Link, Trouble};
use super::target::Target;
use super::{CHUNK, STREAM, compare, rebuild};
use crate::clock::Timestamp;
use crate::protocol::view::{EventView, RedisReport, RedisState, RedisView};
use crate::protocol::{Fault, FaultCode};
use crate::store::{Mark, Store};

/// With nothing to copy, how often it is seen whether the copy is still there: somebody may
/// have flushed it.
const PROBE: Duration = Duration::from_secs(1);
/// Before a server that failed is tried again: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A copy that was good for so long is built anew at once; one that was not waits, at most so
/// long.
const CALM: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// So many rebuilds without calm are no accident.
const OFTEN: u32 = 5;
/// People who wait for a comparison or a rebuild at once.
const ASKS: usize = 8;

/// Something a person wants of it.
enum Ask {
    Rebuild(oneshot::Sender<Result<(), Fault>>),
    Verify(oneshot::Sender<Result<RedisReport, Fault>>),
}

impl Ask {
    /// Whoever asked has left.
    fn is_over(&self) -> bool {
        match self {
            Ask::Rebuild(reply) => reply.is_closed(),
            Ask::Verify(reply) => reply.is_closed(),
        }
    }

    fn refuse(self, fault: Fault) {
        // Whoever asked may have left.
        match self {
            Ask::Rebuild(reply) => drop(reply.send(Err(fault))),
            Ask::Verify(reply) => drop(reply.send(Err(fault))),
        }
    }
}

/// A handle on the relay.
#[derive(Debug)]
pub struct Relay {
    target: watch::Sender<Result<Option<Target>, String>>,
    asks: mpsc::Sender<Ask>,
    view: View,
}

impl Relay {
    /// Starts it. It ends when the handle is dropped. `state` is the instance's state
    /// directory, which is told to who reads the copy.
    ///
    /// # Errors
    /// When it gets no thread.
    pub fn start(store: Store, state: &Path, target: Result<Option<Target>, String>) -> io::Result<Relay> {
        let (target, targets) = watch::channel(target);
        let (asks, asked) = mpsc::channel(ASKS);
        let view = View::default();
        let follower = Follower {
            store,
            state: state.to_owned(),
            targets,
            asked,
            view: view.clone(),
            asked_before: None,
            looked_again: false,
            is_behind: false,
            last_rebuild: None,
            without_calm: 0,
        };
        thread::Builder::new().name("redis".into()).spawn(
            move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(follower.run()),
                Err(error) => tracing::error!(%error, "nothing is copied to Redis"),
            },
        )?;
        Ok(Relay { target, asks, view })
    }

    /// The settings have been read again.
    pub fn set_target(&self, target: Result<Option<Target>, String>) {
        self.target.send_if_modified(|now| {
            let change = *now != target;
            *now = target;
            change
        });
    }

    /// How it stands, as far as the relay knows by itself.
    pub fn view(&self) -> RedisView {
        self.view.lock().clone()
    }

    /// Builds the copy anew; returns when that is done.
    ///
    /// # Errors
    /// `Conflict` when there is to be no copy; when the server is down.
    pub async fn rebuild(&self) -> Result<(), Fault> {
        self.ask(Ask::Rebuild).await
    }

    /// Compares all that is in the copy with the database.
    ///
    /// # Errors
    /// As [`Self::rebuild`].
    pub async fn verify(&self) -> Result<RedisReport, Fault> {
        self.ask(Ask::Verify).await
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<Result<T, Fault>>) -> Ask) -> Result<T, Fault> {
        let ended = || Fault::internal("the relay to Redis has ended");
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// How it stands, for everybody to see.
#[derive(Clone, Debug, Default)]
struct View(Arc<Mutex<RedisView>>);

impl View {
    fn lock(&self) -> MutexGuard<'_, RedisView> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: RedisState, error: Option<String>) {
        let mut view = self.lock();
        if view.state != state {
            view.since = Some(Timestamp::now());
        }
        (view.state, view.error) = (state, error);
    }
}

struct Follower {
    store: Store,
    state: PathBuf,
    targets: watch::Receiver<Result<Option<Target>, String>>,
    asked: mpsc::Receiver<Ask>,
    view: View,
    /// What was asked when the connection turned out to be broken.
    asked_before: Option<Ask>,
    /// For them it has been looked for once more already.
    looked_again: bool,
    /// The copy is not at the end of the history, and nothing of it is awaited.
    is_behind: bool,
    /// When the last rebuild was done.
    last_rebuild: Option<Instant>,
    /// Rebuilds soon after another.
    without_calm: u32,
}

/// Following ends because there is something else to do.
enum Turn {
    /// The settings have changed.
    Target,
    /// Nobody holds the handle any more.
    End,
}

impl Follower {
    async fn run(mut self) {
        loop {
            let target = self.targets.borrow_and_update().clone();
            let turn = match target {
                Ok(None) => {
                    *self.view.lock() = RedisView::default();
                    self.rest(None, || {
                        Fault::new(FaultCode::Conflict, "there is no copy in Redis")
                            .hint("'autodev config set redis.url redis+unix:///PATH' makes one")
                    })
                    .await
                }
                Err(why) => {
                    *self.view.lock() = RedisView::default();
                    self.view.set(RedisState::Down, Some(why.clone()));
                    self.rest(None, || Fault::new(FaultCode::Conflict, format!("nothing is copied to Redis: {why}")))
                        .await
                }
                Ok(Some(target)) => self.keep_following(&target).await,
            };
            match turn {
                Some(Turn::End) => return,
                Some(Turn::Target) | None => {}
            }
        }
    }

    /// Follows to one target, over as many connections as it takes.
    async fn keep_following(&mut self, target: &Target) -> Option<Turn> {
        *self.view.lock() = RedisView { url: Some(target.address.to_string()), ..RedisView::default() };
        self.view.set(RedisState::Down, Some("not connected yet".into()));
        let mut wait = RETRY.0;
        loop {
            let began = Instant::now();
            let trouble = match self.follow(target).await {
                Ok(turn) => return Some(turn),
                Err(Trouble::Server(why)) => why,
                Err(Trouble::Copy(why)) => format!("what it has is not what was put there: {why}"),
                Err(Trouble::Database(why)) => format!("the database cannot be read: {why}"),
            };
            let was_up = self.view.lock().state != RedisState::Down;
            if was_up || self.view.lock().error.as_deref() != Some(trouble.as_str()) {
                tracing::warn!(server = %target.address, error = trouble, "nothing is copied to Redis until it is back");
            }
            self.view.set(RedisState::Down, Some(trouble.clone()));
            if was_up && began.elapsed() > RETRY.1 {
                wait = RETRY.0;
            }
            let unreachable = || {
                Fault::new(FaultCode::Internal, format!("Redis at {} is down: {trouble}", target.address))
                    .hint("nothing waits for it; see that the server runs: 'autodev doctor' looks at it")
            };
            match self.asked_before.take() {
                // Whoever asked did so while it seemed to be up: it is looked for once more.
                Some(ask) if was_up && !self.looked_again => {
                    (self.asked_before, self.looked_again) = (Some(ask), true);
                    continue;
                }
                Some(ask) => ask.refuse(unreachable()),
                None => {}
            }
            self.looked_again = false;
            if let Some(turn) = self.rest(Some(wait), unreachable).await {
                return Some(turn);
            }
            wait = (wait * 2).min(RETRY.1);
        }
    }

    /// Waits for so long, or for ever, with one answer for everybody.
    async fn rest(&mut self, pause: Option<Duration>, answer: impl Fn() -> Fault) -> Option<Turn> {
        let over = async {
            match pause {
                Some(pause) => sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return None,
                changed = self.targets.changed() => return Some(turn(changed.is_ok())),
                ask = self.asked.recv() => match ask {
                    Some(ask) => ask.refuse(answer()),
                    None => return Some(Turn::End),
                },
            }
        }
    }

    /// Follows over one connection, until something goes wrong with it.
    async fn follow(&mut self, target: &Target) -> Result<Turn, Trouble> {
        let lineage = self.store.lineage().await?;
        let mut link = Link::connect(target).await?;
        let server = link.server().await;
        let mut copy = Copy::new(target, &lineage, server.run, link, self.store.clone());
        copy.announce(&self.state).await;
        {
            let mut view = self.view.lock();
            (view.server, view.warnings, view.keys) = (server.version, server.warnings, Some(copy.base.clone()));
        }
        // Listened to before the first look: nothing is missed in between.
        let mut feed = self.store.feed();
        let mut at = match copy.place().await? {
            Ok(at) => at,
            Err(why) => self.rebuild(&mut copy, why).await?,
        };
        loop {
            at = self.catch_up(&mut copy, at).await?;
            if let Some(asked) = self.asked_before.take() {
                at = self.answer(&mut copy, at, asked).await?;
                continue;
            }
            let asked = tokio::select! {
                biased;
                changed = self.targets.changed() => return Ok(turn(changed.is_ok())),
                ask = self.asked.recv() => match ask {
                    Some(ask) => ask,
                    None => return Ok(Turn::End),
                },
                () = std::future::ready(()), if self.is_behind => continue,
                something = changed(&mut feed) => match something {
                    true => continue,
                    false => return Err(Trouble::Database("it is closed".into())),
                },
                () = sleep(PROBE) => {
                    if self.last_rebuild.is_none_or(|last| last.elapsed() > CALM) {
                        self.view.lock().quarrel = false;
                    }
                    at = self.probe(&mut copy, at).await?;
                    continue;
                }
            };
            at = self.answer(&mut copy, at, asked).await?;
        }
    }

    /// Sees whether the copy is still where it was; where it is.
    async fn probe(&mut self, copy: &mut Copy, at: Mark) -> Result<Mark, Trouble> {
        match copy.apply(&at, &at, &[], &[]).await {
            Ok(Fit::Good) => Ok(at),
            Ok(Fit::NoEpoch | Fit::Gap) => self.place_again(copy).await,
            Err(Trouble::Copy(why)) => self.rebuild(copy, why).await,
            Err(other) => Err(other),
        }
    }

    /// Does what somebody has asked for; where the copy is afterwards.
    async fn answer(&mut self, copy: &mut Copy, at: Mark, asked: Ask) -> Result<Mark, Trouble> {
        if asked.is_over() {
            return Ok(at);
        }
        let before = self.rebuilds();
        // A connection that has been idle may be broken.
        let at = match self.probe(copy, at).await {
            Ok(at) => at,
            Err(trouble) => {
                self.asked_before = Some(asked);
                return Err(trouble);
            }
        };
        self.looked_again = false;
        // What fails from here on fails for whoever asked, too.
        match asked {
            // Done already, since the copy was lost.
            Ask::Rebuild(reply) if self.rebuilds() != before => {
                drop(reply.send(Ok(())));
                Ok(at)
            }
            Ask::Rebuild(reply) => {
                // Nobody who asks for it has a quarrel.
                self.last_rebuild = None;
                let rebuilt = self.rebuild(copy, "somebody asked for it".into()).await;
                self.last_rebuild = None;
                drop(reply.send(rebuilt.as_ref().map(drop).map_err(fault)));
                rebuilt
            }
            Ask::Verify(reply) => {
                let report = self.verify(copy, at, || reply.is_closed()).await;
                drop(reply.send(report.as_ref().map(|(report, _)| report.clone()).map_err(fault)));
                report.map(|(_, at)| at)
            }
        }
    }

    /// Brings the copy towards the end of the history as it is now: there, or to where
    /// something else is to be done first, which says whether it is behind.
    async fn catch_up(&mut self, copy: &mut Copy, mut at: Mark) -> Result<Mark, Trouble> {
        self.is_behind = false;
        loop {
            let Some(changes) = self.store.changes(at.clone(), CHUNK).await? else {
                at = self.rebuild(copy, format!("its last entry, {}, is not of this history", at.seq)).await?;
                continue;
            };
            if changes.head - at.seq > STREAM {
                // The stream would not hold them, and each task's row is as good as all of
                // its entries.
                at = self.rebuild(copy, format!("it is {} entries behind", changes.head - at.seq)).await?;
                continue;
            }
            if changes.events.is_empty() {
                self.reached(&at, RedisState::Following);
                return Ok(at);
            }
            at = match copy.apply(&at, &changes.to, &changes.rows, &changes.events).await {
                Ok(Fit::Good) => changes.to,
                Ok(Fit::NoEpoch | Fit::Gap) => self.place_again(copy).await?,
                Err(Trouble::Copy(why)) => self.rebuild(copy, why).await?,
                Err(other) => return Err(other),
            };
            self.reached(&at, RedisState::Following);
            if self.targets.has_changed().unwrap_or(true) || !self.asked.is_empty() {
                self.is_behind = true;
                return Ok(at);
            }
        }
    }

    /// The copy is not where it was: where it is now, or else a new one.
    async fn place_again(&mut self, copy: &mut Copy) -> Result<Mark, Trouble> {
        match copy.place().await? {
            Ok(at) => {
                tracing::info!(seq = at.seq, "Redis has lost the last that was copied; it is copied again");
                Ok(at)
            }
            Err(why) => self.rebuild(copy, why).await,
        }
    }

    async fn rebuild(&mut self, copy: &mut Copy, why: String) -> Result<Mark, Trouble> {
        tracing::info!(reason = why, "the copy in Redis is built anew");
        self.view.set(RedisState::Rebuilding, None);
        let soon = self.last_rebuild.is_some_and(|last| last.elapsed() < CALM);
        self.without_calm = if soon { self.without_calm + 1 } else { 0 };
        if let Some(last) = self.last_rebuild.filter(|_| soon) {
            let pause = RETRY.0 * 2u32.saturating_pow(self.without_calm.min(16));
            // Seen again by who waits for it.
            let mut targets = self.targets.clone();
            tokio::select! {
                () = tokio::time::sleep_until(last + pause.min(LONGEST_PAUSE)) => {}
                _ = targets.changed() => return Err(Trouble::Server("the settings have changed".into())),
            }
        }
        {
            let mut view = self.view.lock();
            (view.seq, view.rebuilds, view.rebuilt_because) = (None, view.rebuilds + 1, Some(why));
        }
        copy.announce(&self.state).await;
        let built = rebuild::run(copy).await;
        self.last_rebuild = Some(Instant::now());
        let at = built?;
        self.view.lock().quarrel = self.without_calm >= OFTEN;
        self.reached(&at, RedisState::Following);
        Ok(at)
    }

    fn rebuilds(&self) -> u64 {
        self.view.lock().rebuilds
    }

    fn reached(&self, at: &Mark, state: RedisState) {
        self.view.set(state, None);
        self.view.lock().seq = Some(at.seq);
    }

    /// Compares the copy with the database, to the end or until nobody waits for it.
    async fn verify(
        &mut self,
        copy: &mut Copy,
        mut at: Mark,
        is_over: impl Fn() -> bool,
    ) -> Result<(RedisReport, Mark), Trouble> {
        let mut rebuilds = self.rebuilds();
        let mut comparison = compare::Comparison::default();
        while !is_over() && comparison.step(copy, &at).await? {
            at = self.catch_up(copy, at).await?;
            if self.rebuilds() != rebuilds {
                // It is another one now.
                (rebuilds, comparison) = (self.rebuilds(), compare::Comparison::default());
            }
        }
        Ok((comparison.report(&at), at))
    }
}

fn turn(there: bool) -> Turn {
    if there { Turn::Target } else { Turn::End }
}

fn fault(trouble: &Trouble) -> Fault {
    match trouble {
        Trouble::Server(why) | Trouble::Copy(why) => Fault::internal(format!("Redis: {why}")),
        Trouble::Database(why) => Fault::internal(why),
    }
}

/// Waits for an entry of the history: `false` when there will be none any more.
async fn changed(feed: &mut broadcast::Receiver<Arc<EventView>>) -> bool {
    if let Err(RecvError::Closed) = feed.recv().await {
        return false;
    }
    // All of them are read at once.
    while !matches!(
        feed.try_recv(),
        Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)
    ) {}
    true
}
