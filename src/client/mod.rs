//! A client of the daemon: blocking, without a runtime.
//!
//! The hello goes out together with the first request, so a command that asks one thing
//! costs one write and, most often, one read.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use crate::config;
use crate::door;
use crate::paths::Paths;
use crate::protocol::control::{Ask, Tell};
use crate::protocol::hello::{self, Hello};
use crate::protocol::{Fault, FaultCode, Kind, Reply, Request, codec};

mod connect;
pub mod find;
pub mod keeper_link;
pub mod offline;
mod start;
mod wire;

pub use connect::Start;
pub use start::program;
use wire::{Broken, Wire};

/// An answer that takes longer than this will not come: any answer needs one commit or
/// one page of a listing.
const REPLY_LIMIT: Duration = Duration::from_secs(30);
/// Ending every session gently takes 15 s, and leaving the daemon a little more.
const LEAVE_LIMIT: Duration = Duration::from_secs(60);
/// How long a repeatable request is repeated after its connection was lost.
const REPEAT_LIMIT: Duration = Duration::from_secs(30);
/// Losses in a row without an answer between them. Many, because a daemon that is killed
/// over and over must not cost a task; but a request that itself ends the daemon shall not
/// do so for ever.
const MAX_LOSSES: u32 = 100;
/// Repeatable requests sent ahead of their answers: enough to keep the daemon's writer
/// busy while we encode the next one.
const WINDOW: usize = 4;

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    paths: Paths,
    start: Start,
    restarted: bool,
}

impl Client {
    /// Connects to the instance's daemon, and starts it first where `start` allows it.
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// `Unreachable` when there is no daemon, none that answers, or none may be started.
    pub fn connect(paths: &Paths, start: Start) -> Result<Client, Fault> {
        let wire = Wire::new(connect::connect(paths, start)?);
        Ok(Client { wire, paths: paths.clone(), start, restarted: false })
    }

    /// Connects to a daemon that is there within `limit`; never starts one, never waits
    /// for one. For shell completion.
    pub fn connect_quickly(paths: &Paths, limit: Duration) -> Option<Client> {
        let stream = connect::try_connect(paths, limit).ok()??;
        Some(Client { wire: Wire::new(stream), paths: paths.clone(), start: Start::Never, restarted: true })
    }

    /// Sends a request and waits for its answer. A refusal is an error. When the connection
    /// is lost, a request that may be asked twice is asked again.
    ///
    /// # Errors
    /// The daemon's fault, or `Unreachable` when the connection is lost.
    pub fn call(&mut self, request: &Request) -> Result<Reply, Fault> {
        self.call_within(request, Some(REPLY_LIMIT))
    }

    /// As [`Client::call`] with another limit; `None` waits for ever.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn call_within(&mut self, request: &Request, limit: Option<Duration>) -> Result<Reply, Fault> {
        let mut losses = 0;
        loop {
            match self.exchange(request, limit)? {
                Ok(reply) => return Ok(reply),
                // A daemon that is killed with our connection waiting, or restarted.
                Err(error)
                    if request.is_repeatable() && error.kind() != io::ErrorKind::TimedOut && losses < MAX_LOSSES =>
                {
                    losses += 1;
                    self.reconnect()?;
                }
                Err(error) => return Err(lost(error)),
            }
        }
    }

    /// As [`Client::call_within`] without a limit, for a request that may be asked again:
    /// when the connection is lost, because the daemon is restarted for instance, `Ok(None)`
    /// comes back and the client is connected anew.
    ///
    /// # Errors
    /// The daemon's fault, or `Unreachable` when there is no daemon any more.
    pub fn call_or_reconnect(&mut self, request: &Request) -> Result<Option<Reply>, Fault> {
        match self.exchange(request, None)? {
            Ok(reply) => Ok(Some(reply)),
            Err(_) => self.reconnect().map(|()| None),
        }
    }

    /// The next answer of a stream that [`Client::call_or_reconnect`] began; as there,
    /// `None` says that the connection was lost and made anew.
    ///
    /// # Errors
    /// As [`Client::call_or_reconnect`].
    pub fn next_reply(&mut self) -> Result<Option<Reply>, Fault> {
        match self.wire.receive(None) {
            Ok(reply) => refused(reply).map(Some),
            Err(Broken::Lost(_)) => self.reconnect().map(|()| None),
            Err(Broken::Fault(fault)) => Err(fault),
            Err(Broken::Version(daemon)) => Err(too_different(&daemon)),
        }
    }

    /// Sends a request whose answers [`Client::next_reply`] reads, without waiting for the first.
    ///
    /// # Errors
    /// `Unreachable` when there is no daemon any more.
    pub fn begin(&mut self, request: &Request) -> Result<(), Fault> {
        let frame = encode(request)?;
        if self.wire.send(&frame).is_err() {
            self.reconnect()?;
            return self.wire.send(&frame).map_err(|broken| match broken {
                Broken::Lost(error) => lost(error),
                Broken::Fault(fault) => fault,
                Broken::Version(daemon) => too_different(&daemon),
            });
        }
        Ok(())
    }

    /// An answer, or a part of one, is here already.
    ///
    /// # Errors
    /// `Unreachable` when the connection cannot be asked.
    pub fn has_more(&self) -> Result<bool, Fault> {
        self.wire.has_more().map_err(lost)
    }

    /// Sends requests that change nothing when repeated, some ahead of their answers, and
    /// gives each answer to `each`, in order. When the connection is lost it connects
    /// again, starting the daemon if that is allowed, and repeats what has no answer.
    ///
    /// # Errors
    /// The first fault of the daemon or of `each`; `Unknown` when the connection stays
    /// lost and something was sent: it may have been carried out.
    pub fn pipeline(
        &mut self,
        requests: impl IntoIterator<Item = Request>,
        mut each: impl FnMut(Reply) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut requests = requests.into_iter();
        let mut open: VecDeque<Vec<u8>> = VecDeque::new();
        let mut losses = 0;
        let mut last_answer = Instant::now();
        loop {
            let mut result = Ok(());
            while result.is_ok() && open.len() < WINDOW {
                let Some(request) = requests.next() else { break };
                let frame = encode(&request)?;
                result = self.wire.send(&frame);
                open.push_back(frame);
            }
            if open.is_empty() {
                return Ok(());
            }
            let broken = match result.and_then(|()| self.wire.receive(Some(REPLY_LIMIT))) {
                Ok(reply) => {
                    open.pop_front();
                    (losses, last_answer) = (0, Instant::now());
                    each(refused(reply)?)?;
                    continue;
                }
                Err(broken) => broken,
            };
            match broken {
                Broken::Fault(fault) => return Err(fault),
                Broken::Version(daemon) => self.replace(&daemon)?,
                Broken::Lost(error) => {
                    losses += 1;
                    if losses >= MAX_LOSSES || last_answer.elapsed() > REPEAT_LIMIT {
                        return Err(unknown(&error.to_string()));
                    }
                    self.reconnect().map_err(|fault| unknown(&fault.message))?;
                }
            }
            for frame in &open {
                // A connection lost again shows when the answer is read.
                if self.wire.send(frame).is_err() {
                    break;
                }
            }
        }
    }

    /// Sends one request that changes nothing when repeated, as [`Client::pipeline`] does.
    ///
    /// # Errors
    /// As there.
    pub fn call_surely(&mut self, request: Request) -> Result<Reply, Fault> {
        let mut answer = None;
        self.pipeline([request], |reply| {
            answer = Some(reply);
            Ok(())
        })?;
        answer.ok_or_else(|| Fault::internal("the daemon gave no answer"))
    }

    /// Asks something of the control set, which daemons of every version understand.
    ///
    /// # Errors
    /// `Unreachable` when the connection is lost, `Conflict` when it is refused.
    pub fn control(&mut self, ask: &Ask) -> Result<Tell, Fault> {
        match self.wire.control(ask, REPLY_LIMIT) {
            Ok(Tell::Refused { reason }) => Err(Fault::conflict(reason)),
            Ok(tell) => Ok(tell),
            Err(Broken::Fault(fault)) => Err(fault),
            Err(Broken::Lost(error)) => Err(lost(error)),
            Err(Broken::Version(daemon)) => Err(too_different(&daemon)),
        }
    }

    /// Waits until the daemon has left, after it agreed to `Stop` or `Restart`.
    ///
    /// # Errors
    /// `Conflict` when it does not leave within a minute.
    pub fn wait_until_gone(&mut self) -> Result<(), Fault> {
        if self.wire.ends_within(LEAVE_LIMIT) {
            Ok(())
        } else {
            Err(Fault::conflict(format!("the daemon has not left after {} s", LEAVE_LIMIT.as_secs()))
                .hint("look into its log: 'autodev daemon logs'"))
        }
    }

    fn reconnect(&mut self) -> Result<(), Fault> {
        self.wire = Wire::new(connect::connect(&self.paths, self.start)?);
        Ok(())
    }

    fn exchange(&mut self, request: &Request, limit: Option<Duration>) -> Result<Result<Reply, std::io::Error>, Fault> {
        let frame = encode(request)?;
        loop {
            match self.wire.send(&frame).and_then(|()| self.wire.receive(limit)) {
                Ok(reply) => return refused(reply).map(Ok),
                Err(Broken::Fault(fault)) => return Err(fault),
                Err(Broken::Lost(error)) => return Ok(Err(error)),
                Err(Broken::Version(daemon)) => self.replace(&daemon)?,
            }
        }
    }

    /// An older daemon is restarted, once, so that the one of our own version takes its
    /// place; agents are not touched.
    fn replace(&mut self, daemon: &Hello) -> Result<(), Fault> {
        let older = (daemon.major, daemon.minor) < (hello::MAJOR, hello::MINOR);
        if !older || self.restarted || self.start == Start::Never || door::inside_session().is_some() {
            return Err(too_different(daemon));
        }
        if !may_restart(&self.paths) {
            return Err(too_different(daemon));
        }
        self.restarted = true;
        self.reconnect()?;
        self.control(&Ask::Restart)?;
        self.wait_until_gone()?;
        self.reconnect()
    }
}

fn encode(request: &Request) -> Result<Vec<u8>, Fault> {
    let frame = codec::frame(Kind::Request, request).map_err(|e| Fault::usage(e.to_string()))?;
    frame.encode().map_err(|e| Fault::usage(e.to_string()))
}

fn refused(reply: Reply) -> Result<Reply, Fault> {
    match reply {
        Reply::Fault(fault) => Err(fault),
        reply => Ok(reply),
    }
}

/// An answer of another kind than the request's: a defect on the other side.
pub fn unexpected(reply: &impl std::fmt::Debug) -> Fault {
    let text = format!("{reply:?}");
    let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("nothing");
    Fault::internal(format!("the daemon answered with {name}, which is not what was asked"))
        .hint("'autodev daemon restart' brings both to the same version")
}

fn lost(error: std::io::Error) -> Fault {
    Fault::new(FaultCode::Unreachable, format!("the connection to the daemon was lost: {error}"))
        .hint("'autodev daemon status' says whether it runs, 'autodev daemon logs' why not")
}

fn unknown(why: &str) -> Fault {
    Fault::new(FaultCode::Unknown, format!("it is not known whether it was stored: {why}"))
}

fn too_different(daemon: &Hello) -> Fault {
    let message = format!(
        "the daemon is version {} (protocol {}.{}), this is version {} (protocol {}.{})",
        daemon.build,
        daemon.major,
        daemon.minor,
        hello::BUILD,
        hello::MAJOR,
        hello::MINOR
    );
    let hint = if (daemon.major, daemon.minor) < (hello::MAJOR, hello::MINOR) {
        "'autodev daemon restart' replaces it; agents go on running"
    } else {
        "use the newer 'autodev' that belongs to the daemon"
    };
    Fault::new(FaultCode::Unreachable, message).hint(hint)
}

/// Whether the settings allow an older daemon to be restarted. Wrong settings do: the
/// newer daemon is the one to say what is wrong with them.
fn may_restart(paths: &Paths) -> bool {
    config::load(paths).map_or(true, |loaded| loaded.config.daemon.auto_restart)
}

#[cfg(test)]
mod tests;
