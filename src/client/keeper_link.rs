//! A connection to one session's keeper: blocking, or driven by a poll loop.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::protocol::keeper::{self, FromKeeper, KeeperHello, RefusedCode, Role, ToKeeper};
use crate::socket;

/// Bytes asked for at once: one frame of output.
const READ_SIZE: usize = keeper::MAX_OUTPUT + 64;

/// A connection after its hello.
#[derive(Debug)]
pub struct Link {
    stream: UnixStream,
    /// The keeper's [`keeper::VERSION`].
    version: u16,
    /// Longer than what was received: making it so each time would cost more than reading.
    buffer: Vec<u8>,
    /// What was received and not taken out.
    received: Range<usize>,
}

impl Link {
    /// Says hello as a client and waits for the keeper's: who it is and how far the
    /// session has come.
    ///
    /// # Errors
    /// `TimedOut` when there is none within `limit`; otherwise the stream's own.
    pub fn open(stream: UnixStream, limit: Duration) -> io::Result<(Link, KeeperHello)> {
        let mut link = Link { stream, version: 0, buffer: Vec::new(), received: 0..0 };
        link.send(&ToKeeper::Hello { version: keeper::VERSION, role: Role::Client, generation: 0 })?;
        match link.receive(Some(limit))? {
            FromKeeper::Hello(hello) => {
                link.version = hello.version;
                Ok((link, hello))
            }
            FromKeeper::Refused { reason, .. } => Err(io::Error::new(io::ErrorKind::PermissionDenied, reason)),
            other => Err(invalid(format!("the keeper began with {other:?} instead of a hello"))),
        }
    }

    /// The keeper sends pictures alone where it is asked to.
    pub fn knows_pictures(&self) -> bool {
        self.version >= 2
    }

    /// Sends a message, waiting until the keeper has room for it.
    ///
    /// # Errors
    /// The stream's own.
    pub fn send(&mut self, message: &ToKeeper) -> io::Result<()> {
        self.stream.write_all(&message.encode())
    }

    /// Waits for the next message, for ever without a limit.
    ///
    /// # Errors
    /// `TimedOut` after `limit`, `UnexpectedEof` when the keeper hangs up, `InvalidData`
    /// for bytes that are no message; otherwise the stream's own.
    pub fn receive(&mut self, limit: Option<Duration>) -> io::Result<FromKeeper> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if !socket::readable(&self.stream, left)? {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the session's keeper does not answer"));
                }
            }
            if self.fill()? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the session's keeper hung up"));
            }
        }
    }

    /// Sends a question and waits for the answer that `pick` knows. Other messages are
    /// passed over; a refusal is an error.
    ///
    /// # Errors
    /// As [`Link::receive`]; `Other` with the keeper's reason when it refuses,
    /// `PermissionDenied` when that is because we run inside a session.
    pub fn ask<T>(
        &mut self,
        question: &ToKeeper,
        limit: Duration,
        mut pick: impl FnMut(FromKeeper) -> Option<T>,
    ) -> io::Result<T> {
        self.send(question)?;
        let deadline = Instant::now() + limit;
        loop {
            match self.receive(Some(deadline.saturating_duration_since(Instant::now())))? {
                FromKeeper::Refused { code: RefusedCode::Agent, reason } => {
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
                }
                FromKeeper::Refused { reason, .. } => return Err(io::Error::other(reason)),
                message => {
                    if let Some(answer) = pick(message) {
                        return Ok(answer);
                    }
                }
            }
        }
    }

    /// Whether [`Link::fill`] and [`Link::write`] wait from now on, or fail with
    /// `WouldBlock` instead.
    ///
    /// # Errors
    /// The system's own.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.stream.set_nonblocking(on)
    }

    /// Reads once; 0 when the keeper has hung up.
    ///
    /// # Errors
    /// The stream's own.
    pub fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.received.clone(), 0);
        self.received = 0..self.received.len();
        let wanted = self.received.end + READ_SIZE;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let result = loop {
            match self.stream.read(&mut self.buffer[self.received.end..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.received.end += *result.as_ref().unwrap_or(&0);
        result
    }

    /// The next whole message among what was read. Types of newer keepers are skipped.
    ///
    /// # Errors
    /// `InvalidData` for bytes that are no message.
    pub fn take(&mut self) -> io::Result<Option<FromKeeper>> {
        while let Some(whole) = keeper::split(&self.buffer[self.received.clone()]).map_err(invalid)? {
            self.received.start += whole.length;
            if let Some(message) = FromKeeper::decode(whole.kind, whole.payload).map_err(invalid)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Writes what the keeper takes of `bytes`, which are frames.
    ///
    /// # Errors
    /// The stream's own.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
