//! `autodev service`: the daemon as a service of the user.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::manager::{property, systemctl};
use super::{Context, Status, daemon, exit, inside, manager};
use crate::client;
use crate::durable;
use crate::protocol::{Fault, Request};
use crate::unit::{self, Unit};

/// Arguments of `autodev service`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
The service starts the daemon at login, or at boot if lingering is on, and again should it
fail. It is not needed: without it the first command that needs a daemon starts one.
Sessions outlive the service: stopping, restarting and upgrading it leaves them alone.

Keys that settings refer to as env:NAME are looked for in the service's environment, which
is not that of your shell: use file:/PATH, or 'systemctl --user import-environment NAME' and
then 'systemctl --user restart autodevd'.

Examples:
  See what would be installed:
    autodev service install --print
  autodev service install
  autodev service install --sandbox
  autodev service logs -f";

#[derive(Debug, Subcommand)]
enum What {
    /// Write the units, enable and start them
    Install {
        /// Only print the units
        #[arg(long)]
        print: bool,
        /// Take from daemon and agents what no build needs; sudo and rootless containers no
        /// longer work in them. It stays until 'uninstall'
        #[arg(long)]
        sandbox: bool,
    },
    /// Stop and disable the service, and remove its units; sessions run on
    Uninstall,
    /// Say how the service stands: exit status 0 if it runs, else 3
    Status,
    /// Print its log
    Logs {
        /// Lines to print
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
        lines: usize,
        /// Go on printing what comes
        #[arg(short, long)]
        follow: bool,
    },
}

/// Variables that say where an instance is and where programs are found.
const PASSED_ON: [&str; 6] =
    ["AUTODEV_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "PATH", "SSL_CERT_FILE"];

/// Runs the verb.
///
/// # Errors
/// Without systemd, or when it refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let unit = manager::unit(ctx)?;
    if matches!(args.what, What::Install { print: false, .. } | What::Uninstall) {
        inside::only_people(ctx, "service", &Request::Reload)?;
    }
    match args.what {
        What::Install { print: true, sandbox } => print(ctx, &unit, sandbox),
        What::Install { print: false, sandbox } => install(ctx, &unit, sandbox),
        What::Uninstall => uninstall(ctx, &unit),
        What::Status => status(ctx, &unit),
        What::Logs { lines, follow } => manager::journal(ctx, &unit, lines, follow),
    }
}

/// The units with this machine's paths.
fn texts(unit: &Unit, sandbox: bool) -> Result<[(PathBuf, String); 2], Fault> {
    let installed = fs::read_to_string(unit.service_file()).unwrap_or_default();
    let sandbox = sandbox || installed.lines().any(|line| line == "NoNewPrivileges=yes");
    let program = client::program();
    let program = fs::canonicalize(&program).map_err(|error| {
        Fault::not_found(format!("{}: {error}", program.display())).hint("install 'autodevd' beside 'autodev'")
    })?;
    let environment: Vec<(String, String)> = PASSED_ON
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), env::var(name).ok().filter(|value| !value.is_empty())?)))
        .collect();
    Ok([
        (unit.service_file(), unit.service_text(&program, &environment, sandbox)),
        (unit.socket_file(), unit.socket_text()),
    ])
}

fn print(ctx: &Context, unit: &Unit, sandbox: bool) -> Result<Status, Fault> {
    let texts = texts(unit, sandbox)?;
    if ctx.output.is_json() {
        let units = texts.map(|(path, text)| json!({ "path": path, "text": text }));
        ctx.output.json(&units)?;
    } else {
        let texts = texts.map(|(path, text)| format!("# {}\n{text}", path.display()));
        ctx.output.text(&texts.join("\n"))?;
    }
    Ok(Status::OK)
}

fn install(ctx: &Context, unit: &Unit, sandbox: bool) -> Result<Status, Fault> {
    // Nothing is written where nobody would read it.
    systemctl(&["show-environment"])?;
    let cannot =
        |path: &Path, error: &io::Error| Fault::internal(format!("{} cannot be written: {error}", path.display()));
    durable::directory(&unit.directory).map_err(|error| cannot(&unit.directory, &error))?;
    for (path, text) in texts(unit, sandbox)? {
        fs::write(&path, text).map_err(|error| cannot(&path, &error))?;
        ctx.output.note(&format!("wrote {}", path.display()));
    }
    systemctl(&["daemon-reload"])?;
    // One that somebody has started by hand would keep the service from starting.
    if ctx.daemon_runs() && property(unit, "ActiveState")? != "active" {
        daemon::end(ctx)?;
        ctx.output.note("the daemon that ran is now started by the service; sessions go on");
    }
    systemctl(&["enable", "--quiet", &unit.service(), &unit.socket()])?;
    // A socket cannot be bound for a service that runs already.
    systemctl(&["stop", &unit.service()])?;
    systemctl(&["start", &unit.socket()])?;
    systemctl(&["start", &unit.service()])?;
    linger(ctx);
    let left: Vec<String> = env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("AUTODEV_") && !PASSED_ON.contains(&name.as_str()))
        .collect();
    if !left.is_empty() {
        ctx.output
            .note(&format!("note: the service does not get {}: 'autodev config set' keeps settings", left.join(", ")));
    }
    said(ctx, unit, "installed")
}

/// Says what becomes of everything at the last logout.
fn linger(ctx: &Context) {
    if unit::lingers() == Some(false) {
        ctx.output.note("note: at your last logout systemd ends the service and all sessions with it;");
        ctx.output.note("      'loginctl enable-linger' lets them run on, and starts the service at boot");
    }
}

fn uninstall(ctx: &Context, unit: &Unit) -> Result<Status, Fault> {
    if !unit.service_file().exists() && !unit.socket_file().exists() {
        return Err(Fault::not_found(format!("there is no {}", unit.service_file().display())));
    }
    systemctl(&["disable", "--now", "--quiet", &unit.socket(), &unit.service()])?;
    for path in [unit.socket_file(), unit.service_file()] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Fault::internal(format!("{} cannot be removed: {error}", path.display())));
            }
            _ => ctx.output.note(&format!("removed {}", path.display())),
        }
    }
    systemctl(&["daemon-reload"])?;
    said(ctx, unit, "uninstalled")
}

fn said(ctx: &Context, unit: &Unit, what: &str) -> Result<Status, Fault> {
    if ctx.output.is_json() {
        ctx.output.json(&json!({ "unit": unit.service(), "done": what }))?;
    } else if !ctx.output.is_quiet() {
        ctx.output.line(&format!("{} is {what}", unit.service()))?;
    }
    Ok(Status::OK)
}

fn status(ctx: &Context, unit: &Unit) -> Result<Status, Fault> {
    let installed = unit.service_file().exists();
    let names = ["ActiveState", "SubState", "MainPID", "UnitFileState", "NRestarts", "StatusText"];
    let mut values = Vec::new();
    for name in names {
        values.push(property(unit, name)?);
    }
    let [active, sub, pid, enabled, restarts, text] = values.as_slice() else {
        return Err(Fault::internal("systemctl has not answered"));
    };
    let socket = systemctl(&["show", "--property", "ActiveState", "--value", &unit.socket()])?;
    let runs = active == "active";
    let out = &ctx.output;
    if out.is_json() {
        out.json(&json!({
            "unit": unit.service(),
            "installed": installed,
            "active": active,
            "sub": sub,
            "enabled": enabled == "enabled",
            "pid": pid.parse::<u32>().ok().filter(|pid| *pid > 0),
            "restarts": restarts.parse::<u32>().unwrap_or(0),
            "socket": socket,
            "lingers": unit::lingers(),
        }))?;
    } else if out.is_quiet() {
        out.line(active)?;
    } else {
        let lingers = match unit::lingers() {
            Some(true) => "yes: it runs on after the last logout",
            Some(false) => "no: at the last logout it ends, and all sessions; 'loginctl enable-linger'",
            None => "not known",
        };
        let is = if installed { "" } else { " (not installed: 'autodev service install')" };
        let mut lines = vec![
            ("unit", format!("{}{is}", unit.service())),
            ("state", format!("{active} ({sub})")),
            ("enabled", if enabled.is_empty() { "no".into() } else { enabled.clone() }),
            ("socket", socket),
            ("lingers", lingers.into()),
        ];
        if runs {
            lines.push(("pid", format!("{pid}, started again {restarts} times; {text}")));
        }
        out.text(&lines.into_iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect::<String>())?;
    }
    Ok(if runs { Status::OK } else { exit::UNREACHABLE })
}
