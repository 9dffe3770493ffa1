//! Changes one setting in the user's file and leaves everything else as it stands,
//! comments too.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use toml_edit::{Document, DocumentMut, Item, TableLike, Value};

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
    change(paths, |text| {
        // Where the file explains it, there it is looked for.
        if let Some(line) = commented(text, &parts) {
            let name = parts.last().copied().unwrap_or_default();
            let mut text = text.to_owned();
            text.replace_range(line, &format!("{name} = {shown}"));
            return Ok(text);
        }
        let mut document = parse(paths, text)?;
        put(&mut document, &parts, value)?;
        Ok(document.to_string())
    })?;
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
    let mut was_there = false;
    change(paths, |text| {
        // Its line goes; what is said about it, and what follows, stays.
        if let Some(lines) = lines_of(text, &parts) {
            was_there = true;
            return Ok([&text[..lines.start], &text[lines.end..]].concat());
        }
        let mut document = parse(paths, text)?;
        let (name, tables) = parts.split_last().ok_or_else(|| not_a_group(&parts))?;
        let mut table: &mut dyn TableLike = document.as_table_mut();
        for part in tables {
            match table.get_mut(part).map(Item::as_table_like_mut) {
                None => return Ok(text.to_owned()),
                Some(inner) => table = inner.ok_or_else(|| not_a_group(&parts))?,
            }
        }
        was_there = table.remove(name).is_some();
        Ok(document.to_string())
    })?;
    Ok(was_there)
}

/// Puts a text in the place of the user's whole file, once it is known to be good and the
/// file is still what it was `before`.
///
/// # Errors
/// All that is wrong with it, that somebody else has changed the file meanwhile, or that it
/// cannot be written. Nothing is changed then.
pub fn write(paths: &Paths, before: Option<&str>, text: &str) -> Result<(), ConfigError> {
    change(paths, |now| {
        if before.unwrap_or_default() != now {
            let message = "was changed meanwhile by somebody else: nothing is written over it";
            return Err(Problem::of_file(&paths.config_file(), message));
        }
        Ok(text.to_owned())
    })
}

/// The text as a document that can be changed.
fn parse(paths: &Paths, text: &str) -> Result<DocumentMut, Problem> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let message = error.message().trim().replace('\n', ", ");
        Problem::at(&paths.config_file(), text, error.span(), message).discreet(text)
    })
}

/// Where a setting stands as an example, behind a mark of a comment, in its own group:
/// `# slots = 4`. Without the end of its line; `None` also where it is set.
fn commented(text: &str, parts: &[&str]) -> Option<Range<usize>> {
    let (name, group) = parts.split_last()?;
    if lines_of(text, parts).is_some() {
        return None;
    }
    let header = format!("[{}]", group.join("."));
    let (mut at, mut within) = (0, false);
    for line in text.split_inclusive('\n') {
        let plain = line.trim();
        if plain.starts_with('[') {
            within = plain == header;
        }
        let example = plain.strip_prefix('#').map(str::trim_start).and_then(|rest| rest.strip_prefix(name));
        if within && example.is_some_and(|rest| rest.trim_start().starts_with('=')) {
            return Some(at..at + line.trim_end_matches(['\n', '\r']).len());
        }
        at += line.len();
    }
    None
}

/// The lines that a setting takes, where nothing else stands on them but a comment.
fn lines_of(text: &str, parts: &[&str]) -> Option<Range<usize>> {
    let document = Document::parse(text).ok()?;
    let (name, group) = parts.split_last()?;
    let mut table: &dyn TableLike = document.as_table();
    for part in group {
        table = table.get(part)?.as_table()?;
    }
    let (key, item) = table.get_key_value(name)?;
    let (key, value) = (key.span()?, item.span()?);
    let start = text[..key.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[value.end..].find('\n').map_or(text.len(), |at| value.end + at + 1);
    let rest = text[value.end..end].trim();
    let alone = text[start..key.start].trim().is_empty() && (rest.is_empty() || rest.starts_with('#'));
    alone.then_some(start..end)
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
    // What stands behind everything else stays with the group before it.
    let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
    let (mut is_new, is_empty) = (false, document.to_string().is_empty());
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for (depth, part) in tables.iter().enumerate() {
        let inner = table.entry(part).or_insert_with(|| {
            let mut fresh = toml_edit::Table::new();
            // No empty [providers] above a [providers.claude].
            fresh.set_implicit(true);
            if depth + 1 == tables.len() {
                is_new = true;
                let above = if is_empty { String::new() } else { format!("{trailing}\n") };
                fresh.decor_mut().set_prefix(above);
            }
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
    if is_new {
        document.set_trailing("");
    }
    Ok(())
}

/// Reads, changes, checks and replaces the file. Two commands at once do it one after
/// the other.
fn change(paths: &Paths, edit: impl FnOnce(&str) -> Result<String, Problem>) -> Result<(), ConfigError> {
    let file = paths.config_file();
    let cannot = |error: io::Error| Problem::of_file(&file, format!("cannot be written: {error}"));
    durable::directory(&paths.config).map_err(cannot)?;
    let directory = File::open(&paths.config).map_err(cannot)?;
    directory.lock().map_err(cannot)?;

    let text = load::read(&file)?.unwrap_or_default();
    let changed = edit(&text)?;
    if changed != text {
        load::check(&file, &changed)?;
        // A link stays a link: dotfiles are often kept elsewhere.
        let target = match file.canonicalize() {
            Ok(target) => target,
            Err(_) if file.is_symlink() => {
                return Err(Problem::of_file(&file, "is a link to a file that is not there").into());
            }
            Err(_) => file.clone(),
        };
        replace(&target, changed.as_bytes()).map_err(cannot)?;
    }
    Ok(())
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
