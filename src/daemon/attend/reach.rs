//! How a keeper is found again, and what is known of a session that has none any more.

use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use super::end::End;
use super::{Attendant, RECONNECT_PAUSE, UNREADABLE, until};
use crate::daemon::{Leave, watched};
use crate::lock::FileLock;
use crate::process::{PidFd, ProcessId};
use crate::protocol::keeper::KeeperHello;
use crate::protocol::view::SessionState;
use crate::recovery::{self, plan};
use crate::session::{Link, LinkError, Order};
use crate::task::Outcome;

impl Attendant {
    /// Connects to the keeper, however long it takes, as long as its lock is held; else
    /// says how the session ended.
    pub(super) async fn reach(&mut self) -> Result<(Link, KeeperHello), End> {
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
                    Err(LinkError::Generation(_)) if !self.daemon.lock.is_at(&self.daemon.paths.daemon_lock()) => {
                        tracing::error!("another daemon serves the sessions: our lock file is gone");
                        self.daemon.leave(Leave::Failed);
                    }
                    Err(LinkError::Generation(seen)) => match self.daemon.store.raise_generation(seen).await {
                        Ok(_) => continue,
                        Err(error) => tracing::error!(%error, "the generation cannot be raised"),
                    },
                    other => {
                        let why = match other {
                            Err(error) => error.to_string(),
                            Ok(_) => "another session's keeper answers at its socket".to_owned(),
                        };
                        tracing::info!(why, "its keeper cannot be reached");
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
                    Order::Look => pause = RECONNECT_PAUSE.0,
                    // Nobody is there to ask.
                    Order::Measure => {}
                },
                () = until(self.give_up) => {
                    tracing::warn!("it is to end, and its keeper does not answer: killed");
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

    pub(super) fn look(&self) -> recovery::Found {
        recovery::gather::look(self.dir.clone()).of(self.uid)
    }

    pub(super) fn keeper_process(&self) -> Option<ProcessId> {
        match (&self.keeper, &self.child) {
            (Some(keeper), _) => Some(keeper.clone()),
            (None, Some(child)) => ProcessId::of(child.id()),
            (None, None) => self.look().keeper.map(|keeper| keeper.process),
        }
    }

    pub(super) fn keeper_handle(&self) -> Option<AsyncFd<PidFd>> {
        watched(self.keeper_process()?.open()?).ok()
    }
}
