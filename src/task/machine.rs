//! The one place that decides what an event does to a task. Pure: the same function
//! serves the living queue and recovery, and `store::apply` writes nothing else.

use std::fmt;
use std::time::Duration;

use super::event::Event;
use super::outcome::Outcome;
use super::retry::{self, OnInterrupt, Policy, Used, Verdict};
use super::status::{Status, Stop};
use crate::clock::Timestamp;

/// All of a task that decides what may happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Where it is.
    pub status: Status,
    /// An order to end that is being carried out.
    pub stop: Option<Stop>,
    /// Number of the last attempt; 0 before the first.
    pub attempt: u32,
    /// How the last attempt ended, once it has.
    pub outcome: Option<Outcome>,
    /// The attempt under way, or else the next one, goes on with the conversation of the
    /// one before, where its tool can do that.
    pub resume: bool,
    /// What may be repeated without a person.
    pub policy: Policy,
    /// What it has used of that.
    pub used: Used,
}

impl State {
    /// A task just submitted.
    pub fn submitted(held: bool, policy: Policy) -> Self {
        State {
            status: if held { Status::Held } else { Status::Queued },
            stop: None,
            attempt: 0,
            outcome: None,
            resume: false,
            policy,
            used: Used::default(),
        }
    }
}

/// What has to be done once the step is committed. Every effect can be derived again
/// from the stored state, so that a crash loses none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make the keeper of the claimed attempt.
    Launch,
    /// Tell the keeper to start the program.
    Go,
    /// Interrupt, then terminate, then kill the session's tree.
    StopGently,
    /// Kill the session's tree now.
    StopNow,
    /// Freeze the session's tree.
    Freeze,
    /// Let it run again.
    Thaw,
    /// Collect what the attempt left, then report it settled.
    Collect,
}

/// What an event does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The task afterwards.
    pub state: State,
    /// It may not be claimed before this long from now.
    pub backoff: Option<Duration>,
    /// To be done after the commit.
    pub effects: Vec<Effect>,
}

/// Why an event is refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is so already.
    Already(Status),
    /// An order to end is being carried out already.
    Stopping(Stop),
    /// It has ended.
    Ended(Status),
    /// It has not ended yet.
    NotEnded(Status),
    /// An attempt is under way.
    Active(Status),
    /// No attempt is running.
    NotRunning(Status),
    /// The event speaks of an attempt that is not the current one.
    Stale {
        /// The one it speaks of.
        event: u32,
        /// The current one.
        current: u32,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Already(status) => write!(f, "is {status} already"),
            Refused::Stopping(_) => f.write_str("is being ended already"),
            Refused::Ended(status) => write!(f, "has ended: it is {status}"),
            Refused::NotEnded(status) => write!(f, "has not ended: it is {status}"),
            Refused::Active(status) => write!(f, "is {status}"),
            Refused::NotRunning(status) => write!(f, "is not running: it is {status}"),
            Refused::Stale { event, current } => {
                write!(f, "is at attempt {current}; the report is about attempt {event}")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// Decides what `event`, which happens `now`, does to a task in `state`.
///
/// # Errors
/// [`Refused`] when the event cannot happen to such a task.
pub fn step(state: &State, event: &Event, now: Timestamp) -> Result<Step, Refused> {
    use Status::{Cancelled, Completing, Held, Paused, Queued, Running, Starting};

    if let Some(attempt) = event.attempt() {
        let expected = if matches!(event, Event::Claimed { .. }) { state.attempt + 1 } else { state.attempt };
        if attempt != expected {
            return Err(Refused::Stale { event: attempt, current: state.attempt });
        }
    }
    let to = |status: Status, effects: &[Effect]| {
        Ok(Step { state: State { status, ..*state }, backoff: None, effects: effects.to_vec() })
    };
    let stopping = |stop: Stop, effects: &[Effect]| {
        // A frozen program cannot follow an order to end.
        let status = if state.status == Paused { Running } else { state.status };
        Ok(Step { state: State { status, stop: Some(stop), ..*state }, backoff: None, effects: effects.to_vec() })
    };
    let ended = || Refused::Ended(state.status);

    match (event, state.status, state.stop) {
        (Event::Held, Queued, _) => to(Held, &[]),
        (Event::Held, Held, _) => Err(Refused::Already(Held)),
        // Whoever releases what crashed again and again has seen to it.
        (Event::Released, Held, _) => Ok(Step {
            state: State { status: Queued, used: Used { restarts: 0, since: None, ..state.used }, ..*state },
            backoff: None,
            effects: Vec::new(),
        }),
        (Event::Released, Queued, _) => Err(Refused::Already(Queued)),
        (Event::Held | Event::Released, status, _) if status.is_active() => Err(Refused::Active(status)),

        (Event::Claimed { attempt }, Queued, _) => Ok(Step {
            state: State { status: Starting, attempt: *attempt, stop: None, outcome: None, ..*state },
            backoff: None,
            effects: vec![Effect::Launch],
        }),
        (Event::Claimed { .. }, status, _) => Err(Refused::Already(status)),

        (Event::Started { .. }, Starting, None) => to(Running, &[Effect::Go]),
        (Event::Started { .. }, Starting, Some(stop)) => Err(Refused::Stopping(stop)),
        (Event::Started { .. }, status, _) => Err(Refused::Already(status)),

        (Event::Paused, Running, None) => to(Paused, &[Effect::Freeze]),
        (Event::Paused, Running | Starting, Some(stop)) => Err(Refused::Stopping(stop)),
        (Event::Paused, Paused, _) => Err(Refused::Already(Paused)),
        (Event::Resumed, Paused, _) => to(Running, &[Effect::Thaw]),
        (Event::Resumed, Running, _) => Err(Refused::Already(Running)),
        (Event::Paused | Event::Resumed, status, _) if !status.is_final() => Err(Refused::NotRunning(status)),

        (Event::CancelRequested | Event::KillRequested, Queued | Held, _) => to(Cancelled, &[]),
        (Event::CancelRequested, Starting | Running, None) => stopping(Stop::Cancel, &[Effect::StopGently]),
        (Event::CancelRequested, Paused, None) => stopping(Stop::Cancel, &[Effect::Thaw, Effect::StopGently]),
        (Event::CancelRequested, Completing, None) => stopping(Stop::Cancel, &[]),
        (Event::CancelRequested, status, Some(stop)) if status.is_active() => Err(Refused::Stopping(stop)),
        (Event::KillRequested, Starting | Running | Paused, None | Some(Stop::Cancel | Stop::Timeout)) => {
            stopping(Stop::Kill, &[Effect::StopNow])
        }
        (Event::KillRequested, Completing, None) => stopping(Stop::Kill, &[]),
        (Event::KillRequested, status, Some(stop)) if status.is_active() => Err(Refused::Stopping(stop)),

        (Event::LimitReached { .. }, Running, None) => stopping(Stop::Timeout, &[Effect::StopGently]),
        (Event::LimitReached { .. }, Running, Some(stop)) => Err(Refused::Stopping(stop)),
        (Event::LimitReached { .. }, status, _) if !status.is_final() => Err(Refused::NotRunning(status)),

        (Event::Ended { outcome, .. }, Starting | Running | Paused, stop) => Ok(Step {
            state: State { status: Completing, outcome: Some(under_order(*outcome, stop)), ..*state },
            backoff: None,
            effects: vec![Effect::Collect],
        }),
        (Event::Ended { .. }, Completing, _) => Err(Refused::Already(Completing)),
        (Event::Ended { .. }, status, _) if !status.is_final() => Err(Refused::NotRunning(status)),

        (Event::Settled { .. }, Completing, stop) => Ok(settle(state, stop, now)),
        (Event::Settled { .. }, status, _) if !status.is_final() => Err(Refused::NotEnded(status)),

        (Event::Retried, Status::Passed, _) => Err(ended()),
        (Event::Retried, status, _) if status.is_final() => Ok(Step {
            state: State { status: Queued, stop: None, resume: false, used: Used::default(), ..*state },
            backoff: None,
            effects: Vec::new(),
        }),
        (Event::Retried, status, _) => Err(Refused::NotEnded(status)),

        (Event::Recovered, Status::Passed, _) => Err(ended()),
        (Event::Recovered, Queued, _) => Err(Refused::Already(Queued)),
        (Event::Recovered, status, _) if status.is_active() => Err(Refused::Active(status)),
        (Event::Recovered, ..) => Ok(Step {
            state: State { status: Queued, stop: None, resume: state.attempt > 0, used: Used::default(), ..*state },
            backoff: None,
            effects: Vec::new(),
        }),

        _ => Err(ended()),
    }
}

/// An attempt that ends while an order to end it is out has ended by that order.
fn under_order(outcome: Outcome, stop: Option<Stop>) -> Outcome {
    match stop {
        Some(Stop::Cancel | Stop::Kill) => Outcome::Killed,
        Some(Stop::Timeout) => Outcome::TimedOut,
        None => outcome,
    }
}

fn settle(state: &State, stop: Option<Stop>, now: Timestamp) -> Step {
    let outcome = state.outcome.unwrap_or(Outcome::Lost);
    // An order that came only after the program had ended still decides: what was
    // cancelled never comes back.
    let verdict = retry::verdict(under_order(outcome, stop), state.policy, state.used, now);
    let mut next = State { stop: None, resume: false, ..*state };
    let mut backoff = None;
    match verdict {
        Verdict::End(status) => next.status = status,
        Verdict::Retry(wait) => {
            next.status = Status::Queued;
            next.used.failures += 1;
            backoff = Some(wait);
        }
        Verdict::Restart { used, wait } => {
            next.status = Status::Queued;
            next.used = used;
            next.resume = state.policy.on_interrupt == OnInterrupt::Resume;
            backoff = wait;
        }
        Verdict::Hold(used) => {
            next.status = Status::Held;
            next.used = used;
            // Whoever releases it wants it to go on.
            next.resume = match outcome {
                Outcome::AuthNeeded => state.resume,
                _ => state.policy.on_interrupt != OnInterrupt::Requeue,
            };
        }
        Verdict::Again if state.attempt >= retry::MOST_ATTEMPTS => next.status = Status::Error,
        Verdict::Again => {
            next.status = Status::Queued;
            // Nothing was gone on with yet.
            next.resume = state.resume;
            backoff = retry::pause(state.attempt);
        }
    }
    Step { state: next, backoff, effects: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Exit;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn step(state: &State, event: &Event) -> Result<Step, Refused> {
        super::step(state, event, NOW)
    }

    const EVENTS: [&str; 13] = [
        "held",
        "released",
        "claimed",
        "started",
        "paused",
        "resumed",
        "cancel_requested",
        "kill_requested",
        "limit_reached",
        "ended",
        "settled",
        "retried",
        "recovered",
    ];

    #[test]
    fn what_never_starts_is_not_repeated_for_ever() {
        let at = |attempt| {
            let state = State {
                status: Status::Completing,
                attempt,
                outcome: Some(Outcome::NeverStarted),
                ..State::submitted(false, Policy::default())
            };
            step(&state, &Event::Settled { attempt }).unwrap().state.status
        };
        assert_eq!(at(retry::MOST_ATTEMPTS - 1), Status::Queued);
        assert_eq!(at(retry::MOST_ATTEMPTS), Status::Error);
    }

    fn event(name: &str) -> Event {
        let event = match name {
            "held" => Event::Held,
            "released" => Event::Released,
            "claimed" => Event::Claimed { attempt: 2 },
            "started" => Event::Started { attempt: 1, resumed: false },
            "paused" => Event::Paused,
            "resumed" => Event::Resumed,
            "cancel_requested" => Event::CancelRequested,
            "kill_requested" => Event::KillRequested,
            "limit_reached" => Event::LimitReached { attempt: 1 },
            "ended" => Event::Ended { attempt: 1, outcome: Outcome::AgentFailed, exit: Exit::default(), error: None },
            "settled" => Event::Settled { attempt: 1 },
            "retried" => Event::Retried,
            "recovered" => Event::Recovered,
            other => panic!("{other}"),
        };
        assert_eq!(event.name(), name);
        event
    }

    fn state(status: Status) -> State {
        State {
            status,
            stop: None,
            attempt: 1,
            outcome: (status == Status::Completing || status.is_final()).then_some(Outcome::AgentFailed),
            resume: false,
            policy: Policy::default(),
            used: Used::default(),
        }
    }

    /// Every status × every event, without an order to end: what it becomes, or `-`.
    #[test]
    fn every_status_and_event() {
        #[rustfmt::skip]
        let table = [
            // status      held    released  claimed     started    paused    resumed    cancel       kill         limit      ended         settled     retried   recovered
            ("queued",     ["held", "-",      "starting", "-",       "-",      "-",       "cancelled", "cancelled", "-",       "-",          "-",        "-",      "-"]),
            ("held",       ["-",    "queued", "-",        "-",       "-",      "-",       "cancelled", "cancelled", "-",       "-",          "-",        "-",      "queued"]),
            ("starting",   ["-",    "-",      "-",        "running", "-",      "-",       "starting",  "starting",  "-",       "completing", "-",        "-",      "-"]),
            ("running",    ["-",    "-",      "-",        "-",       "paused", "-",       "running",   "running",   "running", "completing", "-",        "-",      "-"]),
            ("paused",     ["-",    "-",      "-",        "-",       "-",      "running", "running",   "running",   "-",       "completing", "-",        "-",      "-"]),
            ("completing", ["-",    "-",      "-",        "-",       "-",      "-",       "completing","completing","-",       "-",          "failed",   "-",      "-"]),
            ("passed",     ["-",    "-",      "-",        "-",       "-",      "-",       "-",         "-",         "-",       "-",          "-",        "-",      "-"]),
            ("failed",     ["-",    "-",      "-",        "-",       "-",      "-",       "-",         "-",         "-",       "-",          "-",        "queued", "queued"]),
            ("error",      ["-",    "-",      "-",        "-",       "-",      "-",       "-",         "-",         "-",       "-",          "-",        "queued", "queued"]),
            ("cancelled",  ["-",    "-",      "-",        "-",       "-",      "-",       "-",         "-",         "-",       "-",          "-",        "queued", "queued"]),
            ("timeout",    ["-",    "-",      "-",        "-",       "-",      "-",       "-",         "-",         "-",       "-",          "-",        "queued", "queued"]),
        ];
        assert_eq!(table.len(), Status::ALL.len());
        for (status, row) in table {
            let before = state(status.parse().unwrap());
            for (name, expected) in EVENTS.iter().zip(row) {
                let got = step(&before, &event(name)).map(|s| s.state.status.name());
                assert_eq!(got.unwrap_or("-"), expected, "{status} × {name}");
            }
        }
    }

    /// With an order to end out, nothing but the end, or a harder order, may follow.
    #[test]
    fn an_order_to_end_is_final() {
        for stop in [Stop::Cancel, Stop::Kill, Stop::Timeout] {
            for status in [Status::Starting, Status::Running, Status::Completing] {
                let before = State { stop: Some(stop), ..state(status) };
                for name in EVENTS {
                    let Ok(after) = step(&before, &event(name)) else { continue };
                    let allowed = matches!(name, "ended" | "settled")
                        || (name == "kill_requested" && stop != Stop::Kill && status != Status::Completing);
                    assert!(allowed, "{status} {stop:?} × {name}: {after:?}");
                }
                let mut now = before;
                if status != Status::Completing {
                    now = step(&now, &event("ended")).unwrap().state;
                }
                let end = step(&now, &event("settled")).unwrap().state.status;
                let expected = if stop == Stop::Timeout { Status::Timeout } else { Status::Cancelled };
                assert_eq!(end, expected, "{status} {stop:?}");
            }
        }
    }

    #[test]
    fn what_was_cancelled_never_comes_back_by_itself() {
        for outcome in Outcome::ALL {
            let policy = Policy { retries: 9, max_restarts: 9, ..Policy::default() };
            let before = State { policy, ..state(Status::Running) };
            let ordered = step(&before, &Event::CancelRequested).unwrap();
            assert_eq!(ordered.effects, [Effect::StopGently]);
            let ended = Event::Ended { attempt: 1, outcome, exit: Exit::default(), error: None };
            let completing = step(&ordered.state, &ended).unwrap().state;
            let end = step(&completing, &Event::Settled { attempt: 1 }).unwrap();
            assert_eq!(end.state.status, Status::Cancelled, "{outcome}");
            assert_eq!(end.state.outcome, Some(Outcome::Killed));
        }
    }

    #[test]
    fn a_cancel_between_end_and_settling_counts() {
        let completing = State { outcome: Some(Outcome::Succeeded), ..state(Status::Completing) };
        let ordered = step(&completing, &Event::CancelRequested).unwrap();
        assert!(ordered.effects.is_empty());
        assert_eq!(step(&ordered.state, &Event::Settled { attempt: 1 }).unwrap().state.status, Status::Cancelled);
    }

    #[test]
    fn stale_attempts_are_refused() {
        let running = State { attempt: 3, ..state(Status::Running) };
        for name in ["started", "limit_reached", "ended", "settled"] {
            assert_eq!(step(&running, &event(name)), Err(Refused::Stale { event: 1, current: 3 }), "{name}");
        }
        assert_eq!(
            step(&state(Status::Queued), &Event::Claimed { attempt: 1 }),
            Err(Refused::Stale { event: 1, current: 1 })
        );
    }

    #[test]
    fn failures_are_repeated_with_growing_waits_until_the_allowance_is_used() {
        let mut now = State::submitted(false, Policy { retries: 2, ..Policy::default() });
        let mut waits = Vec::new();
        for attempt in 1.. {
            now = step(&now, &Event::Claimed { attempt }).unwrap().state;
            now = step(&now, &Event::Started { attempt, resumed: false }).unwrap().state;
            let ended = Event::Ended { attempt, outcome: Outcome::AgentFailed, exit: Exit::default(), error: None };
            now = step(&now, &ended).unwrap().state;
            let settled = step(&now, &Event::Settled { attempt }).unwrap();
            now = settled.state;
            match settled.backoff {
                Some(wait) => waits.push(wait.as_secs()),
                None => break,
            }
        }
        assert_eq!(waits, [10, 20]);
        assert_eq!((now.status, now.attempt), (Status::Failed, 3));
        let again = step(&now, &Event::Retried).unwrap().state;
        assert_eq!((again.status, again.used.failures), (Status::Queued, 0));
    }

    #[test]
    fn a_frozen_task_is_thawed_to_be_ended() {
        let cancelled = step(&state(Status::Paused), &Event::CancelRequested).unwrap();
        assert_eq!(cancelled.state.status, Status::Running);
        assert_eq!(cancelled.effects, [Effect::Thaw, Effect::StopGently]);
    }

    /// An attempt that ends with `outcome`, and what its policy makes of it.
    fn interrupted(outcome: Outcome, on_interrupt: OnInterrupt, max_restarts: u32) -> State {
        let policy = Policy { on_interrupt, max_restarts, ..Policy::default() };
        let before = State { policy, ..state(Status::Running) };
        let ended = Event::Ended { attempt: 1, outcome, exit: Exit::default(), error: None };
        step(&step(&before, &ended).unwrap().state, &event("settled")).unwrap().state
    }

    #[test]
    fn an_interruption_ends_as_the_policy_says() {
        for outcome in [Outcome::Lost, Outcome::Interrupted] {
            let of = |on_interrupt| {
                let after = interrupted(outcome, on_interrupt, 3);
                (after.status, after.resume)
            };
            assert_eq!(of(OnInterrupt::Resume), (Status::Queued, true));
            assert_eq!(of(OnInterrupt::Requeue), (Status::Queued, false));
            assert_eq!(of(OnInterrupt::Hold), (Status::Held, true));
            assert_eq!(of(OnInterrupt::Fail), (Status::Error, false));
            let looping = interrupted(outcome, OnInterrupt::Resume, 0);
            assert_eq!((looping.status, looping.used.restarts), (Status::Held, 1));
            let released = step(&looping, &Event::Released).unwrap().state;
            assert_eq!((released.status, released.resume, released.used.restarts), (Status::Queued, true, 0));
        }
    }

    /// What was to be gone on with still is when the next attempt never starts, and no
    /// longer once a person wants it from the beginning.
    #[test]
    fn a_resumption_is_kept_until_it_happens() {
        let queued = interrupted(Outcome::Lost, OnInterrupt::Resume, 3);
        let claimed = step(&queued, &Event::Claimed { attempt: 2 }).unwrap().state;
        let ended = |outcome| Event::Ended { attempt: 2, outcome, exit: Exit::default(), error: None };
        let after = |outcome| {
            let completing = step(&claimed, &ended(outcome)).unwrap().state;
            step(&completing, &Event::Settled { attempt: 2 }).unwrap().state
        };
        assert!(claimed.resume && after(Outcome::NeverStarted).resume);
        let failed = after(Outcome::AgentFailed);
        assert!(!failed.resume);
        assert!(step(&failed, &Event::Recovered).unwrap().state.resume);
        assert!(!step(&failed, &Event::Retried).unwrap().state.resume);
        let never = step(&State { attempt: 0, ..state(Status::Held) }, &Event::Recovered).unwrap();
        assert!(!never.state.resume, "there is nothing to go on with");
    }
}
