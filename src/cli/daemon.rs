//! `autodev daemon`: starts, stops and looks at the daemon. These work across versions.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::{Context, Status, config, manager};
use crate::client::{Client, Start, find, unexpected};
use crate::clock::{Timestamp, short};
use crate::door;
use crate::logging;
use crate::process::PidFd;
use crate::protocol::control::{Ask, Tell};
use crate::protocol::reply::Reloaded;
use crate::protocol::{Fault, FaultCode, Reply, Request};
use crate::socket;

/// Bytes of the log's end that are looked at for its last lines.
const LOG_TAIL: u64 = 1024 * 1024;

/// Arguments of `autodev daemon`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Most commands start the daemon when they need it. Agents run in keepers of their own, so
stopping or restarting the daemon does not touch them.

Examples:
  autodev daemon status
  After an upgrade:
    autodev daemon restart
  Stop everything, agents too:
    autodev daemon stop --kill-sessions";

/// What to do with the daemon.
#[derive(Debug, Subcommand)]
enum What {
    /// Start it, if it does not run
    Start,
    /// Stop it; sessions go on running
    Stop {
        /// End every session first
        #[arg(long)]
        kill_sessions: bool,
    },
    /// Stop it and start the program that is installed now; sessions go on running
    Restart,
    /// Have it read the settings again, and say what takes effect only after a restart
    Reload,
    /// Say whether it runs: exit status 0, or 3 if it does not
    Status,
    /// Print the end of its log
    Logs {
        /// Lines to print
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
        lines: usize,
        /// Print only where the log is
        #[arg(long)]
        path: bool,
    },
}

/// A daemon that was told to end has ended within this.
const END_LIMIT: Duration = Duration::from_secs(30);

/// Runs the verb.
///
/// # Errors
/// `Unreachable` when it does not start, does not run or does not answer.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    match args.what {
        What::Start if !ctx.daemon_runs() && door::inside_session().is_some() => {
            Err(Fault::new(FaultCode::Permission, "no daemon is started from inside a session")
                .hint("run 'autodev daemon start' in a shell of your own"))
        }
        What::Start => serves(ctx),
        What::Stop { kill_sessions } => stop(ctx, kill_sessions),
        What::Restart => restart(ctx),
        What::Reload => reload(ctx),
        What::Status => tell(ctx, &mut running(ctx)?),
        What::Logs { lines, path } => logs(ctx, lines, path),
    }
}

fn running(ctx: &Context) -> Result<Client, Fault> {
    Client::connect(&ctx.paths, Start::Never)
}

fn tell(ctx: &Context, client: &mut Client) -> Result<Status, Fault> {
    let (pid, since, build) = match client.control(&Ask::Ping)? {
        Tell::Pong { pid, since, build } => (pid, Timestamp(since), build),
        other => return Err(unexpected(&other)),
    };
    let out = &ctx.output;
    if out.is_json() {
        out.json(&json!({ "running": true, "pid": pid, "since": since, "version": build }))?;
    } else if out.is_quiet() {
        out.line(&pid.to_string())?;
    } else {
        let up = short(Timestamp::now().since(since));
        out.line(&format!("the daemon runs: version {build}, pid {pid}, up {up}"))?;
    }
    Ok(Status::OK)
}

fn stop(ctx: &Context, kill_sessions: bool) -> Result<Status, Fault> {
    let mut client = match running(ctx) {
        Ok(client) => client,
        Err(fault) if fault.code == FaultCode::Unreachable && !ctx.daemon_runs() => {
            let left = kill_sessions && !find::live(&ctx.paths)?.is_empty();
            if !left || ctx.no_start {
                return said(ctx, "no daemon runs", false);
            }
            // Sessions outlive the daemon, and only a daemon can write down how they end.
            ctx.client()?
        }
        Err(fault) => return Err(fault),
    };
    order(&mut client, &Ask::Stop { kill_sessions })?;
    said(ctx, if kill_sessions { "the daemon and all sessions have ended" } else { "the daemon has ended" }, true)
}

/// Ends the daemon that runs, and waits until it has gone; sessions run on.
///
/// # Errors
/// When it does not answer.
pub(super) fn end(ctx: &Context) -> Result<(), Fault> {
    let mut client = running(ctx)?;
    let handle = match client.control(&Ask::Ping)? {
        Tell::Pong { pid, .. } => PidFd::open(pid),
        other => return Err(unexpected(&other)),
    };
    order(&mut client, &Ask::Stop { kill_sessions: false })?;
    // Its connections end before it does, and what it holds is free after that.
    match handle.map(|handle| socket::readable(&handle, END_LIMIT)) {
        None | Some(Ok(true)) => Ok(()),
        Some(Ok(false)) => Err(Fault::new(FaultCode::Unreachable, "the daemon was told to end and has not ended yet")),
        Some(Err(error)) => Err(Fault::internal(format!("the daemon's end cannot be waited for: {error}"))),
    }
}

fn restart(ctx: &Context) -> Result<Status, Fault> {
    if ctx.daemon_runs() {
        order(&mut running(ctx)?, &Ask::Restart)?;
    }
    serves(ctx)
}

/// Tells of the daemon that serves now, and if nothing will be started by it.
fn serves(ctx: &Context) -> Result<Status, Fault> {
    let mut client = ctx.client()?;
    let status = tell(ctx, &mut client)?;
    if let Ok(Reply::Status(view)) = client.call(&Request::Status)
        && let Some(problem) = view.config_error
    {
        ctx.output.note(&format!("the settings are wrong, and nothing new is started: {problem}"));
        ctx.output.note("'autodev config check' shows what is wrong; mended, 'autodev daemon reload' reads them");
    }
    Ok(status)
}

fn reload(ctx: &Context) -> Result<Status, Fault> {
    // Without one there is nobody to read them.
    drop(running(ctx)?);
    let Reloaded { restart_needed: restart, overridden } = config::reload(ctx)?;
    if ctx.output.is_json() {
        ctx.output.json(&json!({ "restart_needed": restart }))?;
    } else if !ctx.output.is_quiet() {
        ctx.output.line("the settings are read again")?;
        for key in restart {
            ctx.output.line(&format!("{key} takes effect after 'autodev daemon restart'; agents go on meanwhile"))?;
        }
        for (key, variable) in overridden {
            ctx.output.line(&format!("{key} is what {variable} says, with which the daemon was started"))?;
        }
    }
    Ok(Status::OK)
}

fn order(client: &mut Client, ask: &Ask) -> Result<(), Fault> {
    match client.control(ask) {
        Ok(Tell::Agreed) => client.wait_until_gone(),
        Ok(other) => Err(unexpected(&other)),
        // These bytes know one kind of refusal.
        Err(fault) if fault.code == FaultCode::Conflict && door::inside_session().is_some() => {
            Err(Fault { code: FaultCode::Permission, ..fault })
        }
        Err(fault) => Err(fault),
    }
}

fn said(ctx: &Context, what: &str, changed: bool) -> Result<Status, Fault> {
    if ctx.output.is_json() {
        ctx.output.json(&json!({ "running": false, "changed": changed }))?;
    } else if !ctx.output.is_quiet() {
        ctx.output.line(what)?;
    }
    Ok(Status::OK)
}

fn logs(ctx: &Context, lines: usize, path: bool) -> Result<Status, Fault> {
    let log = ctx.paths.daemon_log();
    if path {
        let path = log.display().to_string();
        if ctx.output.is_json() {
            ctx.output.json(&json!({ "path": path }))?;
        } else {
            ctx.output.line(&path)?;
        }
        return Ok(Status::OK);
    }
    if manager::is_in_use(ctx) {
        return manager::journal(ctx, &manager::unit(ctx)?, lines, false);
    }
    let end = logging::tail(&log, LOG_TAIL).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Fault::not_found(format!("there is no log yet at {}", log.display()))
            .hint("a daemon in the foreground or under systemd logs to its own standard error"),
        _ => Fault::internal(format!("{} cannot be read: {e}", log.display())),
    })?;
    let all: Vec<&str> = end.lines().collect();
    let last = &all[all.len().saturating_sub(lines)..];
    if ctx.output.is_json() {
        ctx.output.json(&last)?;
        return Ok(Status::OK);
    }
    ctx.output.text(&last.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    Ok(Status::OK)
}
