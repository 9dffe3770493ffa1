//! What follows an attempt's end: try again, when, or the task's final status.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::status::Status;
use crate::clock::Timestamp;

/// Wait before the first repetition; it doubles each time.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait before a repetition.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);
/// Restarts are counted within this: what is lost now and then goes on for ever, what is
/// lost again and again, perhaps because it kills its own keeper, does not.
pub const RESTART_WINDOW: Duration = Duration::from_secs(60 * 60);
/// Wait after an interruption. A shutdown ends one thing after another, and the daemon may
/// be the last to hear of it: nothing new is begun in between.
pub const AFTER_INTERRUPTION: Duration = Duration::from_secs(5);

/// Attempts after which one whose program never ran is repeated with a pause: a keeper
/// that cannot start must not keep the machine busy.
const FREE_ATTEMPTS: u32 = 3;
/// Attempts after which such a one is not repeated any more.
pub const MOST_ATTEMPTS: u32 = 200;
/// That pause at first; it doubles with each further attempt…
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// …up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What becomes of a task whose attempt was interrupted, by a shutdown or the death of its
/// keeper, when nobody is there to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum OnInterrupt {
    /// It goes on where it was: another attempt continues the tool's conversation. From
    /// the beginning where the tool cannot do that, or had not begun one.
    #[default]
    Resume,
    /// Another attempt from the beginning.
    Requeue,
    /// It is held until a person releases it.
    Hold,
    /// It has failed.
    Fail,
}

impl OnInterrupt {
    /// Every policy.
    pub const ALL: [OnInterrupt; 4] = [OnInterrupt::Resume, OnInterrupt::Requeue, OnInterrupt::Hold, OnInterrupt::Fail];

    /// The name in the database, in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            OnInterrupt::Resume => "resume",
            OnInterrupt::Requeue => "requeue",
            OnInterrupt::Hold => "hold",
            OnInterrupt::Fail => "fail",
        }
    }
}

impl fmt::Display for OnInterrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for OnInterrupt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = OnInterrupt::ALL.into_iter().find(|policy| policy.name() == text);
        found.ok_or_else(|| format!("'{text}' is no such policy: resume, requeue, hold or fail"))
    }
}

/// What may be repeated without a person, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Policy {
    /// Retries of a failed attempt.
    pub retries: u32,
    /// What becomes of an interrupted one.
    pub on_interrupt: OnInterrupt,
    /// Restarts within [`RESTART_WINDOW`]; one more, and the task is held.
    pub max_restarts: u32,
}

/// What a task has used up of its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Used {
    /// Failed attempts that counted.
    pub failures: u32,
    /// Restarts since `since`.
    pub restarts: u32,
    /// When the first of them was.
    pub since: Option<Timestamp>,
}

impl Used {
    /// With one restart more, at `now`; those of more than a window ago no longer count. Nor
    /// do those of a time that has not come yet: the clock was wrong then.
    #[must_use]
    pub fn restarted(self, now: Timestamp) -> Used {
        let counts = |since: &Timestamp| *since <= now && now.since(*since) <= RESTART_WINDOW;
        match self.since.filter(counts) {
            Some(since) => Used { restarts: self.restarts.saturating_add(1), since: Some(since), ..self },
            None => Used { restarts: 1, since: Some(now), ..self },
        }
    }
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The task has ended.
    End(Status),
    /// Another attempt after a failure, not before this long from now.
    Retry(Duration),
    /// Another attempt after something that was not the agent's fault and counts as a
    /// restart.
    Restart {
        /// What will have been used.
        used: Used,
        /// Not before this long from now.
        wait: Option<Duration>,
    },
    /// A person has to decide.
    Hold(Used),
    /// Another attempt at no cost, after [`pause`]: the program never ran.
    Again,
}

/// Decides what follows `outcome`.
pub fn verdict(outcome: Outcome, policy: Policy, used: Used, now: Timestamp) -> Verdict {
    match outcome {
        Outcome::Succeeded => Verdict::End(Status::Passed),
        Outcome::AgentFailed if used.failures < policy.retries => Verdict::Retry(backoff(used.failures)),
        Outcome::AgentFailed => Verdict::End(Status::Failed),
        Outcome::TimedOut => Verdict::End(Status::Timeout),
        Outcome::Killed => Verdict::End(Status::Cancelled),
        Outcome::NotInstalled | Outcome::LaunchFailed | Outcome::Unknown => Verdict::End(Status::Error),
        Outcome::Lost | Outcome::Interrupted => match policy.on_interrupt {
            OnInterrupt::Fail => Verdict::End(Status::Error),
            OnInterrupt::Hold => Verdict::Hold(used),
            OnInterrupt::Resume | OnInterrupt::Requeue => {
                let used = used.restarted(now);
                let wait = (outcome == Outcome::Interrupted).then_some(AFTER_INTERRUPTION);
                if used.restarts > policy.max_restarts { Verdict::Hold(used) } else { Verdict::Restart { used, wait } }
            }
        },
        Outcome::NeverStarted => Verdict::Again,
        // A person has to see to it; then it is as if nothing had happened.
        Outcome::AuthNeeded => Verdict::Hold(used),
    }
}

/// The wait after the given number of earlier failures.
pub fn backoff(failures: u32) -> Duration {
    let factor = 1u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX);
    FIRST_BACKOFF.saturating_mul(factor).min(LONGEST_BACKOFF)
}

/// The wait after an attempt, of which it is the `attempt`th, whose program never ran.
pub fn pause(attempt: u32) -> Option<Duration> {
    let further = attempt.checked_sub(FREE_ATTEMPTS)?;
    let factor = 1u32.checked_shl(further.min(16)).unwrap_or(u32::MAX);
    Some(FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        assert_eq!(backoff(0), Duration::from_secs(10));
        assert_eq!(backoff(1), Duration::from_secs(20));
        assert_eq!(backoff(3), Duration::from_secs(80));
        assert_eq!(backoff(7), LONGEST_BACKOFF);
        assert_eq!(backoff(u32::MAX), LONGEST_BACKOFF);
    }

    #[test]
    fn what_never_starts_is_repeated_ever_more_slowly() {
        assert_eq!([pause(0), pause(1), pause(2)], [None; 3]);
        assert_eq!(pause(3), Some(FIRST_PAUSE));
        assert_eq!(pause(5), Some(4 * FIRST_PAUSE));
        assert_eq!(pause(9), Some(LONGEST_PAUSE));
        assert_eq!(pause(u32::MAX), Some(LONGEST_PAUSE));
    }

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn policy(retries: u32, on_interrupt: OnInterrupt) -> Policy {
        Policy { retries, on_interrupt, max_restarts: 3 }
    }

    #[test]
    fn every_outcome_has_its_verdict() {
        let decide = |outcome, policy| verdict(outcome, policy, Used { failures: 1, ..Used::default() }, NOW);
        for outcome in Outcome::ALL {
            for on_interrupt in OnInterrupt::ALL {
                let restart = |wait| match on_interrupt {
                    OnInterrupt::Resume | OnInterrupt::Requeue => {
                        Verdict::Restart { used: Used { failures: 1, restarts: 1, since: Some(NOW) }, wait }
                    }
                    OnInterrupt::Hold => Verdict::Hold(Used { failures: 1, ..Used::default() }),
                    OnInterrupt::Fail => Verdict::End(Status::Error),
                };
                let (spare, gone) = match outcome {
                    Outcome::Succeeded => (Verdict::End(Status::Passed), None),
                    Outcome::AgentFailed => (Verdict::Retry(backoff(1)), Some(Verdict::End(Status::Failed))),
                    Outcome::TimedOut => (Verdict::End(Status::Timeout), None),
                    Outcome::Killed => (Verdict::End(Status::Cancelled), None),
                    Outcome::NotInstalled | Outcome::LaunchFailed | Outcome::Unknown => {
                        (Verdict::End(Status::Error), None)
                    }
                    Outcome::Interrupted => (restart(Some(AFTER_INTERRUPTION)), None),
                    Outcome::Lost => (restart(None), None),
                    Outcome::NeverStarted => (Verdict::Again, None),
                    Outcome::AuthNeeded => (Verdict::Hold(Used { failures: 1, ..Used::default() }), None),
                };
                assert_eq!(decide(outcome, policy(2, on_interrupt)), spare, "{outcome} {on_interrupt}");
                assert_eq!(decide(outcome, policy(1, on_interrupt)), gone.unwrap_or(spare), "{outcome} {on_interrupt}");
            }
        }
    }

    #[test]
    fn a_crash_loop_is_held_and_a_crash_a_day_is_not() {
        let every = |gap: Duration| {
            let (mut used, mut now, mut restarts) = (Used::default(), NOW, 0);
            while let Verdict::Restart { used: after, .. } =
                verdict(Outcome::Lost, policy(0, OnInterrupt::Resume), used, now)
            {
                (used, now, restarts) = (after, now.plus(gap), restarts + 1);
                if restarts == 100 {
                    break;
                }
            }
            restarts
        };
        assert_eq!(every(Duration::from_secs(60)), 3);
        assert_eq!(every(RESTART_WINDOW / 3), 3);
        assert_eq!(every(RESTART_WINDOW / 2), 100);
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_count_restarts_for_years() {
        let used = Used { failures: 0, restarts: 3, since: Some(NOW.plus(RESTART_WINDOW * 87_600)) };
        assert_eq!(used.restarted(NOW), Used { failures: 0, restarts: 1, since: Some(NOW) });
    }
}
