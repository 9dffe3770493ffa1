//! One connection as bytes: hello, frames, time limits.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::protocol::control::{Ask, Tell};
use crate::protocol::hello::{self, Hello, Role};
use crate::protocol::{Fault, FaultCode, Frame, Kind, Reply, codec};
use crate::socket;

/// A daemon that does not take a request for this long does not live.
const SEND_LIMIT: Duration = Duration::from_secs(30);
/// Read at once: most answers fit.
const READ_BUFFER: usize = 16 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection is lost, or nothing came in time.
    Lost(io::Error),
    /// The daemon speaks another version, and has done nothing.
    Version(Hello),
    /// The daemon will not talk, or not sensibly.
    Fault(Fault),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Broken::Fault(Fault::new(FaultCode::Unreachable, error.to_string())),
            _ => Broken::Lost(error),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    reader: io::BufReader<Timed>,
    said_hello: bool,
    daemon: Option<Hello>,
}

/// A stream whose reads end at a deadline.
#[derive(Debug)]
struct Timed {
    stream: UnixStream,
    deadline: Option<Instant>,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if !socket::readable(&self.stream, left)? {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
            }
        }
        self.stream.read(buffer)
    }
}

impl Wire {
    pub(super) fn new(stream: UnixStream) -> Self {
        let timed = Timed { stream, deadline: None };
        Wire { reader: io::BufReader::with_capacity(READ_BUFFER, timed), said_hello: false, daemon: None }
    }

    /// Sends a frame's bytes; the first time with our hello before it, in one write.
    pub(super) fn send(&mut self, frame: &[u8]) -> Result<(), Broken> {
        let mut stream = &self.reader.get_ref().stream;
        stream.set_write_timeout(Some(SEND_LIMIT))?;
        if self.said_hello {
            return Ok(stream.write_all(frame)?);
        }
        let mut bytes = Hello::mine(Role::Client).encode();
        bytes.extend_from_slice(frame);
        self.said_hello = true;
        Ok(stream.write_all(&bytes)?)
    }

    /// The next answer, within `limit`.
    pub(super) fn receive(&mut self, limit: Option<Duration>) -> Result<Reply, Broken> {
        self.limit(limit);
        let daemon = self.daemon()?.clone();
        // The daemon refuses another major by itself, but the hello says it better.
        if daemon.major != hello::MAJOR {
            return Err(Broken::Version(daemon));
        }
        let reply = match Frame::read(&mut self.reader)? {
            Frame { kind: Kind::Reply, payload } => codec::decode(&payload)
                .map_err(|e| Broken::Fault(Fault::internal(format!("the daemon's answer is {e}"))))?,
            frame => return Err(not_a_reply(&frame)),
        };
        match reply {
            // It has done nothing: the message is newer than the daemon.
            Reply::Fault(Fault { code: FaultCode::UnknownMessage, .. }) if daemon.minor != hello::MINOR => {
                Err(Broken::Version(daemon))
            }
            reply => Ok(reply),
        }
    }

    /// Something can be read at once.
    pub(super) fn has_more(&self) -> io::Result<bool> {
        Ok(!self.reader.buffer().is_empty() || socket::readable(&self.reader.get_ref().stream, Duration::ZERO)?)
    }

    /// Asks of the control set, whatever the daemon's version.
    pub(super) fn control(&mut self, ask: &Ask, limit: Duration) -> Result<Tell, Broken> {
        let frame = Frame { kind: Kind::Control, payload: ask.encode() };
        let bytes = frame.encode().map_err(|e| Broken::Fault(Fault::internal(e.to_string())))?;
        self.send(&bytes)?;
        self.limit(Some(limit));
        self.daemon()?;
        match Frame::read(&mut self.reader)? {
            Frame { kind: Kind::Control, payload } => Tell::decode(&payload)
                .ok_or_else(|| Broken::Fault(Fault::internal("the daemon's answer is not understood"))),
            frame => Err(not_a_reply(&frame)),
        }
    }

    /// Reads until the other side closes the connection; `false` when it does not in time.
    pub(super) fn ends_within(&mut self, limit: Duration) -> bool {
        self.limit(Some(limit));
        let mut rest = [0; 256];
        loop {
            match self.reader.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != io::ErrorKind::TimedOut,
            }
        }
    }

    fn limit(&mut self, limit: Option<Duration>) {
        self.reader.get_mut().deadline = limit.map(|limit| Instant::now() + limit);
    }

    /// The daemon's hello, read once.
    fn daemon(&mut self) -> Result<&Hello, Broken> {
        if self.daemon.is_none() {
            let hello = Hello::read(&mut self.reader)?;
            if hello.role != Role::Daemon {
                let fault = Fault::new(FaultCode::Unreachable, "what listens at the daemon's socket is not a daemon");
                return Err(Broken::Fault(fault));
            }
            return Ok(self.daemon.insert(hello));
        }
        match &self.daemon {
            Some(hello) => Ok(hello),
            None => Err(Broken::Lost(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn not_a_reply(frame: &Frame) -> Broken {
    Broken::Fault(match frame.kind {
        Kind::Refusal => Fault::new(FaultCode::Permission, String::from_utf8_lossy(&frame.payload).into_owned()),
        kind => Fault::internal(format!("the daemon sent a {kind:?} frame where an answer belongs")),
    })
}
