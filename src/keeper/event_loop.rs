//! The loop: waits for what happens next, does it, and never waits for anything else.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::birth::{self, Birth};
use super::client::{Client, READ};
use super::ending::{Ending, Stopping};
use super::meter::Meter;
use super::orders::Orders;
use super::output::Output;
use super::poller::Poller;
use super::recorder::Recorder;
use super::stopwatch::Stopwatch;
use super::terminal::Terminal;
use super::typing::Typing;
use super::{Complaint, log, tree};
use crate::clock::Timestamp;
use crate::crash;
use crate::protocol::keeper::Role;

/// Without an order to go within this, and without a controller, the keeper leaves and
/// the attempt was never started.
const GO_LIMIT: Duration = Duration::from_secs(60);
/// With the exit durable the keeper waits this long for its acknowledgement after the
/// last connection has gone: a daemon that comes later finds the record.
const LINGER: Duration = Duration::from_secs(600);
/// What is queued for clients may take this long when the keeper leaves.
const FAREWELL: Duration = Duration::from_secs(2);
/// After a connection could not be accepted (no descriptor or memory is left) the listener
/// is not waited for during this: it stays readable, and the loop would do nothing else.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the loop waits for; clients by their numbers from [`CLIENT`] on.
const SIGNALS: u64 = 0;
const RECORDER: u64 = 1;
const TERMINAL: u64 = 2;
const LISTENER: u64 = 3;
const CLIENT: u64 = 4;

/// How far the session has come.
#[derive(Debug)]
pub enum Stage {
    /// The program was not started.
    Waiting,
    /// The program of a step runs.
    Running {
        /// Its process id.
        pid: u32,
        /// Its start time, clock ticks since boot.
        start: u64,
        /// Which step, from 0.
        step: usize,
    },
    /// The last program has ended; what it left is being ended.
    Ending(Ending),
    /// The recorder makes the exit record durable.
    Recording,
    /// The exit record, as on disk.
    Over(Vec<u8>),
}

/// A session's keeper.
pub struct Keeper {
    pub(super) birth: Birth,
    pub(super) terminal: Terminal,
    pub(super) output: Output,
    pub(super) recorder: Recorder,
    pub(super) clients: Vec<Client>,
    pub(super) orders: Orders,
    pub(super) stage: Stage,
    pub(super) stopping: Option<Stopping>,
    pub(super) typing: Typing,
    /// When the first step's program was started.
    pub(super) started_at: Option<Timestamp>,
    /// The terminal is of no more use.
    hung_up: bool,
    /// The system told us to leave.
    pub(super) shutdown: bool,
    pub(super) frozen: bool,
    /// How long the program has run.
    pub(super) running: Stopwatch,
    /// What it uses.
    pub(super) meter: Meter,
    /// The exit was acknowledged, or is nobody's business: gone at the latest then.
    pub(super) leave_at: Option<Instant>,
    listener: Option<UnixListener>,
    /// Nobody is accepted before this.
    accept_at: Option<Instant>,
    accept_complaint: Complaint,
    socket: PathBuf,
    next_client: u64,
    /// Since when nobody is there whom the keeper waits for.
    alone_since: Instant,
    poller: Poller,
    /// Where what clients say is read to. Always there: clearing it anew for each key would
    /// take longer than the key.
    heard: Vec<u8>,
}

impl Keeper {
    /// Opens the terminal, the recording and the socket, and tells the first controller
    /// that it is ready.
    pub fn new(mut birth: Birth) -> io::Result<Keeper> {
        let now = Instant::now();
        let output = Output::new(birth.spec.columns, birth.spec.rows, birth.spec.history_bytes);
        let (columns, rows) = output.size();
        let terminal = Terminal::open(columns, rows)?;
        let recorder = Recorder::start(&birth.dir, birth.spec.recording)?;
        recorder.resize(columns, rows);
        let (listener, socket) = birth::bind(&birth.dir, &birth.spec, &birth.process)?;
        let control = birth.control.take();
        let mut keeper = Keeper {
            birth,
            terminal,
            output,
            recorder,
            clients: Vec::new(),
            orders: Orders::default(),
            stage: Stage::Waiting,
            stopping: None,
            typing: Typing::default(),
            started_at: None,
            hung_up: false,
            shutdown: false,
            frozen: false,
            running: Stopwatch::default(),
            meter: Meter::default(),
            leave_at: None,
            listener: Some(listener),
            accept_at: None,
            accept_complaint: Complaint::default(),
            socket,
            next_client: 0,
            alone_since: now,
            poller: Poller::new()?,
            heard: vec![0; READ],
        };
        if let Some(stream) = control {
            let mut client = keeper.new_client(stream, now);
            client.role = Some(Role::Controller);
            client.send(&keeper.hello());
            client.write();
            crash::point("keeper:ready");
            keeper.clients.push(client);
        }
        Ok(keeper)
    }

    /// Keeps the session to its end.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let now = Instant::now();
            self.timers(now);
            self.paint(now);
            self.flush_clients(now);
            if self.is_done(now) {
                break;
            }
            self.wait(now)?;
        }
        drop(std::fs::remove_file(&self.socket));
        Ok(())
    }

    /// Waits, then does what there is to do.
    fn wait(&mut self, now: Instant) -> io::Result<()> {
        let limit = self.deadline(now).map(|at| at.saturating_duration_since(now));
        let poller = &mut self.poller;
        poller.clear();
        let signals = poller.add(SIGNALS, self.birth.signals.as_raw_fd(), true, false);
        let recorder = poller.add(RECORDER, self.recorder.as_raw_fd(), true, false);
        let has_program = matches!(self.stage, Stage::Running { .. } | Stage::Ending(_)) && !self.hung_up;
        let terminal =
            has_program.then(|| poller.add(TERMINAL, self.terminal.as_raw_fd(), true, self.terminal.wants_write()));
        let listener = self.listener.as_ref().filter(|_| self.accept_at.is_none());
        let listener = listener.map(|listener| poller.add(LISTENER, listener.as_raw_fd(), true, false));
        let first_client = poller.len();
        for client in &self.clients {
            let read = client.is_heard() && !client.has_frame();
            poller.add(CLIENT + client.id, client.as_raw_fd(), read, client.wants_write());
        }
        poller.wait(limit)?;

        let now = Instant::now();
        if let Some(place) = terminal {
            let ready = self.poller.ready(place);
            if ready.write {
                self.terminal.write();
            }
            // Hung up by a program with the right to do so: without a new end of ours the
            // master would report that for ever.
            if ready.read && !self.take_output(now) && ready.gone && !self.terminal.reopen() {
                self.hung_up = true;
            }
        }
        if self.poller.ready(signals).read {
            self.take_signals(now);
        }
        if self.poller.ready(recorder).read {
            self.take_progress(now);
        }
        for index in 0..self.clients.len() {
            let ready = self.poller.ready(first_client + index);
            if ready.gone {
                self.clients[index].deafen();
            }
            // What it said before it went is done, unless that has to wait for something.
            let says_more = self.can_hear(&self.clients[index]);
            let client = &mut self.clients[index];
            if ready.write {
                client.has_room();
            }
            if ready.read && client.is_heard() && !client.has_frame() {
                client.read(&mut self.heard, now);
            } else if ready.gone && !says_more {
                client.dead = true;
            }
        }
        if listener.is_some_and(|place| self.poller.ready(place).read) {
            self.accept(now);
        }
        self.hear_clients(now);
        self.type_on(now);
        Ok(())
    }

    fn take_signals(&mut self, now: Instant) {
        while let Some(signal) = self.birth.signals.next() {
            match signal {
                Signal::SIGTERM => self.shut_down(now),
                Signal::SIGUSR1 => self.bind_anew(),
                // SIGCHLD: many may have come as one.
                _ => self.reap(now),
            }
        }
    }

    /// Collects children that have ended.
    fn reap(&mut self, now: Instant) {
        loop {
            match tree::reap() {
                Ok(Some(ended)) => {
                    if matches!(self.stage, Stage::Running { pid, .. } if pid == ended.pid) {
                        self.program_ended(ended.exit, now);
                    }
                }
                Ok(None) => break,
                Err(tree::NoChildren) => break,
            }
        }
        self.settle(now);
    }

    fn bind_anew(&mut self) {
        self.listener = None;
        self.poller.forget(LISTENER);
        match birth::bind(&self.birth.dir, &self.birth.spec, &self.birth.process) {
            Ok((listener, socket)) => {
                if socket != self.socket {
                    drop(std::fs::remove_file(&self.socket));
                }
                self.listener = Some(listener);
                self.socket = socket;
            }
            Err(error) => log(&format!("the socket cannot be bound anew: {error}")),
        }
    }

    fn accept(&mut self, now: Instant) {
        let Some(listener) = &self.listener else { return };
        let mut accepted = Vec::new();
        loop {
            match listener.accept() {
                Ok((stream, _)) => accepted.push(stream),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.accept_complaint.log(format!("a connection cannot be accepted: {error}"));
                    self.accept_at = Some(now + ACCEPT_PAUSE);
                    break;
                }
            }
        }
        for stream in accepted {
            self.admit(stream, now);
        }
    }

    pub(super) fn new_client(&mut self, stream: std::os::unix::net::UnixStream, now: Instant) -> Client {
        self.next_client += 1;
        Client::new(self.next_client, stream, now)
    }

    /// What has become due.
    fn timers(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.output.flush_at()) {
            self.output.flush();
        }
        if due(self.accept_at) {
            self.accept_at = None;
        }
        self.recorder.wake(now);
        self.ending_timers(now);
        for client in &mut self.clients {
            if due(client.deadline()) {
                client.dead = true;
            }
        }
        self.bury(now);
    }

    /// The next moment something becomes due; none means that nothing but an event can
    /// change anything.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.hears_more() {
            return Some(now);
        }
        let clients = self.clients.iter().map(Client::deadline);
        let mine = [
            self.output.flush_at(),
            self.paint_deadline(now),
            self.ending_deadline(),
            // Nothing is due while the terminal takes no more.
            self.typing.deadline().filter(|_| !self.terminal.wants_write()),
            self.alone_until(),
            self.leave_at,
            self.accept_at,
            self.recorder.wake_at(),
        ];
        clients.chain(mine).flatten().min()
    }

    /// Until when the keeper waits for somebody to come.
    fn alone_until(&self) -> Option<Instant> {
        match self.stage {
            Stage::Waiting if !self.has_controller() => Some(self.alone_since + GO_LIMIT),
            Stage::Over(_) if self.clients.is_empty() => Some(self.alone_since + LINGER),
            _ => None,
        }
    }

    fn is_done(&self, now: Instant) -> bool {
        let quiet = self.clients.iter().all(|client| !client.wants_write());
        let leave = self.leave_at.is_some_and(|at| quiet || at <= now);
        leave || self.alone_until().is_some_and(|at| at <= now)
    }

    /// The keeper has nothing left to do; it leaves when its clients have what is theirs.
    pub(super) fn leave(&mut self, now: Instant) {
        self.leave_at.get_or_insert(now + FAREWELL);
    }

    fn has_controller(&self) -> bool {
        self.clients.iter().any(|client| client.role == Some(Role::Controller))
    }

    /// Forgets connections that are gone.
    fn bury(&mut self, now: Instant) {
        let before = self.clients.len();
        let attached = self.clients.iter().filter(|client| client.viewer.is_some()).count();
        let typing = &mut self.typing;
        self.clients.retain(|client| {
            if client.dead {
                typing.forget(client.id);
            }
            !client.dead
        });
        if self.clients.len() != before {
            self.alone_since = now;
            if self.clients.iter().filter(|client| client.viewer.is_some()).count() != attached {
                self.tell_status();
            }
        }
    }

    /// Writes what is queued, as far as it goes, and looks to those that are gone or have
    /// caught up.
    fn flush_clients(&mut self, now: Instant) {
        self.write_clients();
        self.revive_followers(now);
        self.bury(now);
    }

    /// Writes what is queued, as far as it goes.
    pub(super) fn write_clients(&mut self) {
        for client in &mut self.clients {
            if client.can_write() {
                client.write();
            }
        }
    }
}
