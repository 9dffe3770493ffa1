//! What to exit with when tasks were waited for.

use super::Status;
use crate::task::Status as State;

/// The awaited task failed.
pub const FAILED: Status = Status(1);
/// Nothing of it runs.
pub const UNREACHABLE: Status = Status(3);
/// The time to wait was over first.
pub const PENDING: Status = Status(8);
/// The awaited task was cancelled.
pub const CANCELLED: Status = Status(9);
/// The awaited task's own time limit ended it.
pub const TIMED_OUT: Status = Status(124);

/// From worst to best: which one several tasks exit with.
const WORST_FIRST: [u8; 8] = [130, 3, 1, 7, 9, 124, 75, 8];

/// What a task in this state exits with.
pub fn of(state: State) -> Status {
    match state {
        State::Passed => Status::OK,
        State::Failed | State::Error => FAILED,
        State::Cancelled => CANCELLED,
        State::Timeout => TIMED_OUT,
        State::Queued | State::Held | State::Starting | State::Running | State::Paused | State::Completing => PENDING,
    }
}

/// What several exit with: 0 if all passed, else the worst.
pub fn worst(all: impl IntoIterator<Item = Status>) -> Status {
    let badness = |status: &Status| {
        let place = WORST_FIRST.iter().position(|bad| *bad == status.0);
        place.map_or(0, |place| WORST_FIRST.len() - place)
    };
    all.into_iter().max_by_key(badness).unwrap_or(Status::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts() {
        let worst_of = |codes: &[u8]| worst(codes.iter().copied().map(Status)).0;
        assert_eq!(worst_of(&[]), 0);
        assert_eq!(worst_of(&[0, 0]), 0);
        for (n, bad) in WORST_FIRST.into_iter().enumerate() {
            assert_eq!(worst_of(&[0, bad, 0]), bad);
            for better in &WORST_FIRST[n + 1..] {
                assert_eq!(worst_of(&[*better, bad]), bad);
                assert_eq!(worst_of(&[bad, *better]), bad);
            }
        }
    }
}
