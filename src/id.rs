//! The names things go by: task numbers, attempts, sessions, unique ids.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest session name. It is a directory name and part of a socket's path, which
/// Linux limits to 108 bytes in all.
pub const MAX_SESSION_NAME: usize = 48;

/// A task's number, `42`. Never reused within an instance; starts at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub i64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TaskId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        match text.parse::<i64>() {
            Ok(number) if number > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(TaskId(number)),
            _ => Err(BadName::Task(text.to_owned())),
        }
    }
}

/// One try at a task, `42.1`. A name, not a decimal: `42.10` is the tenth try, so it
/// is a string wherever it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId {
    /// The task tried.
    pub task: TaskId,
    /// 1 for the first try.
    pub number: u32,
}

impl AttemptId {
    /// The session this attempt runs in carries the attempt's name.
    pub fn session(self) -> SessionName {
        SessionName(self.to_string())
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.number)
    }
}

impl FromStr for AttemptId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName::Attempt(text.to_owned());
        let (task, number) = text.split_once('.').ok_or_else(bad)?;
        let task = task.parse().map_err(|_| bad())?;
        match number.parse::<u32>() {
            Ok(number) if number > 0 && !text.contains('+') => Ok(AttemptId { task, number }),
            _ => Err(bad()),
        }
    }
}

impl Serialize for AttemptId {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AttemptId {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}

/// A session's name: `42.1` for an attempt's, `claude-1` or the user's own word for a
/// session without a task. Lower-case letters, digits, `.`, `_`, `-`; starts with a
/// letter or digit; at most [`MAX_SESSION_NAME`] bytes. Safe as a file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SessionName(String);

impl SessionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the session's directory. An attempt's name is used once and for ever;
    /// other names may change, and be used again, so theirs is made of the identity. No
    /// session can have such a name.
    pub fn directory(&self, uid: Uid) -> String {
        if self.attempt().is_some() { self.0.clone() } else { format!("@{uid}") }
    }

    /// The attempt whose session this is, if it is one's.
    pub fn attempt(&self) -> Option<AttemptId> {
        self.0.parse().ok()
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SessionName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let fits = !text.is_empty() && text.len() <= MAX_SESSION_NAME;
        let starts = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let plain =
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'));
        if fits && starts && plain { Ok(SessionName(text.to_owned())) } else { Err(BadName::Session(text.to_owned())) }
    }
}

impl<'de> Deserialize<'de> for SessionName {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}

/// A UUIDv7: identifies a task, a session or an instance for ever, also after a restore
/// or between machines. Sorts by time of making, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(uuid::Uuid);

impl Uid {
    /// A new one, from the clock and the system's random source.
    pub fn new() -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let milliseconds = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        Uid(match random() {
            Some(random) => uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid(),
            None => uuid::Uuid::now_v7(),
        })
    }

    /// The one with these sixteen bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Uid(uuid::Uuid::from_bytes(bytes))
    }

    /// Another one that follows from this one and begins with what is random in it. Tools
    /// name files after the first digits, which of ours are a time: those of two sessions
    /// that begin together are the same.
    #[must_use]
    pub fn random_first(self) -> Self {
        let mut bytes = self.bytes();
        bytes.rotate_left(8);
        Uid(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// Its sixteen bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

/// Random bytes, asked of the kernel without a detour: in a static program the library
/// behind `uuid` finds no such function and reads the device instead.
fn random() -> Option<[u8; 10]> {
    let mut bytes = [0; 10];
    // SAFETY: the length is the array's. So few bytes come whole or not at all.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    (usize::try_from(got) == Ok(bytes.len())).then_some(bytes)
}

impl Default for Uid {
    fn default() -> Self {
        Uid::new()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for Uid {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        uuid::Uuid::parse_str(text).map(Uid).map_err(|_| BadName::Uid(text.to_owned()))
    }
}

impl Serialize for Uid {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}

/// A text that is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Not a task number.
    #[error("'{0}' is not a task number: a number from 1 up is expected, such as 42")]
    Task(String),
    /// Not an attempt.
    #[error("'{0}' is not an attempt: TASK.NUMBER is expected, such as 42.1")]
    Attempt(String),
    /// Not a session name.
    #[error(
        "'{0}' cannot be a session's name: use 1 to {MAX_SESSION_NAME} lower-case letters, digits, '.', '_' or '-', beginning with a letter or digit"
    )]
    Session(String),
    /// Not a UUID.
    #[error("'{0}' is not a UUID")]
    Uid(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_names_not_decimals() {
        let tenth: AttemptId = "42.10".parse().unwrap();
        assert_eq!(tenth, AttemptId { task: TaskId(42), number: 10 });
        assert_eq!(tenth.to_string(), "42.10");
        assert_eq!(serde_json::to_string(&tenth).unwrap(), "\"42.10\"");
        for bad in ["42", "42.", ".1", "42.0", "-1.1", "42.1.1", "42.+1", "0.1", ""] {
            assert!(bad.parse::<AttemptId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn session_names_are_safe_file_names() {
        for good in ["42.1", "claude-1", "a", "my_session.2"] {
            assert!(good.parse::<SessionName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-x", "a/b", "Über", "A", "a b", "a\0", &"x".repeat(MAX_SESSION_NAME + 1)] {
            assert!(bad.parse::<SessionName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn task_numbers_are_plain_digits() {
        assert_eq!("42".parse(), Ok(TaskId(42)));
        for bad in ["0", "-1", "+1", "4 2", "x", "", "99999999999999999999"] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_begins_together_begins_differently() {
        let (one, other) = (Uid::new().random_first().to_string(), Uid::new().random_first().to_string());
        assert_ne!(one[..8], other[..8]);
        assert_eq!(uuid::Uuid::parse_str(&one).unwrap().get_version_num(), 4);
    }
}
