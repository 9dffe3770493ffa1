//! The list of settings: names, what values they take, in which range.

use std::time::Duration;

use serde_json::json;
use toml::Value;

use super::address::{MetricsAddress, RedisAddress};
use super::problem::nearest;
use crate::clock::Span;
use crate::reference::Reference;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name, `queue.slots`. A `*` stands for the name of a provider.
    pub key: &'static str,
    /// Changing it takes effect when the daemon is started again; others at once.
    pub restart: bool,
    kind: Kind,
}

/// What values a setting takes.
#[derive(Debug)]
enum Kind {
    /// A whole number, from and to.
    Number(u64, u64),
    /// The same, and 0 for none.
    NumberOrNone(u64, u64),
    /// A number of bytes, from and to; may be written `8 MiB`.
    Bytes(u64, u64),
    /// The same, and 0 for none.
    BytesOrNone(u64, u64),
    /// Yes or no.
    Switch,
    /// A length of time.
    Length,
    /// One of at least so many seconds, and 0 for none.
    LengthOrNone(u64),
    /// A list of names of variables, `*` at the end for anything.
    Variables,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A text, and what is wrong with one.
    Text(fn(&str) -> Result<(), String>),
    /// The same for one that may hold a secret by mistake: what it says is never shown.
    Veiled(fn(&str) -> Result<(), String>),
}

/// How a number of bytes may be written, for editors.
const BYTES: &str = "^[0-9]+ *([KMGkmg](i?[Bb])?|[Bb])?$";

/// What may become of a task that is interrupted.
pub const ON_INTERRUPT: [&str; 4] = ["resume", "requeue", "hold", "fail"];

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// All settings, by name.
pub const SETTINGS: [Setting; 35] = [
    now("agents.allow_submit", Kind::Switch),
    now("attach.history_bytes", Kind::Bytes(64 * KIB, GIB)),
    now("attach.history_lines", Kind::Number(0, 100_000)),
    now("attach.prefix", Kind::Text(check_key)),
    now("backup.interval", Kind::LengthOrNone(1)),
    now("backup.max_bytes", Kind::Bytes(MIB, 1024 * GIB)),
    now("daemon.auto_restart", Kind::Switch),
    later("daemon.connections", Kind::Number(4, 10_000)),
    now("daemon.disk_reserve", Kind::Bytes(0, 64 * 1024 * GIB)),
    later("daemon.log", Kind::Text(check_filter)),
    later("daemon.log_json", Kind::Switch),
    now("environment.allow", Kind::Variables),
    now("metrics.listen", Kind::Text(check_listen)),
    now("providers.*.per_directory", Kind::Number(0, 1_000)),
    now("providers.*.slots", Kind::Number(0, 1_000)),
    now("queue.slots", Kind::Number(1, 1_000)),
    now("recording.max_bytes", Kind::Bytes(128 * KIB, 1024 * GIB)),
    now("recording.segment_bytes", Kind::Bytes(64 * KIB, GIB)),
    now("redis.password", Kind::Veiled(check_reference)),
    now("redis.prefix", Kind::Text(check_prefix)),
    now("redis.titles", Kind::Switch),
    now("redis.tls", Kind::Switch),
    now("redis.tls_ca", Kind::Text(check_file)),
    now("redis.tls_cert", Kind::Text(check_file)),
    now("redis.tls_key", Kind::Text(check_file)),
    now("redis.url", Kind::Veiled(check_url)),
    now("redis.user", Kind::Text(check_user)),
    now("scope.cpu_percent", Kind::Number(0, 100_000)),
    now("scope.enabled", Kind::Switch),
    now("scope.memory_max", Kind::BytesOrNone(16 * MIB, 64 * 1024 * GIB)),
    now("scope.processes", Kind::NumberOrNone(8, 1_000_000)),
    now("submit.on_interrupt", Kind::OneOf(&ON_INTERRUPT)),
    now("submit.provider", Kind::Text(check_provider)),
    now("submit.retries", Kind::Number(0, 100)),
    now("submit.timeout", Kind::Length),
];

const fn now(key: &'static str, kind: Kind) -> Setting {
    Setting { key, restart: false, kind }
}

const fn later(key: &'static str, kind: Kind) -> Setting {
    Setting { key, restart: true, kind }
}

/// Longest name of a provider: session names are made of it.
const MAX_PROVIDER_NAME: usize = 32;
/// What is wrong with a provider's name that is none.
pub const BAD_PROVIDER_NAME: &str =
    "a provider's name has 1 to 32 lower-case letters, digits, '-' or '_', and begins with a letter or digit";

/// Whether a text can be the name of a provider.
pub fn is_provider_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=MAX_PROVIDER_NAME).contains(&name.len())
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|b| plain(b) || b == b'-' || b == b'_')
}

/// A name that is no setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// How many of its parts are right.
    pub good: usize,
    /// What the first wrong part may have been meant to be.
    pub nearest: Option<String>,
}

/// The setting of this name, given in parts; `None` for a name that settings lie below.
pub(super) fn find(parts: &[&str]) -> Result<Option<&'static Setting>, Unknown> {
    let mut open: Vec<(&Setting, Vec<&str>)> =
        SETTINGS.iter().map(|setting| (setting, setting.key.split('.').collect())).collect();
    for (at, part) in parts.iter().enumerate() {
        let known: Vec<&str> = open.iter().filter_map(|(_, names)| names.get(at).copied()).collect();
        open.retain(|(_, names)| match names.get(at) {
            Some(&"*") => is_provider_name(part),
            Some(name) => name == part,
            None => false,
        });
        if open.is_empty() {
            return Err(Unknown { good: at, nearest: nearest(part, known).map(str::to_owned) });
        }
    }
    Ok(open.into_iter().find(|(_, names)| names.len() == parts.len()).map(|(setting, _)| setting))
}

/// The variable begins as those of some group of settings do.
pub(super) fn is_group_of(variable: &str) -> bool {
    let group = variable.strip_prefix("AUTODEV_").and_then(|rest| rest.split('_').next()).unwrap_or_default();
    SETTINGS.iter().any(|setting| setting.key.split('.').next().is_some_and(|known| known.eq_ignore_ascii_case(group)))
}

impl Setting {
    /// The variable that sets it, where its name has one: `AUTODEV_QUEUE_SLOTS`.
    pub fn variable(&self) -> String {
        format!("AUTODEV_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// It is read by each command that needs it, and not by the daemon.
    pub fn is_of_commands(&self) -> bool {
        const OTHERS: [&str; 4] = ["attach.history_lines", "attach.prefix", "daemon.auto_restart", "environment.allow"];
        self.key.starts_with("submit.") || OTHERS.contains(&self.key)
    }

    /// What stands there may be a secret by mistake, and is not to be shown.
    pub(super) fn is_veiled(&self) -> bool {
        matches!(self.kind, Kind::Veiled(_))
    }

    /// What values it takes, as a JSON Schema says it.
    pub(super) fn schema(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Number(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
            Kind::NumberOrNone(from, to) => json!({ "anyOf": [
                { "const": 0 }, { "type": "integer", "minimum": from, "maximum": to },
            ] }),
            Kind::Bytes(from, to) => json!({ "anyOf": [
                { "type": "integer", "minimum": from, "maximum": to },
                { "type": "string", "pattern": BYTES },
            ] }),
            Kind::BytesOrNone(from, to) => json!({ "anyOf": [
                { "const": 0 }, { "type": "integer", "minimum": from, "maximum": to },
                { "type": "string", "pattern": BYTES },
            ] }),
            Kind::Switch => json!({ "type": "boolean" }),
            Kind::Length | Kind::LengthOrNone(_) => {
                json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }] })
            }
            Kind::Variables => json!({ "type": "array", "items": { "type": "string" } }),
            Kind::OneOf(words) => json!({ "enum": words }),
            Kind::Text(_) | Kind::Veiled(_) => json!({ "type": "string" }),
        }
    }

    /// Reads a value as it is typed or stands in the environment, without quotes.
    pub(super) fn read(&self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let value = match self.kind {
            Kind::Number(..) | Kind::NumberOrNone(..) => {
                text.parse().map(Value::Integer).unwrap_or_else(|_| Value::String(text.into()))
            }
            Kind::Switch => match text {
                "true" | "yes" | "on" | "1" => Value::Boolean(true),
                "false" | "no" | "off" | "0" => Value::Boolean(false),
                _ => Value::String(text.into()),
            },
            // As 'show' prints it, or by commas.
            Kind::Variables if text.starts_with('[') => {
                let list: Option<toml::Table> = format!("list = {text}").parse().ok();
                list.and_then(|mut list| list.remove("list")).unwrap_or_else(|| Value::String(text.into()))
            }
            Kind::Variables => {
                let names = text.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty());
                Value::Array(names.map(|name| Value::String(name.into())).collect())
            }
            Kind::Bytes(..)
            | Kind::BytesOrNone(..)
            | Kind::Length
            | Kind::LengthOrNone(_)
            | Kind::OneOf(_)
            | Kind::Text(_)
            | Kind::Veiled(_) => Value::String(text.into()),
        };
        self.check(value)
    }

    /// What a value may be, for people.
    fn range(&self, range: &str) -> String {
        match self.kind {
            Kind::NumberOrNone(..) | Kind::BytesOrNone(..) => format!("{range} (or 0 for none)"),
            _ => range.to_owned(),
        }
    }

    /// The value in the form that the configuration has it in, if it may be one.
    pub(super) fn check(&self, value: Value) -> Result<Value, String> {
        let shown = value.to_string();
        match (&self.kind, value) {
            (Kind::NumberOrNone(..), Value::Integer(0)) => Ok(Value::Integer(0)),
            (Kind::Number(from, to) | Kind::NumberOrNone(from, to), Value::Integer(number)) => {
                let fits = u64::try_from(number).is_ok_and(|number| (*from..=*to).contains(&number));
                let range = self.range(&format!("{from} to {to}"));
                fits.then_some(Value::Integer(number)).ok_or_else(|| format!("{number} is not within {range}"))
            }
            (Kind::Number(from, to) | Kind::NumberOrNone(from, to), _) => {
                Err(format!("{shown} is not a number from {}", self.range(&format!("{from} to {to}"))))
            }
            (Kind::Bytes(from, to) | Kind::BytesOrNone(from, to), value) => {
                let bytes = match value {
                    Value::Integer(number) => u64::try_from(number).ok(),
                    Value::String(text) => bytes(&text),
                    _ => None,
                };
                let example = "write 8388608 or \"8 MiB\"";
                let bytes = bytes.ok_or_else(|| format!("{shown} is not a number of bytes: {example}"))?;
                let none = bytes == 0 && matches!(self.kind, Kind::BytesOrNone(..));
                let fits = (none || (*from..=*to).contains(&bytes)).then(|| i64::try_from(bytes).ok()).flatten();
                let range = self.range(&format!("{from} to {to}"));
                fits.map(Value::Integer).ok_or_else(|| format!("{shown} is not within {range} bytes"))
            }
            (Kind::Switch, Value::Boolean(on)) => Ok(Value::Boolean(on)),
            (Kind::Switch, _) => Err(format!("{shown} is neither true nor false")),
            (Kind::Length | Kind::LengthOrNone(_), Value::String(text)) => {
                let span = text.parse::<Span>().map_err(|error| error.to_string())?;
                if let Kind::LengthOrNone(least) = self.kind
                    && !span.0.is_zero()
                    && span.0 < Duration::from_secs(least)
                {
                    return Err(format!("{shown} is less than {least} s; 0 is never"));
                }
                Ok(exact(Value::String(span.to_string()), span, &text))
            }
            // Not so many that they would not fit.
            (Kind::Length | Kind::LengthOrNone(_), Value::Integer(seconds)) if seconds >= 0 => {
                self.check(Value::String(format!("{seconds}s")))
            }
            (Kind::Length | Kind::LengthOrNone(_), _) => {
                Err(format!("{shown} is not a length of time: write \"90s\", \"15m\" or \"1h30m\""))
            }
            (Kind::Variables, Value::Array(names)) => {
                for name in &names {
                    name.as_str().filter(|name| is_pattern(name)).ok_or_else(|| {
                        format!("{name} is not the name of a variable; '*' at its end stands for anything")
                    })?;
                }
                Ok(Value::Array(names))
            }
            (Kind::Variables, _) => Err(format!("{shown} is not a list: write [\"NAME\", \"OTHER_*\"]")),
            (Kind::OneOf(words), Value::String(text)) if words.contains(&text.as_str()) => Ok(Value::String(text)),
            (Kind::OneOf(words), _) => Err(format!("{shown} is none of: {}", words.join(", "))),
            (Kind::Text(check), Value::String(text)) => check(&text).map(|()| Value::String(text)),
            (Kind::Veiled(check), Value::String(text)) => check(&text).map(|()| Value::String(text)),
            (Kind::Veiled(_), _) => Err("is not a text: put it into quotes".into()),
            (Kind::Text(_), _) => Err(format!("{shown} is not a text: put it into quotes")),
        }
    }
}

/// The text as it was written where the short form would lose something.
fn exact(short: Value, span: Span, text: &str) -> Value {
    let same = short.as_str().and_then(|short| short.parse::<Span>().ok()) == Some(span);
    if same { short } else { Value::String(text.to_owned()) }
}

/// `8 MiB`, `8MiB`, `8M`, `8 MB` (a million), `8388608`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => KIB,
        "m" | "mib" => MIB,
        "g" | "gib" => GIB,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn is_pattern(text: &str) -> bool {
    let name = text.strip_suffix('*').unwrap_or(text);
    !text.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn check_provider(name: &str) -> Result<(), String> {
    match name.is_empty() || is_provider_name(name) {
        true => Ok(()),
        false => Err(format!("'{name}' is not the name of a provider: {BAD_PROVIDER_NAME}")),
    }
}

/// A key that begins a command: one that sends a single control character.
/// The key that a name such as `C-b` puts Control before: a letter in lower case, a blank
/// for `C-Space`, or one of `@ \ ] ^ _`, as tmux writes them.
pub fn control_key(name: &str) -> Option<u8> {
    let key = name.strip_prefix("C-").or_else(|| name.strip_prefix("c-"))?;
    if key.eq_ignore_ascii_case("space") {
        return Some(b' ');
    }
    let [key] = *key.as_bytes() else { return None };
    // Control and `[` is Escape itself: every sequence begins with it.
    let key = key.to_ascii_lowercase();
    (key.is_ascii_lowercase() || b"@\\]^_".contains(&key)).then_some(key)
}

fn check_key(name: &str) -> Result<(), String> {
    match control_key(name) {
        Some(_) => Ok(()),
        None => Err(format!("'{name}' is not a key with Control: write \"C-b\", \"C-a\" or \"C-Space\"")),
    }
}

fn check_url(url: &str) -> Result<(), String> {
    if url.is_empty() { Ok(()) } else { RedisAddress::parse(url).map(drop) }
}

fn check_listen(text: &str) -> Result<(), String> {
    MetricsAddress::parse(text).map(drop)
}

fn check_reference(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { Reference::parse(text).map(drop) }
}

/// Longest prefix of keys: it is in every one of them.
const MAX_PREFIX: usize = 64;

fn check_prefix(prefix: &str) -> Result<(), String> {
    // Braces would choose the slot in a cluster, '*', '?' and '[' would be patterns.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    match (1..=MAX_PREFIX).contains(&prefix.len()) && prefix.bytes().all(plain) {
        true => Ok(()),
        false => Err(format!("'{prefix}' is not 1 to {MAX_PREFIX} letters, digits, '-', '_', '.' or ':'")),
    }
}

fn check_user(user: &str) -> Result<(), String> {
    match user.chars().any(|c| c.is_whitespace() || c.is_control()) {
        true => Err(format!("{user:?} has blanks in it")),
        false => Ok(()),
    }
}

fn check_file(path: &str) -> Result<(), String> {
    match path.is_empty() || path.starts_with('/') || path.starts_with("~/") {
        true => Ok(()),
        false => Err(format!("'{path}' is not an absolute path: write /PATH or ~/PATH")),
    }
}

fn check_filter(filter: &str) -> Result<(), String> {
    match tracing_subscriber::EnvFilter::try_new(filter) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("'{filter}' is not a log filter: write \"info\", \"debug\" or \"info,autodev=trace\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(key: &str) -> &'static Setting {
        SETTINGS.iter().find(|setting| setting.key == key).unwrap()
    }

    #[test]
    fn what_commands_read_is_known() {
        for key in
            ["submit.timeout", "attach.history_lines", "attach.prefix", "daemon.auto_restart", "environment.allow"]
        {
            assert!(setting(key).is_of_commands(), "{key}");
        }
        assert_eq!(SETTINGS.iter().filter(|setting| setting.is_of_commands()).count(), 8);
        assert!(!setting("queue.slots").is_of_commands());
    }

    #[test]
    fn names_are_found_or_suggested() {
        assert_eq!(find(&["queue", "slots"]).unwrap().unwrap().key, "queue.slots");
        assert_eq!(find(&["providers", "claude", "slots"]).unwrap().unwrap().key, "providers.*.slots");
        assert!(find(&["queue"]).unwrap().is_none());
        assert!(find(&[]).unwrap().is_none());
        let unknown = |parts: &[&str]| find(parts).unwrap_err();
        assert_eq!(unknown(&["queue", "slotz"]), Unknown { good: 1, nearest: Some("slots".into()) });
        assert_eq!(unknown(&["quue", "slots"]), Unknown { good: 0, nearest: Some("queue".into()) });
        assert_eq!(unknown(&["providers", "Bad Name"]).good, 1);
        assert_eq!(unknown(&["queue", "slots", "x"]).good, 2);
        assert_eq!(unknown(&["queue.slots"]).good, 0);
    }

    #[test]
    fn values_are_read_checked_and_brought_into_form() {
        for (key, text, value) in [
            ("queue.slots", "8", "8"),
            ("scope.memory_max", "0", "0"),
            ("scope.processes", "0", "0"),
            ("scope.processes", "100", "100"),
            ("backup.interval", "0", "\"0s\""),
            ("environment.allow", "*", "[\"*\"]"),
            ("environment.allow", "[\"A\", \"B_*\"]", "[\"A\", \"B_*\"]"),
            ("recording.max_bytes", "1 GiB", "1073741824"),
            ("recording.max_bytes", "200000", "200000"),
            ("daemon.log_json", "yes", "true"),
            ("submit.timeout", "90", "\"1m 30s\""),
            ("submit.timeout", "25h1m1s", "\"25h1m1s\""),
            ("submit.provider", "", "\"\""),
            ("environment.allow", "A, B_*", "[\"A\", \"B_*\"]"),
            ("attach.prefix", "C-Space", "\"C-Space\""),
            // Whatever 'attach' understands may be set.
            ("attach.prefix", "c-a", "\"c-a\""),
            ("attach.prefix", "C-space", "\"C-space\""),
            ("daemon.log", "info,autodev=trace", "\"info,autodev=trace\""),
        ] {
            assert_eq!(setting(key).read(text).unwrap().to_string(), value, "{key} {text}");
        }
        for (key, text) in [
            ("queue.slots", "0"),
            ("queue.slots", "1001"),
            ("queue.slots", "-1"),
            ("queue.slots", "four"),
            ("queue.slots", "99999999999999999999"),
            ("recording.max_bytes", "1 TB"),
            ("recording.max_bytes", "1"),
            ("recording.max_bytes", "99999999999 GiB"),
            ("daemon.log_json", "maybe"),
            ("submit.timeout", "soon"),
            ("submit.provider", "Claude Code"),
            ("environment.allow", "A=B"),
            ("scope.memory_max", "1"),
            ("scope.processes", "1"),
            ("backup.interval", "1ms"),
            ("submit.timeout", "99999999999999999999"),
            ("attach.prefix", "b"),
            ("attach.prefix", "C-"),
            ("attach.prefix", "C-ä"),
            ("daemon.log", "autodev=loud"),
            ("redis.url", "localhost"),
            ("redis.prefix", "a{b}"),
            ("redis.password", "hunter2"),
            ("redis.tls_ca", "ca.pem"),
            ("redis.user", "a b"),
            ("metrics.listen", "0.0.0.0:9464"),
            ("metrics.listen", "9464"),
            ("metrics.listen", "unix:relative"),
        ] {
            assert!(setting(key).read(text).is_err(), "{key} {text}");
        }
    }

    #[test]
    fn each_name_has_a_variable_of_its_own() {
        let mut names: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
        assert!(SETTINGS.is_sorted_by_key(|setting| setting.key));
    }
}
