//! Reads the settings: defaults, under the user's file, under the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Value;
use toml_edit::{Document, Item, TableLike};

use super::problem::{Place, Problem, nearest};
use super::{Config, SETTINGS, Setting, is_provider_name, project, setting};
use crate::durable;
use crate::paths::Paths;

/// Largest file that is read, in bytes; a file with every setting has 5 000.
const MAX_FILE: u64 = 1024 * 1024;

/// The settings in force, and where each comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Settings that variables of the environment set, and those.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variable = |(key, origin): (&String, &Origin)| match origin {
            Origin::Variable(name) => Some((key.clone(), name.clone())),
            Origin::Default | Origin::File { .. } => None,
        };
        self.origins.iter().filter_map(variable).collect()
    }

    /// Settings that somebody has set, and where.
    pub fn origins(&self) -> impl Iterator<Item = (&String, &Origin)> {
        self.origins.iter()
    }

    /// Where the setting of this name comes from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has set it.
    Default,
    /// The user's file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Variable(name) => write!(f, "environment: {name}"),
        }
    }
}

/// Everything that is wrong with the settings. Prints as text for people, one paragraph
/// a problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
pub struct ConfigError {
    /// What is wrong; at least one.
    pub problems: Vec<Problem>,
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        ConfigError { problems: vec![problem] }
    }
}

/// The settings in force for this process. A file that is not there sets nothing.
///
/// # Errors
/// All that is wrong with the file and the environment.
pub fn load(paths: &Paths) -> Result<Loaded, ConfigError> {
    load_from(&paths.config_file(), std::env::vars_os())
}

/// The settings in force for tasks in a directory: those of its project come before the
/// user's.
///
/// # Errors
/// All that is wrong with the files and the environment.
pub fn load_in(paths: &Paths, directory: &Path) -> Result<Loaded, ConfigError> {
    let file = paths.config_file();
    let text = read(&file)?;
    let mut found = Found::beside(&file);
    if let Some(text) = &text {
        found.take_file(&file, text);
    }
    if let Some(project) = project::file(directory)
        && let Some(text) = read(&project)?
    {
        found.take_project(&project, &text);
    }
    found.take_environment(std::env::vars_os());
    found.finish(&file, text.as_deref().unwrap_or_default())
}

/// [`load`] with a file and an environment of one's own.
///
/// # Errors
/// All that is wrong with them.
pub fn load_from(
    file: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    load_beside(file, file, environment)
}

/// The same with provider tables that lie beside another file.
fn load_beside(
    file: &Path,
    tables: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    let text = read(file)?;
    let mut found = Found::beside(tables);
    if let Some(text) = &text {
        found.take_file(file, text);
    }
    found.take_environment(environment);
    found.finish(file, text.as_deref().unwrap_or_default())
}

/// What is wrong with a variable of this process, if that is so. What is started with it has
/// it as long as it lives; what is wrong with a file can be mended meanwhile.
pub fn wrong_variable(paths: &Paths) -> Option<Problem> {
    let problems = load(paths).err()?.problems;
    problems.into_iter().find(|problem| matches!(problem.place, Place::Variable(_)))
}

/// Keeps the user's file as it is now, which must be right, beside the database: a daemon that
/// finds a wrong one goes on with this.
///
/// # Errors
/// What is wrong with it, or that it cannot be kept.
pub fn keep(paths: &Paths) -> Result<(), ConfigError> {
    let file = paths.config_file();
    let text = read(&file)?.unwrap_or_default();
    check(&file, &text)?;
    let kept = paths.kept_config();
    if read(&kept)?.as_deref() == Some(text.as_str()) {
        return Ok(());
    }
    durable::write(&kept, text.as_bytes())
        .map_err(|error| Problem::of_file(&kept, format!("cannot be written: {error}")).into())
}

/// The settings as they were when they were last kept; without the environment where that
/// is what is wrong.
pub fn kept(paths: &Paths) -> Option<Config> {
    let (kept, file) = (paths.kept_config(), paths.config_file());
    let loaded = load_beside(&kept, &file, std::env::vars_os()).or_else(|_| load_beside(&kept, &file, []));
    loaded.ok().map(|loaded| loaded.config)
}

/// Checks a file's text by itself.
pub(super) fn check(file: &Path, text: &str) -> Result<Loaded, ConfigError> {
    let mut found = Found::default();
    found.take_file(file, text);
    found.finish(file, text)
}

/// The text of the user's file; `None` when it is not there.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn text(paths: &Paths) -> Result<Option<String>, ConfigError> {
    Ok(read(&paths.config_file())?)
}

/// The file's text; `None` when it is not there.
pub(super) fn read(file: &Path) -> Result<Option<String>, Problem> {
    let cannot = |error: io::Error| Problem::of_file(file, format!("cannot be read: {error}"));
    match fs::metadata(file) {
        // Asked before it is opened: opening a pipe waits for somebody to write.
        Ok(found) if !found.is_file() => return Err(Problem::of_file(file, "is not a regular file")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    }
    let mut bytes = Vec::new();
    File::open(file).and_then(|open| open.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Problem::of_file(file, format!("is larger than {MAX_FILE} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        Problem::of_file(file, format!("line {line} is not UTF-8"))
    })
}

#[derive(Default)]
struct Found {
    /// Values by the parts of their names.
    values: BTreeMap<Vec<String>, Value>,
    origins: BTreeMap<String, Origin>,
    /// Where in the file a value stands.
    spans: BTreeMap<String, Range<usize>>,
    problems: Vec<Problem>,
    /// Providers with a table of the user's: names of variables cannot tell '-' from '_'.
    providers: Vec<String>,
}

impl Found {
    /// Nothing yet, with the providers whose tables lie beside this file.
    fn beside(file: &Path) -> Found {
        let tables = file.parent().map(|parent| parent.join("providers"));
        let tables = tables.and_then(|tables| fs::read_dir(tables).ok()).into_iter().flatten().flatten();
        let name = |entry: fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(".toml")?.to_owned());
        Found { providers: tables.filter_map(name).collect(), ..Found::default() }
    }

    fn take_file(&mut self, file: &Path, text: &str) {
        match Document::parse(text) {
            Ok(document) => self.take_table(file, text, document.as_table(), &[]),
            Err(error) => {
                let message = error.message().trim().replace('\n', ", ");
                self.problems.push(Problem::at(file, text, error.span(), message).discreet());
            }
        }
    }

    /// Takes what a project may set, over what is there.
    fn take_project(&mut self, file: &Path, text: &str) {
        let mut found = Found::default();
        found.take_file(file, text);
        for key in found.values.keys().filter(|key| key[0] != project::GROUP) {
            let key = key.join(".");
            let span = found.spans.get(&key).cloned();
            let message = format!("'{key}' is the user's own affair: a project sets [{}] only", project::GROUP);
            self.problems.push(Problem::at(file, text, span, message));
        }
        self.problems.append(&mut found.problems);
        self.values.append(&mut found.values);
        self.origins.append(&mut found.origins);
    }

    /// Takes everything below `above`. TOML's reader bounds how deep tables lie.
    fn take_table(&mut self, file: &Path, text: &str, table: &dyn TableLike, above: &[&str]) {
        for (name, item) in table.iter() {
            let parts: Vec<&str> = above.iter().copied().chain([name]).collect();
            let key_span = table.get_key_value(name).and_then(|(key, _)| key.span());
            let span = item.span().or_else(|| key_span.clone());
            match setting::find(&parts) {
                Err(unknown) => {
                    let key = parts.join(".");
                    let hint = unknown.nearest.map(|name| format!("did you mean '{name}'?"));
                    let message = format!("there is no setting '{key}'");
                    self.problems.push(Problem::at(file, text, key_span, message).hint(hint).discreet());
                }
                Ok(None) => match item.as_table_like() {
                    Some(inner) => self.take_table(file, text, inner, &parts),
                    None => {
                        let message = format!("'{}' is a group of settings, not one", parts.join("."));
                        self.problems.push(Problem::at(file, text, span, message).discreet());
                    }
                },
                Ok(Some(setting)) => {
                    let key = parts.join(".");
                    match plain(item).ok_or_else(|| "is not a plain value".to_owned()).and_then(|v| setting.check(v)) {
                        Ok(value) => {
                            let before = span.as_ref().map_or(0, |span| span.start.min(text.len()));
                            let line = text.as_bytes()[..before].iter().filter(|b| **b == b'\n').count() + 1;
                            self.origins.insert(key.clone(), Origin::File { path: file.to_owned(), line });
                            self.spans.extend(span.map(|span| (key, span)));
                            self.values.insert(parts.iter().map(|&part| part.to_owned()).collect(), value);
                        }
                        Err(what) => {
                            let problem = Problem::at(file, text, span, format!("{key}: {what}"));
                            self.problems.push(if setting.is_veiled() { problem.veiled() } else { problem });
                        }
                    }
                }
            }
        }
    }

    fn take_environment(&mut self, environment: impl IntoIterator<Item = (OsString, OsString)>) {
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with("AUTODEV_")) else { continue };
            let problem = |message: String| Problem { message, place: Place::Variable(name.to_owned()), hint: None };
            // AUTODEV_HOME, AUTODEV_SESSION… are no settings; AUTODEV_QUEUE_SLOTZ was meant
            // to be one.
            if !setting::is_group_of(name) {
                continue;
            }
            let Some((setting, parts)) = setting_of(name, &self.providers) else {
                self.problems.push(problem("there is no such setting".into()).hint(Some(meant(name))));
                continue;
            };
            // As with other programs' variables, empty is the same as not set.
            if value.is_empty() {
                continue;
            }
            let Some(value) = value.to_str() else {
                self.problems.push(problem("is not UTF-8".into()));
                continue;
            };
            match setting.read(value) {
                Ok(value) => {
                    let key = parts.join(".");
                    self.spans.remove(&key);
                    self.origins.insert(key, Origin::Variable(name.to_owned()));
                    self.values.insert(parts, value);
                }
                Err(what) => self.problems.push(problem(what)),
            }
        }
    }

    fn finish(mut self, file: &Path, text: &str) -> Result<Loaded, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError { problems: self.problems });
        }
        let whole = |error: String| ConfigError::from(Problem::of_file(file, error));
        // What is not in it has its default.
        let mut table = toml::Table::new();
        for (parts, value) in self.values {
            put(&mut table, &parts, value);
        }
        let config = Config::deserialize(table).map_err(|error| whole(error.to_string()))?;

        let recording = &config.recording;
        if recording.max_bytes / 2 < recording.segment_bytes {
            let key =
                ["recording.max_bytes", "recording.segment_bytes"].into_iter().find(|k| self.origins.contains_key(*k));
            let message = format!(
                "recording.max_bytes ({}) must be at least twice recording.segment_bytes ({})",
                recording.max_bytes, recording.segment_bytes
            );
            let problem = match key.and_then(|key| self.origins.get(key)) {
                Some(Origin::Variable(name)) => Problem { message, place: Place::Variable(name.clone()), hint: None },
                _ => Problem::at(file, text, key.and_then(|key| self.spans.remove(key)), message),
            };
            return Err(problem.into());
        }
        Ok(Loaded { config, origins: self.origins })
    }
}

/// A value without the comments and blanks around it; `None` for what settings never are.
fn plain(item: &Item) -> Option<Value> {
    let value = item.as_value()?;
    Some(match value {
        toml_edit::Value::String(text) => Value::String(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::Integer(*number.value()),
        toml_edit::Value::Float(number) => Value::Float(*number.value()),
        toml_edit::Value::Boolean(on) => Value::Boolean(*on.value()),
        toml_edit::Value::Array(list) => {
            Value::Array(list.iter().map(|v| plain(&Item::Value(v.clone()))).collect::<Option<_>>()?)
        }
        toml_edit::Value::Datetime(_) | toml_edit::Value::InlineTable(_) => return None,
    })
}

fn put(table: &mut toml::Table, parts: &[String], value: Value) {
    match parts {
        [] => {}
        [name] => {
            table.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let inner = table.entry(name.clone()).or_insert_with(|| Value::Table(toml::Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// The setting that a variable sets, and its name in parts.
fn setting_of(variable: &str, providers: &[String]) -> Option<(&'static Setting, Vec<String>)> {
    for setting in &SETTINGS {
        let name = setting.variable();
        match name.split_once('*') {
            None if name == variable => return Some((setting, setting.key.split('.').map(str::to_owned).collect())),
            None => {}
            Some((before, after)) => {
                let Some(tag) = variable.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) else {
                    continue;
                };
                // Variables have no '-', so '_' stands for it, but where there is one of that name.
                let lower = tag.to_ascii_lowercase();
                let known = providers.iter().find(|name| name.replace('-', "_") == lower);
                let provider = known.cloned().unwrap_or_else(|| lower.replace('_', "-"));
                if is_provider_name(&provider) {
                    let parts = setting.key.split('.').map(|part| if part == "*" { provider.as_str() } else { part });
                    return Some((setting, parts.map(str::to_owned).collect()));
                }
            }
        }
    }
    None
}

/// Which setting was meant by a variable that is none.
fn meant(variable: &str) -> String {
    let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let near = nearest(variable, known.iter().map(String::as_str));
    near.map_or("'autodev config show' lists all".into(), |name| format!("did you mean {name}?"))
}
