//! `autodev submit`: stores a task, or a batch of them.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::defaults::Defaults;
use super::editor::Draft;
use super::output::window_size;
use super::task::{Afters, Maker, Texts, Wish};
use super::{Context, Status, attach, batch, environment, exit, show, wait};
use crate::client::{Client, unexpected};
use crate::clock::Span;
use crate::id::{TaskId, Uid};
use crate::protocol::reply::Submitted;
use crate::protocol::request::{Select, Submit};
use crate::protocol::view::Brief;
use crate::protocol::{Fault, FaultCode, Reply, Request};
use crate::provider::Registry;
use crate::task::spec::MAX_DESCRIPTION;
use crate::task::{Mode, OnInterrupt, Status as State};

/// Arguments of `autodev submit`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The prompt; '-' reads it from standard input, nothing at all opens your editor
    #[arg(value_name = "PROMPT")]
    words: Vec<String>,
    /// A command to run instead of an agent
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Read the prompt from a file; '-' is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["words", "command"])]
    file: Option<PathBuf>,
    /// Submit a task for each line of a file of JSON objects, or each [[task]] of a TOML file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["words", "command", "file", "attach", "exit_code", "title"])]
    batch: Option<PathBuf>,

    /// Who runs it: claude, codex, gemini, shell, ... (see 'autodev providers')
    #[arg(short, long, value_name = "NAME", add = super::complete::providers())]
    provider: Option<String>,
    /// The model to ask the provider for
    #[arg(short, long, value_name = "NAME")]
    model: Option<String>,
    /// How the tool is run: cli ends by itself, interactive is its own full screen
    #[arg(long, value_name = "MODE", value_parser = modes())]
    mode: Option<Mode>,
    /// Switch off the tool's own sandbox and questions
    #[arg(long)]
    full_access: bool,
    /// Set a variable for the program: TERM=vt100; NAME alone takes it from here; can be
    /// repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Run in this directory instead of the current one
    #[arg(short = 'C', long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// One line for lists; without it the first line of the prompt
    #[arg(short, long, value_name = "TEXT")]
    title: Option<String>,
    /// A role, to find and filter by
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// A label, to find and select by; several with commas
    #[arg(short, long, value_name = "LABEL", value_delimiter = ',')]
    label: Vec<String>,

    /// Do not start it until 'autodev release'
    #[arg(long)]
    hold: bool,
    /// -100 to 100; higher goes first
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Start after another task has passed: 41; has ended: any:41; did not pass: not-ok:41
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    after: Vec<String>,
    /// Start at a time: 09:00, tomorrow, '2026-11-22 09:00'
    #[arg(long, value_name = "TIME", conflicts_with = "in_")]
    at: Option<String>,
    /// Start after some time: 30m, 2h
    #[arg(long = "in", value_name = "TIME")]
    in_: Option<String>,
    /// Repeat a failed attempt by itself, at most so often (0 to 100)
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// When a shutdown or a crash interrupts it: resume, requeue, hold or fail
    #[arg(long, value_name = "POLICY")]
    on_interrupt: Option<OnInterrupt>,
    /// Restarts after interruptions within an hour (0 to 100); then it is held
    #[arg(long, value_name = "N")]
    max_restarts: Option<u32>,
    /// End it after so much running time: 90s, 15m, 2h; 0 is no limit
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// Repeating with the same key and content makes nothing new
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,

    /// Wait until it has ended, and exit as 'autodev wait' does
    #[arg(short, long)]
    wait: bool,
    /// With --wait, exit with the program's own exit status
    #[arg(long, requires = "wait")]
    exit_code: bool,
    /// Show its session in this terminal as soon as it runs
    #[arg(long, conflicts_with = "wait")]
    attach: bool,
}

const EXAMPLES: &str = "\
With a command after -- the provider is shell; with --provider shell and words, the words
are a command line for sh. Everything is checked before anything is stored, and once the
number is printed the task is durable.

In a batch, fields have the names of the options with '_' for '-': title, description or
command, provider, model, mode, dir, role, full_access, priority, after, at, in, hold,
retries, on_interrupt, max_restarts, timeout, label. Options given beside --batch count where
a line says nothing. In after, 'line:3' is the task of line 3 (of a TOML file, the third task).

Examples:
  autodev submit fix the failing login test
  autodev submit --provider claude --title 'Fix login' -f prompt.md
  autodev submit --provider codex --after 41 --priority 10 'now write the docs'
  autodev submit --wait -- make test
  Many at once:
    printf '%s\\n' '{\"command\":\"make a\"}' '{\"command\":\"make b\",\"after\":\"line:1\"}' |
      autodev submit --batch -";

/// Reads a mode, and lists all in help and errors.
pub(super) fn modes() -> impl clap::builder::TypedValueParser<Value = Mode> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new([Mode::Cli.name(), Mode::Interactive.name()]).try_map(|name| name.parse::<Mode>())
}

/// Runs the verb.
///
/// # Errors
/// `Usage` for what makes no sense, and what the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    // Not left to clap, which overlooks global options that stand before the verb.
    if args.attach && ctx.output.is_json() {
        return Err(Fault::usage("--attach cannot be used with --json: it is for people")
            .hint("without --attach, '--json' prints the task, and 'autodev attach' shows its session"));
    }
    if args.attach && !attach::has_terminal() {
        return Err(Fault::usage("--attach needs a terminal").hint("'--wait' waits for the end without one"));
    }
    let environment = environment::choose(&ctx.config()?.environment.allow, &args.env, std::env::vars_os())?;
    let (paths, defaults) = (ctx.paths.clone(), Defaults::new(ctx));
    let find = move |environment: &_| Registry::load(&paths).default_agent(environment).map(str::to_owned);
    let mut maker = Maker::new(Box::new(move |dir| defaults.of(dir)), environment, window_size(), Box::new(find));
    let key = args.idempotency_key.clone().unwrap_or_else(|| Uid::new().to_string());
    if let Some(file) = &args.batch {
        let text = read(file, batch::MAX_BYTES)?;
        return batch::run(ctx, &mut maker, &text, &wish(&args), key, args.wait);
    }
    let mut wish = wish(&args);
    let mut draft = None;
    if args.command.is_empty() {
        wish.description = Some(match prompt(&args)? {
            Some(text) => text,
            None => {
                let written = Draft::write("")?;
                let text = written.text.clone();
                draft = Some(written);
                text
            }
        });
    } else if args.words.is_empty() {
        wish.command = Some(Texts::Many(args.command.clone()));
    } else {
        return Err(Fault::usage("a task has a prompt or a command, not both"));
    }
    let stored = maker.task(wish).and_then(|(spec, lines)| {
        if !lines.is_empty() {
            return Err(Fault::usage("'line:' names a line of a batch: give the number of a task"));
        }
        store(ctx, Submit { key: key.clone(), spec }).map_err(|fault| with_key(fault, &key))
    });
    let (mut client, submitted) = match (stored, draft) {
        (Ok(stored), draft) => {
            draft.iter().for_each(Draft::remove);
            stored
        }
        (Err(fault), Some(draft)) if draft.text.trim().is_empty() => {
            draft.remove();
            return Err(fault);
        }
        (Err(fault), Some(draft)) => return Err(draft.keep(fault)),
        (Err(fault), None) => return Err(fault),
    };
    if args.wait {
        return wait_for(ctx, &mut client, &submitted, args.exit_code);
    }
    tell(ctx, &submitted)?;
    if args.attach {
        return attach_to(ctx, &mut client, submitted.task);
    }
    Ok(Status::OK)
}

/// What the options say.
fn wish(args: &Args) -> Wish {
    let list = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
    Wish {
        title: args.title.clone(),
        description: None,
        command: None,
        provider: args.provider.clone(),
        model: args.model.clone(),
        mode: args.mode,
        dir: args.dir.clone(),
        role: args.role.clone(),
        full_access: args.full_access.then_some(true),
        priority: args.priority,
        after: list(&args.after).map(|all| Afters::List(all.into_iter().map(Afters::Text).collect())),
        at: args.at.clone(),
        in_: args.in_.clone(),
        hold: args.hold.then_some(true),
        retries: args.retries,
        on_interrupt: args.on_interrupt,
        max_restarts: args.max_restarts,
        timeout: args.timeout,
        label: list(&args.label).map(Texts::Many),
    }
}

/// The prompt from the command line, a file or standard input; `None` asks for the editor.
fn prompt(args: &Args) -> Result<Option<String>, Fault> {
    // One byte more shows that it is too long, without reading all of it.
    let most = MAX_DESCRIPTION as u64;
    if let Some(file) = &args.file {
        return read(file, most).map(Some);
    }
    match args.words.as_slice() {
        [] if io::stdin().is_terminal() && io::stdout().is_terminal() => Ok(None),
        [] => {
            Err(Fault::usage("the prompt is missing")
                .hint("give it as words, with -f FILE, or '-' to read standard input"))
        }
        [dash] if dash == "-" => read(Path::new("-"), most).map(Some),
        words => Ok(Some(words.join(" "))),
    }
}

/// The text of a file, or of standard input for `-`.
pub(super) fn read(file: &Path, most: u64) -> Result<String, Fault> {
    let name = if file == Path::new("-") { "standard input".into() } else { file.display().to_string() };
    let mut bytes = Vec::new();
    let result = if file == Path::new("-") {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    result.map_err(|e| Fault::usage(format!("{name} cannot be read: {e}")))?;
    if bytes.len() as u64 > most {
        return Err(Fault::usage(format!("{name} is longer than the limit of {most} bytes")));
    }
    String::from_utf8(bytes)
        .map_err(|e| Fault::usage(format!("{name} is not UTF-8 from byte {}", e.utf8_error().valid_up_to())))
}

fn store(ctx: &Context, submit: Submit) -> Result<(Client, Submitted), Fault> {
    let mut client = ctx.client()?;
    match client.call_surely(Request::Submit(Box::new(submit)))? {
        Reply::Submitted(submitted) => Ok((client, submitted)),
        other => Err(unexpected(&other)),
    }
}

/// Where it is not known whether something was stored, says how to repeat it safely.
pub(super) fn with_key(fault: Fault, key: &str) -> Fault {
    match fault.code {
        FaultCode::Unknown => {
            fault.hint(format!("repeat the same command with --idempotency-key {key}: it is stored at most once"))
        }
        _ => fault,
    }
}

/// Says which task was stored.
///
/// # Errors
/// When it cannot be written.
pub(super) fn tell(ctx: &Context, submitted: &Submitted) -> Result<(), Fault> {
    let out = &ctx.output;
    warn(ctx, submitted);
    if out.is_json() {
        out.json(submitted)
    } else if out.is_quiet() {
        out.line(&submitted.task.to_string())
    } else {
        out.line(&format!("submitted task {}", submitted.task))
    }
}

fn warn(ctx: &Context, submitted: &Submitted) {
    for warning in &submitted.warnings {
        ctx.output.note(&format!("warning: {warning}"));
    }
    if submitted.repeated {
        ctx.output.note("it had been stored before under the same key; nothing new was made");
    }
}

fn wait_for(ctx: &Context, client: &mut Client, submitted: &Submitted, exit_code: bool) -> Result<Status, Fault> {
    if ctx.output.is_json() {
        warn(ctx, submitted);
    } else {
        tell(ctx, submitted)?;
    }
    let select = Select { tasks: vec![submitted.task], ..Select::default() };
    let waited = wait::wait(client, select, false, None)?;
    if !ctx.output.is_quiet() {
        wait::tell(ctx, &waited, true)?;
    }
    // Only of a program that ended by itself: a time limit or a cancel has a status here.
    let own = waited.tasks.first().filter(|task| matches!(task.state, State::Passed | State::Failed));
    match own.and_then(|task| task.exit_code).and_then(|code| u8::try_from(code).ok()) {
        Some(code) if exit_code => Ok(Status(code)),
        _ => Ok(wait::status(&waited, false)),
    }
}

/// Shows the task's session in this terminal as soon as its program runs.
fn attach_to(ctx: &Context, client: &mut Client, task: TaskId) -> Result<Status, Fault> {
    // The stream begins before the task is looked at, so its start is not missed.
    let mut after = match client.call(&Request::Status)? {
        Reply::Status(status) => status.last_event,
        other => return Err(unexpected(&other)),
    };
    let mut view = show::ask(client, task)?.task;
    if let Some(reason) = view.reason.as_ref().filter(|_| ctx.output.terminal) {
        ctx.output.note(&format!("waiting for it to start ({}); an interrupt leaves it in the queue", reason.detail));
    }
    let mut reply = None;
    while !runs_or_ended(view.state) {
        reply = match reply {
            None => client.call_or_reconnect(&Request::Watch { after: Some(after) })?,
            Some(Reply::Event(event)) => {
                after = event.seq;
                if let Some(state) = event.state.filter(|_| event.task == Some(task)) {
                    view.state = state;
                }
                if runs_or_ended(view.state) {
                    break;
                }
                client.next_reply()?
            }
            Some(other) => return Err(unexpected(&other)),
        };
    }
    // The stream has this connection; what it told is looked up on another.
    let view = show::ask(&mut ctx.client()?, task)?.task;
    match view.session.clone().filter(|_| !view.state.is_final()) {
        Some(session) => attach::to(ctx, session, attach::Way::default()),
        None => {
            ctx.output.line(&wait::sentence(&Brief::from(&view)))?;
            Ok(exit::of(view.state))
        }
    }
}

fn runs_or_ended(state: State) -> bool {
    state.is_final() || matches!(state, State::Running | State::Paused | State::Completing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_stored_is_repeated_by_key() {
        let unknown = with_key(Fault::new(FaultCode::Unknown, "lost"), "k1");
        assert!(unknown.hint.unwrap().contains("--idempotency-key k1"));
        assert_eq!(with_key(Fault::usage("x"), "k1").hint, None);
    }

    #[test]
    fn files_have_a_limit_and_are_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("prompt");
        std::fs::write(&file, "hello").unwrap();
        assert_eq!(read(&file, 5).unwrap(), "hello");
        assert!(read(&file, 4).unwrap_err().message.contains("limit of 4"));
        std::fs::write(&file, b"a\xffb").unwrap();
        assert!(read(&file, 5).unwrap_err().message.contains("from byte 1"));
        assert!(read(&dir.path().join("none"), 5).is_err());
    }
}
