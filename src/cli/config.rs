//! `autodev config`: shows, checks and changes settings.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Subcommand;
use clap_complete::CompletionCandidate;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;
use serde_json::json;

use super::editor::Draft;
use super::table::{Column, Table};
use super::{Context, Status, confirm, inside};
use crate::client::{Client, Start, unexpected};
use crate::config::problem::{Place, Problem};
use crate::config::{self, Config, ConfigError, Loaded, Origin, SETTINGS, Setting};
use crate::paths::Paths;
use crate::protocol::reply::Reloaded;
use crate::protocol::{Fault, Reply, Request};
use crate::provider::Registry;

/// Arguments of `autodev config`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
A setting is, in this order, what its variable says (queue.slots is AUTODEV_QUEUE_SLOTS),
what the project's file says, what the user's file says, or its default. A project's file,
.autodev/config.toml in its repository, sets [submit] only: what its tasks are when they do
not say.

Examples:
  Run six attempts at once, from now on:
    autodev config set queue.slots 6
  One attempt of Claude at a time:
    autodev config set providers.claude.slots 1
  Where does each setting come from?
    autodev config show --origin";

#[derive(Debug, Subcommand)]
enum What {
    /// List all settings and their values
    Show {
        /// Also say where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Print one setting's value
    Get {
        /// The setting's name, such as queue.slots
        #[arg(value_name = "KEY", add = keys())]
        key: String,
    },
    /// Change a setting in the user's file; a running daemon takes it up at once
    Set {
        /// The setting's name, such as queue.slots
        #[arg(value_name = "KEY", add = keys())]
        key: String,
        /// Its value; a list as NAME,NAME
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Take a setting out of the user's file, so that its default counts again
    Unset {
        /// The setting's name, such as queue.slots
        #[arg(value_name = "KEY", add = keys())]
        key: String,
    },
    /// Open the user's file in your editor; what is wrong is told before it counts
    Edit,
    /// Print the path of the user's file
    Path,
    /// Print a JSON Schema of the file, for editors that complete and check
    Schema,
    /// Say what is wrong with the settings and the provider tables, if anything
    Check,
}

/// The daemon says within this what it finds wrong, or is not waited for.
const DAEMON_LIMIT: Duration = Duration::from_secs(2);

/// Names of settings for shell completion.
fn keys() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let registry = Paths::from_env().ok().map(|paths| Registry::load(&paths));
        let providers: Vec<&str> = registry.iter().flat_map(Registry::names).collect();
        let named = |setting: &Setting| match setting.key.contains('*') {
            true => providers.iter().map(|provider| setting.key.replace('*', provider)).collect(),
            false => vec![setting.key.to_owned()],
        };
        SETTINGS.iter().flat_map(named).map(CompletionCandidate::new).collect()
    })
}

/// Runs the verb.
///
/// # Errors
/// No such setting, no such value, a file that cannot be read or written, or what the
/// daemon refuses.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    if matches!(args.what, What::Set { .. } | What::Unset { .. } | What::Edit) {
        inside::only_people(ctx, "config", &Request::Reload)?;
    }
    match args.what {
        What::Show { origin } => show(ctx, origin),
        What::Get { key } => get(ctx, &key),
        What::Set { key, value } => {
            let value = config::set(&ctx.paths, &key, &value).map_err(refused)?;
            changed(ctx, &key, Some(&value))
        }
        What::Unset { key } => match config::unset(&ctx.paths, &key).map_err(refused)? {
            true => changed(ctx, &key, None),
            false => Err(Fault::not_found(format!("{} does not set '{key}'", ctx.paths.config_file().display()))),
        },
        What::Path => {
            let path = ctx.paths.config_file().display().to_string();
            if ctx.output.is_json() {
                ctx.output.json(&json!({ "path": path }))?
            } else {
                ctx.output.line(&path)?
            }
            Ok(Status::OK)
        }
        What::Edit => edit(ctx),
        What::Schema => ctx.output.json(&config::schema()).map(|()| Status::OK),
        What::Check => check(ctx),
    }
}

/// Has the user write the file anew, until it is right or they give up.
fn edit(ctx: &Context) -> Result<Status, Fault> {
    let file = ctx.paths.config_file();
    let before = config::text(&ctx.paths).map_err(refused)?;
    let template = before.clone().unwrap_or_else(config::template);
    let mut text = template.clone();
    loop {
        let draft = Draft::write_as(&text, "toml")?;
        if draft.text == template {
            draft.remove();
            ctx.output.note("nothing was changed");
            return Ok(Status::OK);
        }
        let wrong = match config::write(&ctx.paths, before.as_deref(), &draft.text) {
            Ok(()) => {
                draft.remove();
                return reloaded(ctx, &file);
            }
            Err(wrong) => refused(wrong),
        };
        // What somebody else has done meanwhile is not undone by another try.
        let is_mine = config::text(&ctx.paths).is_ok_and(|now| now == before);
        if !is_mine || !confirm::can_ask() {
            return Err(draft.keep(wrong));
        }
        ctx.output.note(&wrong.message);
        if !confirm::yes("edit it again?")? {
            return Err(draft.keep(wrong));
        }
        text.clone_from(&draft.text);
        draft.remove();
    }
}

/// Tells a daemon that runs of the new file, and the person what it cannot take up.
fn reloaded(ctx: &Context, file: &Path) -> Result<Status, Fault> {
    let Reloaded { restart_needed, .. } = reload(ctx)?;
    for key in &restart_needed {
        ctx.output.note(&format!("note: {key} takes effect after 'autodev daemon restart'; agents go on meanwhile"));
    }
    if ctx.output.is_json() {
        ctx.output.json(&json!({ "path": file, "restart_needed": restart_needed }))?;
    } else if !ctx.output.is_quiet() {
        ctx.output.line(&format!("changed {}", file.display()))?;
    }
    Ok(Status::OK)
}

/// Has a daemon that runs read the settings again; what it says of them. None is started for
/// it.
pub(super) fn reload(ctx: &Context) -> Result<Reloaded, Fault> {
    if !ctx.daemon_runs() {
        return Ok(Reloaded::default());
    }
    let told = Client::connect(&ctx.paths, Start::Never).and_then(|mut client| client.call(&Request::Reload));
    match told {
        Ok(Reply::Reloaded(reloaded)) => Ok(reloaded),
        Ok(other) => Err(unexpected(&other)),
        Err(fault) => {
            let message = format!("the daemon did not take the settings up: {}", fault.message);
            Err(Fault { message, ..fault })
        }
    }
}

fn load(ctx: &Context) -> Result<Loaded, Fault> {
    config::load_in(&ctx.paths, Path::new(".")).map_err(|error| {
        let of_variable = |problem: &Problem| matches!(problem.place, Place::Variable(_));
        let hint = match error.problems.iter().all(of_variable) {
            true => "unset the variable, or give it another value",
            false => "'autodev config path' says which file to edit",
        };
        Fault::usage(format!("the settings are wrong: {error}")).hint(hint)
    })
}

/// What was typed, and is wrong, as one sentence and a hint.
fn refused(error: ConfigError) -> Fault {
    match error.problems.as_slice() {
        [Problem { message, place: Place::Typed, hint }] => Fault { hint: hint.clone(), ..Fault::usage(message) },
        _ => Fault::usage(error.to_string()),
    }
}

#[derive(Serialize)]
struct Row<'a> {
    key: &'a str,
    value: &'a toml::Value,
    origin: String,
}

fn show(ctx: &Context, with_origin: bool) -> Result<Status, Fault> {
    let loaded = load(ctx)?;
    let values = loaded.config.values();
    let rows: Vec<Row<'_>> =
        values.iter().map(|(key, value)| Row { key, value, origin: loaded.origin(key).to_string() }).collect();
    if ctx.output.is_json() {
        ctx.output.json(&rows)?;
        return Ok(Status::OK);
    }
    if ctx.output.is_quiet() {
        ctx.output.text(&rows.iter().map(|row| format!("{}\n", row.key)).collect::<String>())?;
        return Ok(Status::OK);
    }
    let mut columns = vec![Column::new("SETTING"), Column::new("VALUE")];
    if with_origin {
        columns.push(Column::new("FROM"));
    }
    let mut table = Table::new(&columns);
    for row in rows {
        let mut cells = vec![row.key.into(), row.value.into()];
        if with_origin {
            cells.push(row.origin.into());
        }
        table.row(cells);
    }
    ctx.output.text(&table.render(&ctx.output))?;
    Ok(Status::OK)
}

fn get(ctx: &Context, key: &str) -> Result<Status, Fault> {
    config::named(key).map_err(|problem| refused(problem.into()))?;
    let values = load(ctx)?.config.values();
    let value = values.get(key).ok_or_else(|| {
        Fault::not_found(format!("'{key}' is not set")).hint(own_table(&Registry::load(&ctx.paths), key))
    })?;
    if ctx.output.is_json() {
        ctx.output.json(value)?;
    } else {
        // For scripts: a text without quotes, a list as `set` takes it.
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Array(list) => list.iter().filter_map(|v| v.as_str()).collect::<Vec<_>>().join(","),
            value => value.to_string(),
        };
        ctx.output.line(&text)?;
    }
    Ok(Status::OK)
}

/// What counts where a provider's limit is not set.
fn own_table(registry: &Registry, key: &str) -> String {
    let (slots, per_directory) = registry.limits(&BTreeMap::new());
    let limit = match key.strip_prefix("providers.").and_then(|rest| rest.rsplit_once('.')) {
        Some((provider, "slots")) => slots.get(provider),
        Some((provider, "per_directory")) => per_directory.get(provider),
        _ => None,
    };
    match limit {
        Some(Some(limit)) => format!("the provider's own table counts, and says {limit}"),
        Some(None) => "the provider's own table counts, and says that there is no limit".to_owned(),
        None => "there is no such provider: 'autodev providers' lists them".to_owned(),
    }
}

/// Warns of settings that name a provider which does not exist, of those that `meant`
/// picks. They are no error: its table may come later.
fn warn_of_unknown_providers(ctx: &Context, config: &Config, meant: impl Fn(&str) -> bool) {
    let registry = Registry::load(&ctx.paths);
    let limits = config.providers.keys().map(|name| (format!("providers.{name}"), name.as_str()));
    let submit = ("submit.provider".to_owned(), config.submit.provider.as_str());
    for (setting, name) in limits.chain([submit]) {
        if !name.is_empty() && meant(&setting) && registry.get(name).is_none() {
            let near = registry.nearest(name).map(|name| format!(": did you mean '{name}'?")).unwrap_or_default();
            ctx.output.note(&format!("warning: {setting} is set, but there is no provider '{name}'{near}"));
        }
    }
}

/// Tells the person and a daemon that runs. None is started for it.
fn changed(ctx: &Context, key: &str, value: Option<&str>) -> Result<Status, Fault> {
    let Reloaded { restart_needed: restart, overridden } = reload(ctx)?;
    let of_commands = config::named(key).is_ok_and(|(setting, _)| setting.is_of_commands());
    if let Some((_, name)) = overridden.iter().find(|(overridden, _)| overridden == key && !of_commands) {
        ctx.output.note(&format!("note: the daemon was started with {name}, which wins until it is started without"));
    }
    if let Ok(loaded) = config::load(&ctx.paths) {
        // A daemon that is started from here would have it.
        if let Origin::Variable(name) = loaded.origin(key)
            && (of_commands || !ctx.daemon_runs())
        {
            ctx.output.note(&format!("note: {name} is set in this shell, and wins"));
        }
        let here = config::load_in(&ctx.paths, Path::new("."));
        if let Ok(here) = &here
            && let Origin::File { path, .. } = here.origin(key)
            && *path != ctx.paths.config_file()
        {
            ctx.output.note(&format!("note: in this directory {} says something else", path.display()));
        }
        if value.is_some() {
            warn_of_unknown_providers(ctx, &loaded.config, |setting| {
                key.strip_prefix(setting).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
        }
    }
    if restart.iter().any(|name| name == key) {
        ctx.output.note("note: takes effect after 'autodev daemon restart'; agents go on meanwhile");
    }
    if ctx.output.is_json() {
        let value = value.and_then(|value| toml::from_str::<toml::Table>(&format!("value = {value}")).ok());
        let value = value.and_then(|mut table| table.remove("value"));
        ctx.output.json(&json!({ "key": key, "value": value, "restart_needed": !restart.is_empty() }))?;
    } else if !ctx.output.is_quiet() {
        match value {
            Some(value) => ctx.output.line(&format!("{key} = {value}"))?,
            None if config::named(key).is_ok() => ctx.output.line(&format!("{key} has its default again"))?,
            None => ctx.output.line(&format!("{key}, which is no setting, is taken out"))?,
        }
    }
    Ok(Status::OK)
}

fn check(ctx: &Context) -> Result<Status, Fault> {
    let mut problems = match config::load_in(&ctx.paths, Path::new(".")) {
        Ok(loaded) => {
            warn_of_unknown_providers(ctx, &loaded.config, |_| true);
            Vec::new()
        }
        Err(error) => error.problems.iter().map(ToString::to_string).collect(),
    };
    problems.extend(Registry::load(&ctx.paths).problems());
    if problems.is_empty() {
        // It may have been started with a variable that is not set here.
        problems.extend(of_daemon(ctx));
    }
    if ctx.output.is_json() {
        ctx.output.json(&json!({ "ok": problems.is_empty(), "problems": problems }))?;
    } else if problems.is_empty() {
        ctx.output.line("nothing is wrong")?;
    } else {
        ctx.output.line(&problems.join("\n\n"))?;
    }
    Ok(if problems.is_empty() { Status::OK } else { Status(1) })
}

/// What a daemon that runs finds wrong. None is started for it, and one that does not say is
/// no news about the files.
fn of_daemon(ctx: &Context) -> Option<String> {
    let mut client = Client::connect_quickly(&ctx.paths, DAEMON_LIMIT)?;
    let problem = match client.call_within(&Request::Status, Some(DAEMON_LIMIT)) {
        Ok(Reply::Status(status)) => status.config_error?,
        _ => return None,
    };
    let hint = "'autodev daemon reload' reads the files again; a variable is the daemon's until 'autodev daemon stop'";
    Some(format!("the daemon that runs: {problem}\n{hint}"))
}
