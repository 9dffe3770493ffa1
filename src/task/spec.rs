//! What a person asked for, as it is stored and never changes but by `edit`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};
use crate::id::TaskId;
use crate::task::retry::{OnInterrupt, Policy};

/// Longest prompt, in bytes.
pub const MAX_DESCRIPTION: usize = 1024 * 1024;
/// Longest title, in characters; longer ones are cut at submit.
pub const MAX_TITLE: usize = 120;
/// Most labels a task may carry, and the longest one in bytes.
pub const MAX_LABELS: usize = 32;
/// Longest label, in bytes.
pub const MAX_LABEL: usize = 64;
/// Most tasks one task may wait for.
pub const MAX_DEPENDENCIES: usize = 256;
/// Priorities run from minus this to plus this; 0 is the default.
pub const MAX_PRIORITY: i32 = 100;
/// Most automatic retries a task may ask for.
pub const MAX_RETRIES: u32 = 100;
/// Most automatic restarts within an hour that a task may ask for.
pub const MAX_RESTARTS: u32 = 100;
/// Restarts within an hour of a task that asks for nothing else: a machine that is started
/// anew a few times costs no task its turn, one that crashes of a task is left alone.
pub const DEFAULT_RESTARTS: u32 = 3;
/// All names and values of a task's environment together, in bytes.
pub const MAX_ENVIRONMENT: usize = 256 * 1024;

/// Columns and rows of a terminal nobody has asked a size for: wide enough that agents do
/// not fold their lines.
pub const DEFAULT_SIZE: (u16, u16) = (120, 40);

/// A value that begins with this names a variable of the daemon's environment, which is
/// read when the task is started: such values are never written down.
pub const REFERENCE: &str = "env:";

/// Parts of names of variables whose values are secrets.
const SECRET: [&str; 7] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "COOKIE"];

/// Whether the value of the variable of this name is to be kept secret.
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// Whether the value of the variable of this name holds a password, as an address may:
/// `http://user:password@host`. A proxy's may do without the scheme.
pub fn holds_password(name: &str, value: &str) -> bool {
    let skip = usize::from(!name.to_uppercase().ends_with("_PROXY"));
    value.split("://").skip(skip).any(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        host.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

/// A variable whose value would be written down and looks like a secret.
pub fn secret_in<'a>(environment: impl IntoIterator<Item = (&'a String, &'a String)>) -> Option<&'a str> {
    let told = |(name, value): &(&String, &String)| {
        (looks_secret(name) && !value.starts_with(REFERENCE)) || holds_password(name, value)
    };
    environment.into_iter().find(told).map(|(name, _)| name.as_str())
}

/// A task as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// One line for lists; made from the description when not given.
    pub title: String,
    /// The prompt, or for `command` tasks the command line as text.
    pub description: String,
    /// The argument vector to run, for provider `shell` with a command after `--`.
    pub command: Vec<String>,
    /// A named preset; recorded, shown and filtered by.
    pub role: Option<String>,
    /// Which tool runs it: the name of a provider table.
    pub provider: String,
    /// The model to ask the provider for.
    pub model: Option<String>,
    /// How the tool is run.
    pub mode: Mode,
    /// Absolute directory it runs in.
    pub dir: PathBuf,
    /// The tool's own sandbox and questions are switched off.
    pub full_access: bool,
    /// -100 to 100, higher first.
    pub priority: i32,
    /// Tasks that must end before this one starts.
    pub after: Vec<Dependency>,
    /// Not before this moment.
    pub begin: Option<Timestamp>,
    /// Submitted with `--hold`.
    pub hold: bool,
    /// How often a failed attempt is repeated by itself, 0 to 100.
    pub retries: u32,
    /// What becomes of it when it is interrupted.
    pub on_interrupt: OnInterrupt,
    /// How often within an hour it is started again after an interruption, 0 to 100; then
    /// it is held.
    pub max_restarts: u32,
    /// Running time after which it is ended.
    pub timeout: Option<Span>,
    /// Free words to find and select it by.
    pub labels: Vec<String>,
    /// Environment taken at submit: variables on the allow-list by value.
    pub environment: BTreeMap<String, String>,
    /// Terminal size of the submitting terminal, columns and rows, if it had one.
    pub size: Option<(u16, u16)>,
}

impl TaskSpec {
    /// What may be repeated without a person.
    pub fn policy(&self) -> Policy {
        Policy { retries: self.retries, on_interrupt: self.on_interrupt, max_restarts: self.max_restarts }
    }

    /// In what this task would do more than `parent`, whose program submits it, may do.
    pub fn exceeds(&self, parent: &TaskSpec) -> Option<&'static str> {
        if self.provider != parent.provider {
            Some("it has another provider")
        } else if self.mode != parent.mode {
            Some("it has another mode")
        } else if self.full_access && !parent.full_access {
            Some("it has full access")
        } else if !self.command.is_empty() && parent.command.is_empty() {
            Some("it is a command and not a prompt")
        } else if !self.dir.starts_with(&parent.dir) || self.dir.components().any(|c| c.as_os_str() == "..") {
            Some("it works in another directory")
        } else if self.priority > parent.priority {
            Some("it has a higher priority")
        } else {
            None
        }
    }

    /// The task as one whose program is that of `parent` may submit it: with its environment,
    /// which says what programs are run and with which keys, and within its limits.
    pub fn as_child_of(self, parent: &TaskSpec) -> TaskSpec {
        let timeout = match (self.timeout, parent.timeout) {
            (Some(own), Some(its)) => Some(own.min(its)),
            (own, its) => own.or(its),
        };
        TaskSpec {
            environment: parent.environment.clone(),
            timeout,
            retries: self.retries.min(parent.retries),
            max_restarts: self.max_restarts.min(parent.max_restarts),
            ..self
        }
    }

    /// The title people see when none was given: the first line with text, cut.
    pub fn title_of(description: &str) -> String {
        let line = description.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("");
        let plain: String = line.chars().filter(|c| !c.is_control()).collect();
        if plain.chars().count() <= MAX_TITLE {
            plain
        } else {
            let mut cut: String = plain.chars().take(MAX_TITLE - 1).collect();
            cut.push('…');
            cut
        }
    }
}

/// How a tool is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One-shot and headless: ends by itself.
    #[default]
    Cli,
    /// The tool's own full screen with the prompt given; a person may join.
    Interactive,
}

impl Mode {
    /// The name in the database, in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Cli => "cli",
            Mode::Interactive => "interactive",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cli" => Ok(Mode::Cli),
            "interactive" => Ok(Mode::Interactive),
            _ => Err(format!("'{text}' is not a mode: cli or interactive")),
        }
    }
}

/// A task that must end before another starts: `41`, `any:41`, `not-ok:41`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dependency {
    /// The one waited for.
    pub task: TaskId,
    /// Which ends count.
    pub when: When,
}

/// Which ends of a task satisfy a dependency on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// It passed.
    Ok,
    /// It ended, however.
    Any,
    /// It ended, and did not pass.
    NotOk,
}

impl When {
    /// The name in the database and before the colon.
    pub fn name(self) -> &'static str {
        match self {
            When::Ok => "ok",
            When::Any => "any",
            When::NotOk => "not-ok",
        }
    }

    /// Whether a task with this status satisfies the dependency now.
    pub fn met_by(self, status: super::Status) -> bool {
        status.is_final()
            && match self {
                When::Ok => status == super::Status::Passed,
                When::Any => true,
                When::NotOk => status != super::Status::Passed,
            }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ok" => Ok(When::Ok),
            "any" => Ok(When::Any),
            "not-ok" => Ok(When::NotOk),
            _ => Err(format!("'{text}' is not a condition: ok, any or not-ok")),
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::Ok => self.task.fmt(f),
            when => write!(f, "{}:{}", when.name(), self.task),
        }
    }
}

impl FromStr for Dependency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (when, task) = match text.split_once(':') {
            Some((when, task)) => (when.parse()?, task),
            None => (When::Ok, text),
        };
        Ok(Dependency { task: task.parse().map_err(|e: crate::id::BadName| e.to_string())?, when })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Status;

    #[test]
    fn titles_are_one_plain_line() {
        assert_eq!(TaskSpec::title_of("\n  Fix the bug \nmore"), "Fix the bug");
        assert_eq!(TaskSpec::title_of("a\u{1b}[31mred"), "a[31mred");
        assert_eq!(TaskSpec::title_of(&"x".repeat(500)).chars().count(), MAX_TITLE);
    }

    #[test]
    fn passwords_in_addresses_are_found() {
        for (name, value) in [
            ("DATABASE_URL", "postgres://me:hunter2@host/db"),
            ("LINKS", "see http://host, ftp://me:hunter2@host"),
            ("https_proxy", "me:hunter2@host:3128"),
        ] {
            assert!(holds_password(name, value), "{value}");
        }
        for (name, value) in [
            ("PATH", "/bin:/opt/x@2/bin"),
            ("LANGUAGE", "en:de_DE@euro"),
            ("REPOSITORY", "ssh://git@host:22/a:b@c"),
            ("HTTP_PROXY", "http://host:3128/"),
            ("NO_PROXY", "localhost,10.0.0.0/8"),
        ] {
            assert!(!holds_password(name, value), "{value}");
        }
    }

    #[test]
    fn dependencies_read_and_print_alike() {
        for text in ["41", "any:41", "not-ok:41"] {
            assert_eq!(text.parse::<Dependency>().unwrap().to_string(), text);
        }
        assert_eq!("ok:41".parse::<Dependency>().unwrap().to_string(), "41");
        for bad in ["", "any:", "maybe:4", "any:0", ":4"] {
            assert!(bad.parse::<Dependency>().is_err(), "{bad}");
        }
    }

    #[test]
    fn conditions_look_only_at_ended_tasks() {
        for status in Status::ALL {
            let passed = status == Status::Passed;
            assert_eq!(When::Ok.met_by(status), passed);
            assert_eq!(When::Any.met_by(status), status.is_final());
            assert_eq!(When::NotOk.met_by(status), status.is_final() && !passed);
        }
    }
}
