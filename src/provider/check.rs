//! Whether a task can be run, as far as that can be known before it is its turn.

use std::path::Path;

use super::{Entry, LaunchError, LaunchRequest, Registry};
use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::Fault;
use crate::reference::Keys;
use crate::task::TaskSpec;

/// What is worth knowing of a task that can be stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Why it could not be run now, such as a tool that is not installed yet.
    pub not_now: Option<String>,
    /// Variables it would have to do without, one line each.
    pub left_out: Vec<String>,
}

impl Registry {
    /// The provider of this name.
    ///
    /// # Errors
    /// `NotFound` with the nearest name there is.
    pub fn find(&self, name: &str) -> Result<&Entry, Fault> {
        self.get(name).ok_or_else(|| {
            let fault = Fault::not_found(format!("there is no provider '{name}'"));
            match self.nearest(name) {
                Some(nearest) => fault.hint(format!("did you mean '{nearest}'? 'autodev providers' lists them")),
                None => fault.hint("'autodev providers' lists them"),
            }
        })
    }

    /// That the task's provider can do what is asked of it. `keys` is the environment it
    /// would be started from.
    ///
    /// # Errors
    /// `NotFound` for the provider, `Usage` for what it cannot do.
    pub fn check(&self, spec: &TaskSpec, keys: Keys<'_>) -> Result<Remarks, Fault> {
        self.find(&spec.provider)?;
        let session = AttemptId { task: TaskId(1), number: 1 }.session();
        let trial = LaunchRequest::of(spec, &session, Uid::from_bytes([0; 16]), Path::new("/"), Path::new("/"));
        let trial = LaunchRequest { trial: true, ..trial };
        match self.launch(&trial, keys) {
            Ok(launch) => Ok(Remarks { not_now: None, left_out: launch.warnings }),
            Err(error @ (LaunchError::NotInstalled { .. } | LaunchError::BadTable { .. })) => {
                Ok(Remarks { not_now: Some(error.to_string()), left_out: Vec::new() })
            }
            Err(error) => Err(Fault::usage(error.to_string())),
        }
    }
}
