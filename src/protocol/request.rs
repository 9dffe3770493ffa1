//! What clients ask for. Variants are only added at the end; a message that needs more
//! fields becomes a new variant.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};
use crate::id::{SessionName, TaskId, Uid};
use crate::task::{Dependency, Mode, OnInterrupt, Status, TaskSpec};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Store one task. Answer: `Submitted`.
    Submit(Box<Submit>),
    /// Store a part of a batch. Answer: `BatchStored`.
    SubmitChunk(SubmitChunk),
    /// The whole at a glance. Answer: `Status`.
    Status,
    /// A page of tasks. Answer: `Tasks`.
    List(ListQuery),
    /// One task. Answer: `Task`.
    Show(TaskId),
    /// A page of events, of one task or of everything. Answer: `Events`.
    Events(EventsQuery),
    /// Check the whole history. Answer: `Verified`.
    Verify,
    /// Cancel, hold and the like. Answer: `Acted`.
    Act(Act),
    /// A new task from an ended one. Answer: `Submitted`.
    Resubmit {
        /// The one to copy.
        task: TaskId,
        /// Idempotency key.
        key: String,
    },
    /// Change a task that has not started. Answer: `Acted`.
    Edit(Box<Edit>),
    /// Give a session without a task another name. Answer: `Done`.
    Rename {
        /// The session.
        session: SessionName,
        /// Its new name.
        name: SessionName,
    },
    /// Start or stop admitting tasks to slots. Answer: `Done`.
    Admission {
        /// What to change.
        change: Admission,
        /// Only for this provider.
        provider: Option<String>,
    },
    /// Start a session without a task. Answer: `Session`.
    Open(Box<Open>),
    /// The newest sessions, oldest first. Answer: `Sessions`.
    Sessions {
        /// Ended ones too.
        all: bool,
        /// Only older ones than this.
        before: Option<Uid>,
        /// Most sessions in the answer, 1 to [`ListQuery::MAX_LIMIT`].
        limit: u32,
    },
    /// One session: by name, by attempt, or a task's current or last. Answer: `Session`.
    Session {
        /// What the user wrote.
        target: String,
    },
    /// Wait for tasks to end. Answer: `Waited`, when it is so.
    Wait(Wait),
    /// Events as they happen, from after the given one. Answer: `Event` for each, until
    /// the client leaves.
    Watch {
        /// Number of the last event the client has; `None` begins with the next.
        after: Option<i64>,
    },
    /// Providers. Answer: `Providers`.
    Providers,
    /// Read the configuration again. Answer: `Reloaded`.
    Reload,
    /// End a session without a task. Answer: `Done`, when the order is out.
    EndSession {
        /// The session.
        session: SessionName,
        /// Kill at once.
        now: bool,
    },
    /// Which tasks a selection means. Answer: `Selected`.
    Select(Select),
    /// Make a backup, in this file or among the others. Answer: `Backups`.
    Backup {
        /// An absolute path.
        to: Option<PathBuf>,
    },
    /// What would a start of the daemon do? Answer: `Recovery`.
    Recovery,
    /// Write something down about a task. Answer: `Done`.
    Note {
        /// The task.
        task: TaskId,
        /// What.
        text: String,
    },
    /// Ask a person something on behalf of a task. Answer: `Asked`.
    Ask {
        /// The task.
        task: TaskId,
        /// What.
        question: String,
    },
    /// Wait until a question is answered. Answer: `Asked`, when it is so.
    AwaitAnswer {
        /// The question's number.
        request: i64,
    },
    /// Questions, newest last. Answer: `Asked`.
    Requests {
        /// Those that are answered, or whose task has ended, too.
        all: bool,
    },
    /// Answer a question. Answer: `Done`.
    Answer {
        /// The question's number.
        request: i64,
        /// What.
        text: String,
    },
    /// Keep a copy of a file with a task. Answer: `Outputs`.
    AddOutput {
        /// The task.
        task: TaskId,
        /// An absolute path.
        file: PathBuf,
        /// What it is called there.
        name: String,
    },
    /// The files kept with a task. Answer: `Outputs`.
    Outputs(TaskId),
    /// About the copy in Redis. Answer: `Redis`, or `RedisReport` for [`RedisAsk::Verify`].
    Redis(RedisAsk),
    /// How often, how well and how fast. Answer: `Stats`.
    Stats {
        /// Tasks that have ended since then.
        since: Timestamp,
        /// Taken apart so.
        by: Option<StatsBy>,
    },
    /// How large the database is. Answer: `Database`.
    Database,
    /// All figures, as Prometheus reads them. Answer: `Text`.
    Metrics,
    /// Does the daemon do its work? Answer: `Health`.
    Health,
}

/// What statistics are taken apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatsBy {
    /// Provider.
    Provider,
    /// Model asked for.
    Model,
    /// Role.
    Role,
    /// Day on which the task ended.
    Day,
}

/// What is wanted of the copy in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedisAsk {
    /// How it stands.
    Status,
    /// Build it anew; the answer comes when that is done.
    Rebuild,
    /// Compare all of it with the database.
    Verify,
}

impl Request {
    /// What is asked for in a word, as a person would give it on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Request::Submit(_) | Request::SubmitChunk(_) => "submit",
            Request::Status => "status",
            Request::List(_) | Request::Select(_) => "list",
            Request::Show(_) => "show",
            Request::Events(_) | Request::Verify => "history",
            Request::Act(act) => act.action.name(),
            Request::Resubmit { .. } => "resubmit",
            Request::Edit(_) => "edit",
            Request::Rename { .. } => "rename",
            Request::Admission { change: Admission::Resume, .. } => "resume",
            Request::Admission { .. } => "pause",
            Request::Open(_) => "open",
            Request::Sessions { .. } | Request::Session { .. } => "sessions",
            Request::Wait(_) => "wait",
            Request::Watch { .. } => "watch",
            Request::Providers => "providers",
            Request::Reload => "config",
            Request::EndSession { .. } => "cancel",
            Request::Backup { .. } => "backup",
            Request::Recovery => "recover",
            Request::Note { .. } => "note",
            Request::Ask { .. } | Request::AwaitAnswer { .. } => "ask",
            Request::Requests { .. } => "requests",
            Request::Answer { .. } => "answer",
            Request::AddOutput { .. } | Request::Outputs(_) => "outputs",
            Request::Redis(_) => "redis",
            Request::Stats { .. } | Request::Database => "stats",
            Request::Metrics => "metrics",
            Request::Health => "health",
        }
    }

    /// Asked twice it does no more than asked once: it only reads, carries a key, or sets
    /// what is so already. When an answer is lost it may be asked again.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Request::Submit(_)
            | Request::SubmitChunk(_)
            | Request::Resubmit { .. }
            | Request::Status
            | Request::List(_)
            | Request::Show(_)
            | Request::Events(_)
            | Request::Verify
            | Request::Recovery
            | Request::AwaitAnswer { .. }
            | Request::Requests { .. }
            | Request::Outputs(_)
            | Request::Redis(_)
            | Request::Stats { .. }
            | Request::Database
            | Request::Metrics
            | Request::Health
            | Request::Admission { .. }
            | Request::Sessions { .. }
            | Request::Session { .. }
            | Request::Wait(_)
            | Request::Watch { .. }
            | Request::Providers
            | Request::Reload
            | Request::Select(_) => true,
            Request::Act(_)
            | Request::Backup { .. }
            | Request::Note { .. }
            | Request::Ask { .. }
            | Request::Answer { .. }
            | Request::AddOutput { .. }
            | Request::Edit(_)
            | Request::Rename { .. }
            | Request::Open(_)
            | Request::EndSession { .. } => false,
        }
    }
}

/// A task to store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    /// Idempotency key: a repeated submit with the same key and content is the same task.
    pub key: String,
    /// What is asked for. Its `after` names stored tasks.
    pub spec: TaskSpec,
}

/// Part of a batch: at most [`SubmitChunk::MAX_TASKS`] tasks. The tasks of a batch become
/// claimable once its last chunk is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitChunk {
    /// Idempotency key of the whole batch.
    pub key: String,
    /// Number of the chunk's first task in the batch, from 0. Must be the number of tasks
    /// stored so far, or less when chunks are repeated.
    pub first: u32,
    /// The tasks.
    pub tasks: Vec<TaskSpec>,
    /// Dependencies on earlier tasks of the same batch: (task in the batch from 0, what
    /// it waits for from 0, condition).
    pub after: Vec<(u32, u32, crate::task::When)>,
    /// This is the last chunk.
    pub last: bool,
}

impl SubmitChunk {
    /// Most tasks in a chunk: what one transaction may hold the writer for.
    pub const MAX_TASKS: usize = 250;
}

/// Which tasks.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Filter {
    /// In one of these states; empty is any.
    pub states: Vec<Status>,
    /// Of this provider.
    pub provider: Option<String>,
    /// Of this role.
    pub role: Option<String>,
    /// With all of these labels.
    pub labels: Vec<String>,
    /// In this directory.
    pub dir: Option<String>,
    /// Ended (history) or submitted (list) at or after this.
    pub since: Option<Timestamp>,
    /// Ended (history) or submitted (list) before this.
    pub until: Option<Timestamp>,
    /// Words to find in title, prompt and result.
    pub search: Option<String>,
}

/// The order and the window of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listing {
    /// Unfinished tasks: active ones first, then in the order of the queue.
    Live,
    /// All tasks, newest number first.
    All,
    /// Ended tasks, last ended first.
    History,
}

/// A page of tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListQuery {
    /// Which listing.
    pub listing: Listing,
    /// Only these.
    pub filter: Filter,
    /// Most tasks in the answer, 1 to [`ListQuery::MAX_LIMIT`].
    pub limit: u32,
    /// Continue after this: the `next` of the page before.
    pub cursor: Option<String>,
}

impl ListQuery {
    /// Most tasks on a page, so that a page fits into a frame.
    pub const MAX_LIMIT: u32 = 1_000;
}

/// A page of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsQuery {
    /// Of this task; `None` is everything.
    pub task: Option<TaskId>,
    /// After this one.
    pub after: i64,
    /// Most events in the answer, 1 to [`ListQuery::MAX_LIMIT`].
    pub limit: u32,
}

/// Something to do to tasks, at most [`Act::MOST`] of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// What.
    pub action: Action,
    /// To which.
    pub select: Select,
    /// Only say to which.
    pub dry_run: bool,
}

impl Act {
    /// Most tasks in one request: what comes back fits into a frame, and nobody waits long.
    pub const MOST: usize = 1_000;
}

/// What can be done to tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// End them gently.
    Cancel,
    /// End them now.
    Kill,
    /// Keep them from starting.
    Hold,
    /// Let them start again.
    Release,
    /// Freeze them.
    Pause,
    /// Let them run on.
    Resume,
    /// Run ended ones again.
    Retry,
    /// Let ended and held ones go on where they were.
    Recover,
    /// Set their priority.
    Priority(i32),
}

impl Action {
    /// The verb that asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Cancel => "cancel",
            Action::Kill => "kill",
            Action::Hold => "hold",
            Action::Release => "release",
            Action::Pause => "pause",
            Action::Resume => "resume",
            Action::Retry => "retry",
            Action::Recover => "recover",
            Action::Priority(_) => "priority",
        }
    }
}

/// Which tasks something is done to: those named, or those that the filter finds, or with
/// both those of the named ones that the filter admits.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Select {
    /// By number.
    pub tasks: Vec<TaskId>,
    /// By ranges of numbers, both ends included; numbers without a task are skipped, but a
    /// range must have one.
    pub ranges: Vec<(TaskId, TaskId)>,
    /// By what they are; `None` leaves it at the named ones.
    pub filter: Option<Filter>,
}

/// Changes to a task that has not started; `None` leaves a field as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Which task.
    pub task: TaskId,
    /// New title.
    pub title: Option<String>,
    /// New prompt.
    pub description: Option<String>,
    /// New provider.
    pub provider: Option<String>,
    /// New model; an empty one takes it away.
    pub model: Option<String>,
    /// New mode.
    pub mode: Option<Mode>,
    /// Full access or not.
    pub full_access: Option<bool>,
    /// New list of dependencies.
    pub after: Option<Vec<Dependency>>,
    /// New start time; 0 takes it away.
    pub begin: Option<Timestamp>,
    /// New number of retries.
    pub retries: Option<u32>,
    /// New policy for interruptions.
    pub on_interrupt: Option<OnInterrupt>,
    /// New number of restarts.
    pub max_restarts: Option<u32>,
    /// New time limit; zero takes it away.
    pub timeout: Option<Span>,
    /// New labels.
    pub labels: Option<Vec<String>>,
}

/// Whether tasks are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    /// Start none until resumed.
    Pause,
    /// Start them again.
    Resume,
    /// Start none, finish what runs.
    Drain,
}

/// A session without a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The provider; `None` with a command.
    pub provider: Option<String>,
    /// The command to run instead.
    pub command: Vec<String>,
    /// The name wished for.
    pub name: Option<SessionName>,
    /// The model to ask the provider for.
    pub model: Option<String>,
    /// Where.
    pub dir: String,
    /// The tool's own sandbox is switched off.
    pub full_access: bool,
    /// Environment taken from the client.
    pub environment: Vec<(String, String)>,
    /// Columns and rows of the client's terminal.
    pub size: Option<(u16, u16)>,
}

/// Wait for tasks to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Which; at most [`Brief::MOST`](super::view::Brief::MOST).
    pub select: Select,
    /// The first one is enough.
    pub any: bool,
    /// No longer than this.
    pub timeout: Option<Span>,
}
