//! Tasks, sessions and events as clients see them. The same types go over the wire and
//! come out as JSON, so their names are the stable ones.

mod copy;
mod figures;
mod machine;

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};
use crate::id::{AttemptId, SessionName, TaskId, Uid};
use crate::queue::Reason;
use crate::task::{Dependency, Mode, OnInterrupt, Outcome, Status, Stop};

pub use copy::{RedisDifference, RedisReport, RedisState, RedisView};
pub use figures::{DatabaseView, ErrorCount, Spread, StatsGroup, StatsPart, StatsView};
pub use machine::{
    BackupView, CheckLevel, CheckView, Count, ProviderView, RecoveryView, RestoredView, StatusView, VerifyReport,
    WaitingCount,
};

/// A task in a list or alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    /// Its number.
    pub id: TaskId,
    /// Its identity for ever.
    pub uid: Uid,
    /// One line.
    pub title: String,
    /// The whole prompt; in lists empty, and not in their JSON.
    pub description: String,
    /// The command, for `shell` tasks submitted with one; in lists as above.
    pub command: Vec<String>,
    /// Its role, if it has one.
    pub role: Option<String>,
    /// Where it is.
    pub state: Status,
    /// An order to end that is being carried out.
    pub stopping: Option<Stop>,
    /// Why it does not run, while it waits.
    pub reason: Option<Reason>,
    /// Its provider.
    pub provider: String,
    /// The model asked for.
    pub model: Option<String>,
    /// How the tool is run.
    pub mode: Mode,
    /// Where it runs.
    pub dir: String,
    /// The branch its work is on; with worktrees.
    pub branch: Option<String>,
    /// The commit it left; with worktrees.
    pub commit_hash: Option<String>,
    /// The tool's own sandbox is switched off.
    pub full_access: bool,
    /// Criteria it is accepted by.
    pub acceptance: Vec<String>,
    /// -100 to 100, higher first.
    pub priority: i32,
    /// What it waits for, or waited for.
    pub after: Vec<Dependency>,
    /// Not before this moment: what the user asked for, or the end of a back-off.
    pub due_at: Option<Timestamp>,
    /// How often it may repeat by itself.
    pub retries: u32,
    /// What becomes of it when it is interrupted.
    pub on_interrupt: OnInterrupt,
    /// How often within an hour it is started again after an interruption.
    pub max_restarts: u32,
    /// Its time limit.
    pub timeout: Option<Span>,
    /// The current or last attempt.
    pub attempt: Option<AttemptId>,
    /// The current or last attempt's session.
    pub session: Option<SessionName>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When the current or last attempt's program was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The last attempt's exit code, as a shell gives it.
    pub exit_code: Option<i32>,
    /// How the last attempt ended.
    pub outcome: Option<Outcome>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// How many attempts ended with an error.
    pub error_count: u32,
    /// Its labels.
    pub labels: Vec<String>,
}

/// As much of a task as is needed to say how it stands: many fit into a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Its number.
    pub id: TaskId,
    /// One line.
    pub title: String,
    /// Where it is.
    pub state: Status,
    /// How the last attempt ended.
    pub outcome: Option<Outcome>,
    /// The last attempt's exit code, as a shell gives it.
    pub exit_code: Option<i32>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

impl Brief {
    /// Most of them in one answer, whatever their titles and errors: 20 000 of the usual
    /// length are 2 MB.
    pub const MOST: usize = 10_000;
}

impl From<&TaskView> for Brief {
    fn from(task: &TaskView) -> Self {
        Brief {
            id: task.id,
            title: task.title.clone(),
            state: task.state,
            outcome: task.outcome,
            exit_code: task.exit_code,
            last_error: task.last_error.clone(),
        }
    }
}

/// One try at a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Its name.
    pub id: AttemptId,
    /// Its session.
    pub session: SessionName,
    /// Who ran it.
    pub provider: String,
    /// With which model.
    pub model: Option<String>,
    /// The argument vector that was started.
    pub argv: Vec<String>,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// When its program was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How.
    pub outcome: Option<Outcome>,
    /// The exit code, as a shell gives it.
    pub exit_code: Option<i32>,
    /// What went wrong.
    pub error: Option<String>,
    /// Where its output is.
    pub recording: Option<RecordingView>,
    /// The tool's name for its conversation, where it is known.
    pub conversation: Option<String>,
    /// It went on with the conversation of an attempt before it.
    pub resumed: bool,
    /// Processor time its processes have used, in milliseconds; once it has ended.
    pub cpu_ms: Option<u64>,
    /// The most resident memory at a time, in bytes; once it has ended.
    pub peak_memory_bytes: Option<u64>,
    /// The most processes at a time; once it has ended.
    pub peak_processes: Option<u32>,
}

/// Where a session's recorded output is. Only paths are stored; the bytes are in files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingView {
    /// A session's directory, or a pack file.
    pub path: String,
    /// Where in the pack the recording begins; `None` for a directory.
    pub pack_offset: Option<u64>,
    /// Bytes the program wrote.
    pub bytes: u64,
    /// SHA-256 of all bytes the program wrote, in hexadecimal; once it has ended.
    pub sha256: Option<String>,
}

/// A task with its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDetail {
    /// The task.
    pub task: TaskView,
    /// Its attempts, first to last.
    pub attempts: Vec<AttemptView>,
    /// Names of the environment variables it was given.
    pub environment: Vec<String>,
    /// What of its texts is not as it was stored, by their hashes in the history.
    pub damage: Option<String>,
    /// The task whose program has submitted it.
    pub parent: Option<TaskId>,
    /// What was said about it, oldest first.
    pub notes: Vec<NoteView>,
    /// What was asked on its behalf.
    pub requests: Vec<RequestView>,
    /// Files kept with it.
    pub outputs: Vec<OutputView>,
}

/// Something said about a task while it was worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteView {
    /// When.
    pub at: Timestamp,
    /// By whom: `user` or `agent`.
    pub actor: String,
    /// By which attempt, where it was one.
    pub attempt: Option<AttemptId>,
    /// What.
    pub text: String,
}

/// A question to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    /// Its number.
    pub id: i64,
    /// On behalf of this task.
    pub task: TaskId,
    /// The attempt that asks.
    pub attempt: Option<AttemptId>,
    /// When it was asked.
    pub at: Timestamp,
    /// What.
    pub question: String,
    /// The answer, once there is one.
    pub answer: Option<String>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// Its task has ended: nobody waits for an answer any more.
    pub over: bool,
}

/// A file kept with a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputView {
    /// Its number.
    pub id: i64,
    /// The task.
    pub task: TaskId,
    /// The attempt that left it.
    pub attempt: Option<AttemptId>,
    /// When.
    pub at: Timestamp,
    /// What it is called.
    pub name: String,
    /// Where it lies.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
}

/// How a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Its keeper is being made.
    Starting,
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Paused,
    /// Its program has ended.
    Ended,
    /// Its keeper lives but does not answer.
    Unresponsive,
    /// Its keeper died without a record.
    Lost,
}

impl SessionState {
    /// The name in the database, in JSON and in tables.
    pub fn name(self) -> &'static str {
        match self {
            SessionState::Starting => "starting",
            SessionState::Running => "running",
            SessionState::Paused => "paused",
            SessionState::Ended => "ended",
            SessionState::Unresponsive => "unresponsive",
            SessionState::Lost => "lost",
        }
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its name.
    pub name: SessionName,
    /// Its identity for ever.
    pub session_id: Uid,
    /// The provider or program in it.
    pub tool: String,
    /// How the tool is run.
    pub mode: Mode,
    /// How it is.
    pub state: SessionState,
    /// The program's process id, while it runs.
    pub pid: Option<u32>,
    /// The keeper's process id, while it lives.
    pub keeper_pid: Option<u32>,
    /// The keeper's version, while it lives.
    pub keeper_version: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its program ended.
    pub ended_at: Option<Timestamp>,
    /// The exit code, as a shell gives it.
    pub exit_code: Option<i32>,
    /// Where the program is now, or was started.
    pub current_directory: String,
    /// The tool waits for somebody to sign in.
    pub authentication_required: bool,
    /// The task it works on.
    pub task: Option<TaskId>,
    /// Terminals attached: those that may type.
    pub writers: u32,
    /// Terminals attached: those that only watch.
    pub watchers: u32,
    /// Columns of its screen.
    pub columns: u16,
    /// Rows of its screen.
    pub rows: u16,
    /// Processor time its processes have used, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Resident memory of its processes, in bytes, while it lives.
    pub memory_bytes: Option<u64>,
    /// Processes in it, while it lives.
    pub processes: Option<u32>,
    /// The most resident memory at a time, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// The most processes at a time.
    pub peak_processes: Option<u32>,
    /// Where its output is.
    pub recording: Option<RecordingView>,
    /// Its keeper's socket, while it lives.
    pub socket: Option<String>,
}

/// One entry of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Its place in the history of everything.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// The task it is about.
    pub task: Option<TaskId>,
    /// The attempt it is about.
    pub attempt: Option<AttemptId>,
    /// What happened.
    pub kind: String,
    /// Who caused it.
    pub actor: String,
    /// The task's status afterwards.
    pub state: Option<Status>,
    /// Details: a JSON object as text, since the wire carries no free-form values.
    pub detail: String,
    /// SHA-256 over this entry and the one before, in hexadecimal.
    pub hash: String,
}
