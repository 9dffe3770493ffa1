//! A task as flags or a line of a batch wish it, checked and made into what is stored.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::defaults::Found;
use crate::clock::{self, Direction, Span, Timestamp};
use crate::protocol::Fault;
use crate::task::spec::{
    DEFAULT_RESTARTS, MAX_DEPENDENCIES, MAX_DESCRIPTION, MAX_LABEL, MAX_LABELS, MAX_PRIORITY, MAX_RESTARTS, MAX_RETRIES,
};
use crate::task::{Dependency, Mode, OnInterrupt, TaskSpec, When};

/// The provider that runs commands.
pub const SHELL: &str = "shell";
/// Longest command line for a shell, in bytes: Linux takes no longer single argument.
const MAX_COMMAND_LINE: usize = 128 * 1024 - 1;
/// Longest name of a role, provider or model, in bytes.
const MAX_NAME: usize = 128;

/// A text or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Texts {
    /// One.
    One(String),
    /// A list.
    Many(Vec<String>),
}

/// Dependencies: numbers or texts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Afters {
    /// A number.
    Number(i64),
    /// A text, perhaps with commas.
    Text(String),
    /// A list of these.
    List(Vec<Afters>),
}

/// What is wished for. The names are those of a batch's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wish {
    /// One line for lists.
    pub title: Option<String>,
    /// The prompt.
    pub description: Option<String>,
    /// A command line for a shell, or an argument vector.
    pub command: Option<Texts>,
    /// Who runs it.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// How the tool is run.
    pub mode: Option<Mode>,
    /// Where.
    pub dir: Option<PathBuf>,
    /// A named preset.
    pub role: Option<String>,
    /// The tool's own sandbox is switched off.
    pub full_access: Option<bool>,
    /// -100 to 100.
    pub priority: Option<i32>,
    /// What it waits for.
    pub after: Option<Afters>,
    /// When to start.
    pub at: Option<String>,
    /// How long from now to start.
    #[serde(rename = "in")]
    pub in_: Option<String>,
    /// Not to be started until released.
    pub hold: Option<bool>,
    /// Automatic retries.
    pub retries: Option<u32>,
    /// What becomes of it when it is interrupted.
    pub on_interrupt: Option<OnInterrupt>,
    /// Restarts within an hour.
    pub max_restarts: Option<u32>,
    /// Time limit.
    pub timeout: Option<Span>,
    /// Labels.
    #[serde(alias = "labels")]
    pub label: Option<Texts>,
}

/// Something a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// A stored task.
    Task(Dependency),
    /// The task of another line of the same batch, counted from 1.
    Line(u32, When),
}

/// What tasks in a directory are when they do not say.
pub type DefaultsOf = Box<dyn Fn(&Path) -> Result<Found, Fault>>;

/// Finds an agent that is installed, with this environment.
pub type FindAgent = Box<dyn Fn(&BTreeMap<String, String>) -> Option<String>>;

/// What all tasks of one command have in common.
pub struct Maker {
    defaults_of: DefaultsOf,
    find_agent: FindAgent,
    /// What was found by it.
    agent: Option<String>,
    environment: BTreeMap<String, String>,
    size: Option<(u16, u16)>,
    now: Timestamp,
    directories: HashMap<PathBuf, PathBuf>,
    defaults: HashMap<PathBuf, Found>,
}

impl Maker {
    /// From the settings, which `defaults_of` is asked for once for each directory, and what is
    /// taken along from this shell. `find_agent` is asked, at most once, when neither a wish
    /// nor the settings name a provider.
    pub fn new(
        defaults_of: DefaultsOf,
        environment: BTreeMap<String, String>,
        size: Option<(u16, u16)>,
        find_agent: FindAgent,
    ) -> Self {
        Maker {
            defaults_of,
            find_agent,
            agent: None,
            environment,
            size,
            now: Timestamp::now(),
            directories: HashMap::new(),
            defaults: HashMap::new(),
        }
    }

    /// Checks a wish and makes the task of it, and what it waits for in its own batch.
    ///
    /// # Errors
    /// `Usage` with what is wrong.
    pub fn task(&mut self, wish: Wish) -> Result<(TaskSpec, Vec<(u32, When)>), Fault> {
        let defaults = self.defaults(wish.dir.as_deref().unwrap_or(Path::new(".")))?;
        let (provider, description, command) = self.work(&wish, &defaults)?;
        let title = match wish.title.as_deref().map(TaskSpec::title_of) {
            Some(title) if title.is_empty() => return Err(Fault::usage("the title is empty")),
            Some(title) => title,
            None => TaskSpec::title_of(&description),
        };
        let mut after = Vec::new();
        let mut lines = Vec::new();
        for one in wish.after.iter().map(afters).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            match one {
                After::Task(dependency) if !after.contains(&dependency) => after.push(dependency),
                After::Line(line, when) if !lines.contains(&(line, when)) => lines.push((line, when)),
                _ => {}
            }
        }
        limit("dependencies", after.len() + lines.len(), MAX_DEPENDENCIES)?;
        let timeout = wish.timeout.unwrap_or(defaults.submit.timeout);
        let task = TaskSpec {
            title,
            description,
            command,
            role: wish.role.map(|role| name("role", role)).transpose()?,
            provider,
            model: wish.model.map(|model| name("model", model)).transpose()?,
            mode: wish.mode.unwrap_or_default(),
            dir: self.directory(wish.dir.as_deref().unwrap_or(Path::new(".")))?,
            full_access: wish.full_access.unwrap_or(false),
            priority: priority(wish.priority.unwrap_or(0))?,
            after,
            begin: begin(wish.at.as_deref(), wish.in_.as_deref(), self.now)?,
            hold: wish.hold.unwrap_or(false),
            retries: retries(wish.retries.unwrap_or(defaults.submit.retries))?,
            on_interrupt: wish
                .on_interrupt
                .map_or_else(|| defaults.submit.on_interrupt.parse().map_err(Fault::usage), Ok)?,
            max_restarts: restarts(wish.max_restarts.unwrap_or(DEFAULT_RESTARTS))?,
            timeout: Some(timeout).filter(|t| !t.0.is_zero()),
            labels: labels(wish.label)?,
            environment: self.environment.clone(),
            size: self.size,
        };
        Ok((task, lines))
    }

    /// Who does it, and what: the description, and the command where there is one.
    fn work(&mut self, wish: &Wish, defaults: &Found) -> Result<(String, String, Vec<String>), Fault> {
        let asked = wish.provider.clone().map(|provider| name("provider", provider)).transpose()?;
        if wish.command.is_some() && asked.as_deref().is_some_and(|provider| provider != SHELL) {
            return Err(Fault::usage(format!("a command needs provider {SHELL}"))
                .hint("give an agent a prompt instead, or leave out the provider"));
        }
        let provider = match (asked, &wish.command) {
            (Some(provider), _) => provider,
            (None, Some(_)) => SHELL.into(),
            (None, None) => self.default_provider(defaults)?,
        };
        let (description, command) = match (&wish.description, &wish.command) {
            (Some(_), Some(_)) => return Err(Fault::usage("a task has a prompt or a command, not both")),
            (None, None) => return Err(Fault::usage("the prompt is missing")),
            (None, Some(Texts::Many(argv))) => {
                if argv.first().is_none_or(|program| program.is_empty()) {
                    return Err(Fault::usage("the command is empty"));
                }
                (quoted(argv), argv.clone())
            }
            (Some(line), None) if provider == SHELL => (line.clone(), in_shell(line)?),
            (None, Some(Texts::One(line))) => (line.clone(), in_shell(line)?),
            (Some(prompt), None) => (prompt.clone(), Vec::new()),
        };
        if description.trim().is_empty() {
            return Err(Fault::usage("the prompt is empty"));
        }
        if description.len() > MAX_DESCRIPTION {
            return Err(Fault::usage(format!(
                "the prompt has {} bytes, the limit is {MAX_DESCRIPTION}",
                description.len()
            ))
            .hint("put the text into a file, and tell the agent to read it"));
        }
        if command.iter().any(|word| word.contains('\0')) || description.contains('\0') {
            return Err(Fault::usage("there is a NUL byte in the prompt or the command"));
        }
        Ok((provider, description, command))
    }

    fn default_provider(&mut self, defaults: &Found) -> Result<String, Fault> {
        if let Some(refused) = &defaults.refused {
            return Err(refused.clone());
        }
        if !defaults.submit.provider.is_empty() {
            return Ok(defaults.submit.provider.clone());
        }
        if self.agent.is_none() {
            self.agent = (self.find_agent)(&self.environment);
        }
        self.agent.clone().ok_or_else(|| {
            Fault::usage("no provider is named, and no agent is installed")
                .hint("'autodev providers' says how to install one; '-- COMMAND' runs a command without any")
        })
    }

    fn defaults(&mut self, dir: &Path) -> Result<Found, Fault> {
        if let Some(known) = self.defaults.get(dir) {
            return Ok(known.clone());
        }
        let found = (self.defaults_of)(dir)?;
        self.defaults.insert(dir.to_owned(), found.clone());
        Ok(found)
    }

    fn directory(&mut self, dir: &Path) -> Result<PathBuf, Fault> {
        if let Some(known) = self.directories.get(dir) {
            return Ok(known.clone());
        }
        let found = directory(dir)?;
        self.directories.insert(dir.to_owned(), found.clone());
        Ok(found)
    }
}

/// The absolute path, without links, of a directory that exists.
///
/// # Errors
/// `Usage` when it is none.
pub fn directory(dir: &Path) -> Result<PathBuf, Fault> {
    let found = fs::canonicalize(dir)
        .map_err(|e| Fault::usage(format!("the directory {} cannot be used: {e}", dir.display())))?;
    if !found.is_dir() {
        return Err(Fault::usage(format!("{} is not a directory", dir.display())));
    }
    if found.to_str().is_none() {
        return Err(Fault::usage(format!("the directory {} has a name that is not UTF-8", dir.display())));
    }
    Ok(found)
}

/// The moment to start, from `--at` or `--in`.
///
/// # Errors
/// `Usage` with what is expected.
pub fn begin(at: Option<&str>, in_: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
    match (at, in_) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Fault::usage("a task starts at a time or in some time, not both")),
        (Some(at), None) => {
            clock::parse_moment(at, now, Direction::Ahead).map(Some).map_err(|e| Fault::usage(e.to_string()))
        }
        (None, Some(in_)) => {
            let Span(wait) = in_.parse().map_err(|e: clock::BadTime| Fault::usage(e.to_string()))?;
            Some(now.plus(wait)).filter(|at| at.has_date()).map(Some).ok_or_else(|| {
                Fault::usage(format!("'{in_}' leads beyond the year 9999"))
                    .hint("'--hold' keeps a task until 'autodev release'")
            })
        }
    }
}

/// Checks labels; each is there once.
///
/// # Errors
/// `Usage` with what is wrong.
pub fn labels(texts: Option<Texts>) -> Result<Vec<String>, Fault> {
    let mut labels: Vec<String> = Vec::new();
    for label in split(texts) {
        if label.is_empty() || label.len() > MAX_LABEL || label.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Fault::usage(format!(
                "'{}' cannot be a label: 1 to {MAX_LABEL} bytes without blanks",
                super::table::plain(&label)
            )));
        }
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    limit("labels", labels.len(), MAX_LABELS)?;
    Ok(labels)
}

/// Reads `41`, `any:41`, `not-ok:41`, `line:3`, and lists of them with commas.
///
/// # Errors
/// `Usage` with what is expected.
pub fn afters(text: &Afters) -> Result<Vec<After>, Fault> {
    match text {
        Afters::Number(number) => after(&number.to_string()).map(|one| vec![one]),
        Afters::Text(text) => text.split(',').map(|one| after(one.trim())).collect(),
        Afters::List(list) => Ok(list.iter().map(afters).collect::<Result<Vec<_>, _>>()?.concat()),
    }
}

fn after(text: &str) -> Result<After, Fault> {
    let bad = |why: String| {
        Fault::usage(format!("'{text}' is not something to wait for: {why}"))
            .hint("write 41 (it passed), any:41 (it ended) or not-ok:41 (it did not pass)")
    };
    let (when, line) = match text.rsplit_once("line:") {
        Some(("", line)) => (When::Ok, line),
        Some((when, line)) => (when.strip_suffix(':').unwrap_or(when).parse().map_err(bad)?, line),
        None => return text.parse().map(After::Task).map_err(bad),
    };
    let line = line.parse::<u32>().ok().filter(|n| *n > 0);
    line.map(|line| After::Line(line, when)).ok_or_else(|| bad("line:N with N from 1 is expected".into()))
}

fn split(texts: Option<Texts>) -> Vec<String> {
    let all = match texts {
        None => Vec::new(),
        Some(Texts::One(one)) => vec![one],
        Some(Texts::Many(many)) => many,
    };
    all.iter().flat_map(|text| text.split(',')).map(|text| text.trim().to_owned()).collect()
}

fn in_shell(line: &str) -> Result<Vec<String>, Fault> {
    if line.len() > MAX_COMMAND_LINE {
        return Err(Fault::usage(format!(
            "the command line has {} bytes, the limit is {MAX_COMMAND_LINE}",
            line.len()
        ))
        .hint("put it into a script and run that"));
    }
    Ok(vec!["sh".into(), "-c".into(), line.into()])
}

/// The words as a shell would read them back.
fn quoted(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    let quote = |word: &String| match word {
        word if !word.is_empty() && word.chars().all(plain) => word.clone(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    };
    argv.iter().map(quote).collect::<Vec<_>>().join(" ")
}

fn name(what: &str, text: String) -> Result<String, Fault> {
    if text.trim().is_empty() || text.len() > MAX_NAME || text.chars().any(char::is_control) {
        let shown = super::table::plain(&text);
        return Err(Fault::usage(format!("'{shown}' cannot be a {what}: 1 to {MAX_NAME} bytes of text are expected")));
    }
    Ok(text)
}

fn priority(priority: i32) -> Result<i32, Fault> {
    if (-MAX_PRIORITY..=MAX_PRIORITY).contains(&priority) {
        return Ok(priority);
    }
    Err(Fault::usage(format!("priority {priority} is out of range: -{MAX_PRIORITY} to {MAX_PRIORITY}")))
}

fn retries(retries: u32) -> Result<u32, Fault> {
    if retries <= MAX_RETRIES {
        return Ok(retries);
    }
    Err(Fault::usage(format!("{retries} retries are too many: at most {MAX_RETRIES}")))
}

fn restarts(restarts: u32) -> Result<u32, Fault> {
    if restarts <= MAX_RESTARTS {
        return Ok(restarts);
    }
    Err(Fault::usage(format!("{restarts} restarts within an hour are too many: at most {MAX_RESTARTS}")))
}

fn limit(what: &str, count: usize, most: usize) -> Result<(), Fault> {
    if count <= most { Ok(()) } else { Err(Fault::usage(format!("{count} {what} are too many: at most {most}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Submit;
    use crate::id::TaskId;

    fn maker(config: Submit, size: Option<(u16, u16)>) -> Maker {
        let defaults = move |_: &Path| Ok(Found { submit: config.clone(), refused: None });
        Maker::new(Box::new(defaults), BTreeMap::new(), size, Box::new(|_| Some("agent".into())))
    }

    fn make(wish: Wish) -> Result<TaskSpec, Fault> {
        maker(Submit::default(), None).task(wish).map(|(task, _)| task)
    }

    fn prompt(text: &str) -> Wish {
        Wish { description: Some(text.into()), ..Wish::default() }
    }

    #[test]
    fn prompts_and_commands() {
        let task = make(prompt("Fix it\nplease")).unwrap();
        assert_eq!((task.title.as_str(), task.provider.as_str(), task.command.len()), ("Fix it", "agent", 0));
        assert!(task.dir.is_absolute());

        let argv = Texts::Many(vec!["printf".into(), "%s\n".into(), "it's".into()]);
        let task = make(Wish { command: Some(argv), ..Wish::default() }).unwrap();
        assert_eq!((task.provider.as_str(), task.command.len()), (SHELL, 3));
        assert_eq!(task.description, "printf '%s\n' 'it'\\''s'");

        let task = make(Wish { provider: Some(SHELL.into()), ..prompt("make test && echo ok") }).unwrap();
        assert_eq!(task.command, ["sh", "-c", "make test && echo ok"]);
        let line = Some(Texts::One("exit 3".into()));
        assert_eq!(make(Wish { command: line, ..Wish::default() }).unwrap().command, ["sh", "-c", "exit 3"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let command = || Some(Texts::Many(vec!["true".into()]));
        for (why, wish) in [
            ("nothing", Wish::default()),
            ("blank", prompt(" \n")),
            ("long", prompt(&"x".repeat(MAX_DESCRIPTION + 1))),
            ("nul", prompt("a\0b")),
            ("both", Wish { command: command(), ..prompt("x") }),
            ("agent with a command", Wish { command: command(), provider: Some("claude".into()), ..Wish::default() }),
            ("no program", Wish { command: Some(Texts::Many(vec![String::new()])), ..Wish::default() }),
            ("long line", Wish { provider: Some(SHELL.into()), ..prompt(&"x".repeat(MAX_COMMAND_LINE + 1)) }),
            ("priority", Wish { priority: Some(101), ..prompt("x") }),
            ("retries", Wish { retries: Some(101), ..prompt("x") }),
            ("restarts", Wish { max_restarts: Some(101), ..prompt("x") }),
            ("no directory", Wish { dir: Some("/no/such/place".into()), ..prompt("x") }),
            ("a file", Wish { dir: Some("/proc/self/exe".into()), ..prompt("x") }),
            ("title", Wish { title: Some("\n".into()), ..prompt("x") }),
            ("label", Wish { label: Some(Texts::One("a b".into())), ..prompt("x") }),
            ("two times", Wish { at: Some("09:00".into()), in_: Some("1h".into()), ..prompt("x") }),
            ("time", Wish { at: Some("soon".into()), ..prompt("x") }),
            ("no date", Wish { in_: Some(u64::MAX.to_string()), ..prompt("x") }),
            ("after", Wish { after: Some(Afters::Text("maybe:3".into())), ..prompt("x") }),
            ("role", Wish { role: Some(" ".into()), ..prompt("x") }),
        ] {
            let fault = make(wish).expect_err(why);
            assert_eq!(fault.code, crate::protocol::FaultCode::Usage, "{why}");
        }
    }

    #[test]
    fn settings_fill_in_what_is_not_said() {
        let timeout = "1h".parse().unwrap();
        let config = Submit { provider: "codex".into(), retries: 2, timeout, ..Submit::default() };
        let mut maker = maker(config, Some((100, 30)));
        let (task, _) = maker.task(prompt("x")).unwrap();
        assert_eq!((task.provider.as_str(), task.retries, task.size), ("codex", 2, Some((100, 30))));
        assert_eq!(task.timeout, Some("1h".parse().unwrap()));
        let wish = Wish { retries: Some(0), timeout: Some(Span::default()), ..prompt("x") };
        let (task, _) = maker.task(wish).unwrap();
        assert_eq!((task.retries, task.timeout), (0, None));
    }

    #[test]
    fn without_an_agent_it_says_what_to_do() {
        let mut maker = Maker::new(Box::new(|_| Ok(Found::default())), BTreeMap::new(), None, Box::new(|_| None));
        let fault = maker.task(prompt("x")).unwrap_err();
        assert!(fault.hint.unwrap().contains("autodev providers"), "{}", fault.message);
        assert_eq!(maker.task(Wish { provider: Some("codex".into()), ..prompt("x") }).unwrap().0.provider, "codex");
    }

    #[test]
    fn dependencies_on_tasks_and_lines() {
        let task = |n, when| After::Task(Dependency { task: TaskId(n), when });
        let list = Afters::List(vec![Afters::Number(41), Afters::Text("any:42,not-ok:43".into())]);
        assert_eq!(afters(&list).unwrap(), [task(41, When::Ok), task(42, When::Any), task(43, When::NotOk)]);
        let lines = Afters::Text("line:3, any:line:4".into());
        assert_eq!(afters(&lines).unwrap(), [After::Line(3, When::Ok), After::Line(4, When::Any)]);
        for bad in ["", "0", "-1", "line:", "line:0", "maybe:line:3", "x", "3-9"] {
            assert!(afters(&Afters::Text(bad.into())).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_come_once_and_from_lists() {
        let many = Texts::Many(vec!["a,b".into(), "b".into()]);
        assert_eq!(labels(Some(many)).unwrap(), ["a", "b"]);
        let lots: Vec<String> = (0..=MAX_LABELS).map(|n| format!("l{n}")).collect();
        assert!(labels(Some(Texts::Many(lots))).is_err());
    }
}
