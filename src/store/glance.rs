//! A look at the database without a daemon. Nothing is written: for those who ask what a
//! start would do.

use rusqlite::Connection;

use super::{OpenError, StoreError, Unfinished, events, migrate, open, show};
use crate::id::Uid;
use crate::paths::Paths;

/// The database as it lies there, examined as a start would.
#[derive(Debug)]
pub struct Glance(Option<Connection>);

impl Glance {
    /// Opens it for reading. Where there is none yet, there is nothing to see.
    ///
    /// # Errors
    /// What would keep a daemon from starting.
    pub fn open(paths: &Paths) -> Result<Glance, OpenError> {
        open::look(paths).map(Glance)
    }

    /// The last entry of the history, 0 before the first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn last_entry(&self) -> Result<i64, StoreError> {
        let Some(conn) = &self.0 else { return Ok(0) };
        events::last(conn).map(|(seq, ..)| seq).map_err(|error| super::Failure::from(error).of_read())
    }

    /// As [`Store::unfinished`](super::Store::unfinished).
    ///
    /// # Errors
    /// When it cannot be read, or is of an older form.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let Some(conn) = &self.0 else { return Ok(Vec::new()) };
        show::unfinished(conn).map_err(|failure| self.explained(failure.of_read()))
    }

    /// As [`Store::has_session`](super::Store::has_session).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn has_session(&self, session: Uid) -> Result<bool, StoreError> {
        let Some(conn) = &self.0 else { return Ok(false) };
        show::has_session(conn, session).map_err(|error| super::Failure::from(error).of_read())
    }

    /// The connection, if there is a database.
    pub(super) fn connection(&self) -> Option<&Connection> {
        self.0.as_ref()
    }

    fn explained(&self, error: StoreError) -> StoreError {
        let version = self.0.as_ref().and_then(|conn| migrate::version(conn).ok());
        match version {
            Some(version) if version < migrate::latest() => StoreError::Fault(crate::protocol::Fault::conflict(
                "the database is of an older form: a start brings it up to date first, then looks at the sessions",
            )),
            _ => error,
        }
    }
}
