//! A transaction under way, as the jobs in it see it.

use std::convert::Infallible;

use rusqlite::Connection;

use super::failure::Failure;
use crate::clock::Timestamp;
use crate::protocol::fault::Fault;
use crate::protocol::view::EventView;

/// Where the history and the numbers stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// Number of the last event.
    pub seq: i64,
    /// Its hash.
    pub hash: [u8; 32],
    /// Highest task number given out.
    pub highest_task: i64,
}

/// What a commit makes necessary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wakes {
    /// A task may be claimable now that was not, or a slot is free.
    pub queue: bool,
    /// A task waits for a moment that may be the next one.
    pub due: bool,
    /// There are batches to release or dependents to look at.
    pub chores: bool,
    /// There is text to index.
    pub index: bool,
}

/// A transaction under way.
pub(super) struct Tx<'c> {
    /// The writer's connection, inside the transaction.
    pub conn: &'c Connection,
    /// The time of everything in it: the clock, but never before the last event.
    pub now: Timestamp,
    /// The clock itself: what is due is due by it, whatever it said before.
    pub clock: Timestamp,
    /// Where the chain is after what has been appended so far.
    pub head: Chain,
    /// What has been appended so far.
    pub events: Vec<EventView>,
    /// What the commit makes necessary.
    pub wakes: Wakes,
    /// The generation to be remembered with the commit.
    pub generation: u64,
    /// There is one job in it: when that fails, nothing of the transaction is kept.
    pub lone: bool,
    /// The lone job has failed.
    pub failed: bool,
}

impl Tx<'_> {
    /// Runs `work` so that it leaves nothing behind when it fails.
    pub(super) fn savepoint<T>(&mut self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.lone {
            let result = work(self);
            self.failed = result.is_err();
            return result;
        }
        let (head, events, generation) = (self.head, self.events.len(), self.generation);
        self.conn.prepare_cached("SAVEPOINT job")?.execute([])?;
        let result = work(self);
        // Some errors (disk full, input/output) have ended the transaction already; then
        // there is nothing to roll back to, and the writer sees it.
        if self.conn.is_autocommit() {
            return result;
        }
        if result.is_err() {
            (self.head, self.generation) = (head, generation);
            self.events.truncate(events);
            self.conn.prepare_cached("ROLLBACK TO job")?.execute([])?;
        }
        self.conn.prepare_cached("RELEASE job")?.execute([])?;
        result
    }

    /// Runs `work` to see what would come of it, and leaves nothing of it behind.
    pub(super) fn trial<T>(&mut self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let lone = std::mem::replace(&mut self.lone, false);
        let mut seen = None;
        let tried = self.savepoint::<Infallible>(|tx| {
            seen = Some(work(tx)?);
            Err(Fault::internal("it was only tried").into())
        });
        self.lone = lone;
        match (seen, tried) {
            (Some(seen), _) => Ok(seen),
            (None, Err(failure)) => Err(failure),
        }
    }
}
