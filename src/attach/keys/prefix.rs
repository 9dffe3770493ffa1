//! The prefix key.

use std::str::FromStr;

use super::{Key, legacy};
use crate::config::control_key;

/// The key that begins a command: control and another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// What a terminal sends in its plain encoding.
    pub(super) byte: u8,
    /// The key's code point without control.
    pub(super) code: u32,
}

impl Prefix {
    /// Its name, `C-b`.
    pub fn name(self) -> String {
        match self.code {
            0x20 => "C-Space".to_owned(),
            code => format!("C-{}", char::from_u32(code).unwrap_or('?')),
        }
    }

    /// The key that it is when keys are ours.
    pub(in crate::attach) fn key(self) -> Key {
        char::from_u32(self.code).map_or(Key::Other, legacy::with_control)
    }
}

/// As [`control_key`] reads it.
impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        match control_key(text) {
            Some(b' ') => Ok(Prefix { byte: 0, code: 0x20 }),
            Some(key) => Ok(Prefix { byte: key & 0x1f, code: u32::from(key) }),
            None => Err(BadPrefix(text.to_owned())),
        }
    }
}

/// A text that names no prefix key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' cannot be the prefix key: use C- and a letter, such as C-b, or C-Space")]
pub struct BadPrefix(String);
