//! Moments that tasks wait for, and switches that outlive the daemon.

use crate::clock::Timestamp;
use crate::store::{FEW_ROWS, Store, StoreError, due, settings};
impl Store {
    /// The earliest moment a queued task waits for.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|r| due::next(&r.conn, Timestamp::now())).await
    }

    /// Makes tasks whose moment has come claimable, in chunks.
    ///
    /// # Errors
    /// When it is not stored; what was released before stays so.
    pub async fn release_due(&self, now: Timestamp) -> Result<(), StoreError> {
        while self.write(due::CHUNK, move |tx| due::release(tx, now)).await? {}
        Ok(())
    }

    /// Sets a queue-wide switch, which outlives the daemon.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn set_preference(&self, name: &'static str, value: String) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| settings::set_preference(tx, name, &value)).await
    }

    /// A queue-wide switch, if it was ever set.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn preference(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        self.read(move |r| settings::preference(&r.conn, name)).await
    }
}
