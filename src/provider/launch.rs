//! From what a task asks for to the exact program, arguments, environment and input.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::conversation::{self, GO_ON};
use super::program;
use super::table::{Input, ModeTable, Prompt, Table};
use super::template::{self, Placeholder};
use crate::id::{AttemptId, SessionName, TaskId, Uid};
use crate::protocol::launch::{LaunchStep, Stdin};
use crate::reference::{Keys, is_variable};
use crate::secret::{Redactor, TooMany};
use crate::task::spec::{REFERENCE, holds_password, looks_secret};
use crate::task::{Mode, TaskSpec};

/// Longest prompt given as an argument, in bytes. Linux takes 128 KiB for one argument;
/// what is left is for what the template puts around it.
pub const MAX_ARGUMENT_PROMPT: usize = 100 * 1024;
/// Longest single argument or `NAME=value` that Linux takes, without its NUL.
const MAX_ARGUMENT: usize = 128 * 1024 - 1;
/// Longest prompt that is shown within an argument vector; others become an ellipsis.
const MAX_SHOWN_PROMPT: usize = 80;
/// Name of the prompt's file in the session's directory.
const PROMPT_FILE: &str = "prompt";

/// What is to be started.
#[derive(Clone, Copy, Debug)]
pub struct LaunchRequest<'a> {
    /// Name of the provider.
    pub provider: &'a str,
    /// The prompt; empty for none, as in a session without a task.
    pub description: &'a str,
    /// An argument vector that is run as it is; empty for none.
    pub command: &'a [String],
    /// The model asked for.
    pub model: Option<&'a str>,
    /// How the tool is run.
    pub mode: Mode,
    /// Without the tool's own sandbox and questions.
    pub full_access: bool,
    /// Absolute directory it runs in.
    pub directory: &'a Path,
    /// The environment stored with the task: values, and references as `env:NAME`.
    pub environment: &'a BTreeMap<String, String>,
    /// The session it runs in.
    pub session: &'a SessionName,
    /// The session's identity; the conversation's follows from it, where the tool lets us
    /// choose.
    pub session_uid: Uid,
    /// The session's directory.
    pub session_directory: &'a Path,
    /// The task it works on.
    pub task: Option<TaskId>,
    /// The attempt it is.
    pub attempt: Option<AttemptId>,
    /// The daemon's socket.
    pub socket: &'a Path,
    /// It is only to be seen whether it could be started: keys are not asked for.
    pub trial: bool,
    /// The tool's name for the conversation it is to go on with, if there is one.
    pub conversation: Option<&'a str>,
}

impl<'a> LaunchRequest<'a> {
    /// For a task, of which no attempt is named yet.
    pub fn of(
        spec: &'a TaskSpec,
        session: &'a SessionName,
        session_uid: Uid,
        session_directory: &'a Path,
        socket: &'a Path,
    ) -> Self {
        LaunchRequest {
            provider: &spec.provider,
            description: &spec.description,
            command: &spec.command,
            model: spec.model.as_deref(),
            mode: spec.mode,
            full_access: spec.full_access,
            directory: &spec.dir,
            environment: &spec.environment,
            session,
            session_uid,
            session_directory,
            task: None,
            attempt: None,
            socket,
            trial: false,
            conversation: None,
        }
    }
}

/// How to start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// What the keeper runs. Holds no secrets.
    pub steps: Vec<LaunchStep>,
    /// Variables to be added to each step's environment when it is started. Never to be
    /// written down.
    pub secrets: Secrets,
    /// Values that are blotted out wherever the session's output is kept.
    pub blotted: Blotted,
    /// A file to be written into the session's directory, 0600: its name and content.
    pub prompt_file: Option<(String, Vec<u8>)>,
    /// The agent's argument vector for people: a long prompt is an ellipsis.
    pub argv_shown: Vec<String>,
    /// The tool's name for its conversation, where it is known beforehand.
    pub conversation: Option<String>,
    /// It goes on with the conversation that was asked for.
    pub resumed: bool,
    /// Things worth knowing, one line each.
    pub warnings: Vec<String>,
}

/// Variables whose values are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(pub BTreeMap<String, String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Values that are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blotted(pub Vec<String>);

impl fmt::Debug for Blotted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blotted({})", self.0.len())
    }
}

/// Why it cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// It would be given more secrets than can be kept out of its recording.
    #[error("it is not started: {0}")]
    Secrets(TooMany),
    /// No such provider.
    #[error("there is no provider '{name}'{}", suggest(.nearest))]
    UnknownProvider {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// The provider's table is wrong.
    #[error("the table of provider '{name}' is wrong: {problem}")]
    BadTable {
        /// The provider.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Its program is not there.
    #[error("{title} is not installed: no '{program}' on the PATH of the task{}", hint_of(.install))]
    NotInstalled {
        /// The provider for people.
        title: String,
        /// What was looked for.
        program: String,
        /// How to install it.
        install: Option<String>,
    },
    /// It cannot be run that way.
    #[error("{title} cannot be run in mode '{mode}'")]
    Mode {
        /// The provider for people.
        title: String,
        /// The mode asked for.
        mode: Mode,
    },
    /// It has no choice of models.
    #[error("{title} takes no model in mode '{mode}'")]
    Model {
        /// The provider for people.
        title: String,
        /// The mode asked for.
        mode: Mode,
    },
    /// It has no way to switch its sandbox off.
    #[error("{title} has no full access in mode '{mode}'")]
    FullAccess {
        /// The provider for people.
        title: String,
        /// The mode asked for.
        mode: Mode,
    },
    /// It runs prompts, not commands.
    #[error("{title} takes a prompt, not a command: commands are for --provider shell")]
    Command {
        /// The provider for people.
        title: String,
    },
    /// Nothing to do.
    #[error("{title} needs a prompt in mode '{mode}'")]
    NoPrompt {
        /// The provider for people.
        title: String,
        /// The mode asked for.
        mode: Mode,
    },
    /// Longer than the system lets through.
    #[error("{what} is {length} bytes long; the system takes at most {MAX_ARGUMENT}")]
    TooLong {
        /// What.
        what: String,
        /// How long, in bytes.
        length: usize,
    },
    /// A key cannot be had.
    #[error("{title} lacks its key {name}: {why}")]
    Key {
        /// The provider for people.
        title: String,
        /// The variable.
        name: String,
        /// Why.
        why: String,
    },
    /// A text that cannot be an argument.
    #[error("{0} holds a NUL character, which no program can be given")]
    Nul(String),
}

fn suggest(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!(": did you mean '{name}'?"))
}

fn hint_of(install: &Option<String>) -> String {
    install.as_ref().map_or_else(String::new, |how| format!("; install it with: {how}"))
}

/// Says exactly how to start what `request` asks for with the provider `table`. Of `keys`
/// only what the table inherits and what the task refers to is taken.
///
/// # Errors
/// [`LaunchError`].
pub fn launch(table: &Table, request: &LaunchRequest<'_>, keys: Keys<'_>) -> Result<Launch, LaunchError> {
    let title = || table.title.clone();
    let mode = table.mode(request.mode).ok_or_else(|| LaunchError::Mode { title: title(), mode: request.mode })?;
    let environment = Environment::of(table, request, keys)?;
    let runs_tool = request.command.is_empty();
    let goes_on = mode.resume.as_deref().zip(request.conversation).filter(|(_, conversation)| {
        let own = |name: &str| environment.plain.get(name).or_else(|| environment.secrets.get(name)).cloned();
        let variable = |name: &str| own(name).or_else(|| keys(name));
        let has = || conversation::exists(&table.conversations, &table.conversation_holds, conversation, variable);
        runs_tool && (table.conversations.is_empty() || has())
    });
    let conversation = match goes_on {
        Some((_, conversation)) => Some(conversation.to_owned()),
        None => {
            (runs_tool && mode.has(Placeholder::SessionUuid)).then(|| request.session_uid.random_first().to_string())
        }
    };

    let plan = if let Some((mode, _)) = goes_on {
        plan(table, mode, &LaunchRequest { description: GO_ON, ..*request }, &environment.plain)?
    } else if runs_tool {
        plan(table, mode, request, &environment.plain)?
    } else if !table.accepts_command {
        return Err(LaunchError::Command { title: title() });
    } else if request.model.is_some() {
        // Stored, it would be shown as if the command were run with it.
        return Err(LaunchError::Model { title: title(), mode: request.mode });
    } else {
        let argv = request.command.to_vec();
        Plan { shown: argv.clone(), argv, stdin: terminal_or_null(mode.stdin), prompt_file: None }
    };
    check(&plan.argv, &environment)?;

    Ok(Launch {
        steps: vec![LaunchStep {
            name: "agent".into(),
            argv: plan.argv,
            directory: request.directory.to_owned(),
            environment: environment.plain,
            stdin: plan.stdin,
        }],
        blotted: Blotted(environment.blotted),
        secrets: Secrets(environment.secrets),
        prompt_file: plan.prompt_file,
        argv_shown: plan.shown,
        conversation,
        resumed: goes_on.is_some(),
        warnings: environment.warnings,
    })
}

struct Plan {
    argv: Vec<String>,
    shown: Vec<String>,
    stdin: Stdin,
    prompt_file: Option<(String, Vec<u8>)>,
}

fn plan(
    table: &Table,
    mode: &ModeTable,
    request: &LaunchRequest<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<Plan, LaunchError> {
    let title = || table.title.clone();
    let prompt = request.description;
    if prompt.is_empty() && request.mode == Mode::Cli {
        return Err(LaunchError::NoPrompt { title: title(), mode: request.mode });
    }
    let program = find_program(table, mode, environment)?;

    let mut templates: Vec<&String> = mode.argv.iter().collect();
    if request.model.is_some() {
        let model = mode.model.as_ref();
        templates.extend(model.ok_or_else(|| LaunchError::Model { title: title(), mode: request.mode })?);
    }
    if request.full_access {
        let full = mode.full_access.as_ref();
        templates.extend(full.ok_or_else(|| LaunchError::FullAccess { title: title(), mode: request.mode })?);
    } else {
        templates.extend(&mode.mild);
    }

    let file = request.session_directory.join(PROMPT_FILE);
    let content = || Some((PROMPT_FILE.to_owned(), prompt.as_bytes().to_vec()));
    let mut stdin = terminal_or_null(mode.stdin);
    let mut prompt_file = None;
    let mut argument = prompt.to_owned();
    match &mode.prompt {
        Prompt::Stdin(argv) if !prompt.is_empty() => {
            templates.extend(argv);
            stdin = Stdin::File(PROMPT_FILE.to_owned());
            prompt_file = content();
        }
        Prompt::Argument { argv, long } if prompt.len() > MAX_ARGUMENT_PROMPT => {
            templates.extend(long.as_ref().unwrap_or(argv));
            argument = format!(
                "Your task is in the file {}. Read the whole file first, then do what it says.",
                file.display()
            );
            prompt_file = content();
        }
        Prompt::Argument { argv, .. } if !prompt.is_empty() => templates.extend(argv),
        // A session without a task: the tool is simply opened.
        Prompt::Stdin(_) | Prompt::Argument { .. } => {}
    }

    let program = program.display().to_string();
    let fill = |prompt: &str| -> Vec<String> {
        let value = |place| match place {
            Placeholder::Prompt => prompt.to_owned(),
            Placeholder::PromptFile => file.display().to_string(),
            Placeholder::Model => request.model.unwrap_or_default().to_owned(),
            Placeholder::Directory => request.directory.display().to_string(),
            Placeholder::SessionUuid => request.session_uid.random_first().to_string(),
            Placeholder::Conversation => request.conversation.unwrap_or_default().to_owned(),
        };
        let arguments = templates.iter().map(|template| template::fill(template, value));
        std::iter::once(program.clone()).chain(arguments).collect()
    };
    let short = argument.len() <= MAX_SHOWN_PROMPT && !argument.contains(char::is_control);
    let shown = fill(if short { &argument } else { "…" });
    Ok(Plan { argv: fill(&argument), shown, stdin, prompt_file })
}

/// The program of `table` on this machine: the native one where a shim was found.
pub(super) fn find_program(
    table: &Table,
    mode: &ModeTable,
    environment: &BTreeMap<String, String>,
) -> Result<PathBuf, LaunchError> {
    let candidates = mode.command.as_ref().unwrap_or(&table.command);
    let found = program::find(candidates, environment).ok_or_else(|| LaunchError::NotInstalled {
        title: table.title.clone(),
        program: candidates.first().cloned().unwrap_or_default(),
        install: table.install.clone(),
    })?;
    Ok(program::native(&found, &table.native).unwrap_or(found))
}

fn terminal_or_null(input: Input) -> Stdin {
    match input {
        Input::Terminal => Stdin::Terminal,
        Input::Null => Stdin::Null,
    }
}

/// What the program finds in its environment, the secret part apart.
struct Environment {
    plain: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    /// Of those the values that nobody may find in what is kept. Others only say where
    /// something is.
    blotted: Vec<String>,
    warnings: Vec<String>,
}

impl Environment {
    fn of(table: &Table, request: &LaunchRequest<'_>, keys: Keys<'_>) -> Result<Self, LaunchError> {
        let mut plain = table.environment.clone();
        let (mut secrets, mut warnings, mut blotted) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (name, value) in request.environment {
            let reference = value.strip_prefix(REFERENCE).filter(|name| is_variable(name));
            // Whoever refers to it says that it is a secret, whatever its name says.
            match reference.map(|from| (from, keys(from))) {
                None => {
                    plain.insert(name.clone(), value.clone());
                }
                Some((_, Some(secret))) => {
                    plain.remove(name);
                    blotted.push(secret.clone());
                    secrets.insert(name.clone(), secret);
                }
                Some((from, None)) => {
                    plain.remove(name);
                    warnings.push(format!("{name} is left out: the daemon's environment has no {from}"));
                }
            }
        }
        for (name, reference) in &table.keys {
            if plain.contains_key(name) || secrets.contains_key(name) || request.trial {
                continue;
            }
            let key = reference.resolve(keys).map_err(|why| LaunchError::Key {
                title: table.title.clone(),
                name: name.clone(),
                why,
            })?;
            blotted.push(key.clone());
            secrets.insert(name.clone(), key);
        }
        for name in &table.inherit {
            if plain.contains_key(name) || secrets.contains_key(name) {
                continue;
            }
            if let Some(value) = keys(name) {
                secrets.insert(name.clone(), value);
            }
        }
        // What is true of the session, whatever the task brought along.
        let mut own = |name: &str, value: Option<String>| {
            secrets.remove(name);
            match value {
                Some(value) => plain.insert(name.to_owned(), value),
                None => plain.remove(name),
            };
        };
        // Set for this session, or as our own terminal is.
        let told =
            |name: &str, usual: &str| Some(request.environment.get(name).map_or(usual, String::as_str).to_owned());
        own("TERM", told("TERM", "xterm-256color"));
        own("COLORTERM", told("COLORTERM", "truecolor"));
        own("PWD", Some(request.directory.display().to_string()));
        own("AUTODEV_SESSION", Some(request.session.to_string()));
        own("AUTODEV_TASK_ID", request.task.map(|task| task.to_string()));
        own("AUTODEV_ATTEMPT", request.attempt.map(|attempt| attempt.to_string()));
        own("AUTODEV_SOCKET", Some(request.socket.display().to_string()));
        let told = |(name, value): &(&String, &String)| looks_secret(name) || holds_password(name, value);
        blotted.extend(secrets.iter().filter(told).map(|(_, value)| value.clone()));
        Redactor::new(blotted.iter().map(String::as_str)).map_err(LaunchError::Secrets)?;
        Ok(Environment { plain, secrets, blotted, warnings })
    }
}

/// What execve() would refuse is refused here, with a name.
fn check(argv: &[String], environment: &Environment) -> Result<(), LaunchError> {
    for (at, argument) in argv.iter().enumerate() {
        let what = || if at == 0 { "the program's name".to_owned() } else { format!("argument {at}") };
        check_one(argument, argument.len(), what)?;
    }
    for (name, value) in environment.plain.iter().chain(&environment.secrets) {
        check_one(value, name.len() + 1 + value.len(), || format!("the variable {name}"))?;
        if !is_variable(name) && (name.is_empty() || name.contains(['=', '\0'])) {
            return Err(LaunchError::Nul("a variable's name".into()));
        }
    }
    Ok(())
}

fn check_one(text: &str, length: usize, what: impl Fn() -> String) -> Result<(), LaunchError> {
    if length > MAX_ARGUMENT {
        return Err(LaunchError::TooLong { what: what(), length });
    }
    if text.contains('\0') {
        return Err(LaunchError::Nul(what()));
    }
    Ok(())
}
