//! Settings: every one has a name, a default and a reason (config/autodev.toml documents
//! them all). Precedence: `AUTODEV_*` environment, the project's file (what tasks are only),
//! the user's file, the default.

mod address;
mod edit;
mod load;
pub mod problem;
mod project;
mod schema;
mod setting;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Span;

pub use address::{Endpoint, MetricsAddress, RedisAddress};
pub use edit::{named, set, unset, write};
pub use load::{ConfigError, Loaded, Origin, keep, kept, load, load_from, load_in, text, wrong_variable};
pub use project::PROJECT_FILE;
pub use schema::{schema, template};
pub use setting::{BAD_PROVIDER_NAME, SETTINGS, Setting, control_key, is_provider_name};

/// The text that documents every setting; as a file it changes nothing.
pub const DOCUMENTED: &str = include_str!("../../config/autodev.toml");

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What runs at once.
    pub queue: Queue,
    /// What a submit means when it does not say.
    pub submit: Submit,
    /// The daemon itself.
    pub daemon: Daemon,
    /// What agents may do.
    pub agents: Agents,
    /// Copies of the database.
    pub backup: Backup,
    /// Kept output.
    pub recording: Recording,
    /// Attaching to sessions.
    pub attach: Attach,
    /// What tasks inherit.
    pub environment: Environment,
    /// The real-time copy in Redis.
    pub redis: Redis,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    /// Control groups of sessions.
    pub scope: Scope,
    /// Limits by provider, over those of its table.
    pub providers: BTreeMap<String, ProviderLimits>,
}

/// What runs at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// Attempts under way at once, 1 to 1 000.
    pub slots: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Queue { slots: 4 }
    }
}

/// What a submit means when it does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Submit {
    /// The provider of a task submitted without one; empty takes the first installed
    /// agent.
    pub provider: String,
    /// Retries of a task submitted without a number, 0 to 100.
    pub retries: u32,
    /// What becomes of a task that is interrupted; one of [`setting::ON_INTERRUPT`].
    pub on_interrupt: String,
    /// Time limit of a task submitted without one; zero is none.
    pub timeout: Span,
}

impl Default for Submit {
    fn default() -> Self {
        Submit { provider: String::new(), retries: 0, on_interrupt: "resume".into(), timeout: Span::default() }
    }
}

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Daemon {
    /// A newer command line restarts an older daemon by itself; agents are not touched.
    pub auto_restart: bool,
    /// Log filter.
    pub log: String,
    /// Log lines as JSON.
    pub log_json: bool,
    /// Client connections at once, 4 to 10 000.
    pub connections: u32,
    /// Bytes on the disk of the state directory that are kept free, up to 1 TiB: with less
    /// nothing is started.
    pub disk_reserve: u64,
}

impl Default for Daemon {
    fn default() -> Self {
        Daemon {
            auto_restart: true,
            log: "info".into(),
            log_json: false,
            connections: 256,
            disk_reserve: 256 * 1024 * 1024,
        }
    }
}

/// What agents may do.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// A task's own program may submit tasks that may do no more than it may.
    pub allow_submit: bool,
}

/// Copies of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Between two of them; zero is never.
    pub interval: Span,
    /// Room for all of them, in bytes, 1 MiB to 1 TiB; two are kept all the same.
    pub max_bytes: u64,
}

impl Default for Backup {
    fn default() -> Self {
        Backup { interval: Span(Duration::from_secs(60 * 60)), max_bytes: 5 * 1024 * 1024 * 1024 }
    }
}

/// Kept output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recording {
    /// Bytes on disk for each session; the oldest output goes first. At least two segments,
    /// at most 1 TiB.
    pub max_bytes: u64,
    /// Bytes of output in one file, 64 KiB to 1 GiB.
    pub segment_bytes: u64,
}

impl Default for Recording {
    fn default() -> Self {
        Recording { max_bytes: 256 * 1024 * 1024, segment_bytes: 8 * 1024 * 1024 }
    }
}

/// Attaching to sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attach {
    /// The key that begins a command while attached: `C-b`, `C-a`, `C-Space`…
    pub prefix: String,
    /// Lines of history printed at the first attach, 0 to 100 000.
    pub history_lines: u32,
    /// Memory for lines that have scrolled off, in each keeper, in bytes; 64 KiB to
    /// 1 GiB.
    pub history_bytes: u64,
}

impl Default for Attach {
    fn default() -> Self {
        Attach { prefix: "C-b".into(), history_lines: 500, history_bytes: 3 * 1024 * 1024 }
    }
}

/// What tasks inherit.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Environment {
    /// Names of variables, besides the built-in ones, that a task takes from the shell it
    /// was submitted in; `*` at the end stands for anything.
    pub allow: Vec<String>,
}

/// The real-time copy in Redis, for dashboards and scripts. Nothing ever waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// The server, as [`RedisAddress::parse`] reads it; empty is none, and no copy.
    pub url: String,
    /// Who we are there; empty is the server's default user.
    pub user: String,
    /// Where the password is to be had, as [`Reference::parse`](crate::reference::Reference::parse)
    /// reads it; empty is none.
    pub password: String,
    /// What the names of keys begin with; 1 to 64 letters, digits, '-', '_', '.' or ':'.
    pub prefix: String,
    /// The connection is encrypted.
    pub tls: bool,
    /// A file with the certificates that the server's must be signed by; empty takes the
    /// system's.
    pub tls_ca: String,
    /// A file with our own certificate, for servers that want one, and one with its key.
    pub tls_cert: String,
    /// The key of the certificate.
    pub tls_key: String,
    /// Titles are copied too.
    pub titles: bool,
}

impl Default for Redis {
    fn default() -> Self {
        Redis {
            url: String::new(),
            user: String::new(),
            password: String::new(),
            prefix: "autodev".into(),
            tls: false,
            tls_ca: String::new(),
            tls_cert: String::new(),
            tls_key: String::new(),
            titles: false,
        }
    }
}

/// Figures for Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Where they are served, as [`MetricsAddress::parse`] reads it; empty is nowhere.
    pub listen: String,
}

/// Control groups of sessions, where the user has a service manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Each session has one.
    pub enabled: bool,
    /// Bytes of memory for all of a session's programs, up to 64 TiB; 0 is no limit.
    pub memory_max: u64,
    /// Processes and threads, up to a million; 0 is no limit.
    pub processes: u32,
    /// Hundredths of one processor, up to 100 000; 0 is no limit.
    pub cpu_percent: u32,
}

impl Default for Scope {
    fn default() -> Self {
        Scope { enabled: true, memory_max: 0, processes: 0, cpu_percent: 0 }
    }
}

/// Limits of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderLimits {
    /// Attempts at once, up to 1 000; 0 is no limit, none given takes the table's.
    pub slots: Option<u32>,
    /// Attempts at once in one directory, up to 1 000; 0 is no limit, none given takes
    /// the table's.
    pub per_directory: Option<u32>,
}

impl Config {
    /// Every setting with its value, by name. Limits of providers are there only when
    /// set.
    pub fn values(&self) -> BTreeMap<String, toml::Value> {
        // Numbers, texts and lists: nothing here that TOML could not say.
        let Ok(table) = toml::Table::try_from(self) else { return BTreeMap::new() };
        let mut found = BTreeMap::new();
        let mut open = vec![(String::new(), table)];
        while let Some((prefix, table)) = open.pop() {
            for (name, value) in table {
                match value {
                    toml::Value::Table(inner) => open.push((format!("{prefix}{name}."), inner)),
                    value => drop(found.insert(format!("{prefix}{name}"), value)),
                }
            }
        }
        found
    }

    /// The names of settings in which `self` differs from `before` and that only a new
    /// start of the daemon brings into force.
    pub fn restart_needed(&self, before: &Config) -> Vec<String> {
        let old = before.values();
        let restart = |key: &str| SETTINGS.iter().any(|setting| setting.key == key && setting.restart);
        let changed = self.values().into_iter().filter(|(key, value)| old.get(key) != Some(value));
        changed.map(|(key, _)| key).filter(|key| restart(key)).collect()
    }
}
