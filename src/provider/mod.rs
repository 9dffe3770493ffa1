//! Providers: how an agent is reached. Data first: a table in TOML says which program,
//! which arguments in which mode, which keys. The built-in tables are in
//! `config/providers/`, the user's in the configuration directory; a user can change a
//! provider or add one without compiling.

mod check;
mod conversation;
mod launch;
mod probe;
mod program;
mod table;
mod template;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use check::Remarks;
pub use conversation::{GO_ON, MAX_PRINTED, printed};
pub use launch::{Launch, LaunchError, LaunchRequest, MAX_ARGUMENT_PROMPT, Secrets};

use crate::config::problem::{Problem, nearest};
use crate::config::{self, ProviderLimits};
use crate::paths::Paths;
use crate::queue::Limit;
use crate::reference::Keys;
use table::{Patch, Table};

/// The tables that come with autodev. A task submitted without a provider gets the first
/// agent of them that is installed.
const BUILT_IN: [(&str, &str); 6] = [
    ("claude", include_str!("../../config/providers/claude.toml")),
    ("codex", include_str!("../../config/providers/codex.toml")),
    ("gemini", include_str!("../../config/providers/gemini.toml")),
    ("cursor", include_str!("../../config/providers/cursor.toml")),
    ("opencode", include_str!("../../config/providers/opencode.toml")),
    ("shell", include_str!("../../config/providers/shell.toml")),
];

/// Largest table that is read, in bytes; the largest built-in one has 2 000.
const MAX_TABLE: u64 = 64 * 1024;
/// Most of the user's tables that are read.
const MAX_TABLES: usize = 256;

/// All providers that are known.
#[derive(Debug)]
pub struct Registry {
    /// Built-in ones first, in their order; then the user's, by name.
    entries: Vec<Entry>,
    problems: Vec<String>,
    probe: probe::Cache,
}

/// A provider: its table, or why it has none.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name: that of its file without `.toml`.
    pub name: String,
    /// Where its table comes from: `built in`, or the user's file.
    pub source: String,
    table: Result<Table, String>,
}

impl Entry {
    /// What is wrong with its table, if anything. Such a provider is listed but starts
    /// nothing.
    pub fn problem(&self) -> Option<&str> {
        self.table.as_ref().err().map(String::as_str)
    }

    /// Its name for people.
    pub fn title(&self) -> &str {
        self.table.as_ref().map_or(self.name.as_str(), |table| table.title.as_str())
    }

    /// Whether it works by itself on what it is told.
    pub fn is_agent(&self) -> bool {
        self.table.as_ref().is_ok_and(|table| table.agent)
    }

    /// Whether a task may bring a command instead of a prompt.
    pub fn accepts_command(&self) -> bool {
        self.table.as_ref().is_ok_and(|table| table.accepts_command)
    }
}

impl Registry {
    /// Reads the built-in tables and the user's. Never fails: what is wrong with a table
    /// is said where the provider is listed or used, and leaves the others alone.
    pub fn load(paths: &Paths) -> Registry {
        let mut problems = Vec::new();
        let mut files = user_files(&paths.providers(), &mut problems);
        let mut entries = Vec::new();
        for (name, text) in BUILT_IN {
            let built_in = table::read(Path::new(name), text).map_err(|problem| problem.to_string());
            entries.push(match files.remove(name) {
                None => Entry::new(name, "built in".into(), built_in),
                Some(file) => {
                    let patch = read_file(&file).and_then(|above| Ok(above.over(built_in?)));
                    Entry::new(name, file.display().to_string(), patch)
                }
            });
        }
        for (name, file) in files {
            let patch = match config::is_provider_name(&name) {
                true => read_file(&file),
                false => Err(format!("{}: {}", file.display(), config::BAD_PROVIDER_NAME)),
            };
            entries.push(Entry::new(&name, file.display().to_string(), patch));
        }
        Registry { entries, problems, probe: probe::Cache::default() }
    }

    /// The provider of this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// All names, built-in ones first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The name that `wrong` was probably meant to be.
    pub fn nearest(&self, wrong: &str) -> Option<&str> {
        nearest(wrong, self.names())
    }

    /// Everything that is wrong with tables and the directory they are in, one text each.
    pub fn problems(&self) -> Vec<String> {
        let tables = self.entries.iter().filter_map(Entry::problem).map(str::to_owned);
        self.problems.iter().cloned().chain(tables).collect()
    }

    /// The first agent that is installed, for a task with this environment.
    pub fn default_agent(&self, environment: &BTreeMap<String, String>) -> Option<&str> {
        let here = |entry: &&Entry| entry.is_agent() && entry.program(environment).is_some();
        self.entries.iter().find(here).map(|entry| entry.name.as_str())
    }

    /// The agents, in order, and whether each is installed.
    pub fn installed(&self, environment: &BTreeMap<String, String>) -> Vec<(&str, bool)> {
        let agents = self.entries.iter().filter(|entry| entry.is_agent());
        agents.map(|entry| (entry.name.as_str(), entry.program(environment).is_some())).collect()
    }

    /// The limits in force, by provider and by provider for each directory: `settings`
    /// over the tables.
    pub fn limits(
        &self,
        settings: &BTreeMap<String, ProviderLimits>,
    ) -> (HashMap<String, Limit>, HashMap<String, Limit>) {
        let (mut provider, mut directory) = (HashMap::new(), HashMap::new());
        for entry in &self.entries {
            let Ok(table) = &entry.table else { continue };
            let set = settings.get(&entry.name);
            let over = |set: Option<u32>, table: Limit| set.map_or(table, table::limit);
            provider.insert(entry.name.clone(), over(set.and_then(|s| s.slots), table.slots));
            directory.insert(entry.name.clone(), over(set.and_then(|s| s.per_directory), table.per_directory));
        }
        (provider, directory)
    }

    /// The words after which a provider's tool prints what it calls its conversation, where
    /// it does: see [`printed`].
    pub fn conversation_after(&self, provider: &str) -> Option<&str> {
        self.get(provider)?.table.as_ref().ok()?.conversation_after.as_deref()
    }

    /// Says exactly how to start what is asked for.
    ///
    /// # Errors
    /// [`LaunchError`], in words for people.
    pub fn launch(&self, request: &LaunchRequest<'_>, keys: Keys<'_>) -> Result<Launch, LaunchError> {
        let name = request.provider.to_owned();
        let Some(entry) = self.get(request.provider) else {
            let nearest = self.nearest(request.provider).map(str::to_owned);
            return Err(LaunchError::UnknownProvider { name, nearest });
        };
        match &entry.table {
            Ok(table) => launch::launch(table, request, keys),
            Err(problem) => Err(LaunchError::BadTable { name, problem: problem.clone() }),
        }
    }
}

impl Entry {
    fn new(name: &str, source: String, patch: Result<Patch, String>) -> Entry {
        let table = patch.and_then(|patch| patch.complete(name).map_err(|problem| format!("{source}: {problem}")));
        Entry { name: name.to_owned(), source, table }
    }

    /// Its program on this machine, for a task with this environment.
    fn program(&self, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
        let table = self.table.as_ref().ok()?;
        let mode = table.modes().into_iter().find_map(|mode| table.mode(mode))?;
        launch::find_program(table, mode, environment).ok()
    }
}

/// The user's tables by provider name.
fn user_files(directory: &Path, problems: &mut Vec<String>) -> BTreeMap<String, PathBuf> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => {
            problems.push(format!("{} cannot be read: {error}", directory.display()));
            return BTreeMap::new();
        }
    };
    let mut files = BTreeMap::new();
    for path in listed.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        if files.len() == MAX_TABLES {
            problems.push(format!("{} has more than {MAX_TABLES} tables: the rest is left out", directory.display()));
            break;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, path);
    }
    files
}

fn read_file(path: &Path) -> Result<Patch, String> {
    let fail = |what: String| Problem::of_file(path, what).to_string();
    let cannot = |error: io::Error| fail(format!("cannot be read: {error}"));
    // Asked before it is opened: opening a pipe waits for somebody to write.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(fail("is not a regular file".into()));
    }
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MAX_TABLE + 1).read_to_string(&mut text)).map_err(cannot)?;
    if text.len() as u64 > MAX_TABLE {
        return Err(fail(format!("is larger than {MAX_TABLE} bytes")));
    }
    table::read(path, &text).map_err(|problem| problem.to_string())
}

#[cfg(test)]
mod tests;
