//! `autodev open`: starts a session without a task.

use std::path::{Path, PathBuf};

use super::attach::{self, Way};
use super::output::window_size;
use super::{Context, Status, complete, environment, task};
use crate::client::unexpected;
use crate::id::SessionName;
use crate::protocol::request::Open;
use crate::protocol::view::SessionView;
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev open`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// What to run: claude, codex, gemini, ... (see 'autodev providers'); without it or a
    /// command, your shell
    #[arg(value_name = "PROVIDER", add = complete::providers())]
    provider: Option<String>,
    /// A command to run instead
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Do not show it in this terminal
    #[arg(short, long)]
    detach: bool,
    /// A name for it; without one it is called claude-1, claude-2, ...
    #[arg(long, value_name = "NAME")]
    name: Option<SessionName>,
    /// The model to ask the provider for
    #[arg(short, long, value_name = "NAME", requires = "provider", conflicts_with = "command")]
    model: Option<String>,
    /// Switch off the tool's own sandbox and questions
    #[arg(long, requires = "provider", conflicts_with = "command")]
    full_access: bool,
    /// Set a variable for the program: TERM=vt100; NAME alone takes it from here; can be
    /// repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Run in this directory instead of the current one
    #[arg(short = 'C', long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

const EXAMPLES: &str = "\
The session runs on when you detach (C-b d), log out, or the daemon is restarted. What runs in
it gives no orders to autodev, your shell neither: for that use another terminal.

Examples:
  autodev open claude
  autodev open codex --name review --detach
  autodev open -- htop";

/// Runs the verb.
///
/// # Errors
/// `Usage` for what makes no sense, and what the daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    if args.provider.is_some() && !args.command.is_empty() {
        return Err(Fault::usage("a session runs a provider or a command, not both"));
    }
    let detached = args.detach || ctx.output.is_json() || ctx.output.is_quiet() || !attach::has_terminal();
    let view = open(ctx, args)?;
    if ctx.output.is_json() {
        ctx.output.json(&view)?;
    } else if ctx.output.is_quiet() {
        ctx.output.line(view.name.as_str())?;
    } else {
        ctx.output.line(&format!("opened session {}", view.name))?;
    }
    if detached { Ok(Status::OK) } else { attach::to(ctx, view.name, Way::default()) }
}

fn open(ctx: &Context, args: Args) -> Result<Box<SessionView>, Fault> {
    let config = ctx.config()?;
    let environment = environment::choose(&config.environment.allow, &args.env, std::env::vars_os())?;
    let dir = task::directory(args.dir.as_deref().unwrap_or(Path::new(".")))?;
    let command = match (&args.provider, args.command.is_empty()) {
        (None, true) => vec![std::env::var("SHELL").ok().filter(|shell| !shell.is_empty()).unwrap_or("sh".into())],
        _ => args.command,
    };
    let request = Open {
        provider: args.provider,
        command,
        name: args.name,
        model: args.model,
        dir: dir.display().to_string(),
        full_access: args.full_access,
        environment: environment.into_iter().collect(),
        size: window_size(),
    };
    match ctx.client()?.call(&Request::Open(Box::new(request)))? {
        Reply::Session(view) => Ok(view),
        other => Err(unexpected(&other)),
    }
}
