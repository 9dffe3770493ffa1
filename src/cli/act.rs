//! What the verbs that do something to several tasks have in common.

use std::collections::HashSet;

use serde_json::json;

use super::select::note_unknown_provider;
use super::{Context, Status, confirm};
use crate::client::{Client, unexpected};
use crate::protocol::reply::Acted;
use crate::protocol::request::{Act, Action, Select};
use crate::protocol::{Fault, Reply, Request};
use crate::task::Status as State;

/// Ending more tasks than this asks first.
const ASK_ABOVE: usize = 10;

/// How an action is carried out and told.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// What is done, for the question: `cancel`.
    pub verb: &'static str,
    /// Ask before ending many.
    pub asks: bool,
    /// The user said yes beforehand.
    pub yes: bool,
    /// Only say to which tasks it would be done.
    pub dry_run: bool,
}

impl Way {
    /// Without questions.
    pub fn plain(verb: &'static str) -> Self {
        Way { verb, asks: false, yes: false, dry_run: false }
    }
}

/// Does `action` to the selected tasks and tells what became of each.
///
/// # Errors
/// The daemon's fault; `Usage` when a question cannot be asked.
pub fn run(ctx: &Context, action: Action, mut select: Select, way: Way) -> Result<Status, Fault> {
    // Of a task named by number its owner learns why nothing can be done.
    let named = !select.tasks.is_empty() || !select.ranges.is_empty();
    if let Some(filter) = &mut select.filter
        && filter.states.is_empty()
        && !named
    {
        filter.states = State::ALL.into_iter().filter(|state| concerns(action, *state)).collect();
    }
    let mut client = ctx.client()?;
    let tasks = if select.ranges.is_empty() && select.filter.is_none() {
        // As they are named: nothing has to be looked up.
        let mut seen = HashSet::new();
        select.tasks.iter().copied().filter(|task| seen.insert(*task)).collect()
    } else {
        match client.call(&Request::Select(select.clone()))? {
            Reply::Selected(tasks) => tasks,
            other => return Err(unexpected(&other)),
        }
    };
    if way.asks && !way.yes && !way.dry_run && tasks.len() > ASK_ABOVE && !confirmed(way.verb, tasks.len())? {
        ctx.output.note("nothing was done");
        return Ok(super::exit::FAILED);
    }
    let mut acted = Vec::with_capacity(tasks.len());
    for some in tasks.chunks(Act::MOST) {
        let some = Select { tasks: some.to_vec(), ..Select::default() };
        match client.call(&Request::Act(Act { action, select: some, dry_run: way.dry_run }))? {
            Reply::Acted(more) => acted.extend(more),
            other => return Err(unexpected(&other)),
        }
    }
    tell(ctx, &select, acted, way)
}

/// Whether a filter that says nothing of states means tasks in this one.
fn concerns(action: Action, state: State) -> bool {
    match action {
        Action::Cancel | Action::Kill | Action::Priority(_) => !state.is_final(),
        Action::Hold => state == State::Queued,
        Action::Release => state == State::Held,
        Action::Pause => state == State::Running,
        Action::Resume => state == State::Paused,
        Action::Retry => state.is_final() && state != State::Passed,
        Action::Recover => state == State::Held || (state.is_final() && state != State::Passed),
    }
}

/// Sends a request about one task and tells what became of it.
///
/// # Errors
/// The daemon's fault.
pub fn one(ctx: &Context, client: &mut Client, request: &Request) -> Result<Status, Fault> {
    match client.call(request)? {
        Reply::Acted(acted) => {
            let select = Select { tasks: acted.iter().map(|a| a.task).collect(), ..Select::default() };
            tell(ctx, &select, acted, Way::plain("change"))
        }
        other => Err(unexpected(&other)),
    }
}

fn confirmed(verb: &str, count: usize) -> Result<bool, Fault> {
    if !confirm::can_ask() {
        return Err(Fault::usage(format!("this would {verb} {count} tasks")).hint("add --yes if that is meant"));
    }
    confirm::yes(&format!("{verb} {count} tasks?"))
}

fn tell(ctx: &Context, select: &Select, acted: Vec<Acted>, way: Way) -> Result<Status, Fault> {
    let out = &ctx.output;
    let one = select.filter.is_none() && select.ranges.is_empty() && select.tasks.len() == 1;
    if one && let [Acted { result: Err(fault), .. }] = acted.as_slice() {
        return Err(fault.clone());
    }
    let status = acted.iter().find_map(|a| a.result.as_ref().err()).map_or(0, |fault| fault.code.exit_status());
    if out.is_json() {
        let values: Vec<_> = acted.iter().map(as_json).collect();
        match values.as_slice() {
            [value] if one => out.json(value)?,
            values => out.json(&values)?,
        }
        return Ok(Status(status));
    }
    let mut text = String::new();
    for Acted { task, title, result } in &acted {
        match result {
            Ok(change) if out.is_quiet() => {
                if change.changed || way.dry_run {
                    text.push_str(&format!("{task}\n"));
                }
            }
            Ok(change) => {
                let so = match (change.changed, way.asks && !change.state.is_final()) {
                    _ if way.dry_run => "",
                    (true, true) => " and has been told to end",
                    (false, true) => " and had been told to end",
                    (true, false) => "",
                    (false, false) => " as before",
                };
                let title = super::table::plain(title);
                let separator = if title.is_empty() { "" } else { ": " };
                text.push_str(&format!("task {task} is {}{so}{separator}{title}\n", change.state));
            }
            // The daemon's sentences begin with the task they are about.
            Err(fault) => out.note(&format!("error: {}", fault.message)),
        }
    }
    out.text(&text)?;
    if acted.is_empty() && !out.is_quiet() {
        out.note("no task matches");
    }
    if acted.is_empty() {
        note_unknown_provider(ctx, select.filter.as_ref().and_then(|filter| filter.provider.as_deref()));
    }
    Ok(Status(status))
}

fn as_json(acted: &Acted) -> serde_json::Value {
    match &acted.result {
        Ok(change) => {
            json!({ "task": acted.task, "title": acted.title, "state": change.state, "changed": change.changed })
        }
        Err(fault) => json!({ "task": acted.task, "title": acted.title, "error": fault }),
    }
}
