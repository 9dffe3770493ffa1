//! What the daemon answers. Variants are only added at the end.

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::view::{
    BackupView, Brief, CheckView, DatabaseView, EventView, OutputView, ProviderView, RecoveryView, RedisReport,
    RedisView, RequestView, RestoredView, SessionView, StatsView, StatusView, TaskDetail, TaskView, VerifyReport,
};
use crate::id::{TaskId, Uid};
use crate::task::Status;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It cannot be done.
    Fault(Fault),
    /// It is done, and durable if it changes anything.
    Done,
    /// The task is stored.
    Submitted(Submitted),
    /// The chunk is stored.
    BatchStored(BatchStored),
    /// At a glance.
    Status(Box<StatusView>),
    /// A page of tasks.
    Tasks(TaskPage),
    /// A task.
    Task(Box<TaskDetail>),
    /// A page of events.
    Events(Vec<EventView>),
    /// The history's state.
    Verified(VerifyReport),
    /// What was done to each task.
    Acted(Vec<Acted>),
    /// A session.
    Session(Box<SessionView>),
    /// Sessions.
    Sessions(Vec<SessionView>),
    /// Whether all is as it should be.
    Checks(Vec<CheckView>),
    /// What a restore has done.
    Restored(RestoredView),
    /// Backups, newest first; or the one that was made.
    Backups(Vec<BackupView>),
    /// What a start of the daemon would do.
    Recovery(Vec<RecoveryView>),
    /// The tasks waited for.
    Waited(Waited),
    /// An event of a stream.
    Event(Box<EventView>),
    /// Providers.
    Providers(Vec<ProviderView>),
    /// The configuration was read again.
    Reloaded(Reloaded),
    /// Numbers of tasks.
    Selected(Vec<TaskId>),
    /// Questions to a person, and their answers.
    Asked(Vec<RequestView>),
    /// Files kept with a task; or the one that was added.
    Outputs(Vec<OutputView>),
    /// How it stands with the copy in Redis.
    Redis(Box<RedisView>),
    /// Whether it is as it should be.
    RedisReport(Box<RedisReport>),
    /// How often, how well and how fast.
    Stats(Box<StatsView>),
    /// How large the database is.
    Database(Box<DatabaseView>),
    /// A text.
    Text(String),
    /// What keeps the daemon from its work; nothing where all is well.
    Health(Vec<String>),
}

/// What becomes of settings that were read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Names of settings that differ from what the daemon was started with, and take effect
    /// only when it is started again.
    pub restart_needed: Vec<String>,
    /// Settings that a variable of the daemon's environment sets, whatever the file says, and
    /// that variable.
    pub overridden: Vec<(String, String)>,
}

/// A stored task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Its number.
    pub task: TaskId,
    /// Its identity.
    pub uid: Uid,
    /// It was stored before under the same key; nothing new was made.
    pub repeated: bool,
    /// Things worth knowing, one line each: a provider not installed here, say.
    pub warnings: Vec<String>,
}

/// A stored chunk of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchStored {
    /// Tasks of the batch stored so far.
    pub stored: u32,
    /// Numbers of this chunk's tasks, in order.
    pub tasks: Vec<TaskId>,
    /// The batch is whole, and its tasks can be claimed.
    pub complete: bool,
}

/// A page of tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPage {
    /// The tasks.
    pub tasks: Vec<TaskView>,
    /// Cursor of the next page, if there is more.
    pub next: Option<String>,
    /// Search stopped at its limit of time or hits: there may be more.
    pub incomplete: bool,
}

/// What was done to one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// Which.
    pub task: TaskId,
    /// Its title.
    pub title: String,
    /// Its status now, and whether the request changed anything; or why not.
    pub result: Result<Change, Fault>,
}

/// A task after something was done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its status now.
    pub state: Status,
    /// It was not so before.
    pub changed: bool,
}

/// The tasks waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// Each of them, as it is now.
    pub tasks: Vec<Brief>,
    /// The time was over before they had ended.
    pub timed_out: bool,
}
