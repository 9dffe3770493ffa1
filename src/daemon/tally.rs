//! Adds up what has ended. Nothing here asks anybody: tasks go in, figures come out.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::protocol::request::StatsBy;
use crate::protocol::view::{ErrorCount, Spread, StatsGroup, StatsPart, StatsView};
use crate::store::{EndedTask, FailedAttempt};
use crate::task::Status;

/// Parts that the time is cut into: what a plot in a terminal can show.
const PARTS: u64 = 48;

/// What has been added up so far.
#[derive(Debug)]
pub(super) struct Tally {
    since: Timestamp,
    until: Timestamp,
    first: Timestamp,
    by: Option<StatsBy>,
    all: Sum,
    groups: BTreeMap<String, Sum>,
    parts: Vec<StatsPart>,
    errors: BTreeMap<&'static str, ErrorCount>,
}

#[derive(Debug, Default)]
struct Sum {
    group: StatsGroup,
    waiting: Vec<u64>,
    running: Vec<u64>,
}

impl Tally {
    /// Nothing yet, between two moments.
    pub fn new(since: Timestamp, until: Timestamp, by: Option<StatsBy>) -> Tally {
        let length = u64::try_from(until.0 - since.0).unwrap_or(0).max(PARTS);
        let from = |part: u64| Timestamp(since.0 + i64::try_from(length * part / PARTS).unwrap_or(0));
        let parts = (0..PARTS).map(|part| StatsPart { from: from(part), tasks: 0, passed: 0 }).collect();
        Tally {
            since,
            until,
            first: until,
            by,
            all: Sum::default(),
            groups: BTreeMap::new(),
            parts,
            errors: BTreeMap::new(),
        }
    }

    /// Adds a task.
    pub fn task(&mut self, task: &EndedTask) {
        self.first = self.first.min(task.created_at);
        self.all.add(task);
        let name = self.by.map(|by| match by {
            StatsBy::Provider => task.provider.clone(),
            StatsBy::Model => task.model.clone().unwrap_or_else(|| format!("{} (its default)", task.provider)),
            StatsBy::Role => task.role.clone().unwrap_or_else(|| "(none)".into()),
            StatsBy::Day => task.ended_at.local().chars().take(10).collect(),
        });
        if let Some(name) = name {
            self.groups.entry(name).or_default().add(task);
        }
        let at = self.parts.partition_point(|part| part.from <= task.ended_at);
        if let Some(part) = self.parts.get_mut(at.saturating_sub(1)) {
            part.tasks += 1;
            part.passed += u64::from(task.state == Status::Passed);
        }
    }

    /// Adds an attempt that did not succeed.
    pub fn failure(&mut self, failed: FailedAttempt) {
        let FailedAttempt { attempt, outcome, at, error } = failed;
        let known = self.errors.entry(outcome.name()).or_insert_with(|| ErrorCount {
            outcome,
            attempts: 0,
            last: attempt,
            last_at: at,
            last_error: None,
        });
        known.attempts += 1;
        if at >= known.last_at {
            (known.last, known.last_at, known.last_error) = (attempt, at, error);
        }
    }

    /// The figures.
    pub fn view(self) -> StatsView {
        let mut errors: Vec<ErrorCount> = self.errors.into_values().collect();
        errors.sort_by_key(|error| std::cmp::Reverse(error.attempts));
        let named = |(name, sum): (String, Sum)| StatsGroup { name, ..sum.finish() };
        StatsView {
            since: self.since,
            until: self.until,
            first: self.first.max(self.since),
            all: self.all.finish(),
            groups: self.groups.into_iter().map(named).collect(),
            parts: self.parts,
            errors,
        }
    }
}

impl Sum {
    fn add(&mut self, task: &EndedTask) {
        let group = &mut self.group;
        group.tasks += 1;
        group.attempts += u64::from(task.attempts);
        match task.state {
            Status::Passed => group.passed += 1,
            Status::Failed => group.failed += 1,
            Status::Cancelled => group.cancelled += 1,
            Status::Timeout => group.timeout += 1,
            _ => group.error += 1,
        }
        let span = |ms: i64| u64::try_from(ms).unwrap_or(0);
        group.cpu_ms += task.cpu_ms.map_or(0, span);
        group.peak_memory_bytes = group.peak_memory_bytes.max(task.peak_memory.map_or(0, span));
        self.waiting.extend(task.claimed_at.map(|claimed| span(claimed.0 - task.created_at.0)));
        self.running.extend(task.ran_ms.map(span));
    }

    fn finish(self) -> StatsGroup {
        StatsGroup { waiting: spread(self.waiting), running: spread(self.running), ..self.group }
    }
}

/// By nearest rank: each figure is one that has been.
fn spread(mut all: Vec<u64>) -> Spread {
    all.sort_unstable();
    let rank = |percent: usize| {
        let rank = (all.len() * percent).div_ceil(100).max(1) - 1;
        all.get(rank).copied().unwrap_or(0)
    };
    Spread { p50_ms: rank(50), p95_ms: rank(95), p99_ms: rank(99), max_ms: rank(100) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AttemptId, TaskId};
    use crate::task::Outcome;

    fn task(id: i64, state: Status, provider: &str, waited: i64, ran: i64, ended: i64) -> EndedTask {
        EndedTask {
            id: TaskId(id),
            state,
            provider: provider.into(),
            model: None,
            role: None,
            created_at: Timestamp(0),
            claimed_at: Some(Timestamp(waited)),
            ended_at: Timestamp(ended),
            ran_ms: Some(ran),
            attempts: 1,
            cpu_ms: Some(ran / 2),
            peak_memory: Some(waited),
        }
    }

    #[test]
    fn figures_are_those_that_have_been() {
        assert_eq!(spread(Vec::new()), Spread::default());
        let one = spread(vec![7]);
        assert_eq!((one.p50_ms, one.p99_ms, one.max_ms), (7, 7, 7));
        let hundred = spread((1..=100).rev().collect());
        assert_eq!((hundred.p50_ms, hundred.p95_ms, hundred.p99_ms, hundred.max_ms), (50, 95, 99, 100));
    }

    #[test]
    fn everything_is_counted_once_and_in_its_place() {
        let mut tally = Tally::new(Timestamp(0), Timestamp(48_000), Some(StatsBy::Provider));
        tally.task(&task(1, Status::Passed, "claude", 10, 100, 0));
        tally.task(&task(2, Status::Failed, "claude", 20, 200, 24_000));
        tally.task(&task(3, Status::Cancelled, "shell", 30, 300, 47_999));
        tally.task(&task(4, Status::Error, "shell", 40, 400, 60_000));
        let failed = |number, at, error: &str| FailedAttempt {
            attempt: AttemptId { task: TaskId(2), number },
            outcome: Outcome::AgentFailed,
            at: Timestamp(at),
            error: Some(error.into()),
        };
        tally.failure(failed(2, 9, "the last"));
        tally.failure(failed(1, 5, "the first"));
        let view = tally.view();
        assert_eq!((view.all.tasks, view.all.passed, view.all.cancelled), (4, 1, 1));
        assert_eq!((view.since, view.first), (Timestamp(0), Timestamp(0)));
        assert_eq!(view.all.success_percent(), Some(33));
        assert_eq!((view.all.waiting.p50_ms, view.all.running.max_ms), (20, 400));
        assert_eq!((view.all.cpu_ms, view.all.peak_memory_bytes), (500, 40));
        let names: Vec<_> = view.groups.iter().map(|group| (group.name.as_str(), group.tasks)).collect();
        assert_eq!(names, [("claude", 2), ("shell", 2)]);
        assert_eq!(view.parts.iter().map(|part| part.tasks).sum::<u64>(), 4);
        assert_eq!((view.parts[0].passed, view.parts[24].tasks, view.parts[47].tasks), (1, 1, 2));
        let [error] = view.errors.as_slice() else { panic!("{:?}", view.errors) };
        assert_eq!((error.attempts, error.last_error.as_deref()), (2, Some("the last")));
    }
}
