//! `autodev backup`: a copy of the database as it is now.

use std::path::{Path, PathBuf};

use super::table::{Column, Table, size};
use super::{Context, Status};
use crate::client::{offline, unexpected};
use crate::clock::{Timestamp, short};
use crate::protocol::view::BackupView;
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev backup`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Into this new file or directory, instead of among the backups made every hour
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    to: Option<PathBuf>,
    /// List the backups there are
    #[arg(long, conflicts_with = "to")]
    list: bool,
}

const EXAMPLES: &str = "\
The copy has everything but the recordings, which are files of their own. It is whole,
checked and on the disk when the command returns; work goes on meanwhile. One is made
every hour by itself when something has changed ([backup] in the settings), and before an
upgrade changes the form of the database. 'autodev restore' puts one back.

Examples:
  autodev backup
  autodev backup --to /mnt/usb/
  autodev backup --list";

/// Runs the verb.
///
/// # Errors
/// `NotStored` without room for it, `Conflict` when the file is there already.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let out = &ctx.output;
    if args.list {
        let all = backups(offline::ask(&["backups"])?)?;
        if out.is_json() {
            out.json(&all)?;
        } else if out.is_quiet() {
            out.text(&all.iter().map(|backup| format!("{}\n", backup.path)).collect::<String>())?;
        } else if all.is_empty() {
            out.note("there are no backups yet");
        } else {
            out.text(&table(ctx, &all))?;
        }
        return Ok(Status::OK);
    }
    let to = args.to.as_deref().map(std::path::absolute).transpose();
    let to = to.map_err(|error| Fault::usage(format!("--to cannot be used: {error}")))?;
    // A large database takes its time to copy.
    let made = backups(ctx.client()?.call_within(&Request::Backup { to }, None)?)?;
    let [made] = made.as_slice() else { return Err(Fault::internal("the daemon does not say which backup it made")) };
    if out.is_json() {
        out.json(made)?;
    } else if out.is_quiet() {
        out.line(&made.path)?;
    } else {
        out.line(&format!(
            "backed up {} up to entry {} of the history: {}",
            size(made.bytes),
            made.last_event,
            made.path
        ))?;
    }
    Ok(Status::OK)
}

fn backups(reply: Reply) -> Result<Vec<BackupView>, Fault> {
    match reply {
        Reply::Backups(all) => Ok(all),
        other => Err(unexpected(&other)),
    }
}

fn table(ctx: &Context, all: &[BackupView]) -> String {
    let now = Timestamp::now();
    let columns = [
        Column::new("MADE"),
        Column::new("AGE").right(),
        Column::new("EVENT").right(),
        Column::new("SIZE").right(),
        Column::new("FILE"),
    ];
    let mut table = Table::new(&columns);
    for backup in all {
        let file = Path::new(&backup.path).file_name().map(|name| name.to_string_lossy().into_owned());
        table.row(vec![
            backup.made_at.local().into(),
            short(now.since(backup.made_at)).into(),
            backup.last_event.into(),
            size(backup.bytes).into(),
            file.unwrap_or_default().into(),
        ]);
    }
    table.render(&ctx.output)
}
