//! Keys as terminals have always sent them.

use super::{ESC, Key};

/// The key that gives a single character.
pub(super) fn single(c: char) -> Key {
    match c {
        '\r' | '\n' => Key::Enter,
        '\t' => Key::Tab,
        '\u{7f}' | '\u{8}' => Key::Backspace,
        '\u{1b}' => Key::Escape,
        '\u{1}'..='\u{1a}' => with_control(char::from(c as u8 | 0x60)),
        '\0' | '\u{1c}'..='\u{1f}' => with_control(char::from(c as u8 | 0x40)),
        c if c.is_control() => Key::Other,
        c => Key::Char(c),
    }
}

/// The key of this character together with control, if there is a control character for it.
pub(super) fn with_control(c: char) -> Key {
    match c {
        // Terminals send the same for both.
        '@' => Key::Control(' '),
        'a'..='z' | ' ' | '\\' | ']' | '^' | '_' => Key::Control(c),
        _ => Key::Other,
    }
}

/// The key that gives a sequence: arrows and their like, whatever modifiers go with them.
pub(super) fn sequence(bytes: &[u8]) -> Key {
    let [ESC, b'[' | b'O', parameters @ .., last] = bytes else { return Key::Other };
    match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        // The keypad's Enter.
        b'M' if bytes[1] == b'O' => Key::Enter,
        b'~' => match parameters.split(|b| *b == b';').next() {
            Some(b"1" | b"7") => Key::Home,
            Some(b"4" | b"8") => Key::End,
            Some(b"3") => Key::Delete,
            Some(b"5") => Key::PageUp,
            Some(b"6") => Key::PageDown,
            _ => Key::Other,
        },
        _ => Key::Other,
    }
}
