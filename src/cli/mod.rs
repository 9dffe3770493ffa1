//! The command line: one file per verb, and what they share.
//!
//! A verb is `Args` (its part of the clap tree) and `run`, which says what to exit with.
//! Verbs write through [`Context::output`] and reach the daemon through
//! [`Context::client`]; nothing here opens the database.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args as _, FromArgMatches as _};

use crate::client::{Client, Start};
use crate::config::{self as settings, Config};
use crate::lock::FileLock;
use crate::paths::Paths;
use crate::protocol::Fault;

mod act;
pub mod backup;
mod batch;
pub mod complete;
pub mod confirm;
mod editor;
mod end;
pub mod environment;
mod events;
pub mod exit;
mod interrupt;
pub mod output;
pub mod outputs;
mod page;
mod recorded;
pub mod select;
pub mod table;
mod task;

pub mod answer;
pub mod ask;
pub mod attach;
pub mod cancel;
pub mod completions;
pub mod config;
pub mod daemon;
mod defaults;
pub mod detach;
pub mod doctor;
pub mod drain;
pub mod edit;
pub mod export;
pub mod health;
pub mod history;
pub mod hold;
pub mod init;
mod inside;
pub mod kill;
pub mod list;
pub mod logs;
mod manager;
pub mod metrics;
pub mod note;
pub mod open;
pub mod pause;
pub mod priority;
pub mod providers;
pub mod recover;
pub mod redis;
pub mod release;
pub mod rename;
pub mod replay;
pub mod requests;
pub mod restore;
pub mod resubmit;
pub mod resume;
pub mod retry;
pub mod screen;
pub mod send;
pub mod service;
pub mod sessions;
pub mod show;
pub mod stats;
pub mod status;
pub mod submit;
pub mod target;
pub mod wait;
pub mod watch;
mod welcome;
pub mod why;

pub use output::Output;

/// What a command exits with: DESIGN.md section 11, `man autodev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u8);

impl Status {
    /// All is well.
    pub const OK: Status = Status(0);
}

/// What every verb gets.
#[derive(Debug)]
pub struct Context {
    /// The instance's directories.
    pub paths: Paths,
    /// Where and in which form results go.
    pub output: Output,
    /// A daemon must not be started.
    pub no_start: bool,
}

impl Context {
    /// A connection to the daemon, which is started if there is none and that is allowed.
    ///
    /// # Errors
    /// `Unreachable` when there is no daemon or none that talks.
    pub fn client(&self) -> Result<Client, Fault> {
        Client::connect(&self.paths, if self.no_start { Start::Never } else { Start::IfNeeded })
    }

    /// A connection to a daemon that runs, if one does.
    pub fn running_client(&self) -> Option<Client> {
        Client::connect(&self.paths, Start::Never).ok()
    }

    /// A daemon holds the instance's lock.
    pub fn daemon_runs(&self) -> bool {
        FileLock::is_held(&self.paths.daemon_lock()).unwrap_or(false)
    }

    /// The settings.
    ///
    /// # Errors
    /// `Usage` with the place of what is wrong.
    pub fn config(&self) -> Result<Config, Fault> {
        Self::checked(settings::load(&self.paths)).map(|loaded| loaded.config)
    }

    fn checked<T>(loaded: Result<T, settings::ConfigError>) -> Result<T, Fault> {
        loaded.map_err(|e| {
            Fault::usage(format!("the settings are wrong: {e}"))
                .hint("'autodev config check' shows what is wrong with them")
        })
    }
}

/// Heading of the options that every verb has.
const GLOBAL: &str = "Global options";

/// What the program is for.
const ABOUT: &str = "Queue work for coding agents, run it in terminals that outlive everything, attach at any time, \
                     and look up what happened";

/// The options of every verb.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// Print JSON: one thing is an object, a list an array.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// Print only ids.
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub quiet: bool,
    /// Do not start a daemon; without one, exit with status 3.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub no_start: bool,
    /// Print without colours, as NO_COLOR does.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub no_color: bool,
}

/// The whole tree of verbs and their options.
pub fn command() -> clap::Command {
    tree(|_| true)
}

/// The verbs by what they are for, as the help lists them.
pub const GROUPS: [(&str, &[&str]); 7] = [
    ("Give work", &["submit", "edit", "priority", "hold", "release", "cancel", "kill", "retry", "resubmit", "recover"]),
    ("Look", &["list", "show", "status", "why", "history", "stats", "wait", "watch"]),
    ("Sessions", &["attach", "open", "sessions", "send", "screen", "detach", "rename"]),
    ("What was printed and left", &["logs", "replay", "export", "outputs"]),
    ("Questions", &["requests", "answer", "note", "ask"]),
    ("The queue as a whole", &["pause", "resume", "drain"]),
    (
        "This machine",
        &[
            "init",
            "config",
            "providers",
            "doctor",
            "health",
            "metrics",
            "daemon",
            "service",
            "backup",
            "restore",
            "redis",
            "completions",
        ],
    ),
];

/// To begin with; each is also an example of its verb, where it is explained.
const EXAMPLES: &str = "\
Examples:
  autodev submit fix the failing login test
  autodev list
  autodev attach 42
  autodev history --since yesterday --state failed,error

";

/// How the help is laid out: verbs in groups instead of one long list.
const HELP: &str = "{about}\n\n{usage-heading} {usage}{after-help}\n\nOptions of all verbs:\n{options}";

/// The tree with the verbs that are `wanted`.
fn tree(wanted: impl Fn(&str) -> bool) -> clap::Command {
    let root = clap::Command::new("autodev").version(env!("CARGO_PKG_VERSION")).disable_help_subcommand(true);
    // Last, for the options bring the text of their own struct.
    let root = add_verbs(Global::augment_args(root), wanted).about(ABOUT).long_about(None::<&str>);
    let grouped = grouped(&root);
    root.help_template(HELP).after_help(grouped)
}

/// The verbs in groups, each with what it does.
fn grouped(root: &clap::Command) -> String {
    let about = |name: &&str| {
        let verb = root.find_subcommand(name)?;
        Some(format!("  {name:<12} {}\n", verb.get_about().map(ToString::to_string).unwrap_or_default()))
    };
    let groups = GROUPS.iter().map(|(title, verbs)| {
        let verbs: String = verbs.iter().filter_map(about).collect();
        format!("{title}:\n{verbs}\n")
    });
    let mut text: String = groups.collect();
    text.push_str(EXAMPLES);
    text.push_str("'autodev VERB --help' says more about one, with examples; 'man autodev' says the rest.");
    text
}

/// Declares the verbs. As clap's own derive would, but only the verb that is used is built:
/// building all of them would be most of what the program does before it connects.
macro_rules! verbs {
    ($($(#[doc = $doc:literal])+ $name:ident = $module:ident),+ $(,)?) => {
        /// The verbs.
        #[derive(Debug)]
        pub enum Command {
            $($(#[doc = $doc])+ $name($module::Args),)+
        }

        impl Command {
            fn exists(name: &str) -> bool {
                [$(stringify!($module)),+].contains(&name)
            }

            fn of(name: &str, matches: &mut clap::ArgMatches) -> Result<Self, clap::Error> {
                match name {
                    $(stringify!($module) => $module::Args::from_arg_matches_mut(matches).map(Command::$name),)+
                    _ => Err(clap::Error::new(ErrorKind::InvalidSubcommand)),
                }
            }
        }

        fn add_verbs(root: clap::Command, wanted: impl Fn(&str) -> bool) -> clap::Command {
            let mut root = root;
            $(if wanted(stringify!($module)) {
                const ABOUT: &str = concat!($($doc),+).trim_ascii();
                root = root.subcommand(clap::Command::new(stringify!($module)).about(ABOUT).defer(|verb| {
                    $module::Args::augment_args(verb).about(ABOUT).long_about(None::<&str>)
                }));
            })+
            root
        }

        fn run(ctx: &Context, command: Command) -> Result<Status, Fault> {
            match command {
                $(Command::$name(args) => $module::run(ctx, args),)+
            }
        }
    };
}

verbs! {
    /// Store a task; it runs when its turn comes
    Submit = submit,
    /// List the tasks that are not finished
    List = list,
    /// Show everything about one task
    Show = show,
    /// Show the daemon, the queue and the counts at a glance
    Status = status,
    /// List finished tasks, or show one task's audit trail
    History = history,
    /// Say why a task does not run, and what would unblock it
    Why = why,
    /// Wait until tasks have ended
    Wait = wait,
    /// Print events as they happen
    Watch = watch,
    /// End tasks or sessions gently
    Cancel = cancel,
    /// End tasks or sessions at once
    Kill = kill,
    /// Keep queued tasks from starting
    Hold = hold,
    /// Let held tasks start
    Release = release,
    /// Freeze running tasks; without a task, start no new ones
    Pause = pause,
    /// Let frozen tasks run on; without a task, start new ones again
    Resume = resume,
    /// Finish what runs and start nothing new
    Drain = drain,
    /// Run tasks again that have not passed
    Retry = retry,
    /// Let interrupted and ended tasks go on where they were
    Recover = recover,
    /// Make a new task from an ended one
    Resubmit = resubmit,
    /// Change a task that has not started
    Edit = edit,
    /// Move tasks up or down in the queue
    Priority = priority,
    /// Show a session in this terminal and type into it
    Attach = attach,
    /// Send away the terminals attached to a session
    Detach = detach,
    /// Start a session without a task
    Open = open,
    /// Type into a session
    Send = send,
    /// Print what a session shows now, or showed at a moment
    Screen = screen,
    /// Print what a session has printed
    Logs = logs,
    /// Play a session's recording with its timing
    Replay = replay,
    /// Write a session's recording for other programs
    Export = export,
    /// List sessions
    Sessions = sessions,
    /// Give a session without a task another name
    Rename = rename,
    /// Copy the database, whole and checked
    Backup = backup,
    /// Put a backup in the place of a damaged database
    Restore = restore,
    /// Look whether all is as it should be, and say what to do where it is not
    Doctor = doctor,
    /// Say whether the daemon does its work, for monitors
    Health = health,
    /// Print all figures, as Prometheus reads them
    Metrics = metrics,
    /// Write something down about a task
    Note = note,
    /// Ask a person something on behalf of a task
    Ask = ask,
    /// List the questions that agents ask
    Requests = requests,
    /// Answer an agent's question
    Answer = answer,
    /// List and keep files that a task leaves
    Outputs = outputs,
    /// Look after the copy in Redis
    Redis = redis,
    /// Ask a few questions and write the settings
    Init = init,
    /// Show, check and change settings
    Config = config,
    /// Show how often, how well and how fast tasks have run
    Stats = stats,
    /// List the agents autodev can run, and which are installed
    Providers = providers,
    /// Start, stop and look at the daemon
    Daemon = daemon,
    /// Run the daemon as a systemd service of yours
    Service = service,
    /// Print the code that gives your shell tab completion
    Completions = completions,
}

/// The whole program.
pub fn main() -> ExitCode {
    // Answers a shell that completes a word, and ends; does nothing otherwise.
    clap_complete::CompleteEnv::with_factory(command).var(completions::VARIABLE).complete();
    interrupt::exit_with_status();
    let (global, command) = match parse() {
        Ok(parsed) => parsed,
        Err(error) => return misunderstood(&error),
    };
    let output = Output::new(&global);
    match Paths::from_env() {
        Ok(paths) => {
            let ctx = Context { paths, output, no_start: global.no_start };
            let result = match command {
                Some(command) => run(&ctx, command),
                None => welcome::run(&ctx),
            };
            ctx.output.finish(result)
        }
        Err(error) => output.finish(Err(Fault::usage(error.to_string()))),
    }
}

/// Reads the command line.
fn parse() -> Result<(Global, Option<Command>), clap::Error> {
    let mut words: Vec<_> = std::env::args_os().collect();
    // As others have it.
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    // No option of all verbs has a value: the first word is the verb.
    let word = words.iter().skip(1).find(|word| !word.as_encoded_bytes().starts_with(b"-"));
    let verb = word.and_then(|word| word.to_str()).filter(|word| Command::exists(word));
    let mut matches = tree(|name| verb.is_none_or(|verb| verb == name)).try_get_matches_from(&words)?;
    let global = Global::from_arg_matches(&matches)?;
    match matches.remove_subcommand() {
        None => Ok((global, None)),
        Some((name, mut matches)) => Ok((global, Some(Command::of(&name, &mut matches)?))),
    }
}

/// Prints help, the version, or what is wrong with the command line.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let wants_json = || std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json");
    let is_error = !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_error && wants_json() {
        output::report(&as_fault(&error.render().to_string()));
    } else {
        // Nobody left to read it is no error.
        drop(error.print());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// What clap writes for people as a message and a hint: paragraphs, of which the first says
/// what is wrong, its names and values on lines of their own, and another may have a tip.
fn as_fault(text: &str) -> Fault {
    let mut paragraphs = text.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs.next().unwrap_or_default();
    let tip = paragraphs.find_map(|text| text.strip_prefix("tip: ").map(str::to_owned));
    Fault::usage(message.strip_prefix("error: ").unwrap_or(&message))
        .hint(tip.unwrap_or_else(|| "'autodev --help' and 'autodev VERB --help' say what there is".into()))
}
