//! A client of the daemon: blocking, without a runtime.

use std::os::unix::net::UnixStream;

use crate::paths::Paths;
use crate::protocol::{Fault, Reply, Request};

pub mod attach;
mod connect;
pub mod find;
pub mod keeper_link;
pub mod keys;
mod notice;
mod signals;
pub mod terminal;

pub use connect::Start;

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to the instance's daemon and says hello.
    ///
    /// # Errors
    /// `Unreachable` when there is no daemon, none that talks, or none may be started.
    pub fn connect(paths: &Paths, start: Start) -> Result<Client, Fault> {
        Ok(Client { stream: connect::connect(paths, start)? })
    }

    /// Sends a request and waits for its answer. A refusal is an error.
    ///
    /// # Errors
    /// The daemon's fault, or `Unreachable` when the connection is lost.
    pub fn call(&mut self, _request: &Request) -> Result<Reply, Fault> {
        let _ = &self.stream;
        Err(Fault::internal("not there yet"))
    }
}
