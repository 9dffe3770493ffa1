//! `autodev providers`: the agents autodev can run, and which are installed.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};

use super::table::{Cell, Column, Table};
use super::{Context, Status};
use crate::protocol::Fault;
use crate::protocol::view::ProviderView;
use crate::provider::Registry;

/// Arguments of `autodev providers`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {}

const EXAMPLES: &str = "\
Programs are looked for on your PATH, as a task submitted from this shell would find
them. A file NAME.toml in the directory providers/ beside the settings ('autodev config
path') changes a provider or adds one.

Examples:
  Which agents are here?
    autodev providers
  The version of one:
    autodev providers --json | jq -r '.[] | select(.name == \"claude\").version'";

/// Runs the verb. Needs no daemon: what counts is this shell's environment.
///
/// # Errors
/// When it cannot be written.
pub fn run(ctx: &Context, _args: Args) -> Result<Status, Fault> {
    // Wrong settings are no reason not to say what is installed.
    let settings = ctx.config().map(|config| config.providers).unwrap_or_else(|fault| {
        ctx.output.note(&format!("warning: {}", fault.message));
        BTreeMap::new()
    });
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let registry = Registry::load(&ctx.paths);
    if ctx.output.is_quiet() {
        let names: Vec<&str> = registry.names().collect();
        ctx.output.line(&names.join("\n"))?;
        return Ok(Status::OK);
    }
    let views = registry.views(&environment, &settings);
    if ctx.output.is_json() {
        ctx.output.json(&views)?;
    } else {
        ctx.output.text(&table(&views).render(&ctx.output))?;
    }
    for problem in registry.problems() {
        ctx.output.note(&format!("warning: {problem}"));
    }
    Ok(Status::OK)
}

fn table(views: &[ProviderView]) -> Table {
    let mut table = Table::new(&[
        Column::new("PROVIDER"),
        Column::new("INSTALLED"),
        Column::new("VERSION"),
        Column::new("PATH").gives_way().optional(),
        Column::new("INSTALL WITH").gives_way().optional(),
    ]);
    for view in views {
        let style = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        let installed = match (&view.problem, view.installed) {
            (Some(_), _) => Cell::styled("broken", style(AnsiColor::Red)),
            (None, true) => Cell::styled("yes", style(AnsiColor::Green)),
            (None, false) => Cell::styled("no", style(AnsiColor::BrightBlack)),
        };
        let install = view.install.as_deref().filter(|_| !view.installed);
        table.row(vec![
            view.name.as_str().into(),
            installed,
            view.version.as_deref().unwrap_or("-").into(),
            view.path.as_deref().unwrap_or_default().into(),
            install.unwrap_or_default().into(),
        ]);
    }
    table
}
