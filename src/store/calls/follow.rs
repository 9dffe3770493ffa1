//! What a copy elsewhere reads.

use crate::id::TaskId;
use crate::protocol::view::EventView;
use crate::store::{Changes, Lineage, Mark, Store, StoreError, TaskRow, events, follow};

impl Store {
    /// Which database this is, and which life of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn lineage(&self) -> Result<Lineage, StoreError> {
        self.read(|r| follow::lineage(&r.conn)).await
    }

    /// The place of an entry of the history, 0 being before the first; `None` where there is
    /// none of this number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn mark(&self, seq: i64) -> Result<Option<Mark>, StoreError> {
        self.read(move |r| Ok(follow::mark(&r.conn, seq)?)).await
    }

    /// The last place of the history.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn head(&self) -> Result<Mark, StoreError> {
        self.read(|r| Ok(follow::head(&r.conn)?)).await
    }

    /// Up to `most` entries after a place, and the tasks they are about, all of one moment;
    /// `None` when the place is not in this history.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn changes(&self, after: Mark, most: u32) -> Result<Option<Changes>, StoreError> {
        self.read(move |r| follow::changes(&r.conn, &after, most)).await
    }

    /// Up to `most` tasks with numbers above this one, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn task_rows_above(&self, above: TaskId, most: u32) -> Result<Vec<TaskRow>, StoreError> {
        self.read(move |r| follow::page(&r.conn, above, most)).await
    }

    /// Up to `most` entries of the history after this one.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn entries(&self, after: i64, most: u32) -> Result<Vec<EventView>, StoreError> {
        self.read(move |r| Ok(events::page(&r.conn, None, after, most)?)).await
    }

    /// These tasks; one that is not there is left out.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn task_rows(&self, tasks: Vec<TaskId>) -> Result<Vec<TaskRow>, StoreError> {
        self.read(move |r| follow::rows(&r.conn, tasks)).await
    }
}
