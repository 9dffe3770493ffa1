//! The launch specification: what a keeper needs to know to run one session. A JSON file
//! in the session's directory, written before the keeper is started. Holds no secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::id::{SessionName, TaskId, Uid};
use crate::task::Mode;

/// Version of the file's form. Readers accept what they know and ignore added fields.
pub const VERSION: u32 = 1;
/// Longest file that is read: the longest prompt in arguments, a large environment, and the
/// escapes of both.
pub const MAX_FILE: u64 = 16 * 1024 * 1024;

/// What to run in one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// [`VERSION`].
    pub v: u32,
    /// The session.
    pub session: SessionName,
    /// The session's identity: what adoption compares, never the name alone.
    pub uid: Uid,
    /// The task it works on.
    pub task: Option<TaskId>,
    /// The task's identity.
    pub task_uid: Option<Uid>,
    /// Provider or program, for lists when the database is away.
    pub tool: String,
    /// How the tool is run.
    pub mode: Mode,
    /// Run one after the other; the first that does not end with 0 is the last.
    pub steps: Vec<LaunchStep>,
    /// Columns and rows of the screen before anybody attaches.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
    /// Hard limit of POSIX message queues that marks every process of this session. An
    /// unprivileged process inherits it for ever and cannot raise it.
    pub marker: u64,
    /// Limits of the recording.
    pub recording: RecordingLimits,
    /// Memory for lines that have scrolled off, in bytes.
    pub history_bytes: u64,
    /// Directory for the keeper's socket.
    pub socket_directory: PathBuf,
    /// File mode mask of the programs: the daemon's own is stricter.
    #[serde(default = "usual_umask")]
    pub umask: u32,
    /// Soft and hard limit of core files of the programs: the daemon and the keeper have
    /// none. Without it, the keeper's own before it gave them up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<(u64, u64)>,
    /// The program also gets variables that are not written here. They come from the
    /// daemon that launches it, over the keeper's first connection; another daemon does
    /// not have them.
    #[serde(default)]
    pub withholds: bool,
    /// What it is started to do, for the recording: the steps have it as an argument or a
    /// file.
    #[serde(default)]
    pub prompt: Option<Prompt>,
    /// The tool's name for its conversation, where it is known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The program goes on with a conversation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
}

/// That of specifications from before there was one in them.
fn usual_umask() -> u32 {
    0o022
}

/// One program to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchStep {
    /// `agent`, or what else it is for.
    pub name: String,
    /// Program and arguments; the program is an absolute path or looked up on the `PATH`
    /// of `environment`.
    pub argv: Vec<String>,
    /// Absolute directory to run in.
    pub directory: PathBuf,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// What it reads as standard input.
    pub stdin: Stdin,
}

/// Standard input of a step. Never an open pipe: agents wait for its end for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// The terminal.
    Terminal,
    /// Nothing: `/dev/null`.
    Null,
    /// A regular file in the session's directory, by name.
    File(String),
}

/// The beginning of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// As much of it as the recording keeps.
    pub head: String,
    /// Bytes of the whole.
    pub bytes: u64,
}

impl Prompt {
    /// Of this text at most `most` bytes.
    pub fn of(text: &str, most: usize) -> Prompt {
        let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        Prompt { head: text[..end.unwrap_or(0)].to_owned(), bytes: text.len() as u64 }
    }
}

/// How much output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingLimits {
    /// Bytes on disk in all; the oldest segments go first.
    pub max_bytes: u64,
    /// Bytes of output in one segment.
    pub segment_bytes: u64,
}
