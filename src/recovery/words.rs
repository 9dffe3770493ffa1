//! The recovery plan in words, for people who ask what a start would do.

use super::plan::{Action, Dir, Facts, Record, Row};
use crate::task::Outcome;

/// What is known of a session.
pub fn found(facts: &Facts) -> String {
    let row = match facts.row {
        Row::Missing => "the database does not know it",
        Row::Finished => "its end is stored",
        Row::Attempt(_) | Row::Free if facts.started => "it was started",
        Row::Attempt(_) | Row::Free => "its start was never ordered",
    };
    let dir = match &facts.dir {
        Dir::Missing => "its directory is gone".to_owned(),
        Dir::Present { held: true, .. } => "its keeper lives".to_owned(),
        Dir::Present { started, record, same_boot, .. } => {
            let program = match (record, started) {
                (Record::Read(record), _) => format!("its program {}", record.exit),
                (Record::Unreadable, _) => "its program has ended, and the record of how is unreadable".to_owned(),
                (Record::Absent, true) => "its program was running".to_owned(),
                (Record::Absent, false) => "its program was not marked as started".to_owned(),
            };
            let boot = if *same_boot { "" } else { " before this boot" };
            format!("its keeper is gone, {program}{boot}")
        }
    };
    format!("{row}; {dir}")
}

/// What is done about it.
pub fn will(action: &Action) -> &'static str {
    match action {
        Action::Adopt => "adopt: connect to its keeper and go on",
        Action::AdoptUnknown => "adopt: it gets a row and is never killed",
        Action::Acknowledge => "acknowledge: its keeper may leave",
        Action::Finish(_) => "finish: store its end from the record",
        Action::End(Outcome::NeverStarted) => "end: it never ran",
        Action::End(Outcome::Lost) => "end: kill what is left of it, then call it lost",
        Action::End(Outcome::Interrupted) => "end: it was interrupted",
        Action::End(_) => "end: how it ended is unknown",
        Action::ClearUp => "clear up: move its recording away",
        Action::Settle => "settle: only its last step is missing",
        Action::Nothing => "nothing",
    }
}

/// The same in a word or two, for counting.
pub fn did(action: &Action) -> &'static str {
    match action {
        Action::Adopt => "adopted",
        Action::AdoptUnknown => "adopted_unknown",
        Action::Acknowledge => "acknowledged",
        Action::Finish(_) => "ended_meanwhile",
        Action::End(outcome) => outcome.name(),
        Action::ClearUp => "cleared_up",
        Action::Settle => "settled",
        Action::Nothing => "left_alone",
    }
}
