//! `autodev outputs`: files that are kept with a task.

use std::path::PathBuf;

use super::table::{Column, Table, size};
use super::{Context, Status, inside};
use crate::client::unexpected;
use crate::id::TaskId;
use crate::protocol::view::OutputView;
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev outputs`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// The task; inside a session it is the session's own
    #[arg(value_name = "TASK", add = super::complete::tasks())]
    task: Option<TaskId>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Keep copies of files with a task
    Add {
        /// The files
        #[arg(value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
        files: Vec<PathBuf>,
        /// The task; inside a session it is the session's own
        #[arg(short, long, value_name = "TASK", add = super::complete::tasks())]
        task: Option<TaskId>,
        /// What it is called there, if that is not the file's own name; for one file
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
}

const EXAMPLES: &str = "\
A copy is made at once, with its size and SHA-256 in the history: what becomes of the file
itself does not matter any more. Agents may add files to the task they work on.

Examples:
  autodev outputs 42
  In an agent's session:
    autodev outputs add report.md target/coverage.html
  Read one back:
    cat \"$(autodev outputs 42 --json | jq -r '.[0].path')\"";

/// Runs the verb.
///
/// # Errors
/// `NotFound`; `Conflict` for what is no regular file; `Permission` when a program inside a
/// session speaks of another's task.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let mut client = ctx.client()?;
    let mut call = |request: &Request| match client.call_within(request, None)? {
        Reply::Outputs(outputs) => Ok(outputs),
        other => Err(unexpected(&other)),
    };
    match args.what {
        None => show(ctx, &call(&Request::Outputs(inside::task(args.task)?))?),
        Some(What::Add { files, task, name }) => {
            let task = inside::task(task)?;
            if name.is_some() && files.len() != 1 {
                return Err(Fault::usage("--name is for one file"));
            }
            let mut added = Vec::new();
            for file in files {
                let path = std::path::absolute(&file).map_err(|e| Fault::usage(format!("{}: {e}", file.display())))?;
                let own = || path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let name = name.clone().unwrap_or_else(own);
                added.extend(call(&Request::AddOutput { task, file: path, name })?);
            }
            show(ctx, &added)
        }
    }
}

fn show(ctx: &Context, outputs: &[OutputView]) -> Result<Status, Fault> {
    let out = &ctx.output;
    if out.is_json() {
        out.json(&outputs)?;
    } else if out.is_quiet() {
        out.text(&outputs.iter().map(|output| format!("{}\n", output.path)).collect::<String>())?;
    } else if outputs.is_empty() {
        out.note("nothing is kept with it");
    } else {
        let columns = [
            Column::new("ID").right(),
            Column::new("TASK").right(),
            Column::new("NAME"),
            Column::new("SIZE").right(),
            Column::new("PATH").gives_way(),
        ];
        let mut table = Table::new(&columns);
        for output in outputs {
            table.row(vec![
                output.id.into(),
                output.attempt.map_or_else(|| output.task.to_string(), |attempt| attempt.to_string()).into(),
                output.name.as_str().into(),
                size(output.bytes).into(),
                output.path.as_str().into(),
            ]);
        }
        out.text(&table.render(out))?;
    }
    Ok(Status::OK)
}
