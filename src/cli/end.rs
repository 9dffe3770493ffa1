//! What `cancel` and `kill` have in common: they end tasks, and sessions without one.

use serde_json::json;

use super::select::{FilterArgs, SelectArgs};
use super::{Context, Status, act, complete};
use crate::client::{Client, unexpected};
use crate::id::SessionName;
use crate::protocol::request::Action;
use crate::protocol::view::SessionView;
use crate::protocol::{Fault, Reply, Request};

/// What is to be ended.
#[derive(Debug, clap::Args)]
pub struct EndArgs {
    /// Tasks (42, 3-9, or 3,5,7-9; with --label and the like only those of them that match),
    /// or sessions without a task by their names
    #[arg(value_name = "TASK|SESSION", add = complete::tasks_and_sessions())]
    targets: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Do not ask, however many tasks are ended
    #[arg(short, long)]
    yes: bool,
    /// Only say what would be ended
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Ends it, by `action` if it is tasks.
///
/// # Errors
/// What the daemon refuses; `Usage` when nothing is named, or not sensibly.
pub fn run(ctx: &Context, args: EndArgs, verb: &'static str, action: Action) -> Result<Status, Fault> {
    // Numbers, lists, ranges, and attempts, of which is said what is meant instead.
    let is_task = |word: &String| word.bytes().all(|b| b.is_ascii_digit() || b",-.".contains(&b));
    let (tasks, names): (Vec<String>, Vec<String>) = args.targets.into_iter().partition(is_task);
    if names.is_empty() {
        let way = act::Way { verb, asks: true, yes: args.yes, dry_run: args.dry_run };
        return act::run(ctx, action, SelectArgs::new(tasks, args.filter).select()?, way);
    }
    if !tasks.is_empty() || !args.filter.is_empty() {
        return Err(Fault::usage(format!("'{}' is a session, the others are tasks", names[0]))
            .hint(format!("end sessions and tasks with one '{verb}' each")));
    }
    sessions(ctx, &names, action == Action::Kill, args.dry_run)
}

fn sessions(ctx: &Context, names: &[String], now: bool, dry_run: bool) -> Result<Status, Fault> {
    let mut client = ctx.client()?;
    // All of them exist, or nothing is done.
    let found = names.iter().map(|name| find(&mut client, name)).collect::<Result<Vec<_>, Fault>>();
    let found = found.map_err(|fault| match names.len() {
        1 => fault,
        _ => fault.hint("none of them was ended: leave this one out"),
    })?;
    let mut done = Vec::with_capacity(found.len());
    for session in found {
        if !dry_run {
            match client.call(&Request::EndSession { session: session.name.clone(), now })? {
                Reply::Done => {}
                other => return Err(unexpected(&other)),
            }
        }
        done.push(session.name);
    }
    tell(ctx, &done, dry_run)
}

fn find(client: &mut Client, name: &str) -> Result<SessionView, Fault> {
    let session = match client.call(&Request::Session { target: name.to_owned() })? {
        Reply::Session(session) => session,
        other => return Err(unexpected(&other)),
    };
    if session.ended_at.is_none() {
        Ok(*session)
    } else {
        Err(Fault::conflict(format!("session {} has ended", session.name)))
    }
}

fn tell(ctx: &Context, ended: &[SessionName], dry_run: bool) -> Result<Status, Fault> {
    let out = &ctx.output;
    if out.is_json() {
        let values: Vec<_> = ended.iter().map(|name| json!({ "session": name, "changed": !dry_run })).collect();
        match values.as_slice() {
            [value] => out.json(value)?,
            values => out.json(&values)?,
        }
        return Ok(Status::OK);
    }
    for name in ended {
        if out.is_quiet() {
            out.line(name.as_str())?;
        } else if dry_run {
            out.line(&format!("session {name} is running"))?;
        } else {
            out.line(&format!("session {name} has been told to end"))?;
        }
    }
    Ok(Status::OK)
}
