//! Errors as clients see them: a stable code, what failed and why, and what helps.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of an error. The CLI's exit status follows from it. Grows at its end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCode {
    /// Something failed that is nobody's request.
    Internal,
    /// The request makes no sense.
    Usage,
    /// No daemon, or none that talks.
    Unreachable,
    /// What was named does not exist.
    NotFound,
    /// Not allowed.
    Permission,
    /// It does not fit the current state.
    Conflict,
    /// Nothing was stored; trying again is safe.
    NotStored,
    /// It is not known whether it was stored; repeat with the same key.
    Unknown,
    /// The other side does not know such a message.
    UnknownMessage,
    /// Too many, too long, too slow.
    Limit,
}

impl FaultCode {
    /// The exit status of a command that ends with this (`man autodev`).
    pub fn exit_status(self) -> u8 {
        match self {
            FaultCode::Internal
            | FaultCode::NotStored
            | FaultCode::Unknown
            | FaultCode::UnknownMessage
            | FaultCode::Limit => 1,
            FaultCode::Usage => 2,
            FaultCode::Unreachable => 3,
            FaultCode::NotFound => 4,
            FaultCode::Permission => 5,
            FaultCode::Conflict => 6,
        }
    }
}

/// An error for a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Its kind.
    pub code: FaultCode,
    /// What failed and why, one sentence without a full stop.
    pub message: String,
    /// The command or step that helps.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Fault { code, message: message.into(), hint: None }
    }

    /// The same with what helps.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// [`FaultCode::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Fault::new(FaultCode::Usage, message)
    }

    /// [`FaultCode::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Fault::new(FaultCode::NotFound, message)
    }

    /// [`FaultCode::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Self {
        Fault::new(FaultCode::Conflict, message)
    }

    /// [`FaultCode::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Fault::new(FaultCode::Internal, message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
