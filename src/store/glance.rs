//! A look at the database without a daemon. Nothing is written: for those who ask what a
//! start would do.

use rusqlite::{Connection, OptionalExtension};

use super::{OpenError, StoreError, Timestamp, Unfinished, migrate, open, show};
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

    /// When the first entry after an entry was written, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn next_entry_at(&self, after: i64) -> Result<Option<Timestamp>, StoreError> {
        let Some(conn) = &self.0 else { return Ok(None) };
        conn.query_row("SELECT at FROM events WHERE seq > ?1 ORDER BY seq LIMIT 1", [after], |row| row.get(0))
            .optional()
            .map(|at| at.map(Timestamp))
            .map_err(|error| super::Failure::from(error).of_read())
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
