//! What follows an attempt's end: try again, when, or the task's final status.

use std::time::Duration;

use super::outcome::Outcome;
use super::status::Status;

/// Wait before the first repetition; it doubles each time.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait before a repetition.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);
/// How often a task is put back by itself after it was lost or interrupted, so that a
/// task which kills its own keeper does not do so for ever.
pub const MAX_RESTARTS: u32 = 3;

/// Attempts after which one whose program never ran is repeated with a pause: a keeper
/// that cannot start must not keep the machine busy.
const FREE_ATTEMPTS: u32 = 3;
/// Attempts after which such a one is not repeated any more.
pub const MOST_ATTEMPTS: u32 = 200;
/// That pause at first; it doubles with each further attempt…
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// …up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The task's allowance and what it has used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Retries asked for at submit.
    pub retries: u32,
    /// Failed attempts that counted against it so far.
    pub failures: u32,
    /// Times it was put back after being lost or interrupted.
    pub restarts: u32,
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The task has ended.
    End(Status),
    /// Another attempt after a failure, not before this long from now.
    Retry(Duration),
    /// Another attempt, at once, after something that was not the agent's fault and
    /// counts as a restart.
    Restart,
    /// Another attempt at no cost, after [`pause`]: the program never ran.
    Again,
}

/// Decides what follows `outcome`.
pub fn verdict(outcome: Outcome, allowance: Allowance) -> Verdict {
    match outcome {
        Outcome::Succeeded => Verdict::End(Status::Passed),
        Outcome::AgentFailed if allowance.failures < allowance.retries => Verdict::Retry(backoff(allowance.failures)),
        Outcome::AgentFailed => Verdict::End(Status::Failed),
        Outcome::TimedOut => Verdict::End(Status::Timeout),
        Outcome::Killed => Verdict::End(Status::Cancelled),
        Outcome::NotInstalled | Outcome::LaunchFailed | Outcome::Unknown => Verdict::End(Status::Error),
        Outcome::Lost | Outcome::Interrupted if allowance.restarts < MAX_RESTARTS => Verdict::Restart,
        Outcome::Lost | Outcome::Interrupted => Verdict::End(Status::Error),
        Outcome::NeverStarted => Verdict::Again,
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

    #[test]
    fn every_outcome_has_its_verdict() {
        let none = Allowance::default();
        let spare = Allowance { retries: 2, failures: 1, restarts: 1 };
        let used = Allowance { retries: 2, failures: 2, restarts: MAX_RESTARTS };
        for (outcome, bare, left, gone) in [
            (
                Outcome::Succeeded,
                Verdict::End(Status::Passed),
                Verdict::End(Status::Passed),
                Verdict::End(Status::Passed),
            ),
            (
                Outcome::AgentFailed,
                Verdict::End(Status::Failed),
                Verdict::Retry(backoff(1)),
                Verdict::End(Status::Failed),
            ),
            (
                Outcome::NotInstalled,
                Verdict::End(Status::Error),
                Verdict::End(Status::Error),
                Verdict::End(Status::Error),
            ),
            (
                Outcome::TimedOut,
                Verdict::End(Status::Timeout),
                Verdict::End(Status::Timeout),
                Verdict::End(Status::Timeout),
            ),
            (
                Outcome::Killed,
                Verdict::End(Status::Cancelled),
                Verdict::End(Status::Cancelled),
                Verdict::End(Status::Cancelled),
            ),
            (Outcome::Interrupted, Verdict::Restart, Verdict::Restart, Verdict::End(Status::Error)),
            (Outcome::Lost, Verdict::Restart, Verdict::Restart, Verdict::End(Status::Error)),
            (
                Outcome::LaunchFailed,
                Verdict::End(Status::Error),
                Verdict::End(Status::Error),
                Verdict::End(Status::Error),
            ),
            (Outcome::Unknown, Verdict::End(Status::Error), Verdict::End(Status::Error), Verdict::End(Status::Error)),
            (Outcome::NeverStarted, Verdict::Again, Verdict::Again, Verdict::Again),
        ] {
            assert_eq!(verdict(outcome, none), bare, "{outcome}");
            assert_eq!(verdict(outcome, spare), left, "{outcome}");
            assert_eq!(verdict(outcome, used), gone, "{outcome}");
        }
    }
}
