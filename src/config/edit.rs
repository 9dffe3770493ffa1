//! Changes one setting in the user's file and leaves everything else as it stands,
//! comments too.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, TableLike, Value};

use super::problem::{Place, Problem};
use super::{ConfigError, SETTINGS, Setting, load, setting};
use crate::durable;
use crate::paths::Paths;

/// Sets `key` to the value that `text` says and returns that value as TOML writes it. The
/// new file is checked before it takes the old one's place; when this returns it is
/// durable.
///
/// # Errors
/// No such setting, no such value, a file that would be wrong, or one that cannot be
/// written. Nothing is changed then.
pub fn set(paths: &Paths, key: &str, text: &str) -> Result<String, ConfigError> {
    let (setting, parts) = named(key)?;
    let value = setting.read(text).map_err(|what| typed(format!("{key}: {what}")))?;
    let value: Value = value.to_string().parse().map_err(|_| typed(format!("{key}: {text} cannot be written")))?;
    let shown = value.to_string();
    change(paths, |document| put(document, &parts, value))?;
    Ok(shown)
}

/// Takes `key` out of the user's file, so that its default counts again. Whether it was
/// there.
///
/// # Errors
/// As [`set`].
pub fn unset(paths: &Paths, key: &str) -> Result<bool, ConfigError> {
    let (_, parts) = named(key)?;
    if load::read(&paths.config_file())?.is_none() {
        return Ok(false);
    }
    change(paths, |document| {
        let (name, tables) = parts.split_last().ok_or_else(|| not_a_group(&parts))?;
        let mut table: &mut dyn TableLike = document.as_table_mut();
        for part in tables {
            match table.get_mut(part).map(Item::as_table_like_mut) {
                None => return Ok(false),
                Some(inner) => table = inner.ok_or_else(|| not_a_group(&parts))?,
            }
        }
        Ok(table.remove(name).is_some())
    })
}

/// Puts a text in the place of the user's whole file, once it is known to be good.
///
/// # Errors
/// All that is wrong with it, or that it cannot be written. Nothing is changed then.
pub fn write(paths: &Paths, text: &str) -> Result<(), ConfigError> {
    change(paths, |document| {
        *document = text.parse().map_err(|error: toml_edit::TomlError| {
            let message = error.message().trim().replace('\n', ", ");
            Problem::at(&paths.config_file(), text, error.span(), message)
        })?;
        Ok(())
    })
}

fn typed(message: String) -> Problem {
    Problem { message, place: Place::Typed, hint: None }
}

fn not_a_group(parts: &[&str]) -> Problem {
    typed(format!("'{}' cannot be changed: a part of its name is something else in the file", parts.join(".")))
}

/// The setting of this name, and the name in parts.
///
/// # Errors
/// There is none; with the name that was probably meant.
pub fn named(key: &str) -> Result<(&'static Setting, Vec<&str>), Problem> {
    let parts: Vec<&str> = key.split('.').collect();
    match setting::find(&parts) {
        Ok(Some(setting)) => Ok((setting, parts)),
        Ok(None) => {
            let below = SETTINGS.iter().map(|s| s.key).filter(|k| k.starts_with(parts[0]));
            Err(typed(format!("'{key}' is a group of settings"))
                .hint(Some(format!("it has {}", below.collect::<Vec<_>>().join(", ")))))
        }
        Err(unknown) => {
            let meant = unknown.nearest.map(|near| {
                let mut meant = parts.clone();
                meant[unknown.good] = &near;
                format!("did you mean '{}'?", meant.join("."))
            });
            let hint = meant.unwrap_or_else(|| "'autodev config show' lists all".into());
            Err(typed(format!("there is no setting '{key}'")).hint(Some(hint)))
        }
    }
}

fn put(document: &mut DocumentMut, parts: &[&str], mut value: Value) -> Result<(), Problem> {
    let (name, tables) = parts.split_last().ok_or_else(|| not_a_group(parts))?;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for part in tables {
        let inner = table.entry(part).or_insert_with(|| {
            let mut fresh = toml_edit::Table::new();
            // No empty [providers] above a [providers.claude].
            fresh.set_implicit(true);
            Item::Table(fresh)
        });
        table = inner.as_table_like_mut().ok_or_else(|| not_a_group(parts))?;
    }
    match table.get_mut(name).and_then(Item::as_value_mut) {
        Some(old) => {
            // The comment behind the value is part of its decoration.
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(name, Item::Value(value));
        }
    }
    Ok(())
}

/// Reads, changes, checks and replaces the file. Two commands at once do it one after
/// the other.
fn change<T>(paths: &Paths, edit: impl FnOnce(&mut DocumentMut) -> Result<T, Problem>) -> Result<T, ConfigError> {
    let file = paths.config_file();
    let cannot = |error: io::Error| Problem::of_file(&file, format!("cannot be written: {error}"));
    durable::directory(&paths.config).map_err(cannot)?;
    let directory = File::open(&paths.config).map_err(cannot)?;
    directory.lock().map_err(cannot)?;

    let text = load::read(&file)?.unwrap_or_default();
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        Problem::at(&file, &text, error.span(), error.message().trim().replace('\n', ", "))
    })?;
    let done = edit(&mut document)?;
    let changed = document.to_string();
    if changed != text {
        load::check(&file, &changed)?;
        // A link stays a link: dotfiles are often kept elsewhere.
        let target = file.canonicalize().unwrap_or_else(|_| file.clone());
        replace(&target, changed.as_bytes()).map_err(cannot)?;
    }
    Ok(done)
}

/// Puts a new content in the file's place, whole or not at all.
fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let directory = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mode = fs::metadata(file).map_or(0o600, |found| found.permissions().mode() & 0o777);
    let fresh = temporary(file);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&fresh)
        .and_then(|mut open| {
            open.set_permissions(Permissions::from_mode(mode))?;
            open.write_all(content)?;
            open.sync_all()
        })
        .and_then(|()| fs::rename(&fresh, file))
        .and_then(|()| File::open(directory)?.sync_all());
    if written.is_err() {
        // Gone already when only the last step failed.
        drop(fs::remove_file(&fresh));
    }
    written
}

/// Nobody else writes a file of this name: it has our process in it and is made anew.
fn temporary(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    PathBuf::from(name)
}
