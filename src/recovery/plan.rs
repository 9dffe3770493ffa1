//! The recovery plan: a pure function from the facts about one session to what is done.
//!
//! Made over the union of unfinished rows and the directories of live sessions. Whether a
//! keeper lives is answered by its lock, never by a timer.

use crate::protocol::exit::ExitRecord;
use crate::task::{Outcome, Status};

/// What the database says of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// No row: it came from somewhere else, or a restore lost it.
    Missing,
    /// Its end is stored.
    Finished,
    /// It belongs to a task in this status.
    Attempt(Status),
    /// It has no task, and its end is not stored.
    Free,
}

/// The keeper's exit record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// There is none.
    Absent,
    /// There is one, so the program has ended, but nobody here understands it.
    Unreadable,
    /// What it says.
    Read(Box<ExitRecord>),
}

/// What lies in `sessions/live/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dir {
    /// Nothing.
    Missing,
    /// A directory.
    Present {
        /// The keeper lives: its lock is held; or what is here cannot be asked now. Either
        /// way nothing is decided yet.
        held: bool,
        /// The program was started.
        started: bool,
        /// The keeper's exit record.
        record: Record,
        /// The keeper has said who it is, and belongs to this boot. It says so before its
        /// program may be started, so without a word it was not of this boot, or nothing ran.
        same_boot: bool,
    },
}

/// All that is known of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// In the database.
    pub row: Row,
    /// On disk. A directory whose identity is not the row's is not this session's.
    pub dir: Dir,
    /// The database has committed that the program was to be started.
    pub started: bool,
}

/// What is done about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect to the keeper as its controller and go on from what its Hello says.
    Adopt,
    /// The same for a session that has no row: it gets one, and is never killed.
    AdoptUnknown,
    /// Its end is stored already: tell the keeper that it may leave, and clear up.
    Acknowledge,
    /// Store its end from the record, then clear up.
    Finish(Box<ExitRecord>),
    /// End whatever is left of it, then store this outcome, then clear up.
    End(Outcome),
    /// Its end is stored and its keeper is gone: clear up.
    ClearUp,
    /// Only its last step is missing.
    Settle,
    /// Nothing to do.
    Nothing,
}

/// Decides about one session.
pub fn plan(facts: &Facts) -> Action {
    if facts.row == Row::Attempt(Status::Completing) {
        return Action::Settle;
    }
    match (&facts.dir, facts.row) {
        (Dir::Missing, Row::Attempt(_) | Row::Free) if facts.started => Action::End(Outcome::Lost),
        (Dir::Missing, Row::Attempt(_) | Row::Free) => Action::End(Outcome::NeverStarted),
        (Dir::Missing, Row::Missing | Row::Finished) => Action::Nothing,

        (Dir::Present { held: true, .. }, Row::Missing) => Action::AdoptUnknown,
        (Dir::Present { held: true, .. }, Row::Finished) => Action::Acknowledge,
        (Dir::Present { held: true, .. }, Row::Attempt(_) | Row::Free) => Action::Adopt,

        (Dir::Present { .. }, Row::Finished) => Action::ClearUp,
        // Its output is kept; without a row there is nothing else to say about it.
        (Dir::Present { .. }, Row::Missing) => Action::ClearUp,
        (Dir::Present { record: Record::Read(record), .. }, _) => Action::Finish(record.clone()),
        // It ran to its end, and may have done its work: never once more.
        (Dir::Present { record: Record::Unreadable, .. }, _) => Action::End(Outcome::Unknown),
        (Dir::Present { started: true, same_boot: true, .. }, _) => Action::End(Outcome::Lost),
        (Dir::Present { started: true, same_boot: false, .. }, _) => Action::End(Outcome::Interrupted),
        // The mark is not synced: after a power cut it may be missing although the program
        // ran, so then only a start that was never ordered counts as never started.
        (Dir::Present { started: false, same_boot: false, .. }, _) if facts.started => {
            Action::End(Outcome::Interrupted)
        }
        (Dir::Present { started: false, .. }, _) => Action::End(Outcome::NeverStarted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::Uid;
    use crate::protocol::exit::{self, ExitReason};
    use crate::task::Exit;

    fn record() -> Box<ExitRecord> {
        Box::new(ExitRecord {
            v: exit::VERSION,
            session: "42.1".parse().unwrap(),
            uid: Uid::from_bytes([1; 16]),
            reason: ExitReason::Ended,
            exit: Exit { code: Some(0), signal: None },
            error: None,
            started_at: None,
            ended_at: Timestamp(1),
            recording_bytes: 0,
            recording_sha256: String::new(),
            recording_lost: 0,
            leftovers: 0,
            used: None,
            boot_id: String::new(),
        })
    }

    fn every() -> impl Iterator<Item = Facts> {
        let rows = [
            Row::Missing,
            Row::Finished,
            Row::Free,
            Row::Attempt(Status::Starting),
            Row::Attempt(Status::Running),
            Row::Attempt(Status::Paused),
            Row::Attempt(Status::Completing),
        ];
        let mut dirs = vec![Dir::Missing];
        for bits in 0..8 {
            for record in [Record::Absent, Record::Unreadable, Record::Read(record())] {
                dirs.push(Dir::Present {
                    held: bits & 1 != 0,
                    started: bits & 2 != 0,
                    same_boot: bits & 4 != 0,
                    record,
                });
            }
        }
        rows.into_iter().flat_map(move |row| {
            dirs.clone()
                .into_iter()
                .flat_map(move |dir| [false, true].map(|started| Facts { row, dir: dir.clone(), started }))
        })
    }

    #[test]
    fn a_living_keeper_is_never_replaced_or_killed() {
        for facts in every() {
            let Dir::Present { held: true, .. } = facts.dir else { continue };
            let action = plan(&facts);
            assert!(
                matches!(action, Action::Adopt | Action::AdoptUnknown | Action::Acknowledge | Action::Settle),
                "{facts:?}: {action:?}"
            );
        }
    }

    #[test]
    fn an_unfinished_row_is_always_brought_to_its_end() {
        for facts in every() {
            let unfinished = matches!(facts.row, Row::Attempt(_) | Row::Free);
            let action = plan(&facts);
            let ends = matches!(action, Action::Adopt | Action::Finish(_) | Action::End(_) | Action::Settle);
            assert_eq!(unfinished, ends, "{facts:?}: {action:?}");
        }
    }

    #[test]
    fn never_started_is_said_only_when_it_is_certain() {
        for facts in every() {
            if plan(&facts) != Action::End(Outcome::NeverStarted) {
                continue;
            }
            match &facts.dir {
                Dir::Missing => assert!(!facts.started),
                Dir::Present { held, started, record, same_boot } => {
                    assert!(!held && !started && *record == Record::Absent);
                    assert!(*same_boot || !facts.started);
                }
            }
        }
    }

    #[test]
    fn a_record_is_believed_over_everything_but_a_stored_end() {
        for facts in every() {
            if let Dir::Present { held: false, record: Record::Read(_), .. } = facts.dir {
                let expected = match facts.row {
                    Row::Missing | Row::Finished => Action::ClearUp,
                    Row::Attempt(Status::Completing) => Action::Settle,
                    _ => Action::Finish(record()),
                };
                assert_eq!(plan(&facts), expected);
            }
        }
    }

    #[test]
    fn what_left_an_unreadable_record_is_never_started_again() {
        for facts in every() {
            let Dir::Present { held: false, record: Record::Unreadable, .. } = facts.dir else { continue };
            let expected = match facts.row {
                Row::Missing | Row::Finished => Action::ClearUp,
                Row::Attempt(Status::Completing) => Action::Settle,
                _ => Action::End(Outcome::Unknown),
            };
            assert_eq!(plan(&facts), expected);
        }
    }

    #[test]
    fn what_ran_before_a_boot_was_interrupted_and_what_lost_its_keeper_is_lost() {
        let facts = |same_boot, mark, started| Facts {
            row: Row::Attempt(Status::Running),
            dir: Dir::Present { held: false, started: mark, same_boot, record: Record::Absent },
            started,
        };
        assert_eq!(plan(&facts(true, true, true)), Action::End(Outcome::Lost));
        assert_eq!(plan(&facts(false, true, true)), Action::End(Outcome::Interrupted));
        assert_eq!(plan(&facts(false, false, true)), Action::End(Outcome::Interrupted));
        assert_eq!(plan(&facts(true, false, true)), Action::End(Outcome::NeverStarted));
    }
}
