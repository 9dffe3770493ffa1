//! What can go wrong inside, and how callers see it.

use super::StoreError;
use crate::protocol::fault::Fault;
use crate::task::Refused;

/// Why a job did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request does not fit; whoever asked is told.
    Fault(Fault),
    /// The task's machine says no.
    Refused(Refused),
    /// The database says no.
    Sql(rusqlite::Error),
}

impl Failure {
    /// As the answer to a read.
    pub(super) fn of_read(self) -> StoreError {
        match self {
            Failure::Sql(error) => StoreError::Fault(Fault::internal(format!("the database cannot be read: {error}"))),
            other => other.of_write(),
        }
    }

    /// As the answer to a write of which nothing is stored.
    pub(super) fn of_write(self) -> StoreError {
        match self {
            Failure::Fault(fault) => StoreError::Fault(fault),
            Failure::Refused(why) => StoreError::Refused(why),
            Failure::Sql(error) => StoreError::NotStored(error.to_string()),
        }
    }
}

/// Stopped by a progress handler.
pub(super) fn is_interrupt(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted)
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Sql(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}

impl From<Refused> for Failure {
    fn from(why: Refused) -> Self {
        Failure::Refused(why)
    }
}
