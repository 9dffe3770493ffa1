//! A provider's table: what is in its TOML file, and what it means once it is whole.
//!
//! The built-in tables and the user's files have one form. A user's file of the same
//! name lies over the built-in one, setting by setting; another name adds a provider.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::template::{self, Placeholder};
use crate::config::problem::{Problem, nearest};
use crate::reference::{Reference, is_variable};
use crate::secret;
use crate::task::Mode;
use crate::task::spec::{holds_password, looks_secret};

/// A file's content: everything may be missing, nothing may be unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    title: Option<String>,
    agent: Option<bool>,
    command: Option<Vec<String>>,
    native: Option<Vec<String>>,
    version: Option<Vec<String>>,
    version_file: Option<String>,
    conversations: Option<Vec<String>>,
    conversation_holds: Option<Vec<String>>,
    conversation_after: Option<String>,
    install: Option<String>,
    inherit: Option<Vec<String>>,
    accepts_command: Option<bool>,
    slots: Option<u32>,
    per_directory: Option<u32>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
    #[serde(default)]
    modes: ModePatches,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModePatches {
    cli: Option<ModePatch>,
    interactive: Option<ModePatch>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModePatch {
    command: Option<Vec<String>>,
    argv: Option<Vec<String>>,
    model: Option<Vec<String>>,
    full_access: Option<Vec<String>>,
    mild: Option<Vec<String>>,
    prompt: Option<PromptPatch>,
    stdin: Option<Input>,
    resume: Option<Box<ModePatch>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptPatch {
    stdin: Option<Vec<String>>,
    argument: Option<Vec<String>>,
    long: Option<Vec<String>>,
}

/// A provider that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// For people.
    pub title: String,
    /// It works by itself on what it is told, so a task may get it without naming it.
    pub agent: bool,
    /// Programs, the first that is there is taken; see [`super::program::find`].
    pub command: Vec<String>,
    /// Where the program behind a shim may lie; see [`super::program::native`].
    pub native: Vec<String>,
    /// Arguments that print the version.
    pub version: Vec<String>,
    /// A `package.json` that has the version, relative to the program's real directory:
    /// for tools that take seconds to print it.
    pub version_file: Option<String>,
    /// Where the tool keeps a conversation, by its name: see [`super::conversation::exists`].
    pub conversations: Vec<String>,
    /// What is in the file of a conversation that can be gone on with, in which
    /// `{conversation}` is its name too.
    pub conversation_holds: Vec<String>,
    /// The words after which the tool prints what it calls its conversation, where it does
    /// not let us choose.
    pub conversation_after: Option<String>,
    /// How to install it.
    pub install: Option<String>,
    /// Variables with keys and what goes with them, such as where the tool keeps its
    /// sign-in; taken from the daemon's environment when it starts the tool, unless the
    /// task brings its own. Never stored.
    pub inherit: Vec<String>,
    /// A task's command runs as it is, in place of program and arguments.
    pub accepts_command: bool,
    /// Attempts at once; `None` is no limit.
    pub slots: Option<u32>,
    /// Attempts at once in one directory; `None` is no limit.
    pub per_directory: Option<u32>,
    /// Variables set for the tool, unless the task sets them.
    pub environment: BTreeMap<String, String>,
    /// Variables with keys, and where these are to be had; before those that are inherited.
    pub keys: BTreeMap<String, Reference>,
    cli: Option<ModeTable>,
    interactive: Option<ModeTable>,
}

/// How a tool is run in one mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeTable {
    /// Programs for this mode, in place of the table's.
    pub command: Option<Vec<String>>,
    /// Arguments that are always given, first.
    pub argv: Vec<String>,
    /// Arguments that choose a model; `None` where there is no choice.
    pub model: Option<Vec<String>>,
    /// Arguments that switch off the tool's own sandbox and questions; `None` where that
    /// cannot be done.
    pub full_access: Option<Vec<String>>,
    /// Arguments otherwise: the mildest that can work unattended.
    pub mild: Vec<String>,
    /// How it is given the prompt.
    pub prompt: Prompt,
    /// What it reads when the prompt does not come that way.
    pub stdin: Input,
    /// How it goes on with a conversation; `None` where it cannot.
    pub resume: Option<Box<ModeTable>>,
}

/// How a tool is given the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// As a file on standard input, with these last arguments.
    Stdin(Vec<String>),
    /// In these last arguments.
    Argument {
        /// The arguments; left out when there is no prompt.
        argv: Vec<String>,
        /// In their place when the prompt is too long for an argument; `None` puts a
        /// sentence in place of the prompt that tells to read the file.
        long: Option<Vec<String>>,
    },
}

/// What a tool reads as standard input when that is not the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The session's terminal.
    Terminal,
    /// Nothing.
    Null,
}

impl Table {
    /// How it is run in `mode`, if it can be.
    pub fn mode(&self, mode: Mode) -> Option<&ModeTable> {
        match mode {
            Mode::Cli => self.cli.as_ref(),
            Mode::Interactive => self.interactive.as_ref(),
        }
    }

    /// The modes it can be run in.
    pub fn modes(&self) -> Vec<Mode> {
        [Mode::Cli, Mode::Interactive].into_iter().filter(|mode| self.mode(*mode).is_some()).collect()
    }
}

/// Reads one file's text.
///
/// # Errors
/// What is wrong and where.
pub fn read(file: &Path, text: &str) -> Result<Patch, Problem> {
    toml::from_str(text).map_err(|error| {
        let problem = Problem::of_toml(file, text, &error);
        let hint = suggestion(error.message());
        problem.hint(hint)
    })
}

/// "unknown field `comand`, expected one of `title`, `command`…": the nearest of them.
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    nearest(wrong, quoted).map(|name| format!("did you mean '{name}'?"))
}

impl Patch {
    /// This file over `below`: what this one does not say, `below` does.
    #[must_use]
    pub fn over(self, below: Patch) -> Patch {
        let mut environment = below.environment;
        environment.extend(self.environment);
        let mut keys = below.keys;
        keys.extend(self.keys);
        Patch {
            title: self.title.or(below.title),
            agent: self.agent.or(below.agent),
            command: self.command.or(below.command),
            native: self.native.or(below.native),
            version: self.version.or(below.version),
            version_file: self.version_file.or(below.version_file),
            conversations: self.conversations.or(below.conversations),
            conversation_holds: self.conversation_holds.or(below.conversation_holds),
            conversation_after: self.conversation_after.or(below.conversation_after),
            install: self.install.or(below.install),
            inherit: self.inherit.or(below.inherit),
            accepts_command: self.accepts_command.or(below.accepts_command),
            slots: self.slots.or(below.slots),
            per_directory: self.per_directory.or(below.per_directory),
            environment,
            keys,
            modes: ModePatches {
                cli: ModePatch::over(self.modes.cli, below.modes.cli),
                interactive: ModePatch::over(self.modes.interactive, below.modes.interactive),
            },
        }
    }

    /// The provider, if nothing is missing and nothing contradicts itself.
    ///
    /// # Errors
    /// What is wrong, one sentence.
    pub fn complete(self, name: &str) -> Result<Table, String> {
        let agent = self.agent.unwrap_or(true);
        let command = self.command.unwrap_or_default();
        if command.is_empty() || command.iter().any(String::is_empty) {
            return Err("'command' is missing: the programs to look for, such as command = [\"tool\"]".into());
        }
        let inherit = self.inherit.unwrap_or_default();
        if let Some(bad) =
            inherit.iter().chain(self.environment.keys()).chain(self.keys.keys()).find(|name| !is_variable(name))
        {
            return Err(format!("'{bad}' cannot be the name of a variable"));
        }
        if let Some((name, _)) = self.environment.iter().find(|(_, value)| value.contains('\0')) {
            return Err(format!("environment.{name} holds a NUL character"));
        }
        // (MAX_TOKENS = "32000" is none.)
        let is_secret = |(name, value): &(&String, &String)| {
            (looks_secret(name) && value.len() >= secret::SHORTEST) || holds_password(name, value)
        };
        if let Some((name, _)) = self.environment.iter().find(is_secret) {
            return Err(format!(
                "environment.{name} would be written down: put it under [keys], as {name} = \"env:{name}\""
            ));
        }
        let parsed = |(name, text): (String, String)| {
            let reference = Reference::parse(&text).map_err(|problem| format!("keys.{name} {problem}"))?;
            Ok((name, reference))
        };
        let keys = self.keys.into_iter().map(parsed).collect::<Result<_, String>>()?;
        let cli = self.modes.cli.map(|mode| mode.complete("cli", Input::Null)).transpose()?;
        let interactive =
            self.modes.interactive.map(|mode| mode.complete("interactive", Input::Terminal)).transpose()?;
        if cli.is_none() && interactive.is_none() {
            return Err("it has neither [modes.cli] nor [modes.interactive]".into());
        }
        let default_per_directory = u32::from(agent);
        Ok(Table {
            title: self.title.unwrap_or_else(|| name.to_owned()),
            agent,
            command,
            native: self.native.unwrap_or_default(),
            version: self.version.unwrap_or_default(),
            version_file: self.version_file,
            conversations: self.conversations.unwrap_or_default(),
            conversation_holds: self.conversation_holds.unwrap_or_default(),
            conversation_after: self.conversation_after,
            install: self.install,
            inherit,
            accepts_command: self.accepts_command.unwrap_or(false),
            slots: limit(self.slots.unwrap_or(0)),
            per_directory: limit(self.per_directory.unwrap_or(default_per_directory)),
            environment: self.environment,
            keys,
            cli,
            interactive,
        })
    }
}

impl ModePatch {
    fn over(above: Option<ModePatch>, below: Option<ModePatch>) -> Option<ModePatch> {
        match (above, below) {
            (Some(above), Some(below)) => Some(ModePatch {
                command: above.command.or(below.command),
                argv: above.argv.or(below.argv),
                model: above.model.or(below.model),
                full_access: above.full_access.or(below.full_access),
                mild: above.mild.or(below.mild),
                // As a whole: half of one way and half of another is no way.
                prompt: above.prompt.or(below.prompt),
                stdin: above.stdin.or(below.stdin),
                resume: ModePatch::over(above.resume.map(|r| *r), below.resume.map(|r| *r)).map(Box::new),
            }),
            (above, below) => above.or(below),
        }
    }

    fn complete(mut self, mode: &str, stdin: Input) -> Result<ModeTable, String> {
        let resume = match self.resume.take() {
            None => None,
            Some(resume) if resume.resume.is_some() => {
                return Err(format!("modes.{mode}.resume has a 'resume' of its own"));
            }
            // What is not said is as in the mode.
            Some(resume) => ModePatch::over(Some(*resume), Some(self.clone())),
        };
        let resume = resume.map(|resume| resume.complete(&format!("{mode}.resume"), stdin)).transpose()?;
        let at = |key: &str| format!("modes.{mode}.{key}");
        let prompt = match self.prompt {
            Some(PromptPatch { stdin: Some(argv), argument: None, long: None }) => Prompt::Stdin(argv),
            Some(PromptPatch { stdin: None, argument: Some(argv), long }) => {
                if !argv.iter().any(|a| template::holds(a, Placeholder::Prompt)) {
                    return Err(format!("{} has no {{prompt}} in it", at("prompt.argument")));
                }
                if long.as_ref().is_some_and(|long| !long.iter().any(|a| template::holds(a, Placeholder::PromptFile))) {
                    return Err(format!("{} has no {{prompt_file}} in it", at("prompt.long")));
                }
                Prompt::Argument { argv, long }
            }
            _ => return Err(format!("{} must have either 'stdin' or 'argument'", at("prompt"))),
        };
        if self.model.as_ref().is_some_and(|model| !model.iter().any(|a| template::holds(a, Placeholder::Model))) {
            return Err(format!("{} has no {{model}} in it", at("model")));
        }
        if self.command.as_ref().is_some_and(|command| command.is_empty() || command.iter().any(String::is_empty)) {
            return Err(format!("{} names no program", at("command")));
        }
        let table = ModeTable {
            command: self.command,
            argv: self.argv.unwrap_or_default(),
            model: self.model,
            full_access: self.full_access,
            mild: self.mild.unwrap_or_default(),
            prompt,
            stdin: self.stdin.unwrap_or(stdin),
            resume: resume.map(Box::new),
        };
        match (mode.ends_with(".resume"), table.has(Placeholder::Conversation)) {
            (true, false) => return Err(format!("modes.{mode} has no {{conversation}} in it")),
            (false, true) => return Err(format!("modes.{mode} has {{conversation}}, which belongs into its 'resume'")),
            _ => {}
        }
        table.check_places().map_err(|what| format!("modes.{mode}.{what}"))?;
        Ok(table)
    }
}

impl ModeTable {
    /// Whether any argument has this placeholder.
    pub fn has(&self, place: Placeholder) -> bool {
        self.lists().iter().any(|(_, list)| list.iter().any(|argument| template::holds(argument, place)))
    }

    fn lists(&self) -> [(&'static str, &[String]); 6] {
        let (prompt, long): (&[String], &[String]) = match &self.prompt {
            Prompt::Stdin(argv) => (argv, &[]),
            Prompt::Argument { argv, long } => (argv, long.as_deref().unwrap_or(&[])),
        };
        [
            ("argv", &self.argv),
            ("mild", &self.mild),
            ("full_access", self.full_access.as_deref().unwrap_or(&[])),
            ("model", self.model.as_deref().unwrap_or(&[])),
            ("prompt", prompt),
            ("prompt.long", long),
        ]
    }

    /// Nothing unknown in braces, and the prompt and the model only where they belong.
    fn check_places(&self) -> Result<(), String> {
        for (name, list) in self.lists() {
            for text in list {
                if let Some(word) = template::unknown(text) {
                    return Err(format!("{name} has {{{word}}}, which stands for nothing"));
                }
                if text.contains('\0') {
                    return Err(format!("{name} holds a NUL character"));
                }
                let argument = name == "prompt" && matches!(self.prompt, Prompt::Argument { .. });
                if template::holds(text, Placeholder::Prompt) && !argument {
                    return Err(format!("{name} has {{prompt}}, which belongs into prompt.argument"));
                }
                if template::holds(text, Placeholder::Model) && name != "model" {
                    return Err(format!("{name} has {{model}}, which belongs into model"));
                }
                if template::holds(text, Placeholder::PromptFile) && !name.starts_with("prompt") {
                    return Err(format!("{name} has {{prompt_file}}, which belongs into prompt"));
                }
            }
        }
        Ok(())
    }
}

/// In tables 0 is no limit.
pub fn limit(number: u32) -> Option<u32> {
    Some(number).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "command = [\"t\"]\n[modes.cli]\nprompt = { stdin = [] }\n";

    fn table(text: &str) -> Result<Table, String> {
        read(Path::new("t.toml"), text).map_err(|p| p.to_string())?.complete("t")
    }

    #[test]
    fn the_smallest_table_has_the_defaults_of_an_agent() {
        let table = table(SMALL).unwrap();
        assert_eq!((table.title.as_str(), table.agent, table.slots, table.per_directory), ("t", true, None, Some(1)));
        assert_eq!(table.modes(), [Mode::Cli]);
        assert_eq!(table.mode(Mode::Cli).unwrap().stdin, Input::Null);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("comand = [\"t\"]", "did you mean 'command'?"),
            ("command = \"t\"", "t.toml:1:11"),
            ("title = 'x'", "'command' is missing"),
            ("command = ['t']", "neither [modes.cli]"),
            ("command = ['']", "'command' is missing"),
            ("command = ['t']\n[modes.cli]", "modes.cli.prompt must have either"),
            ("command = ['t']\n[modes.cli]\nprompt = { stdin = [], argument = ['{prompt}'] }", "must have either"),
            ("command = ['t']\n[modes.cli]\nprompt = { argument = ['x'] }", "no {prompt} in it"),
            ("command = ['t']\n[modes.cli]\nprompt = { argument = ['{prompt}'], long = ['x'] }", "no {prompt_file}"),
            ("command = ['t']\n[modes.cli]\nprompt = { stdin = [] }\nmodel = ['-m']", "no {model} in it"),
            ("command = ['t']\n[modes.cli]\nprompt = { stdin = [] }\nargv = ['{promt}']", "{promt}, which stands for"),
            ("command = ['t']\n[modes.cli]\nprompt = { stdin = [] }\nargv = ['{prompt}']", "belongs into prompt"),
            ("command = ['t']\n[modes.cli]\nprompt = { stdin = [] }\nmild = ['{model}']", "belongs into model"),
            ("command = ['t']\n[modes.api]\nx = 1", "t.toml:2:8"),
            ("inherit = ['A=B']\ncommand = ['t']", "'A=B' cannot be the name"),
            ("slots = -1", "t.toml:1:9"),
            ("command = ['t", "t.toml:1:"),
        ] {
            let error = table(text).unwrap_err();
            assert!(error.contains(word), "{text}\n{error}");
        }
    }

    #[test]
    fn a_file_lies_over_the_built_in_one_setting_by_setting() {
        let below = read(
            Path::new("b"),
            "title = 'T'\ncommand = ['t']\nslots = 3\n[environment]\nA = '1'\nB = '1'\n\
             [modes.cli]\nargv = ['-p']\nmild = ['-q']\nprompt = { stdin = [] }",
        )
        .unwrap();
        let above = read(Path::new("a"), "slots = 0\n[environment]\nA = '2'\n[modes.cli]\nargv = []").unwrap();
        let table = above.over(below).complete("t").unwrap();
        assert_eq!((table.title.as_str(), table.slots), ("T", None));
        assert_eq!(table.environment, BTreeMap::from([("A".into(), "2".into()), ("B".into(), "1".into())]));
        let cli = table.mode(Mode::Cli).unwrap();
        assert_eq!((cli.argv.len(), cli.mild.as_slice()), (0, ["-q".to_owned()].as_slice()));
    }
}
