//! `autodev doctor`: whether all is as it should be, and what to do where it is not.

use super::table::plain;
use super::{Context, Status, exit};
use crate::client::{offline, unexpected};
use crate::protocol::view::{CheckLevel, CheckView};
use crate::protocol::{Fault, Reply};

/// Arguments of `autodev doctor`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Check every byte that can be checked: the database, the history, texts, recordings,
    /// backups; with much to check this takes its time
    #[arg(long)]
    deep: bool,
}

const EXAMPLES: &str = "\
Needs no daemon and disturbs none. Exit status: 0 when nothing is wrong (there may be
warnings), 1 otherwise.

Examples:
  autodev doctor
  autodev doctor --deep
  autodev doctor --json | jq '.[] | select(.level != \"ok\")'";

/// Runs the verb.
///
/// # Errors
/// When the daemon's program cannot be run.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let arguments: &[&str] = if args.deep { &["examine", "--deep"] } else { &["examine"] };
    let checks = match offline::ask(arguments)? {
        Reply::Checks(checks) => checks,
        other => return Err(unexpected(&other)),
    };
    let out = &ctx.output;
    if out.is_json() {
        out.json(&checks)?;
    } else {
        let shown = checks.iter().filter(|check| !out.is_quiet() || check.level != CheckLevel::Ok);
        out.text(&shown.map(line).collect::<String>())?;
    }
    let wrong = checks.iter().any(|check| check.level == CheckLevel::Error);
    Ok(if wrong { exit::FAILED } else { Status::OK })
}

fn line(check: &CheckView) -> String {
    let level = match check.level {
        CheckLevel::Ok => "ok",
        CheckLevel::Warning => "warning",
        CheckLevel::Error => "error",
    };
    let hint = check.hint.as_ref().map(|hint| format!("\n{:>20} {hint}", "do:")).unwrap_or_default();
    format!("{level:<8} {:<11} {}{hint}\n", check.name, plain(&check.found))
}
