//! Any exit record: it is refused, or says how its session ended, and the plan of recovery
//! goes by it.

use autodev::protocol::exit::ExitRecord;
use autodev::recovery::plan::{Action, Dir, Facts, Record, Row, plan};
use autodev::task::{Outcome, Status};

pub fn check(data: &[u8]) {
    let Ok(record) = serde_json::from_slice::<ExitRecord>(data) else { return };
    let (outcome, problem) = (record.outcome(), record.problem());
    assert_eq!(outcome == Outcome::Succeeded, problem.is_none());
    let Ok(written) = serde_json::to_vec(&record) else { panic!("{record:?} cannot be written") };
    assert_eq!(serde_json::from_slice::<ExitRecord>(&written).ok().as_ref(), Some(&record));
    for (held, started, same_boot) in [(false, true, true), (false, false, false), (true, true, true)] {
        let dir = Dir::Present { held, started, same_boot, record: Record::Read(Box::new(record.clone())) };
        let action = plan(&Facts { row: Row::Attempt(Status::Running), dir, started: true });
        assert_eq!(matches!(action, Action::Finish(_)), !held);
    }
}
