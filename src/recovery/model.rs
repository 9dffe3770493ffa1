//! A model of one task's life: the state machine and the recovery plan against a world in
//! which daemons, keepers and machines die between any two steps. What must never happen is
//! checked after each of them, and afterwards everything must come to its end.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::plan::{Action, Dir, Facts, Record, Row, plan};
use crate::clock::Timestamp;
use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::exit::{self, ExitReason, ExitRecord};
use crate::task::machine::{Effect, State, Step, step};
use crate::task::retry::{OnInterrupt, Policy};
use crate::task::{Event, Exit, Outcome, Status};

/// Steps in which what is undisturbed must have come to its end: each attempt takes some ten,
/// and what never starts has 200.
const DRAIN: usize = 4_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    NotStarted,
    Alive,
    Gone,
}

/// A session's directory, its keeper and its program.
#[derive(Clone, Debug)]
struct Session {
    keeper: bool,
    boot: u32,
    /// The keeper's mark, which is not synced.
    mark: bool,
    record: Option<ExitReason>,
    /// What the program exits with.
    code: i32,
    program: Program,
    /// An order to end has come.
    stop: bool,
    frozen: bool,
}

/// What a daemon knows that no crash leaves behind.
#[derive(Debug, Default)]
struct Daemon {
    effects: VecDeque<(u32, Effect)>,
    /// It is connected with the keeper of this attempt.
    attends: Option<u32>,
}

struct World {
    now: Timestamp,
    boot: u32,
    // In the database.
    state: State,
    /// The current attempt's start has been committed.
    started: bool,
    due: Timestamp,
    sessions: BTreeMap<u32, Session>,
    daemon: Option<Daemon>,
    // What an observer has seen.
    starts: BTreeMap<u32, u32>,
    succeeded: BTreeMap<u32, bool>,
    /// A person's order to end was accepted, and no other order since.
    ended_by_person: bool,
    /// A person let it go on after its last attempt.
    let_go: bool,
}

impl World {
    fn new(policy: Policy) -> World {
        World {
            now: Timestamp(1_000_000_000_000),
            boot: 0,
            state: State::submitted(false, policy),
            started: false,
            due: Timestamp(0),
            sessions: BTreeMap::new(),
            daemon: Some(Daemon::default()),
            starts: BTreeMap::new(),
            succeeded: BTreeMap::new(),
            ended_by_person: false,
            let_go: false,
        }
    }

    /// Commits an event; what is refused changes nothing.
    fn commit(&mut self, event: &Event) -> bool {
        let Some(daemon) = &mut self.daemon else { return false };
        let before = self.state;
        let Ok(Step { state, backoff, effects }) = step(&before, event, self.now) else { return false };
        let again = matches!(event, Event::Retried | Event::Recovered);
        assert!(!before.status.is_final() || again, "{} by {event:?}", before.status);
        assert!(before.status != Status::Passed);
        match event {
            Event::CancelRequested | Event::KillRequested => self.ended_by_person = true,
            Event::Retried | Event::Recovered => (self.ended_by_person, self.let_go) = (false, true),
            Event::Released => self.let_go = true,
            Event::Claimed { attempt } => {
                assert!(!self.ended_by_person, "attempt {attempt} is begun although the task was ended");
                // Whether it has done its work nobody knows.
                let open = self.starts.contains_key(&before.attempt) && !self.succeeded.contains_key(&before.attempt);
                let asks = matches!(before.policy.on_interrupt, OnInterrupt::Hold | OnInterrupt::Fail);
                assert!(!open || !asks || self.let_go, "attempt {attempt} is begun although nobody was asked");
                let done = self.succeeded.get(&before.attempt) == Some(&true);
                assert!(!done || self.let_go, "attempt {attempt} is begun although the one before has done it");
                (self.started, self.let_go) = (false, false);
            }
            Event::Started { .. } => self.started = true,
            _ => {}
        }
        daemon.effects.extend(effects.into_iter().map(|effect| (state.attempt, effect)));
        self.due = backoff.map_or(Timestamp(0), |wait| self.now.plus(wait));
        self.state = state;
        true
    }

    /// The daemon does what it has committed to do next.
    fn effect(&mut self) -> bool {
        let Some(daemon) = &mut self.daemon else { return false };
        let Some((attempt, effect)) = daemon.effects.pop_front() else { return false };
        match effect {
            Effect::Launch => {
                daemon.attends = Some(attempt);
                let session = Session {
                    keeper: true,
                    boot: self.boot,
                    mark: false,
                    record: None,
                    code: 0,
                    program: Program::NotStarted,
                    stop: false,
                    frozen: false,
                };
                assert!(self.sessions.insert(attempt, session).is_none(), "attempt {attempt} is launched twice");
                self.commit(&Event::Started { attempt, resumed: self.state.resume });
            }
            Effect::Go => self.go(attempt),
            Effect::StopGently | Effect::StopNow => self.stop(attempt),
            Effect::Freeze => self.freeze(attempt, true),
            Effect::Thaw => self.freeze(attempt, false),
            Effect::Collect => {
                self.commit(&Event::Settled { attempt });
            }
        }
        true
    }

    /// The keeper starts the program, unless it was told to end.
    fn go(&mut self, attempt: u32) {
        let others =
            self.sessions.iter().any(|(other, session)| *other != attempt && session.program == Program::Alive);
        let Some(session) = self.sessions.get_mut(&attempt).filter(|session| session.keeper) else { return };
        if session.program != Program::NotStarted || session.stop || session.record.is_some() {
            return;
        }
        assert!(!others, "attempt {attempt} is started beside another");
        (session.mark, session.program) = (true, Program::Alive);
        *self.starts.entry(attempt).or_default() += 1;
    }

    fn stop(&mut self, attempt: u32) {
        let Some(session) = self.sessions.get_mut(&attempt).filter(|session| session.keeper) else { return };
        session.stop = true;
        if session.program == Program::NotStarted && session.record.is_none() {
            session.record = Some(ExitReason::StoppedBeforeStart);
        }
    }

    fn freeze(&mut self, attempt: u32, frozen: bool) {
        if let Some(session) = self.sessions.get_mut(&attempt).filter(|session| session.keeper) {
            session.frozen = frozen;
        }
    }

    /// The program ends, by itself or as it was told.
    fn program_ends(&mut self, code: i32) -> bool {
        let alive = |session: &&mut Session| session.program == Program::Alive && (!session.frozen || session.stop);
        let Some((attempt, session)) = self.sessions.iter_mut().find(|(_, session)| alive(session)) else {
            return false;
        };
        session.program = Program::Gone;
        if session.keeper {
            session.record = Some(if session.stop { ExitReason::Stopped } else { ExitReason::Ended });
            session.code = code;
            self.succeeded.insert(*attempt, code == 0 && !session.stop);
        }
        true
    }

    /// The daemon hears from the keeper that it attends to.
    fn hears(&mut self) -> bool {
        let Some(attempt) = self.daemon.as_ref().and_then(|daemon| daemon.attends) else { return false };
        let Some(session) = self.sessions.get_mut(&attempt) else { return false };
        let ended = match (session.record, session.keeper) {
            (Some(_), _) => session.outcome(),
            (None, true) => return false,
            // It is gone: nothing of it may live when that is written down.
            (None, false) => {
                let outcome = if session.mark { Outcome::Lost } else { Outcome::NeverStarted };
                session.program = Program::Gone;
                outcome
            }
        };
        self.end(attempt, ended)
    }

    fn end(&mut self, attempt: u32, outcome: Outcome) -> bool {
        self.commit(&Event::Ended { attempt, outcome, exit: Exit::default(), error: None })
    }

    /// What has ended, and is written down, is cleared up.
    fn clears_up(&mut self) -> bool {
        let current = self.state;
        let over = |attempt: u32| attempt < current.attempt || !current.status.is_active();
        let Some(attempt) = self.sessions.keys().copied().find(|attempt| over(*attempt)) else { return false };
        let Some(daemon) = &mut self.daemon else { return false };
        if daemon.attends == Some(attempt) {
            daemon.attends = None;
        }
        let session = &self.sessions[&attempt];
        assert!(session.program != Program::Alive, "attempt {attempt} is cleared up and lives");
        self.sessions.remove(&attempt).is_some()
    }

    fn daemon_dies(&mut self) {
        self.daemon = None;
    }

    /// A daemon starts, and does what the plan says.
    fn daemon_starts(&mut self) -> bool {
        if self.daemon.is_some() {
            return false;
        }
        self.daemon = Some(Daemon::default());
        let attempts: Vec<u32> = self.sessions.keys().copied().collect();
        for attempt in attempts.into_iter().filter(|attempt| *attempt != self.state.attempt) {
            let action = plan(&self.facts(attempt));
            assert!(matches!(action, Action::ClearUp | Action::Acknowledge), "{attempt}: {action:?}");
        }
        if self.state.status.is_active() {
            self.recover(plan(&self.facts(self.state.attempt)));
        }
        true
    }

    fn facts(&self, attempt: u32) -> Facts {
        let current = attempt == self.state.attempt && self.state.status.is_active();
        let dir = self.sessions.get(&attempt).map_or(Dir::Missing, |session| Dir::Present {
            held: session.keeper,
            started: session.mark,
            record: session.record.map_or(Record::Absent, |_| Record::Read(Box::new(session.exit_record(attempt)))),
            same_boot: session.boot == self.boot,
        });
        Facts {
            row: if current { Row::Attempt(self.state.status) } else { Row::Finished },
            dir,
            started: current && self.started,
        }
    }

    fn recover(&mut self, action: Action) {
        let attempt = self.state.attempt;
        match action {
            Action::Adopt => {
                if let Some(daemon) = &mut self.daemon {
                    daemon.attends = Some(attempt);
                }
                let session = &self.sessions[&attempt];
                // What it was to be told may have died with the last daemon, and so may the
                // secrets of a program that waits.
                if self.state.stop.is_some() || session.program == Program::NotStarted {
                    self.stop(attempt);
                }
                self.freeze(attempt, self.state.status == Status::Paused);
            }
            Action::Finish(record) => {
                self.end(attempt, record.outcome());
            }
            Action::End(outcome) => {
                if let Some(session) = self.sessions.get_mut(&attempt) {
                    let sure = session.program != Program::Alive || outcome == Outcome::Lost;
                    assert!(sure, "attempt {attempt} is {outcome} and lives");
                    session.program = Program::Gone;
                }
                self.end(attempt, outcome);
            }
            Action::Settle => {
                self.commit(&Event::Settled { attempt });
            }
            other => panic!("{other:?} about {:?}", self.state),
        }
    }

    /// All processes are gone, and what was not synced may be. In a shutdown keepers have the
    /// time to say so.
    fn reboot(&mut self, shutdown: bool, marks: bool, directories: bool) {
        self.daemon = None;
        self.boot += 1;
        for session in self.sessions.values_mut() {
            if shutdown && session.keeper && session.record.is_none() {
                session.record = Some(match session.program {
                    Program::NotStarted => ExitReason::StoppedBeforeStart,
                    _ => ExitReason::Shutdown,
                });
            }
            session.keeper = false;
            if session.program == Program::Alive {
                session.program = Program::Gone;
            }
            session.mark &= marks;
        }
        if !directories {
            self.sessions.retain(|_, session| session.record.is_some());
        }
    }

    fn act(&mut self, what: u8) {
        match what % 32 {
            0..=3 => {
                let attempt = self.state.attempt + 1;
                if self.due <= self.now {
                    self.commit(&Event::Claimed { attempt });
                }
            }
            4..=8 => _ = self.effect(),
            9..=11 => _ = self.hears(),
            12 => _ = self.program_ends(0),
            13 => _ = self.program_ends(1),
            14 => self.now = self.now.plus(Duration::from_secs(60)),
            15 => _ = self.clears_up(),
            16 => _ = self.commit(&Event::CancelRequested),
            17 => _ = self.commit(&Event::KillRequested),
            18 => _ = self.commit(&Event::Held),
            19 => _ = self.commit(&Event::Released),
            20 => _ = self.commit(&Event::Paused),
            21 => _ = self.commit(&Event::Resumed),
            22 => _ = self.commit(&Event::LimitReached { attempt: self.state.attempt }),
            23 => _ = self.commit(&Event::Retried),
            24 => _ = self.commit(&Event::Recovered),
            25 | 26 => self.daemon_dies(),
            27 | 28 => _ = self.daemon_starts(),
            29 => {
                // Its program survives it, as far as it likes.
                if let Some(session) = self.sessions.values_mut().find(|session| session.keeper) {
                    session.keeper = false;
                }
            }
            30 => self.reboot(what & 128 == 0, what & 32 == 0, what & 64 == 0),
            // The clock steps back a day, or ten years ahead.
            _ if what & 32 == 0 => self.now = Timestamp(self.now.0 - 86_400_000),
            _ => self.now = self.now.plus(Duration::from_secs(10 * 365 * 86_400)),
        }
    }

    fn check(&self) {
        let Policy { retries, max_restarts, .. } = self.state.policy;
        assert!(self.starts.values().all(|count| *count == 1), "{:?}", self.starts);
        assert!(self.sessions.values().filter(|session| session.program == Program::Alive).count() <= 1);
        assert!(self.state.used.failures <= retries && self.state.used.restarts <= max_restarts + 1);
        let known = self.succeeded.get(&self.state.attempt);
        match self.state.status {
            Status::Passed => assert_eq!(known, Some(&true)),
            Status::Failed => assert_eq!(known, Some(&false)),
            _ => {}
        }
    }

    /// Nothing goes wrong any more: all that was begun comes to its end.
    fn drain(&mut self) {
        for _ in 0..DRAIN {
            self.check();
            let goes_on = self.daemon_starts()
                || self.effect()
                || self.hears()
                || self.program_ends(0)
                || self.clears_up()
                || self.commit(&Event::Resumed);
            if goes_on {
                continue;
            }
            if self.state.status != Status::Queued {
                break;
            }
            self.now = self.now.max(self.due);
            self.commit(&Event::Claimed { attempt: self.state.attempt + 1 });
        }
        let status = self.state.status;
        assert!(status.is_final() || status == Status::Held, "it stays {status}: {:?}", self.state);
        assert!(self.sessions.is_empty(), "{:?}", self.sessions);
        if self.ended_by_person {
            assert_eq!(status, Status::Cancelled);
        }
    }
}

impl Session {
    fn exit_record(&self, attempt: u32) -> ExitRecord {
        ExitRecord {
            v: exit::VERSION,
            session: AttemptId { task: TaskId(1), number: attempt }.session(),
            uid: Uid::from_bytes([1; 16]),
            reason: self.record.unwrap_or(ExitReason::Ended),
            exit: Exit { code: Some(self.code), signal: None },
            error: None,
            started_at: None,
            ended_at: Timestamp(1),
            recording_bytes: 0,
            recording_sha256: String::new(),
            recording_lost: 0,
            leftovers: 0,
            used: None,
            boot_id: String::new(),
        }
    }

    fn outcome(&self) -> Outcome {
        self.exit_record(1).outcome()
    }
}

/// Sequences that are tried: `PROPTEST_CASES` says how many.
const SEQUENCES: u32 = 100_000;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(SEQUENCES),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_dies_nothing_runs_twice_and_all_comes_to_its_end(
        acts in proptest::collection::vec(any::<u8>(), 0..80),
        retries in 0u32..3,
        max_restarts in 0u32..4,
        on_interrupt in 0..OnInterrupt::ALL.len(),
    ) {
        let policy = Policy { retries, max_restarts, on_interrupt: OnInterrupt::ALL[on_interrupt] };
        let mut world = World::new(policy);
        for act in acts {
            world.act(act);
            world.check();
        }
        world.drain();
    }
}
