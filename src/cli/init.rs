//! `autodev init`: a few questions, and the settings that follow from them.

use std::collections::BTreeMap;
use std::thread;

use serde_json::json;

use super::confirm;
use super::{Context, Status, config as verb, inside, output};
use crate::config;
use crate::protocol::{Fault, Request};
use crate::provider::Registry;

/// Arguments of `autodev init`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Ask nothing: take what suits this machine
    #[arg(short, long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Writes a file of settings with everything in it explained and commented out, but for what
was answered. A file that is there already is not touched. None of it is needed: without
settings the defaults count.

Examples:
  autodev init
  autodev init --yes";

/// Runs the verb.
///
/// # Errors
/// `Conflict` when there are settings already.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    inside::only_people(ctx, "init", &Request::Reload)?;
    let file = ctx.paths.config_file();
    if file.exists() || file.is_symlink() {
        return Err(Fault::conflict(format!("{} is there already", file.display()))
            .hint("'autodev config edit' changes it, 'autodev config show --origin' says what it sets"));
    }
    if !args.yes && !confirm::can_ask() {
        return Err(Fault::usage("there is no terminal to ask at").hint("--yes asks nothing"));
    }
    let registry = Registry::load(&ctx.paths);
    let path = std::env::var("PATH").ok().map(|path| ("PATH".to_owned(), path));
    let environment: BTreeMap<String, String> = path.into_iter().collect();
    let agents = registry.installed(&environment);
    let there: Vec<&str> = agents.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
    let slots = slots();

    let (mut provider, mut wanted_slots) = (String::new(), slots);
    if !args.yes {
        match there.as_slice() {
            [] => ctx.output.note("no agent is installed: 'autodev providers' says how to get one"),
            [only] => ctx.output.note(&format!("{only} is installed: tasks that name no provider go to it")),
            [first, ..] => {
                let question = format!("which agent, where a task names none ({})? [{first}] ", there.join(", "));
                let read = |answer: &str| there.contains(&answer).then(|| answer.to_owned());
                provider = choose(&question, read, "none of them", String::new())?;
            }
        }
        let question = format!("how many agents at once? [{slots}] ");
        let read = |answer: &str| answer.parse().ok().filter(|slots| (1..=1_000).contains(slots));
        wanted_slots = choose(&question, read, "that is not a number from 1 to 1000", slots)?;
    }
    let mut settings = vec![("queue.slots", wanted_slots.to_string())];
    if !provider.is_empty() {
        settings.push(("submit.provider", provider));
    }
    let failed = |error: config::ConfigError| Fault::internal(error.to_string());
    config::write(&ctx.paths, None, &config::template()).map_err(failed)?;
    for (key, value) in &settings {
        config::set(&ctx.paths, key, value).map_err(failed)?;
    }
    verb::reload(ctx)?;
    if ctx.output.is_json() {
        let set: BTreeMap<_, _> = settings.into_iter().collect();
        ctx.output.json(&json!({ "path": file, "set": set, "agents": there }))?;
    } else if !ctx.output.is_quiet() {
        ctx.output.line(&format!("wrote {}", file.display()))?;
        for (key, value) in &settings {
            ctx.output.line(&format!("  {key} = {value}"))?;
        }
        let next = if there.is_empty() { "-- make test" } else { "\"what is to be done\"" };
        ctx.output.line(&format!("next: autodev submit {next}"))?;
    }
    Ok(Status::OK)
}

/// Asks until the answer can be read; an empty one is the default.
fn choose<T>(question: &str, read: impl Fn(&str) -> Option<T>, wrong: &str, default: T) -> Result<T, Fault> {
    loop {
        let answer = confirm::line(question)?;
        if answer.is_empty() {
            return Ok(default);
        }
        if let Some(read) = read(&answer) {
            return Ok(read);
        }
        output::note(wrong);
    }
}

/// Agents at once that suit this machine: they wait for a network most of the time, but what
/// they start does not.
fn slots() -> u32 {
    let processors = thread::available_parallelism().map_or(4, std::num::NonZeroUsize::get);
    u32::try_from(processors).unwrap_or(4).clamp(2, 16)
}
