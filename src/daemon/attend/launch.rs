//! From the claim to the program: the keeper is made, the start is committed, Go is said.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::end::End;
use super::{Attendant, LEAVE_LIMIT, Limit, how};
use crate::crash;
use crate::daemon::{Daemon, watched};
use crate::process::{self, PidFd};
use crate::protocol::exit;
use crate::protocol::keeper::{How, ToKeeper};
use crate::protocol::launch::LaunchSpec;
use crate::session::{self, Link, LinkError, names};
use crate::store::{AttemptStart, Claim, StoreError};
use crate::task::{Outcome, Refused, Status};

/// Launches a claimed attempt and looks after it.
pub(crate) fn spawn_claimed(daemon: &Arc<Daemon>, claim: Claim) {
    crash::point("claimed");
    let name = claim.attempt.session();
    let dir = daemon.paths.session_directory(&name, claim.session_uid);
    let marker = process::marker(daemon.paths.instance_number(), claim.session_number);
    let mut attendant = Attendant::new(daemon, &name, claim.session_uid, dir, marker);
    attendant.attempt = Some(claim.attempt);
    attendant.limit = Limit::new(claim.spec.timeout);
    let (owner, span) = (Arc::clone(daemon), attendant.span());
    tokio::spawn(attendant.launch(move || owner.settings.launch_attempt(&owner, &claim)).instrument(span));
}

/// What is to be launched.
pub(crate) struct Launch {
    pub spec: LaunchSpec,
    pub files: Vec<(String, Vec<u8>)>,
    /// Variables with values that are never written down: they go to the keeper over the
    /// connection it was born with.
    pub secrets: Vec<(String, String)>,
    /// Values that the keeper blots out of what it keeps.
    pub blotted: Vec<String>,
    /// The argument vector as it may be shown.
    pub argv: Vec<String>,
}

/// Why there is no keeper.
enum Trouble {
    /// The tool cannot be run so.
    Tool(Outcome, String),
    /// The machine.
    Machine(io::Error),
}

impl Attendant {
    /// Makes the keeper of what `prepare` finds, commits the start, says Go, looks after
    /// the session.
    pub async fn launch(mut self, prepare: impl FnOnce() -> Result<Launch, (Outcome, String)> + Send + 'static) {
        if let Err(error) = names::publish(&self.dir, &self.name) {
            tracing::warn!(%error, "it has no link in sessions/live");
        }
        let dir = self.dir.clone();
        // The tool is looked for among the user's files, which may lie far away.
        let launched = tokio::task::spawn_blocking(move || {
            let launch = prepare().map_err(|(outcome, why)| Trouble::Tool(outcome, why))?;
            let launched = session::launch(&dir, &launch.spec, &launch.files).map_err(Trouble::Machine)?;
            Ok((launch, launched))
        });
        let (launch, launched) = match launched.await.unwrap_or_else(|e| Err(Trouble::Machine(io::Error::other(e)))) {
            Ok(launched) => launched,
            Err(Trouble::Tool(outcome, why)) => return self.finish(End::Without(outcome, why), None).await,
            Err(Trouble::Machine(error)) => {
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
        let scoped = self.scoped();
        let (committed, ()) = tokio::join!(self.commit_start(&mut link, launch.argv, &launch.spec), scoped);
        if committed {
            if !launch.blotted.is_empty() {
                drop(link.send(&ToKeeper::Blot(launch.blotted)).await);
            }
            if !launch.secrets.is_empty() {
                drop(link.send(&ToKeeper::Environment(launch.secrets)).await);
            }
            self.go(&mut link).await;
        }
        self.attend(Some(link)).await;
    }

    /// Moves the keeper into a control group of its own, before it starts anything: later
    /// only the keeper itself would be moved.
    pub(super) fn scoped(&self) -> impl Future<Output = ()> + use<> {
        let (daemon, name, uid) = (Arc::clone(&self.daemon), self.name.clone(), self.uid);
        let keeper = self.keeper.as_ref().map(|keeper| keeper.pid);
        async move {
            if let (Some(limits), Some(keeper)) = (daemon.settings.scope(), keeper) {
                daemon.scopes.place(&daemon.paths, &name, uid, keeper, limits).await;
            }
        }
    }

    /// What is to blame for a launch that failed: the task, or a machine that has no room
    /// now and will have some again.
    fn blame(&self, error: &io::Error) -> Outcome {
        if !process::is_no_room(error) {
            return Outcome::LaunchFailed;
        }
        tracing::warn!(%error, "no session can be started now; others wait");
        self.daemon.rest();
        Outcome::NeverStarted
    }

    /// The keeper did not become ready.
    async fn stillborn(&mut self, error: &LinkError) -> End {
        // One that has hung up is about to end by itself, and says how.
        let silent = matches!(error, LinkError::Silent);
        // Not reaped yet, so its id is nobody else's; and it may be about to end just now.
        let handle = self.child.as_ref().and_then(|child| watched(PidFd::open(child.id())?).ok());
        let ended = match handle {
            Some(handle) if !silent => timeout(LEAVE_LIMIT, handle.readable()).await.is_ok(),
            _ => false,
        };
        let status = self.child.as_mut().filter(|_| ended).and_then(|child| child.try_wait().ok().flatten());
        self.kill_keeper().await;
        if status.and_then(|status| status.code()) == Some(i32::from(exit::EXIT_NO_ROOM)) {
            self.daemon.rest();
            return End::Without(Outcome::NeverStarted, self.keeper_words(error));
        }
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
    pub(super) async fn commit_start(&mut self, link: &mut Link, argv: Vec<String>, spec: &LaunchSpec) -> bool {
        let keeper_pid = self.keeper.as_ref().map(|keeper| keeper.pid);
        let store = &self.daemon.store;
        let committed = match self.attempt {
            Some(attempt) => {
                let start = AttemptStart {
                    argv,
                    keeper_pid,
                    size: (spec.columns, spec.rows),
                    conversation: spec.conversation.clone(),
                    resumed: spec.resumed,
                };
                store.start_attempt(attempt, start).await.map(drop)
            }
            None => store.start_session(self.uid, argv, keeper_pid).await,
        };
        let stop = match committed {
            Ok(()) => None,
            // It was committed, and the answer was lost.
            Err(StoreError::Refused(Refused::Already(Status::Running))) => None,
            // Ended meanwhile. That order may have come before there was anybody to take
            // it, so it is not left to the queue.
            Err(StoreError::Refused(Refused::Stopping(stop))) => Some(how(stop)),
            Err(error) => {
                tracing::error!(%error, "its start cannot be stored");
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

    pub(super) async fn go(&mut self, link: &mut Link) {
        let (generation, order) = link.next_order();
        if link.send(&ToKeeper::Go { generation, order }).await.is_ok() {
            crash::point("gone");
            tracing::info!("started");
            self.limit.run(Instant::now());
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
