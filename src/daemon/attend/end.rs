//! A session's end: nothing of it may live, then it is stored, then its keeper may go,
//! then what it left is cleared up.

use std::io;

use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, timeout};

use super::{Attendant, LEAVE_LIMIT, STORE_PAUSE};
use crate::crash;
use crate::process::PidFd;
use crate::protocol::exit::{ExitReason, ExitRecord};
use crate::protocol::keeper::ToKeeper;
use crate::protocol::view::SessionState;
use crate::provider::{MAX_PRINTED, printed};
use crate::recording::{Reader, Source};
use crate::recovery::plan::{Dir, Record};
use crate::session::sweep::{Quarry, sweep};
use crate::session::{Link, names};
use crate::store::{AttemptEnd, StoreError};
use crate::task::Outcome;

/// How a session came to its end.
pub(super) enum End {
    /// The keeper's record.
    Record(Box<ExitRecord>),
    /// Without one.
    Without(Outcome, String),
}

/// A living keeper: a connection, and its process.
pub(super) type Kept = (Link, AsyncFd<PidFd>);

impl Attendant {
    /// Stores the end, then lets the keeper go, then clears up.
    pub(super) async fn finish(mut self, end: End, keeper: Option<Kept>) {
        if let End::Without(Outcome::Lost, _) = end {
            // Nothing of the attempt may live when it is called ended. With the other
            // outcomes its program never ran, or ran before this boot.
            self.sweep().await;
        }
        let bytes = match &end {
            End::Record(record) => record.recording_bytes,
            End::Without(..) => u64::MAX,
        };
        if matches!(&end, End::Record(record) if record.reason == ExitReason::NoRoom) {
            self.daemon.rest();
        }
        let told = match &end {
            End::Record(record) if !matches!(record.reason, ExitReason::LaunchFailed | ExitReason::NoRoom) => Ok(()),
            End::Record(record) => Err(record.problem().unwrap_or_default()),
            End::Without(_, why) => Err(why.clone()),
        };
        self.store_end(end).await;
        self.tell_opener(told);
        crash::point("end-stored");
        if let Some(keeper) = keeper {
            self.let_go(keeper).await;
        }
        self.clear_up(bytes);
    }

    /// The end is stored already: lets the keeper go, then clears up.
    pub async fn acknowledge(mut self) {
        if let Ok((link, hello)) = self.reach().await {
            self.met(&hello);
            self.daemon.roster.update(self.uid, |live| live.state = SessionState::Ended);
            if let Some(handle) = self.keeper_handle() {
                self.let_go((link, handle)).await;
            }
        }
        let bytes = match self.look().facts {
            Dir::Present { record: Record::Read(record), .. } => record.recording_bytes,
            _ => u64::MAX,
        };
        self.clear_up(bytes);
    }

    async fn let_go(&mut self, (mut link, keeper): Kept) {
        let (generation, order) = link.next_order();
        drop(link.send(&ToKeeper::Acknowledge { generation, order }).await);
        crash::point("acknowledged");
        if timeout(LEAVE_LIMIT, keeper.readable()).await.is_err() {
            tracing::warn!("its keeper was told to leave and stays: killed");
            drop(keeper.get_ref().signal(libc::SIGKILL));
            drop(timeout(LEAVE_LIMIT, keeper.readable()).await);
        }
    }

    fn clear_up(mut self, bytes: u64) {
        self.reap();
        let name = self.daemon.roster.get(self.uid).map_or_else(|| self.name.clone(), |live| live.name);
        if let Err(error) = names::withdraw(&self.dir, &name) {
            tracing::warn!(%name, %error, "its name cannot be taken out of sessions/live");
        }
        self.daemon.roster.leave(self.uid);
        self.daemon.session_left.notify_waiters();
        self.daemon.archiver.add(self.uid, self.dir.clone(), bytes, self.barred.take());
    }

    async fn sweep(&self) {
        // What its processes were given: the name may have changed since, and the state
        // directory may be called otherwise now.
        let given = self.look().spec;
        let state = given.as_ref().and_then(|spec| spec.steps.first()?.environment.get("AUTODEV_STATE").cloned());
        let quarry = Quarry {
            state: state.unwrap_or_else(|| self.daemon.paths.state.to_string_lossy().into_owned()),
            marker: given.as_ref().map_or(self.marker, |spec| spec.marker),
            session: given.map_or_else(|| self.name.clone(), |spec| spec.session),
        };
        loop {
            let quarry = quarry.clone();
            match tokio::task::spawn_blocking(move || sweep(&quarry)).await.map_err(io::Error::other).and_then(|r| r) {
                Ok(0) => return,
                Ok(killed) => {
                    tracing::info!(killed, "ended what a lost keeper had left");
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "what a lost keeper left cannot be ended yet");
                    sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// What the tool calls its conversation, where it has said so in its output.
    async fn conversation(&self) -> Option<String> {
        let registry = self.daemon.settings.registry();
        let tool = self.look().spec?.tool;
        let after = registry.conversation_after(&tool)?.to_owned();
        let source = Source::Directory(self.dir.path().to_owned());
        let find = move || {
            let mut reader = Reader::open(&source).ok()?;
            let mut head = vec![0; MAX_PRINTED];
            let piece = reader.read(reader.first(), &mut head).ok()??;
            printed(head.get(..piece.length)?, &after)
        };
        tokio::task::spawn_blocking(find).await.ok().flatten()
    }

    async fn store_end(&self, end: End) {
        let (outcome, error, record) = match end {
            End::Record(record) if self.out_of_time && record.reason == ExitReason::Stopped => {
                let how = record.problem().unwrap_or_else(|| format!("the program {}", record.exit));
                let why = format!("its time limit was over; {how}");
                (record.outcome(), Some(why), Some(*record))
            }
            End::Record(record) => (record.outcome(), record.problem(), Some(*record)),
            End::Without(outcome, why) => (outcome, Some(why), None),
        };
        let conversation = if self.attempt.is_some() && self.started { self.conversation().await } else { None };
        loop {
            let stored = match self.attempt {
                Some(attempt) => {
                    let end = AttemptEnd {
                        outcome,
                        error: error.clone(),
                        record: record.clone(),
                        conversation: conversation.clone(),
                    };
                    self.daemon.store.end_attempt(attempt, end).await.map(drop)
                }
                None => {
                    let lost = matches!(outcome, Outcome::Lost | Outcome::Interrupted | Outcome::Unknown);
                    let state = if lost && record.is_none() { SessionState::Lost } else { SessionState::Ended };
                    self.daemon.store.end_session(self.uid, state, error.clone(), record.clone()).await
                }
            };
            match stored {
                Ok(()) => {
                    match &error {
                        Some(why) => tracing::info!(outcome = outcome.name(), why, "ended"),
                        None => tracing::info!(outcome = outcome.name(), "ended"),
                    }
                    return;
                }
                Err(StoreError::Refused(refused)) => {
                    tracing::debug!(%refused, "its end is stored already");
                    return;
                }
                Err(StoreError::Fault(fault)) => {
                    // No time will mend that.
                    tracing::error!(error = fault.message, "its end cannot be stored");
                    return;
                }
                Err(error) => {
                    // The keeper waits with its record; nothing is lost.
                    tracing::error!(%error, "its end cannot be stored yet");
                    sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Kills the keeper; one that cannot be killed now is tried again.
    pub(super) async fn kill_keeper(&mut self) {
        self.give_up = self.give_up.map(|_| Instant::now() + LEAVE_LIMIT);
        if let Some(handle) = self.keeper_handle() {
            drop(handle.get_ref().signal(libc::SIGKILL));
            drop(timeout(LEAVE_LIMIT, handle.readable()).await);
        }
        self.reap();
    }

    /// Takes an ended keeper off the system's hands.
    pub(super) fn reap(&mut self) {
        match (&mut self.child, &self.keeper) {
            (Some(child), _) => drop(child.try_wait()),
            // A daemon that was started anew in its own place has children it never made.
            (None, Some(keeper)) => crate::process::reap(keeper.pid),
            (None, None) => {}
        }
    }
}
