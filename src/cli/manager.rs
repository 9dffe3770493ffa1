//! The user's service manager and its journal, by their own programs.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::{Context, Status};
use crate::protocol::{Fault, FaultCode};
use crate::unit::Unit;

/// A property of the service's, as systemd writes it.
///
/// # Errors
/// As [`systemctl`].
pub fn property(unit: &Unit, name: &str) -> Result<String, Fault> {
    systemctl(&["show", "--property", name, "--value", &unit.service()])
}

/// The service runs, or tries to: then its log is the journal's.
pub fn is_in_use(ctx: &Context) -> bool {
    let unit = Unit::of(&ctx.paths).filter(|unit| unit.service_file().exists());
    let state = unit.and_then(|unit| property(&unit, "ActiveState").ok());
    state.is_some_and(|state| !matches!(state.as_str(), "" | "inactive"))
}

/// The instance's units.
///
/// # Errors
/// Without a home directory.
pub fn unit(ctx: &Context) -> Result<Unit, Fault> {
    Unit::of(&ctx.paths).ok_or_else(no_home)
}

fn no_home() -> Fault {
    Fault::usage("HOME is not set: there is no place for units")
}

/// Prints the service's log; returns only when that cannot be done.
///
/// # Errors
/// Without a journal.
pub fn journal(ctx: &Context, unit: &Unit, lines: usize, follow: bool) -> Result<Status, Fault> {
    if !unit.service_file().exists() {
        ctx.output.note("the service is not installed; 'autodev daemon logs' shows the log of a daemon that is none");
    }
    let mut journalctl = Command::new("journalctl");
    journalctl.args(["--user", "--unit", &unit.service(), "--lines", &lines.to_string()]);
    if follow {
        journalctl.arg("--follow");
    }
    if ctx.output.is_json() {
        journalctl.args(["--output", "json"]);
    } else if !ctx.output.terminal {
        journalctl.arg("--no-pager");
    }
    let error = journalctl.exec();
    Err(Fault::new(FaultCode::Unreachable, format!("journalctl cannot be run: {error}"))
        .hint("'autodev daemon logs' shows the log of a daemon that is no service"))
}

/// Asks the user's service manager; what it says.
///
/// # Errors
/// Where there is none, or when it refuses.
pub fn systemctl(words: &[&str]) -> Result<String, Fault> {
    let output = Command::new("systemctl").arg("--user").args(words).stdin(Stdio::null()).output();
    let hint = "without systemd, 'autodevd --daemonize' or any 'autodev' command starts the daemon";
    let output = output
        .map_err(|error| Fault::new(FaultCode::Unreachable, format!("systemctl cannot be run: {error}")).hint(hint))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let fault = Fault::new(FaultCode::Unreachable, format!("systemctl --user {}: {said}", words.join(" ")));
    Err(fault.hint(if said.contains("connect to") { hint } else { "'autodev service logs' may say more" }))
}
