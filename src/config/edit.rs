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
        let line = parts.last().map(|name| format!("{name} = {shown}")).unwrap_or_default();
        // Where the file explains it, there it is looked for.
        if let Some(place) = explained(text, &parts) {
            let mut text = text.to_owned();
            text.replace_range(place, &line);
            return Ok(text);
        }
        if let Some(text) = with_new_group(text, &parts, &line) {
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
    let text = load::read(&paths.config_file())?;
    // One that is no setting can be taken out where it stands.
    let typed: Vec<&str> = key.split('.').collect();
    let parts = match named(key) {
        Ok((_, parts)) => parts,
        Err(_) if text.as_deref().is_some_and(|text| lines_of(text, &typed).is_some()) => typed,
        Err(unknown) => return Err(unknown.into()),
    };
    if text.is_none() {
        return Ok(false);
    }
    let mut was_there = false;
    change(paths, |text| {
        // Its line goes; what is said about it, and what follows, stays.
        if let Some(lines) = lines_of(text, &parts) {
            was_there = true;
            let example = example_at(text, lines.start, &parts);
            let text = [&text[..lines.start], &example, &text[lines.end..]].concat();
            return Ok(without_empty_group(text, &parts));
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
        Problem::at(&paths.config_file(), text, error.span(), message).discreet()
    })
}

/// The line by which the file with all settings shows one, and the line above it.
fn shown_as(parts: &[&str]) -> Option<(String, String)> {
    let (name, group) = parts.split_last()?;
    let template = super::template();
    let header = format!("[{}]", group.join("."));
    let (mut within, mut above) = (false, "");
    for line in template.lines() {
        if line.starts_with('[') {
            within = line == header;
        }
        let example = line.strip_prefix("# ").and_then(|rest| rest.strip_prefix(name));
        if within && example.is_some_and(|rest| rest.starts_with(" = ")) {
            return Some((line.to_owned(), above.to_owned()));
        }
        above = line;
    }
    None
}

/// Where a setting stands as an example in its own group, word for word as in the file with
/// all settings: what somebody has written as a comment is theirs. Without the end of its
/// line; `None` also where it is set.
fn explained(text: &str, parts: &[&str]) -> Option<Range<usize>> {
    let (example, _) = shown_as(parts)?;
    if lines_of(text, parts).is_some() {
        return None;
    }
    let header = format!("[{}]", parts.split_last()?.1.join("."));
    let (mut at, mut within) = (0, false);
    for line in text.split_inclusive('\n') {
        let plain = line.trim_end_matches(['\n', '\r']);
        if plain.starts_with('[') {
            within = plain == header;
        }
        if within && plain == example {
            return Some(at..at + plain.len());
        }
        at += line.len();
    }
    None
}

/// The example that belongs where a setting's line is taken out, with the end of its line;
/// nothing where the line above does not explain it.
fn example_at(text: &str, at: usize, parts: &[&str]) -> String {
    let before = text[..at].trim_end_matches(['\n', '\r']).lines().last().unwrap_or_default();
    match shown_as(parts) {
        Some((example, above)) if !above.is_empty() && above == before => format!("{example}\n"),
        _ => String::new(),
    }
}

/// The text with a group of its own for this line at its end; `None` where there is such a
/// group, or none can be made.
fn with_new_group(text: &str, parts: &[&str], line: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let (_, group) = parts.split_last()?;
    let mut table: &dyn TableLike = document.as_table();
    let is_there = group.iter().all(|part| match table.get(part).and_then(Item::as_table_like) {
        Some(inner) => {
            table = inner;
            true
        }
        None => false,
    });
    if is_there {
        return None;
    }
    let gap = match text {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let made = format!("{text}{gap}[{}]\n{line}\n", group.join("."));
    // Its beginning may stand there in another form.
    Document::parse(made.as_str()).ok()?;
    Some(made)
}

/// The text without the header of a setting's group, if nothing stands in that any more and
/// it is none that everybody has.
fn without_empty_group(text: String, parts: &[&str]) -> String {
    let Some((_, group)) = parts.split_last() else { return text };
    let header = format!("[{}]\n", group.join("."));
    if super::template().lines().any(|line| line == header.trim_end()) {
        return text;
    }
    let starts = text.match_indices(header.as_str()).map(|(at, _)| at);
    let Some(start) = starts.into_iter().find(|at| *at == 0 || text[..*at].ends_with('\n')) else { return text };
    let rest = text[start + header.len()..].trim_start();
    if rest.is_empty() || rest.starts_with('[') {
        let before = text[..start].trim_end_matches('\n');
        let gap = if before.is_empty() { "" } else { "\n" };
        let gap = if rest.is_empty() { gap.to_owned() } else { gap.repeat(2) };
        return format!("{before}{gap}{rest}");
    }
    text
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
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for part in tables {
        let inner = table.entry(part).or_insert_with(|| Item::Table(toml_edit::Table::new()));
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
