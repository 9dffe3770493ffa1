//! `autodev ask`: asks a person something, and waits for the answer.

use std::thread;
use std::time::{Duration, Instant};

use super::{Context, Status, exit, inside};
use crate::client::unexpected;
use crate::clock::Span;
use crate::id::TaskId;
use crate::protocol::view::RequestView;
use crate::protocol::{Fault, FaultCode, Reply, Request};

/// Between looks whether the daemon has come back.
const COME_BACK_PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `autodev ask`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// What to ask
    #[arg(value_name = "QUESTION", required = true)]
    question: Vec<String>,
    /// The task; inside a session it is the session's own
    #[arg(short, long, value_name = "TASK", add = super::complete::tasks())]
    task: Option<TaskId>,
    /// Do not wait for the answer; print the question's number
    #[arg(long)]
    no_wait: bool,
    /// Wait at most this long: 90s, 15m, 2h; then exit with status 8
    #[arg(long, value_name = "TIME", conflicts_with = "no_wait")]
    timeout: Option<Span>,
}

const EXAMPLES: &str = "\
For agents, and scripts they run: the question is shown by 'autodev requests', somebody
answers it with 'autodev answer', and the answer is printed here. A question outlives the
daemon and the one who asked.

Exit status: 0 answered, 8 the time to wait is over, 9 the task has ended meanwhile.

Examples:
  autodev ask 'May I drop the table sessions_old?'
  answer=$(autodev ask --timeout 2h 'Which branch is the release cut from?')";

/// Runs the verb.
///
/// # Errors
/// `NotFound`; `Permission` when a program inside a session speaks of another's task.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let task = inside::task(args.task)?;
    let mut client = ctx.client()?;
    let asked = one(client.call(&Request::Ask { task, question: args.question.join(" ") })?)?;
    let out = &ctx.output;
    if args.no_wait {
        match out.is_json() {
            true => out.json(&asked)?,
            false => out.line(&asked.id.to_string())?,
        }
        return Ok(Status::OK);
    }
    out.note(&format!("question {} is asked; 'autodev answer {} TEXT' answers it", asked.id, asked.id));
    let wait = Request::AwaitAnswer { request: asked.id };
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout.0);
    let answered = loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match client.call_within(&wait, left) {
            Ok(reply) => break one(reply)?,
            Err(fault) if fault.code != FaultCode::Unreachable => return Err(fault),
            Err(_) => {}
        }
        // The daemon has left, or the time is over. Inside a session none is started: one
        // that comes back is waited for, which gives no event.
        loop {
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                out.note(&format!("no answer yet; question {} stays open", asked.id));
                return Ok(exit::PENDING);
            }
            match ctx.client() {
                Ok(again) => {
                    client = again;
                    break;
                }
                Err(fault) if fault.code != FaultCode::Unreachable => return Err(fault),
                Err(_) => thread::sleep(COME_BACK_PAUSE),
            }
        }
    };
    if out.is_json() {
        out.json(&answered)?;
    } else if let Some(answer) = &answered.answer {
        out.line(answer)?;
    }
    if answered.answer.is_none() {
        out.note(&format!("task {task} has ended without an answer"));
        return Ok(exit::CANCELLED);
    }
    Ok(Status::OK)
}

fn one(reply: Reply) -> Result<RequestView, Fault> {
    match reply {
        Reply::Asked(mut asked) if asked.len() == 1 => Ok(asked.remove(0)),
        other => Err(unexpected(&other)),
    }
}
