//! People and programs that connect: who may, what they ask, what they get.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::client::{Agent, Client, Viewer};
use super::event_loop::{Keeper, Stage};
use super::log;
use super::orders::What;
use super::typing::Send;
use crate::door::{self, Inside, Who};
use crate::protocol::keeper::{Attach, FromKeeper, KeeperStatus, MAX_FRAME, RefusedCode, Role, ToKeeper};
use crate::recording::input::Typist;
use crate::screen::Canvas;

/// Clients at once: more terminals than anybody watches one session with.
const CLIENTS: usize = 64;
/// Connections at once: the daemon's, and those that have not yet said what they are,
/// find room when all clients are there.
const CONNECTIONS: usize = CLIENTS + 16;
/// Of these so many at a time are programs inside a session: they must not keep the user out.
const AGENTS: usize = 8;
/// Messages of one connection worked on before the others have their turn.
const MESSAGES_A_TURN: usize = 16;
/// Columns and rows that make sense.
const MAX_SIZE: u16 = 1_000;
/// Lines of history a client may ask for.
const MAX_HISTORY: u32 = 10_000;
/// Most text of a screen in its frame.
const MAX_TEXT: usize = MAX_FRAME - 64;
/// The type of [`ToKeeper::Input`] on the wire.
const INPUT: u8 = 7;

impl Keeper {
    /// Takes a new connection in, if it is one of ours.
    pub(super) fn admit(&mut self, stream: UnixStream, now: Instant) {
        let agent = match door::who(&stream) {
            Ok(Who::Owner) => None,
            Ok(Who::Inside(inside)) => Some(self.agent(inside)),
            Ok(Who::Gone) => return,
            Ok(Who::Stranger(_)) => return log("a connection of another user was refused"),
            Err(error) => return log(&format!("it cannot be said who has connected: refused: {error}")),
        };
        if let Err(error) = stream.set_nonblocking(true) {
            return log(&format!("a connection cannot be used: {error}"));
        }
        let mut client = self.new_client(stream, now);
        client.agent = agent;
        let living = |client: &&mut Client| !client.dead;
        let agents = self.clients.iter_mut().filter(living).filter(|client| client.agent.is_some()).count();
        let mut connections = self.clients.iter_mut().filter(living).count();
        if connections >= CONNECTIONS {
            // Who has said nothing yet makes room, the first of them first.
            if let Some(silent) = self.clients.iter_mut().filter(living).find(|client| client.role.is_none()) {
                silent.dead = true;
                connections -= 1;
            }
        }
        if connections >= CONNECTIONS || (agent.is_some() && agents >= AGENTS) {
            client.send(&too_many());
            // Written at once or not at all.
            client.write();
            return;
        }
        self.clients.push(client);
    }

    /// Works on what the connections have said.
    pub(super) fn hear_clients(&mut self, now: Instant) {
        for index in 0..self.clients.len() {
            for _ in 0..MESSAGES_A_TURN {
                if !self.can_hear(&self.clients[index]) {
                    break;
                }
                match self.clients[index].next() {
                    Ok(Some(message)) => self.message(index, message, now),
                    Ok(None) => break,
                    Err(error) => {
                        self.refuse(index, RefusedCode::Protocol, &error.to_string());
                        self.clients[index].close(now);
                    }
                }
            }
        }
    }

    /// Messages wait that can be worked on without anything else happening first.
    pub(super) fn hears_more(&self) -> bool {
        self.clients.iter().any(|client| self.can_hear(client))
    }

    /// A message of this connection waits, and it is its turn. Input waits where it is
    /// until the program has taken some of what was typed before.
    pub(super) fn can_hear(&self, client: &Client) -> bool {
        client.is_heard() && client.has_frame() && !(client.peek() == Some(INPUT) && self.terminal.is_full())
    }

    /// What a program inside a session is to this one: its own, or another's.
    fn agent(&self, inside: Inside) -> Agent {
        Agent { pid: inside.pid, own: inside.keeper == Some(self.birth.process.pid), told: false }
    }

    /// A program inside a session may look at its own screen, and nothing else: what it
    /// types would be taken for the user's. `false` when it was refused.
    fn may(&mut self, index: usize, message: &ToKeeper) -> bool {
        let Some(agent) = self.clients[index].agent else { return true };
        let looks =
            matches!(message, ToKeeper::Hello { role: Role::Client, .. } | ToKeeper::Screen { .. } | ToKeeper::Status);
        let greets = matches!(message, ToKeeper::Hello { role: Role::Client, .. });
        if greets || (agent.own && looks) {
            return true;
        }
        let what = match message {
            ToKeeper::Attach(_) | ToKeeper::Input(_) => "attach",
            ToKeeper::Send { .. } => "send",
            ToKeeper::Screen { .. } | ToKeeper::Status => "screen",
            ToKeeper::Follow => "logs",
            ToKeeper::DetachAll => "detach",
            _ => "orders",
        };
        let reason = format!("a program inside a session does not give orders: '{what}' is refused");
        self.refuse(index, RefusedCode::Agent, &reason);
        // Once for a connection: it may ask without end.
        if !agent.told {
            self.clients[index].agent = Some(Agent { told: true, ..agent });
            self.tell_controllers(&FromKeeper::Intruder { pid: agent.pid, what: what.to_owned() });
        }
        false
    }

    fn message(&mut self, index: usize, message: ToKeeper, now: Instant) {
        if !self.may(index, &message) {
            return;
        }
        match (self.clients[index].role, message) {
            (_, ToKeeper::Hello { role: Role::Controller, generation, .. }) => {
                self.hello_controller(index, generation, now);
            }
            (_, ToKeeper::Hello { role: Role::Client, .. }) => self.hello_client(index, now),
            (None, _) => {
                self.refuse(index, RefusedCode::Protocol, "a connection begins with hello");
                self.clients[index].close(now);
            }
            (_, ToKeeper::Go { generation, order }) => self.order(index, generation, order, What::Go, now),
            (_, ToKeeper::Stop { generation, order, how }) => {
                self.order(index, generation, order, What::Stop(how), now);
            }
            (_, ToKeeper::Freeze { generation, order, frozen }) => {
                self.order(index, generation, order, What::Freeze(frozen), now);
            }
            (_, ToKeeper::Acknowledge { generation, order }) => {
                self.order(index, generation, order, What::Acknowledge, now);
            }
            (Some(Role::Controller), ToKeeper::Environment(variables)) => self.environment(index, variables),
            (Some(Role::Controller), ToKeeper::Blot(values)) => self.blot(index, &values),
            (_, ToKeeper::Redact(text)) => {
                let text = self.output.blotted(&text).into_owned();
                self.clients[index].send(&FromKeeper::Redacted(text));
            }
            (_, ToKeeper::Measure) => {
                let usage = self.meter.look();
                self.clients[index].send(&FromKeeper::Usage(usage));
            }
            (_, ToKeeper::Screen { ansi }) => self.send_screen(index, ansi),
            (_, ToKeeper::Send { paste, enter, bytes }) => {
                self.send_request(index, Send::new(bytes, paste, enter), now)
            }
            (_, ToKeeper::DetachAll) => {
                self.detach(|_| true, "detached by a command");
                self.clients[index].send(&FromKeeper::Done);
            }
            (_, ToKeeper::Follow) => {
                self.follow(index, None);
                self.dismiss_late(index, now);
            }
            (_, ToKeeper::Status) => {
                let status = self.status();
                self.clients[index].send(&FromKeeper::Status(status));
            }
            (Some(Role::Controller), _) => {
                self.refuse(index, RefusedCode::Protocol, "the daemon's connection cannot attach");
            }
            (Some(Role::Client), ToKeeper::Environment(_) | ToKeeper::Blot(_)) => {
                self.refuse(index, RefusedCode::Protocol, "only the daemon gives an environment");
            }
            (Some(Role::Client), ToKeeper::Attach(attach)) => self.attach(index, attach, now),
            (Some(Role::Client), ToKeeper::Input(bytes)) => self.input(index, &bytes),
            (Some(Role::Client), ToKeeper::Resize { columns, rows }) => self.viewer_resized(index, columns, rows),
            (Some(Role::Client), ToKeeper::Repaint) => match &mut self.clients[index].viewer {
                Some(viewer) => viewer.paint_anew(),
                None => self.not_attached(index),
            },
            (Some(Role::Client), ToKeeper::Looks(looks)) => match &self.clients[index].viewer {
                Some(viewer) if !viewer.attach.read_only => self.set_looks(looks),
                _ => self.not_attached(index),
            },
            (Some(Role::Client), ToKeeper::Below) => {
                let row = self.output.below();
                self.clients[index].send(&FromKeeper::Below { row });
            }
        }
    }

    fn hello_client(&mut self, index: usize, now: Instant) {
        let others =
            self.clients.iter().enumerate().filter(|(i, c)| *i != index && c.role == Some(Role::Client)).count();
        if others >= CLIENTS {
            self.clients[index].send(&too_many());
            return self.clients[index].close(now);
        }
        let hello = self.hello();
        let client = &mut self.clients[index];
        client.role = Some(Role::Client);
        client.send(&hello);
    }

    fn attach(&mut self, index: usize, mut attach: Attach, now: Instant) {
        let me = self.clients[index].id;
        let writes = |viewer: &Option<Viewer>| viewer.as_ref().is_some_and(|viewer| !viewer.attach.read_only);
        let taken = self.clients.iter().any(|client| client.id != me && writes(&client.viewer));
        if taken && !attach.read_only && !attach.takeover {
            let reason = "another terminal types here: -r watches, --takeover takes over";
            return self.refuse(index, RefusedCode::Busy, reason);
        }
        if attach.takeover {
            self.detach(|id| id != me, "another terminal took over");
        }
        (attach.columns, attach.rows) = sensible(attach.columns, attach.rows);
        let history_lines = attach.history_lines.min(MAX_HISTORY);
        let (read_only, columns, rows) = (attach.read_only, attach.columns, attach.rows);
        self.clients[index].viewer =
            Some(Viewer { attach, needs_picture: true, canvas: Canvas::default(), not_before: None, history_lines });
        if !read_only && columns > 0 {
            self.resize(columns.min(MAX_SIZE), rows.min(MAX_SIZE));
        }
        self.dismiss_late(index, now);
        self.tell_status();
    }

    fn viewer_resized(&mut self, index: usize, columns: u16, rows: u16) {
        let (columns, rows) = sensible(columns, rows);
        let Some(viewer) = &mut self.clients[index].viewer else { return self.not_attached(index) };
        (viewer.attach.columns, viewer.attach.rows) = (columns, rows);
        viewer.paint_anew();
        if !viewer.attach.read_only && columns > 0 {
            self.resize(columns.min(MAX_SIZE), rows.min(MAX_SIZE));
        }
    }

    fn input(&mut self, index: usize, bytes: &[u8]) {
        match &self.clients[index].viewer {
            None => self.not_attached(index),
            Some(viewer) if viewer.attach.read_only => {
                self.refuse(index, RefusedCode::State, "this terminal only watches");
            }
            // Keys typed before the program is there or after it has gone are nobody's.
            Some(_) if !matches!(self.stage, Stage::Running { .. }) => {}
            Some(_) => self.hand_over(Typist::Viewer, bytes),
        }
    }

    fn not_attached(&mut self, index: usize) {
        self.refuse(index, RefusedCode::State, "this connection is not attached");
    }

    /// Detaches those among the attached whose connection's id `which` picks.
    fn detach(&mut self, which: impl Fn(u64) -> bool, reason: &str) {
        let mut any = false;
        for client in self.clients.iter_mut().filter(|client| which(client.id)) {
            if client.viewer.take().is_some() {
                // What it has not read is of no use to it any more.
                client.drop_stream();
                client.send(&FromKeeper::Below { row: self.output.below() });
                client.send(&FromKeeper::Detached { reason: reason.to_owned() });
                any = true;
            }
        }
        if any {
            self.tell_status();
        }
    }

    fn send_screen(&mut self, index: usize, ansi: bool) {
        let (columns, rows) = self.output.size();
        let mut text = self.output.text(ansi);
        if text.len() > MAX_TEXT && ansi {
            text = self.output.text(false);
        }
        let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        self.clients[index].send(&FromKeeper::Screen { columns, rows, text: text.into_bytes() });
    }

    /// How the session is.
    pub(super) fn status(&self) -> KeeperStatus {
        let (columns, rows) = self.output.size();
        let viewers = self.clients.iter().filter_map(|client| client.viewer.as_ref());
        let (watchers, writers): (Vec<_>, Vec<_>) = viewers.partition(|viewer| viewer.attach.read_only);
        KeeperStatus {
            columns,
            rows,
            writers: u32::try_from(writers.len()).unwrap_or(u32::MAX),
            watchers: u32::try_from(watchers.len()).unwrap_or(u32::MAX),
            bytes: self.output.offset(),
            lost: self.recorder.lost(),
            frozen: self.frozen,
            rang: self.output.rang(),
            quiet_ms: u64::try_from(self.output.quiet().as_millis()).unwrap_or(u64::MAX),
            title: self.output.title(),
            ran_ms: Some(u64::try_from(self.running.total(Instant::now()).as_millis()).unwrap_or(u64::MAX - 1)),
        }
    }

    /// Tells the daemon how the session is.
    pub(super) fn tell_status(&mut self) {
        let status = self.status();
        self.tell_controllers(&FromKeeper::Status(status));
    }
}

fn too_many() -> FromKeeper {
    FromKeeper::Refused { code: RefusedCode::Limit, reason: format!("{CLIENTS} clients are connected already") }
}

/// A terminal's size; (0, 0) for what is none.
fn sensible(columns: u16, rows: u16) -> (u16, u16) {
    if columns == 0 || rows == 0 { (0, 0) } else { (columns, rows) }
}
