//! Which task next, and why not the others. Pure: the store brings the heads of the
//! lanes, this says which of them may run.
//!
//! A *lane* is a pair of provider and directory. Ready tasks of one lane differ only in
//! rank, so the scheduler looks at lane heads and its cost does not depend on how many
//! tasks stand behind them.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::task::{Dependency, Status};

/// How much waiting one point of priority is worth, in milliseconds: a task of priority
/// 10 goes before one of priority 0 that was submitted up to 100 minutes earlier.
/// Ageing is linear, so a rank, once stored, never has to be computed again.
pub const PRIORITY_STEP_MS: i64 = 10 * 60 * 1000;

/// The order of the queue: lower goes first.
pub fn rank(created_at: Timestamp, priority: i32) -> i64 {
    created_at.0.saturating_sub(i64::from(priority) * PRIORITY_STEP_MS)
}

/// Identifies a lane in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneId(pub i64);

/// A limit on how many attempts may be under way at once; `None` is no limit.
pub type Limit = Option<u32>;

/// The limits in force.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Limits {
    /// All attempts together.
    pub slots: u32,
    /// By provider; a provider not named has none.
    pub provider: HashMap<String, Limit>,
    /// By provider, for each of its directories; a provider not named has none.
    pub directory: HashMap<String, Limit>,
    /// No new starts at all: why.
    pub closed: Option<Closed>,
    /// Providers with no new starts.
    pub paused_providers: Vec<String>,
}

/// Why the queue as a whole starts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// `autodev pause`.
    Paused,
    /// `autodev drain`.
    Draining,
    /// The configuration is wrong; agents that run are left alone.
    Config,
    /// Too little room is left on the disk; agents that run are left alone.
    LowDisk,
}

/// What is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All attempts together.
    pub total: u32,
    /// By provider.
    pub provider: HashMap<String, u32>,
    /// By lane.
    pub lane: HashMap<LaneId, u32>,
}

impl Usage {
    /// Counts one more attempt.
    pub fn add(&mut self, provider: &str, lane: LaneId) {
        self.total += 1;
        *self.provider.entry(provider.to_owned()).or_default() += 1;
        *self.lane.entry(lane).or_default() += 1;
    }
}

/// What keeps a lane's head from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// The queue starts nothing.
    Closed(Closed),
    /// All slots are taken.
    Slots,
    /// All of the provider's slots are taken, or it is paused.
    Provider,
    /// As many attempts as are allowed run in the directory.
    Directory,
}

/// Says whether an attempt of `provider` in `lane` may start now.
///
/// # Errors
/// What is in the way, the widest obstacle first.
pub fn admit(limits: &Limits, usage: &Usage, provider: &str, lane: LaneId) -> Result<(), Block> {
    if let Some(why) = limits.closed {
        return Err(Block::Closed(why));
    }
    if usage.total >= limits.slots {
        return Err(Block::Slots);
    }
    admit_provider(limits, usage, provider)?;
    let used = usage.lane.get(&lane).copied().unwrap_or(0);
    match limits.directory.get(provider) {
        Some(Some(limit)) if used >= *limit => Err(Block::Directory),
        _ => Ok(()),
    }
}

/// The part of [`admit`] that is the same for all lanes of a provider: when it refuses,
/// none of them has to be looked at.
///
/// # Errors
/// [`Block::Provider`].
pub fn admit_provider(limits: &Limits, usage: &Usage, provider: &str) -> Result<(), Block> {
    let used = usage.provider.get(provider).copied().unwrap_or(0);
    let full = matches!(limits.provider.get(provider), Some(Some(limit)) if used >= *limit);
    if full || limits.paused_providers.iter().any(|p| p == provider) { Err(Block::Provider) } else { Ok(()) }
}

/// Everything about a task that decides why it does not run.
#[derive(Clone, Debug)]
pub struct Waiting<'a> {
    /// Its status.
    pub status: Status,
    /// Its provider.
    pub provider: &'a str,
    /// Its lane.
    pub lane: LaneId,
    /// Dependencies not met, with the status of the task waited for.
    pub unmet: Vec<(Dependency, Status)>,
    /// It belongs to a batch that is still being stored.
    pub batch_open: bool,
    /// Not before this moment.
    pub due_at: Option<Timestamp>,
    /// The wait is for a repetition, not one the user asked for.
    pub backing_off: bool,
    /// Its last attempt was interrupted, or lost.
    pub interrupted: bool,
    /// That has happened too often in a short time.
    pub looping: bool,
    /// Its last attempt could not have its key.
    pub keyless: bool,
}

/// Why a task is not running. Computed when asked, never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The kind, a stable word for scripts.
    pub code: ReasonCode,
    /// One line for people: what it waits for and what would unblock it.
    pub detail: String,
}

/// The kinds of reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReasonCode {
    /// Another task must end first.
    Dependency,
    /// Its start time has not come.
    Begin,
    /// All slots are taken, or it is simply not its turn yet.
    Slots,
    /// All of the provider's slots are taken.
    ProviderLimit,
    /// It failed and will be repeated later.
    Backoff,
    /// A person holds it, or the whole queue.
    Held,
    /// Another attempt works in the same directory.
    RepoLock,
    /// The configuration is wrong.
    Config,
    /// A key that it needs cannot be had.
    AuthNeeded,
    /// Too little room is left on the disk.
    LowDisk,
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            ReasonCode::Dependency => "Dependency",
            ReasonCode::Begin => "Begin",
            ReasonCode::Slots => "Slots",
            ReasonCode::ProviderLimit => "ProviderLimit",
            ReasonCode::Backoff => "Backoff",
            ReasonCode::Held => "Held",
            ReasonCode::RepoLock => "RepoLock",
            ReasonCode::Config => "Config",
            ReasonCode::AuthNeeded => "AuthNeeded",
            ReasonCode::LowDisk => "LowDisk",
        };
        f.pad(name)
    }
}

/// Why `task` does not run; `None` when it is not waiting.
pub fn reason(task: &Waiting<'_>, limits: &Limits, usage: &Usage, now: Timestamp) -> Option<Reason> {
    let because = |code, detail: String| Some(Reason { code, detail });
    match task.status {
        Status::Held if task.interrupted && task.looping => {
            let detail = "held: interrupted too often in a short time: 'autodev release' lets it run again";
            return because(ReasonCode::Held, detail.into());
        }
        Status::Held if task.interrupted => {
            return because(ReasonCode::Held, "held: it was interrupted: 'autodev release' lets it go on".into());
        }
        Status::Held if task.keyless => {
            let detail = "held: a key it needs could not be had: 'autodev release' tries again";
            return because(ReasonCode::AuthNeeded, detail.into());
        }
        Status::Held => return because(ReasonCode::Held, "held: 'autodev release' lets it run".into()),
        Status::Queued => {}
        _ => return None,
    }
    if task.batch_open {
        return because(ReasonCode::Dependency, "its batch is still being stored".into());
    }
    if let Some((dependency, status)) = task.unmet.first() {
        let other = dependency.task;
        let more = match task.unmet.len() {
            1 => String::new(),
            n => format!(", and {} more", n - 1),
        };
        let detail = if status.is_final() {
            format!("needs task {dependency}, which is {status}{more}: 'autodev retry {other}' runs it again")
        } else {
            format!("waits for task {dependency}, which is {status}{more}")
        };
        return because(ReasonCode::Dependency, detail);
    }
    if let Some(due) = task.due_at.filter(|due| *due > now) {
        let wait = crate::clock::short(due.since(now));
        return if task.backing_off && task.interrupted {
            because(ReasonCode::Backoff, format!("interrupted; next attempt in {wait}"))
        } else if task.backing_off {
            because(ReasonCode::Backoff, format!("failed; next attempt in {wait}"))
        } else {
            because(ReasonCode::Begin, format!("starts in {wait}"))
        };
    }
    let code = reason_of_ready(limits, usage, task.provider, task.lane);
    let because = |detail: String| Some(Reason { code, detail });
    match admit(limits, usage, task.provider, task.lane) {
        Ok(()) => because("its turn is next".into()),
        Err(Block::Closed(Closed::Paused)) => because("the queue is paused: 'autodev resume' starts it again".into()),
        Err(Block::Closed(Closed::Draining)) => {
            because("the queue is draining: 'autodev resume' starts it again".into())
        }
        Err(Block::Closed(Closed::Config)) => {
            because("the configuration is wrong: 'autodev config check' says where".into())
        }
        Err(Block::Closed(Closed::LowDisk)) => {
            because("too little room is left on the disk: 'autodev doctor' says how much".into())
        }
        Err(Block::Slots) => because(taken(limits.slots)),
        Err(Block::Provider) if limits.paused_providers.iter().any(|p| p == task.provider) => {
            because(format!("provider {0} is paused: 'autodev resume --provider {0}' starts it again", task.provider))
        }
        Err(Block::Provider) => because(format!("all slots of provider {} are taken", task.provider)),
        Err(Block::Directory) => because(format!("another {} task works in its directory", task.provider)),
    }
}

/// Why a task does not run that nothing but limits keeps from it.
pub fn reason_of_ready(limits: &Limits, usage: &Usage, provider: &str, lane: LaneId) -> ReasonCode {
    match admit(limits, usage, provider, lane) {
        Ok(()) | Err(Block::Slots) => ReasonCode::Slots,
        Err(Block::Closed(Closed::Paused | Closed::Draining)) => ReasonCode::Held,
        Err(Block::Closed(Closed::Config)) => ReasonCode::Config,
        Err(Block::Closed(Closed::LowDisk)) => ReasonCode::LowDisk,
        Err(Block::Provider) if limits.paused_providers.iter().any(|paused| paused == provider) => ReasonCode::Held,
        Err(Block::Provider) => ReasonCode::ProviderLimit,
        Err(Block::Directory) => ReasonCode::RepoLock,
    }
}

fn taken(slots: u32) -> String {
    match slots {
        1 => "the only slot is taken".into(),
        slots => format!("all {slots} slots are taken"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TaskId;
    use crate::task::When;

    const LANE: LaneId = LaneId(1);
    const NOW: Timestamp = Timestamp(1_000_000);

    fn limits() -> Limits {
        Limits {
            slots: 2,
            provider: HashMap::from([("claude".into(), Some(1))]),
            directory: HashMap::from([("codex".into(), Some(1))]),
            ..Limits::default()
        }
    }

    fn waiting() -> Waiting<'static> {
        Waiting {
            interrupted: false,
            looping: false,
            keyless: false,
            status: Status::Queued,
            provider: "claude",
            lane: LANE,
            unmet: Vec::new(),
            batch_open: false,
            due_at: None,
            backing_off: false,
        }
    }

    #[test]
    fn priority_is_worth_waiting_time() {
        let old = rank(Timestamp(0), 0);
        let young = rank(Timestamp(PRIORITY_STEP_MS * 10), 10);
        assert_eq!(old, young);
        assert!(rank(Timestamp(0), 1) < old);
        assert!(rank(Timestamp(1), 0) > old);
        assert!(rank(Timestamp(i64::MIN), 100) < 0);
    }

    #[test]
    fn limits_are_checked_from_the_widest_to_the_narrowest() {
        let mut usage = Usage::default();
        assert_eq!(admit(&limits(), &usage, "claude", LANE), Ok(()));
        usage.add("claude", LANE);
        assert_eq!(admit(&limits(), &usage, "claude", LANE), Err(Block::Provider));
        assert_eq!(admit(&limits(), &usage, "codex", LaneId(2)), Ok(()));
        usage.add("codex", LaneId(2));
        assert_eq!(admit(&limits(), &usage, "shell", LaneId(3)), Err(Block::Slots));
        let wide = Limits { slots: 9, ..limits() };
        assert_eq!(admit(&wide, &usage, "codex", LaneId(2)), Err(Block::Directory));
        assert_eq!(admit(&wide, &usage, "codex", LaneId(4)), Ok(()));
        assert_eq!(admit(&wide, &usage, "shell", LANE), Ok(()));
        let shut = Limits { closed: Some(Closed::Draining), ..wide.clone() };
        assert_eq!(admit(&shut, &usage, "shell", LANE), Err(Block::Closed(Closed::Draining)));
        let paused = Limits { paused_providers: vec!["shell".into()], ..wide };
        assert_eq!(admit(&paused, &usage, "shell", LANE), Err(Block::Provider));
    }

    #[test]
    fn every_waiting_task_has_a_reason() {
        let code =
            |task: &Waiting<'_>, limits: &Limits, usage: &Usage| reason(task, limits, usage, NOW).map(|r| r.code);
        let free = Usage::default();
        let on = |status| vec![(Dependency { task: TaskId(7), when: When::Ok }, status)];
        assert_eq!(code(&waiting(), &limits(), &free), Some(ReasonCode::Slots));
        assert_eq!(code(&Waiting { status: Status::Held, ..waiting() }, &limits(), &free), Some(ReasonCode::Held));
        assert_eq!(
            code(&Waiting { unmet: on(Status::Running), ..waiting() }, &limits(), &free),
            Some(ReasonCode::Dependency)
        );
        assert_eq!(code(&Waiting { batch_open: true, ..waiting() }, &limits(), &free), Some(ReasonCode::Dependency));
        let later = Some(NOW.plus(std::time::Duration::from_secs(5)));
        assert_eq!(code(&Waiting { due_at: later, ..waiting() }, &limits(), &free), Some(ReasonCode::Begin));
        assert_eq!(
            code(&Waiting { due_at: later, backing_off: true, ..waiting() }, &limits(), &free),
            Some(ReasonCode::Backoff)
        );
        let mut busy = Usage::default();
        busy.add("claude", LANE);
        assert_eq!(code(&waiting(), &limits(), &busy), Some(ReasonCode::ProviderLimit));
        busy.add("codex", LaneId(2));
        assert_eq!(code(&waiting(), &limits(), &busy), Some(ReasonCode::Slots));
        let codex = Waiting { provider: "codex", lane: LaneId(2), ..waiting() };
        assert_eq!(code(&codex, &Limits { slots: 9, ..limits() }, &busy), Some(ReasonCode::RepoLock));
        for (closed, expected) in [
            (Closed::Paused, ReasonCode::Held),
            (Closed::Draining, ReasonCode::Held),
            (Closed::LowDisk, ReasonCode::LowDisk),
            (Closed::Config, ReasonCode::Config),
        ] {
            let shut = Limits { closed: Some(closed), ..limits() };
            assert_eq!(code(&waiting(), &shut, &free), Some(expected));
        }
        for status in Status::ALL {
            let expected = matches!(status, Status::Queued | Status::Held);
            assert_eq!(code(&Waiting { status, ..waiting() }, &limits(), &free).is_some(), expected, "{status}");
        }
    }

    #[test]
    fn a_dependency_that_cannot_be_met_says_how_to_go_on() {
        let failed =
            Waiting { unmet: vec![(Dependency { task: TaskId(7), when: When::Ok }, Status::Failed)], ..waiting() };
        let why = reason(&failed, &limits(), &Usage::default(), NOW).unwrap();
        assert!(why.detail.contains("autodev retry 7"), "{}", why.detail);
    }
}
