//! `autodev requests`: the questions that agents ask.

use super::table::{Column, Table};
use super::{Context, Status};
use crate::client::unexpected;
use crate::clock::{Timestamp, short};
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev requests`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Those that are answered, or whose task has ended, too
    #[arg(short, long)]
    all: bool,
}

const EXAMPLES: &str = "\
Examples:
  autodev requests
  autodev requests --json | jq -r '.[].question'";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let all = match ctx.client()?.call(&Request::Requests { all: args.all })? {
        Reply::Asked(all) => all,
        other => return Err(unexpected(&other)),
    };
    let out = &ctx.output;
    if out.is_json() {
        out.json(&all)?;
        return Ok(Status::OK);
    }
    if out.is_quiet() {
        out.text(&all.iter().map(|asked| format!("{}\n", asked.id)).collect::<String>())?;
        return Ok(Status::OK);
    }
    if all.is_empty() {
        out.note("nobody asks anything");
        return Ok(Status::OK);
    }
    let now = Timestamp::now();
    let columns = [
        Column::new("ID").right(),
        Column::new("TASK").right(),
        Column::new("AGE").right(),
        Column::new("QUESTION").gives_way(),
        Column::new("ANSWER").gives_way(),
    ];
    let mut table = Table::new(&columns);
    for asked in &all {
        let answer =
            asked.answer.clone().unwrap_or_else(|| if asked.over { "(task ended)".into() } else { String::new() });
        table.row(vec![
            asked.id.into(),
            asked.attempt.map_or_else(|| asked.task.to_string(), |attempt| attempt.to_string()).into(),
            short(now.since(asked.at)).into(),
            asked.question.as_str().into(),
            answer.into(),
        ]);
    }
    out.text(&table.render(out))?;
    Ok(Status::OK)
}
