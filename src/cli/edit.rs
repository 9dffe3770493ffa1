//! `autodev edit`: changes a task that has not started.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use super::editor::Draft;
use super::task::{After, Afters, Texts, afters, begin, labels};
use super::{Context, Status, act, show, submit};
use crate::clock::{Span, Timestamp};
use crate::id::TaskId;
use crate::protocol::request::Edit;
use crate::protocol::{Fault, Request};
use crate::task::spec::{MAX_DESCRIPTION, MAX_RESTARTS, MAX_RETRIES};
use crate::task::{Dependency, Mode, OnInterrupt, TaskSpec};

/// Arguments of `autodev edit`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The task
    #[arg(value_name = "TASK", add = super::complete::tasks())]
    task: TaskId,
    /// New title
    #[arg(short, long, value_name = "TEXT")]
    title: Option<String>,
    /// New prompt
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    prompt: Option<String>,
    /// Read the new prompt from a file; '-' is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// New provider
    #[arg(short, long, value_name = "NAME", add = super::complete::providers())]
    provider: Option<String>,
    /// New model; '' leaves the choice to the provider
    #[arg(short, long, value_name = "NAME")]
    model: Option<String>,
    /// New mode
    #[arg(long, value_name = "MODE", value_parser = submit::modes())]
    mode: Option<Mode>,
    /// Switch off the tool's own sandbox and questions
    #[arg(long, conflicts_with = "no_full_access")]
    full_access: bool,
    /// Leave the tool's own sandbox and questions on
    #[arg(long)]
    no_full_access: bool,
    /// Start after these tasks instead; '' waits for none
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    after: Option<Vec<String>>,
    /// Start at a time; 'now' as soon as its turn comes
    #[arg(long, value_name = "TIME", conflicts_with = "in_")]
    at: Option<String>,
    /// Start after some time
    #[arg(long = "in", value_name = "TIME")]
    in_: Option<String>,
    /// New number of retries (0 to 100)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_RETRIES)))]
    retries: Option<u32>,
    /// When a shutdown or a crash interrupts it: resume, requeue, hold or fail
    #[arg(long, value_name = "POLICY")]
    on_interrupt: Option<OnInterrupt>,
    /// New number of restarts within an hour (0 to 100)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_RESTARTS)))]
    max_restarts: Option<u32>,
    /// New time limit; 0 is none
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// New labels, instead of those it has; '' takes all away
    #[arg(short, long, value_name = "LABEL", value_delimiter = ',')]
    label: Option<Vec<String>>,
}

const EXAMPLES: &str = "\
Without options your editor opens with the prompt. Priorities are changed by
'autodev priority'; a running task cannot be changed.

Examples:
  autodev edit 42
  autodev edit 42 --provider codex --timeout 2h
  autodev edit 42 --after ''";

/// Runs the verb.
///
/// # Errors
/// `Conflict` when the task has started, and what else the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let task = args.task;
    let mut edit = read(args)?;
    prompt(edit.description.as_deref())?;
    if is_empty(&edit) && !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Fault::usage("nothing is to be changed").hint("'autodev edit --help' lists what can be"));
    }
    let mut client = ctx.client()?;
    let mut draft = None;
    if is_empty(&edit) {
        let old = show::ask(&mut client, task)?.task;
        if !old.command.is_empty() {
            return Err(Fault::usage(format!("task {task} runs a command, which cannot be edited"))
                .hint("cancel it, and submit another one"));
        }
        let written = Draft::write(&old.description)?;
        if written.text == old.description {
            written.remove();
            ctx.output.note("nothing was changed");
            return Ok(Status::OK);
        }
        edit.description = Some(written.text.clone());
        draft = Some(written);
    }
    let sent =
        prompt(edit.description.as_deref()).and_then(|()| act::one(ctx, &mut client, &Request::Edit(Box::new(edit))));
    match (sent, draft) {
        (Ok(status), draft) => {
            draft.iter().for_each(Draft::remove);
            Ok(status)
        }
        (Err(fault), Some(draft)) => Err(draft.keep(fault)),
        (Err(fault), None) => Err(fault),
    }
}

fn read(args: Args) -> Result<Edit, Fault> {
    let title = args.title.as_deref().map(TaskSpec::title_of);
    if title.as_ref().is_some_and(String::is_empty) {
        return Err(Fault::usage("the title is empty"));
    }
    let now = Timestamp::now();
    // Zero takes the time away: the moment that has come long ago.
    let at = if args.at.as_deref() == Some("now") { Some(Timestamp(0)) } else { None };
    let begin = match at {
        Some(at) => Some(at),
        None => begin(args.at.as_deref(), args.in_.as_deref(), now)?,
    };
    let texts = |all: Vec<String>| all.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    Ok(Edit {
        task: args.task,
        title,
        description: match args.file {
            Some(file) => Some(submit::read(&file, MAX_DESCRIPTION as u64)?),
            None => args.prompt,
        },
        provider: args.provider,
        model: args.model,
        mode: args.mode,
        full_access: (args.full_access || args.no_full_access).then_some(args.full_access),
        after: args.after.map(|after| dependencies(&texts(after))).transpose()?,
        begin,
        retries: args.retries,
        on_interrupt: args.on_interrupt,
        max_restarts: args.max_restarts,
        timeout: args.timeout,
        labels: args.label.map(|label| labels(Some(Texts::Many(texts(label))))).transpose()?,
    })
}

fn dependencies(texts: &[String]) -> Result<Vec<Dependency>, Fault> {
    let all = afters(&Afters::List(texts.iter().cloned().map(Afters::Text).collect()))?;
    let stored = all.into_iter().map(|after| match after {
        After::Task(dependency) => Ok(dependency),
        After::Line(..) => Err(Fault::usage("'line:' names a line of a batch: give the number of a task")),
    });
    stored.collect()
}

fn prompt(text: Option<&str>) -> Result<(), Fault> {
    match text {
        Some(text) if text.trim().is_empty() => Err(Fault::usage("the prompt is empty")),
        Some(text) if text.len() > MAX_DESCRIPTION => {
            Err(Fault::usage(format!("the prompt has {} bytes, the limit is {MAX_DESCRIPTION}", text.len())))
        }
        _ => Ok(()),
    }
}

fn is_empty(edit: &Edit) -> bool {
    let nothing = Edit {
        task: edit.task,
        title: None,
        description: None,
        provider: None,
        model: None,
        mode: None,
        full_access: None,
        after: None,
        begin: None,
        retries: None,
        on_interrupt: None,
        max_restarts: None,
        timeout: None,
        labels: None,
    };
    *edit == nothing
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn edit(words: &[&str]) -> Result<Edit, Fault> {
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            args: Args,
        }
        read(Only::try_parse_from(["edit", "42"].iter().chain(words)).unwrap().args)
    }

    #[test]
    fn what_is_not_named_stays() {
        assert!(is_empty(&edit(&[]).unwrap()));
        let changed = edit(&["--label", "", "--after", "", "--at", "now", "--no-full-access"]).unwrap();
        assert_eq!(changed.labels, Some(Vec::new()));
        assert_eq!(changed.after, Some(Vec::new()));
        assert_eq!(changed.begin, Some(Timestamp(0)));
        assert_eq!(changed.full_access, Some(false));
        assert_eq!(edit(&["--after", "3,any:4"]).unwrap().after.unwrap().len(), 2);
        assert!(edit(&["--title", " "]).is_err());
        assert!(edit(&["--after", "line:2"]).is_err());
    }
}
