//! Tasks, sessions and events as clients see them. The same types go over the wire and
//! come out as JSON, so their names are the stable ones.

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};
use crate::id::{AttemptId, SessionName, TaskId, Uid};
use crate::queue::{Closed, Reason, ReasonCode};
use crate::task::{Dependency, Mode, OnInterrupt, Outcome, Status, Stop};

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

/// How many tasks are in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The status.
    pub state: Status,
    /// How many.
    pub tasks: u64,
}

/// The whole at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The daemon's process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it became ready.
    pub since: Timestamp,
    /// The state directory: which instance this is.
    pub state_directory: String,
    /// Its socket.
    pub socket: String,
    /// Why nothing is started, if so.
    pub closed: Option<Closed>,
    /// Providers with no new starts.
    pub paused_providers: Vec<String>,
    /// Attempts allowed at once.
    pub slots: u32,
    /// Attempts under way.
    pub slots_used: u32,
    /// Tasks by status, all statuses.
    pub tasks: Vec<Count>,
    /// Live sessions.
    pub sessions: u32,
    /// What is wrong with the configuration, if anything.
    pub config_error: Option<String>,
    /// Number of the last event.
    pub last_event: i64,
    /// The copy in Redis.
    pub redis: RedisView,
    /// Bytes free on the disk of the state directory, where that can be asked.
    pub disk_free: Option<u64>,
    /// Questions that nobody has answered.
    pub requests: u64,
    /// Why queued tasks wait, the most frequent reason first.
    pub waiting: Vec<WaitingCount>,
}

/// Queued tasks that wait for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingCount {
    /// Why.
    pub reason: ReasonCode,
    /// How many.
    pub tasks: u64,
}

/// What a start of the daemon would do about one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryView {
    /// The session's name; empty where nothing says what it was.
    pub session: String,
    /// Its identity.
    pub session_id: Option<Uid>,
    /// The task it works on.
    pub task: Option<TaskId>,
    /// The task's status now.
    pub state: Option<Status>,
    /// What is known of it.
    pub found: String,
    /// What is done about it, a stable word for scripts.
    pub action: String,
    /// The same for people.
    pub will: String,
    /// What becomes of the task, where that is decided then.
    pub then: Option<String>,
}

/// One thing that was looked at, and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// What: a stable word for scripts.
    pub name: String,
    /// How it is.
    pub level: CheckLevel,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckLevel {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Warning,
    /// Wrong.
    Error,
}

/// What a restore has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredView {
    /// The copy it began with; the damaged database itself, where only its end is missing.
    pub from: String,
    /// The last entry of the history in it.
    pub from_event: i64,
    /// Entries that could be read of what happened after it.
    pub replayed: i64,
    /// Entries that are lost, first and last; the last is 0 when nobody knows.
    pub lost: Option<(i64, i64)>,
    /// Tables of which something could not be read that happened after the backup.
    pub unreadable: Vec<String>,
    /// Tasks that the history knows, and that could not be read.
    pub missing: Vec<TaskId>,
    /// Tasks that are held because they may have run since.
    pub held: u32,
    /// Attempts that were under way, of which nobody knows how they ended.
    pub unknown: u32,
    /// Attempts that are live and were not in the copy.
    pub adopted: u32,
    /// Where the damaged files are kept.
    pub quarantine: String,
}

/// A copy of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupView {
    /// The file.
    pub path: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// The last entry of the history in it.
    pub last_event: i64,
    /// Its size.
    pub bytes: u64,
}

/// A provider as it is found on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderView {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: String,
    /// Whether its program was found.
    pub installed: bool,
    /// Where.
    pub path: Option<String>,
    /// What it says its version is.
    pub version: Option<String>,
    /// Modes it can be run in.
    pub modes: Vec<Mode>,
    /// Where its table comes from: `built in`, or a file.
    pub source: String,
    /// How to install it.
    pub install: Option<String>,
    /// What is wrong with its table, if anything.
    pub problem: Option<String>,
    /// Attempts allowed at once.
    pub slots: Option<u32>,
}

/// Whether the history is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Entries checked.
    pub events: u64,
    /// The last entry's hash, in hexadecimal.
    pub head: String,
    /// The first entry that is not as it was written.
    pub first_bad: Option<i64>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// How it stands with the copy in Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisState {
    /// There is to be none.
    #[default]
    Off,
    /// The server cannot be reached, or does not do what it is told; it is tried again.
    Down,
    /// It is being built.
    Rebuilding,
    /// It follows.
    Following,
}

impl RedisState {
    /// The word that JSON has.
    pub fn name(self) -> &'static str {
        match self {
            RedisState::Off => "off",
            RedisState::Down => "down",
            RedisState::Rebuilding => "rebuilding",
            RedisState::Following => "following",
        }
    }
}

/// The copy in Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisView {
    /// How it stands with it.
    pub state: RedisState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The server's address.
    pub url: Option<String>,
    /// The server's version.
    pub server: Option<String>,
    /// What the names of this instance's keys begin with.
    pub keys: Option<String>,
    /// The last entry of the history that is in it.
    pub seq: Option<i64>,
    /// Entries that are not in it yet.
    pub behind: u64,
    /// How long the first of them is there.
    pub behind_for: Option<Span>,
    /// Why it is down.
    pub error: Option<String>,
    /// How often it was built anew since the daemon was started.
    pub rebuilds: u64,
    /// Why, the last time.
    pub rebuilt_because: Option<String>,
    /// It was built anew again and again: somebody else writes the same keys.
    pub quarrel: bool,
    /// What is wrong with the server.
    pub warnings: Vec<String>,
}

/// What a comparison of the copy in Redis with the database has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisReport {
    /// Tasks compared.
    pub tasks: u64,
    /// Entries of the stream compared.
    pub events: u64,
    /// Up to this entry of the history.
    pub seq: i64,
    /// How many differences there are.
    pub differences: u64,
    /// The first [`RedisReport::MOST`] of them.
    pub first: Vec<RedisDifference>,
}

impl RedisReport {
    /// Differences that are named.
    pub const MOST: usize = 100;
}

/// Something in the copy that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisDifference {
    /// The key.
    pub key: String,
    /// Which field or member, where it is not the whole.
    pub field: Option<String>,
    /// What should be there.
    pub expected: Option<String>,
    /// What is there.
    pub found: Option<String>,
}

/// How often, how well and how fast: over a length of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsView {
    /// From then on.
    pub since: Timestamp,
    /// Until now.
    pub until: Timestamp,
    /// When the first of these tasks was submitted, or `since` if that was later: what lies
    /// before says nothing of how many are done in an hour.
    pub first: Timestamp,
    /// All tasks that have ended.
    pub all: StatsGroup,
    /// The same, taken apart as was asked.
    pub groups: Vec<StatsGroup>,
    /// The time in equal parts.
    pub parts: Vec<StatsPart>,
    /// What went wrong with attempts, most often first.
    pub errors: Vec<ErrorCount>,
}

/// Tasks that have ended, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsGroup {
    /// Which; empty for all.
    pub name: String,
    /// How many.
    pub tasks: u64,
    /// Their attempts.
    pub attempts: u64,
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Failed by the machinery.
    pub error: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Ended by their own time limit.
    pub timeout: u64,
    /// From being submitted until their first attempt was begun.
    pub waiting: Spread,
    /// How long their attempts have run together.
    pub running: Spread,
    /// Processor time of all of them together, in milliseconds, as far as it is known.
    pub cpu_ms: u64,
    /// The most resident memory that one of them has used at a time, in bytes.
    pub peak_memory_bytes: u64,
}

impl StatsGroup {
    /// How many of a hundred have passed, of those that nobody has cancelled.
    pub fn success_percent(&self) -> Option<u64> {
        let judged = self.passed + self.failed + self.error + self.timeout;
        // Rounded down: not all have passed where a hundred stands.
        (judged > 0).then(|| self.passed * 100 / judged)
    }
}

/// How lengths of time are spread, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Half of them are no longer.
    pub p50_ms: u64,
    /// 95 of 100.
    pub p95_ms: u64,
    /// 99 of 100.
    pub p99_ms: u64,
    /// None is longer.
    pub max_ms: u64,
}

/// What has ended in a part of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsPart {
    /// From then on, until the next part begins.
    pub from: Timestamp,
    /// Tasks.
    pub tasks: u64,
    /// Of these, passed.
    pub passed: u64,
}

/// Attempts that ended alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// How.
    pub outcome: Outcome,
    /// How many.
    pub attempts: u64,
    /// The last of them.
    pub last: AttemptId,
    /// When that was.
    pub last_at: Timestamp,
    /// What was said then.
    pub last_error: Option<String>,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseView {
    /// The file.
    pub path: String,
    /// Tasks.
    pub tasks: u64,
    /// Sessions, those of attempts included.
    pub sessions: u64,
    /// Notes, questions and files kept with tasks.
    pub said: u64,
    /// Entries of the history.
    pub events: u64,
    /// The hash of the last of them.
    pub head: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Of these, bytes that are free.
    pub free_bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Entries that the search has yet to look at by itself.
    pub unindexed: u64,
    /// The newest backup.
    pub last_backup: Option<BackupView>,
}
