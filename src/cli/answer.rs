//! `autodev answer`: answers an agent's question.

use super::{Context, Status};
use crate::client::unexpected;
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev answer`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The question's number, as 'autodev requests' lists it
    #[arg(value_name = "ID", add = super::complete::requests())]
    request: i64,
    /// The answer
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
}

const EXAMPLES: &str = "\
The first answer counts. Whoever asked gets it at once, if they still wait.

Examples:
  autodev answer 7 yes, drop it
  autodev answer 7 'main; the others are stale'";

/// Runs the verb.
///
/// # Errors
/// `NotFound`; `Conflict` when it is answered or its task has ended.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let request = args.request;
    match ctx.client()?.call(&Request::Answer { request, text: args.text.join(" ") })? {
        Reply::Done => {}
        other => return Err(unexpected(&other)),
    }
    let out = &ctx.output;
    if out.is_json() {
        out.json(&serde_json::json!({ "id": request }))?;
    } else if !out.is_quiet() {
        out.line(&format!("question {request} is answered"))?;
    }
    Ok(Status::OK)
}
