//! Names of keys, as tmux writes them, and what a terminal sends for them.

use crate::config::problem::nearest;

/// Shift, alt and control, as the modifiers field of key sequences counts them.
const SHIFT: u8 = 1;
const ALT: u8 = 2;
const CONTROL: u8 = 4;

/// What a named key sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// One byte; alt puts Escape before it.
    Byte(u8),
    /// `ESC [ X`; with modifiers `ESC [ 1 ; m X`.
    Letter(u8),
    /// `ESC O X`; with modifiers `ESC [ 1 ; m X`.
    Single(u8),
    /// `ESC [ n ~`; with modifiers `ESC [ n ; m ~`.
    Number(u8),
}

/// Keys by name. The first name of a key is the one suggested.
const NAMES: [(&str, Named); 38] = [
    ("Enter", Named::Byte(b'\r')),
    ("Escape", Named::Byte(0x1b)),
    ("Esc", Named::Byte(0x1b)),
    ("Tab", Named::Byte(b'\t')),
    ("BTab", Named::Letter(b'Z')),
    ("BSpace", Named::Byte(0x7f)),
    ("Backspace", Named::Byte(0x7f)),
    ("Space", Named::Byte(b' ')),
    ("Up", Named::Letter(b'A')),
    ("Down", Named::Letter(b'B')),
    ("Right", Named::Letter(b'C')),
    ("Left", Named::Letter(b'D')),
    ("Home", Named::Letter(b'H')),
    ("End", Named::Letter(b'F')),
    ("Insert", Named::Number(2)),
    ("IC", Named::Number(2)),
    ("Delete", Named::Number(3)),
    ("DC", Named::Number(3)),
    ("PageUp", Named::Number(5)),
    ("PgUp", Named::Number(5)),
    ("PPage", Named::Number(5)),
    ("PageDown", Named::Number(6)),
    ("PgDn", Named::Number(6)),
    ("NPage", Named::Number(6)),
    ("F1", Named::Single(b'P')),
    ("F2", Named::Single(b'Q')),
    ("F3", Named::Single(b'R')),
    ("F4", Named::Single(b'S')),
    ("F5", Named::Number(15)),
    ("F6", Named::Number(17)),
    ("F7", Named::Number(18)),
    ("F8", Named::Number(19)),
    ("F9", Named::Number(20)),
    ("F10", Named::Number(21)),
    ("F11", Named::Number(23)),
    ("F12", Named::Number(24)),
    ("Return", Named::Byte(b'\r')),
    ("Del", Named::Number(3)),
];

/// A text that names no key, or one that a terminal cannot send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// No key has this name.
    #[error("there is no key '{name}'{}", .nearest.map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// What was written.
        name: String,
        /// The name it resembles most.
        nearest: Option<&'static str>,
    },
    /// The key exists, but not with these modifiers.
    #[error("terminals have no '{0}': the modifiers do not go with this key")]
    Impossible(String),
}

/// What a terminal sends for a key: `C-c`, `M-x`, `S-Tab`, `Enter`, `C-Left`, `a`.
///
/// # Errors
/// [`BadKey`].
pub fn bytes(name: &str) -> Result<Vec<u8>, BadKey> {
    let (modifiers, key) = modifiers(name);
    let impossible = || BadKey::Impossible(name.to_owned());
    if let Some((_, named)) = NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(key)) {
        return named_key(*named, modifiers).ok_or_else(impossible);
    }
    let mut chars = key.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if !c.is_control() => character(c, modifiers).ok_or_else(impossible),
        _ => Err(BadKey::Unknown { name: name.to_owned(), nearest: nearest(key, NAMES.map(|(name, _)| name)) }),
    }
}

/// The modifiers before a key, and the key. A lone `-` is a key.
fn modifiers(name: &str) -> (u8, &str) {
    let mut modifiers = 0;
    let mut key = name;
    loop {
        let (modifier, rest) = match key.as_bytes() {
            [b'C' | b'c', b'-', _, ..] => (CONTROL, &key[2..]),
            [b'M' | b'm', b'-', _, ..] => (ALT, &key[2..]),
            [b'S' | b's', b'-', _, ..] => (SHIFT, &key[2..]),
            [b'^', _, ..] => (CONTROL, &key[1..]),
            _ => return (modifiers, key),
        };
        modifiers |= modifier;
        key = rest;
    }
}

fn named_key(named: Named, modifiers: u8) -> Option<Vec<u8>> {
    let field = modifiers + 1;
    Some(match named {
        Named::Byte(b' ') => return character(' ', modifiers & !SHIFT),
        Named::Byte(b'\t') if modifiers == SHIFT => b"\x1b[Z".to_vec(),
        Named::Byte(byte) if modifiers == 0 => vec![byte],
        Named::Byte(byte) if modifiers == ALT => vec![0x1b, byte],
        // What terminals send for it is the other one of the two backspaces.
        Named::Byte(0x7f) if modifiers == CONTROL => vec![0x08],
        Named::Byte(_) => return None,
        Named::Letter(letter) if modifiers == 0 => vec![0x1b, b'[', letter],
        Named::Single(letter) if modifiers == 0 => vec![0x1b, b'O', letter],
        Named::Letter(letter) | Named::Single(letter) => format!("\x1b[1;{field}{}", char::from(letter)).into_bytes(),
        Named::Number(number) if modifiers == 0 => format!("\x1b[{number}~").into_bytes(),
        Named::Number(number) => format!("\x1b[{number};{field}~").into_bytes(),
    })
}

fn character(c: char, modifiers: u8) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if modifiers & ALT != 0 {
        bytes.push(0x1b);
    }
    if modifiers & CONTROL != 0 {
        bytes.push(match c {
            '@'..='_' | 'a'..='z' if modifiers & SHIFT == 0 => u8::try_from(c).ok()? & 0x1f,
            ' ' => 0,
            '/' => 0x1f,
            '?' => 0x7f,
            _ => return None,
        });
        return Some(bytes);
    }
    let c = match modifiers & SHIFT {
        0 => c,
        _ if c.is_alphabetic() => c.to_uppercase().next()?,
        _ => return None,
    };
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_send_what_terminals_send() {
        let cases: [(&str, &[u8]); 30] = [
            ("C-c", b"\x03"),
            ("c-C", b"\x03"),
            ("^D", b"\x04"),
            ("C-Space", b"\x00"),
            ("C-[", b"\x1b"),
            ("C-?", b"\x7f"),
            ("M-x", b"\x1bx"),
            ("M-C-b", b"\x1b\x02"),
            ("S-a", b"A"),
            ("a", b"a"),
            ("é", "é".as_bytes()),
            ("-", b"-"),
            ("M--", b"\x1b-"),
            ("^", b"^"),
            ("Enter", b"\r"),
            ("enter", b"\r"),
            ("M-Enter", b"\x1b\r"),
            ("Escape", b"\x1b"),
            ("Tab", b"\t"),
            ("S-Tab", b"\x1b[Z"),
            ("BSpace", b"\x7f"),
            ("Space", b" "),
            ("Up", b"\x1b[A"),
            ("C-Left", b"\x1b[1;5D"),
            ("S-M-Home", b"\x1b[1;4H"),
            ("PageUp", b"\x1b[5~"),
            ("C-Delete", b"\x1b[3;5~"),
            ("F1", b"\x1bOP"),
            ("S-F1", b"\x1b[1;2P"),
            ("F12", b"\x1b[24~"),
        ];
        for (name, sent) in cases {
            assert_eq!(bytes(name).as_deref(), Ok(sent), "{name}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_what_was_meant() {
        let text = |name: &str| bytes(name).unwrap_err().to_string();
        assert_eq!(text("Entr"), "there is no key 'Entr'; did you mean Enter?");
        assert_eq!(text("C-Lefft"), "there is no key 'C-Lefft'; did you mean Left?");
        assert_eq!(text("hello world"), "there is no key 'hello world'");
        assert_eq!(text(""), "there is no key ''");
        assert!(text("C-").contains("'C-'"), "{}", text("C-"));
        for name in ["C-Enter", "C-é", "C-1", "S-1", "C-S-c"] {
            assert_eq!(bytes(name), Err(BadKey::Impossible(name.into())));
        }
    }
}
