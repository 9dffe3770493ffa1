//! How the program is started and how it ends: by itself, by order, by a shutdown. Never
//! with a process left over, never told before it is durable.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use super::child::NotStarted;
use super::event_loop::{Keeper, Stage};
use super::tree::Killed;
use super::{child, log, tree};
use crate::clock::Timestamp;
use crate::crash;
use crate::process::is_no_room;
use crate::protocol::exit::{self, ExitReason, ExitRecord};
use crate::protocol::keeper::{FromKeeper, How, Role};
use crate::protocol::launch::Prompt;
use crate::recording::input::Typist;
use crate::task::Exit;

/// From interrupt to terminate: agents save their conversation when interrupted.
const INTERRUPT_GRACE: Duration = Duration::from_secs(5);
/// From terminate to kill.
const TERMINATE_GRACE: Duration = Duration::from_secs(10);
/// What a program has left behind gets this long from terminate to kill.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);
/// A program that a shutdown's signal ended is known as such when our own signal has
/// come within this.
const HOLD: Duration = Duration::from_secs(2);
/// The same where the program may have caught the signal and failed of its own accord. One
/// system call after the other sends it to all, so what lies in between is short; and all
/// that fail wait for it.
const SHORT_HOLD: Duration = Duration::from_millis(200);
/// A tree that was killed is looked at again whenever one of its processes is gone, and
/// after this at the latest: a process may have been made while the others were killed.
const KILL_AGAIN: Duration = Duration::from_secs(1);

/// Who wants the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The daemon.
    Order,
    /// The system: our own SIGTERM.
    Shutdown,
}

/// The program is being stopped.
#[derive(Clone, Copy, Debug)]
pub struct Stopping {
    by: By,
    rung: Rung,
    /// When the next rung is reached.
    next: Instant,
}

/// How far the stop has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    Interrupted,
    Terminated,
    Killed,
}

/// The last program has ended.
#[derive(Clone, Debug)]
pub struct Ending {
    reason: ExitReason,
    exit: Exit,
    error: Option<String>,
    ended_at: Timestamp,
    leftovers: usize,
    /// The reason is not decided before this, or our own SIGTERM.
    hold: Option<Instant>,
    /// What is left over is killed then.
    kill_at: Option<Instant>,
    /// It was killed; what is still there is killed again.
    killed: bool,
}

impl Keeper {
    /// Starts the first step's program; marks that before it, once and for all.
    pub(super) fn start(&mut self, now: Instant) {
        let mark = self.birth.dir.started();
        if let Err(error) = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&mark) {
            let why = format!("cannot mark the session as started: {}: {error}", mark.display());
            return self.not_started(NotStarted { why, no_room: is_no_room(&error) }, now);
        }
        crash::point("keeper:marked");
        self.start_step(0, now);
    }

    fn start_step(&mut self, step: usize, now: Instant) {
        let birth = &self.birth;
        let Some(launch) = birth.spec.steps.get(step) else {
            let why = "there is nothing to start: the session has no steps".to_owned();
            return self.not_started(NotStarted { why, no_room: false }, now);
        };
        let tty = self.terminal.slave();
        match child::start(launch, &birth.dir, tty, birth.spec.marker, birth.inherited) {
            Ok(child::Started { pid, start }) => {
                self.started_at.get_or_insert_with(Timestamp::now);
                self.stage = Stage::Running { pid, start, step };
                self.running.run(now);
                self.meter.begin(now);
                crash::point("keeper:started");
                self.tell_controllers(&FromKeeper::Started { pid, start });
                // With the first step, and not again.
                if let Some(Prompt { head, bytes }) = self.birth.spec.prompt.take() {
                    let more = bytes.saturating_sub(head.len() as u64);
                    self.recorder.input(Typist::Prompt, &self.output.blotted(head.as_bytes()), more);
                }
            }
            // A step before it has run: this is not as if nothing had happened.
            Err(why) if step > 0 => self.not_started(NotStarted { no_room: false, ..why }, now),
            Err(why) => self.not_started(why, now),
        }
    }

    fn not_started(&mut self, NotStarted { why, no_room }: NotStarted, now: Instant) {
        log(&why);
        let reason = if no_room { ExitReason::NoRoom } else { ExitReason::LaunchFailed };
        self.end(reason, Exit::default(), Some(why), None, now);
    }

    /// Nothing was started and nothing will be.
    pub(super) fn stopped_before_start(&mut self) {
        let ending = Ending {
            reason: ExitReason::StoppedBeforeStart,
            exit: Exit::default(),
            error: None,
            ended_at: Timestamp::now(),
            leftovers: 0,
            hold: None,
            kill_at: None,
            killed: false,
        };
        self.finish(ending);
    }

    /// The program of the current step was reaped.
    pub(super) fn program_ended(&mut self, exit: Exit, now: Instant) {
        crash::point("keeper:ended");
        self.drain_output(now);
        let Stage::Running { step, .. } = self.stage else { return };
        let last = step + 1 >= self.birth.spec.steps.len();
        if exit.is_success() && !last && self.stopping.is_none() {
            return self.start_step(step + 1, now);
        }
        let error = match self.birth.spec.steps.get(step) {
            Some(launch) if !last => Some(format!("step '{}' {exit}", launch.name)),
            _ => None,
        };
        let reason = match self.stopping {
            Some(Stopping { by: By::Order, .. }) => ExitReason::Stopped,
            Some(Stopping { by: By::Shutdown, .. }) => ExitReason::Shutdown,
            None => ExitReason::Ended,
        };
        let hold = if reason == ExitReason::Ended { shutdown_hold(exit).map(|hold| now + hold) } else { None };
        self.end(reason, exit, error, hold, now);
    }

    fn end(&mut self, reason: ExitReason, exit: Exit, error: Option<String>, hold: Option<Instant>, now: Instant) {
        self.running.stop(now);
        self.terminal.discard_input();
        self.drop_typing();
        let mut ending = Ending {
            reason,
            exit,
            error,
            ended_at: Timestamp::now(),
            leftovers: 0,
            hold,
            kill_at: None,
            killed: false,
        };
        if self.stopping.is_some_and(|stopping| stopping.rung == Rung::Killed) {
            ending.kill_at = Some(now);
        }
        self.stage = Stage::Ending(ending);
        self.settle(now);
    }

    /// Goes on with the ending: when nothing is left over and the reason is certain, the
    /// record is written.
    pub(super) fn settle(&mut self, now: Instant) {
        let Stage::Ending(ending) = &mut self.stage else { return };
        if tree::has_children() {
            let mut alone = false;
            match ending.kill_at {
                None => {
                    ending.leftovers = tree::signal(&[], libc::SIGTERM);
                    tree::signal(&[], libc::SIGCONT);
                    ending.kill_at = Some(now + LEFTOVER_GRACE);
                }
                Some(at) if at <= now || ending.killed => {
                    ending.killed = true;
                    let Killed { reached, out_of_reach } = tree::kill();
                    ending.leftovers = ending.leftovers.max(reached + out_of_reach);
                    ending.kill_at = Some(now + KILL_AGAIN);
                    // What nobody here may end is not waited for.
                    alone = reached == 0 && out_of_reach > 0;
                }
                Some(_) => {}
            }
            if !alone {
                return;
            }
        }
        if ending.hold.is_some_and(|until| now < until) {
            return;
        }
        let ending = ending.clone();
        self.drain_output(now);
        self.finish(ending);
    }

    fn finish(&mut self, ending: Ending) {
        self.output.flush();
        self.keep_rest();
        let record = ExitRecord {
            v: exit::VERSION,
            session: self.birth.spec.session.clone(),
            uid: self.birth.spec.uid,
            reason: ending.reason,
            exit: ending.exit,
            error: ending.error,
            started_at: self.started_at,
            ended_at: ending.ended_at,
            // The recorder knows these when it has written the last byte.
            recording_bytes: 0,
            recording_sha256: String::new(),
            recording_lost: 0,
            leftovers: u32::try_from(ending.leftovers).unwrap_or(u32::MAX),
            used: self.meter.used(self.running.total(Instant::now())),
            boot_id: self.birth.process.boot_id.clone(),
        };
        self.stage = Stage::Recording;
        self.recorder.finish(record);
    }

    /// The exit record is durable: now it may be told.
    pub(super) fn over(&mut self, record: Vec<u8>, now: Instant) {
        crash::point("keeper:recorded");
        let exited = FromKeeper::Exited(record.clone());
        self.stage = Stage::Over(record);
        self.tell_controllers(&exited);
        self.dismiss_clients(&exited, now);
        self.tell_status();
        if self.shutdown {
            self.leave(now);
        }
    }

    /// Our own SIGTERM.
    pub(super) fn shut_down(&mut self, now: Instant) {
        self.shutdown = true;
        match &mut self.stage {
            // Nothing was started, nothing is to be told; and nothing will be started by an
            // order that came with the signal.
            Stage::Waiting => {
                self.orders.latched = true;
                self.leave(now);
            }
            Stage::Over(_) => self.leave(now),
            Stage::Running { .. } => self.stop(By::Shutdown, How::Gently, now),
            Stage::Ending(ending) => {
                if ending.hold.take().is_some() {
                    ending.reason = ExitReason::Shutdown;
                }
                self.settle(now);
            }
            Stage::Recording => {}
        }
    }

    /// Begins to end the tree, or goes about it harder.
    pub(super) fn stop(&mut self, by: By, how: How, now: Instant) {
        let by = self.stopping.map_or(by, |stopping| stopping.by);
        match how {
            How::Now => self.climb(by, Rung::Killed, now),
            How::Gently if self.stopping.is_none() => self.climb(by, Rung::Interrupted, now),
            How::Gently => {}
        }
    }

    fn climb(&mut self, by: By, rung: Rung, now: Instant) {
        let grace = match rung {
            Rung::Interrupted => INTERRUPT_GRACE,
            Rung::Terminated => TERMINATE_GRACE,
            Rung::Killed => KILL_AGAIN,
        };
        self.stopping = Some(Stopping { by, rung, next: now + grace });
        if let Stage::Ending(ending) = &mut self.stage {
            // The program has ended already; what is left over is ended by other rules.
            if rung == Rung::Killed {
                ending.kill_at = Some(now);
            }
            return self.settle(now);
        }
        let Stage::Running { pid, .. } = self.stage else { return };
        let mut groups: Vec<i32> = i32::try_from(pid).into_iter().chain(self.terminal.foreground()).collect();
        groups.dedup();
        match rung {
            Rung::Interrupted => drop(tree::signal(&groups, libc::SIGINT)),
            Rung::Terminated => drop(tree::signal(&groups, libc::SIGTERM)),
            Rung::Killed => {
                tree::kill();
            }
        }
        // A stopped process hears nothing but a kill.
        if rung != Rung::Killed {
            tree::signal(&groups, libc::SIGCONT);
        }
        if std::mem::take(&mut self.frozen) {
            self.running.run(now);
            self.tell_status();
        }
    }

    /// Rungs of the ladder and looks at leftovers that have become due.
    pub(super) fn ending_timers(&mut self, now: Instant) {
        match (&self.stage, self.stopping) {
            (Stage::Running { .. }, Some(Stopping { by, rung, next })) if next <= now => {
                let rung = if rung == Rung::Interrupted { Rung::Terminated } else { Rung::Killed };
                self.climb(by, rung, now);
            }
            (Stage::Ending(_), _) if self.ending_deadline().is_some_and(|at| at <= now) => self.settle(now),
            _ => {}
        }
    }

    /// When [`Keeper::ending_timers`] has something to do.
    pub(super) fn ending_deadline(&self) -> Option<Instant> {
        match (&self.stage, self.stopping) {
            (Stage::Running { .. }, Some(stopping)) => Some(stopping.next),
            // The kill while there is something to kill, then the hold.
            (Stage::Ending(ending), _) if tree::has_children() => ending.kill_at,
            (Stage::Ending(ending), _) => ending.hold,
            _ => None,
        }
    }

    pub(super) fn tell_controllers(&mut self, message: &FromKeeper) {
        for client in &mut self.clients {
            if client.role == Some(Role::Controller) {
                client.send(message);
            }
        }
    }
}

/// How long the reason of an end is open that a shutdown's signal, sent to everything at
/// once, may have brought about; also by a program that caught it and exited as shells
/// report it, or as it likes. Success is believed at once.
fn shutdown_hold(exit: Exit) -> Option<Duration> {
    const SENT: [i32; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM];
    match exit.code {
        Some(0) => None,
        Some(code) if !SENT.contains(&(code - 128)) => Some(SHORT_HOLD),
        Some(_) | None => Some(HOLD),
    }
}
