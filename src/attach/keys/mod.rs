//! What a user types while attached: bytes for the program, or a command for us.
//!
//! Bytes pass untouched. Only the prefix key and what follows it are taken out, in every
//! way a terminal may encode them: the plain control byte, kitty's `CSI … u`, and xterm's
//! `CSI 27;…~`; never inside a bracketed paste. A sequence that is cut between two reads
//! is held back for [`ESCAPE_WAIT`], so that a lone Escape still gets through.

mod described;
mod legacy;
mod prefix;

use std::time::Duration;

use memchr::{memchr, memchr2};

use described::{Described, describe};
pub use prefix::{BadPrefix, Prefix};

/// How long the beginning of an escape sequence may wait for its rest. Terminals write
/// sequences in one piece, so only a cut packet takes longer; a lone Escape is late by
/// this much.
pub const ESCAPE_WAIT: Duration = Duration::from_millis(10);
/// A paste silent for this long is over, even if its end never came: else the prefix
/// could not be reached any more.
pub const PASTE_PAUSE: Duration = Duration::from_secs(5);

/// Longest sequence looked at; key sequences of terminals stay far below. A longer one is
/// passed on as it is.
const MAX_SEQUENCE: usize = 64;

const ESC: u8 = 0x1b;
/// A report of a mouse in the old way, and how many bytes follow: button, column, row.
const MOUSE: &[u8] = b"\x1b[M";
const MOUSE_BYTES: u8 = 3;
/// Keys whose release may be awaited.
const FINGERS: usize = 10;
const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// A key meant for us, not for the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A key that gives this character.
    Char(char),
    /// Control and the key of this letter.
    Control(char),
    /// Escape: never mind.
    Escape,
    /// Return.
    Enter,
    /// The tabulator.
    Tab,
    /// The key that takes back the character before.
    Backspace,
    /// The key that takes the character under the cursor.
    Delete,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// A page back.
    PageUp,
    /// A page on.
    PageDown,
    /// Any other.
    Other,
}

/// Whose the next key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The program's.
    Theirs,
    /// Ours, after the prefix: the prefix again is for the program.
    Command,
    /// Ours, whatever it is: an answer to a question.
    Answer,
}

/// Where in the input we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Between keys.
    Ground,
    /// After ESC.
    Escape,
    /// Within `ESC [ …`.
    Sequence,
    /// After `ESC O`: one more byte.
    Single,
    /// Within a mouse's report in the old way, with so many bytes to come.
    Mouse { left: u8 },
    /// Within a paste, with so many bytes of its end seen. One that comes when an answer is
    /// awaited is nobody's: not the program's, and no answer either.
    Paste { seen: usize, dropped: bool },
}

/// Takes our keys out of what is typed.
#[derive(Debug)]
pub struct Keys {
    prefix: Prefix,
    next: Next,
    at: At,
    /// The sequence so far.
    sequence: Vec<u8>,
    /// Bytes of `sequence` that waited too long and were passed on.
    passed: usize,
    /// Keys whose press we took: their release is ours as well (kitty reports both).
    pressed: Vec<u32>,
    /// The beginning of a character of ours that takes several bytes.
    character: Vec<u8>,
}

impl Keys {
    /// At the beginning of input.
    pub fn new(prefix: Prefix) -> Self {
        Keys {
            prefix,
            next: Next::Theirs,
            at: At::Ground,
            sequence: Vec::new(),
            passed: 0,
            pressed: Vec::new(),
            character: Vec::new(),
        }
    }

    /// Takes `input` up to and including the first key that is ours. Returns how many
    /// bytes that were and the key; what is for the program is appended to `pass`. Call
    /// again with the rest: what it means may depend on what is done about the key.
    pub fn feed(&mut self, input: &[u8], pass: &mut Vec<u8>) -> (usize, Option<Key>) {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            if self.at == At::Ground && self.next == Next::Theirs {
                // The usual case in one go: nothing here is ours.
                let rest = &input[used..];
                let plain = memchr2(self.prefix.byte, ESC, rest).unwrap_or(rest.len());
                pass.extend_from_slice(&rest[..plain]);
                used += plain;
                if plain > 0 {
                    continue;
                }
            }
            used += 1;
            if let Some(key) = self.byte(byte, pass) {
                return (used, Some(key));
            }
            if let At::Paste { seen: 0, dropped } = self.at {
                let rest = &input[used..];
                let plain = memchr(ESC, rest).unwrap_or(rest.len());
                pass.extend_from_slice(if dropped { &[] } else { &rest[..plain] });
                used += plain;
            }
        }
        (used, None)
    }

    /// The next key is ours, whatever it is.
    pub fn ask(&mut self) {
        self.next = Next::Answer;
    }

    /// No answer is awaited any more: keys are the program's.
    pub fn ask_no_more(&mut self) {
        self.next = Next::Theirs;
        self.character.clear();
    }

    /// The beginning of a sequence waits for its rest: call [`Keys::give_up`] when nothing
    /// comes within [`ESCAPE_WAIT`].
    pub fn waits(&self) -> bool {
        self.sequence.len() > self.passed
    }

    /// Nothing more came: what was held back was not the beginning of a sequence.
    pub fn give_up(&mut self, pass: &mut Vec<u8>) -> Option<Key> {
        if !self.waits() {
            return None;
        }
        if self.at == At::Escape {
            self.sequence.clear();
            self.at = At::Ground;
            if self.next == Next::Theirs {
                pass.push(ESC);
                return None;
            }
            self.next = Next::Theirs;
            return Some(Key::Escape);
        }
        // Still followed, so that a late beginning of a paste is not missed, and that what is
        // ours does not reach the program because it came in two pieces.
        if self.next == Next::Theirs {
            pass.extend_from_slice(&self.sequence[self.passed..]);
        }
        self.passed = self.sequence.len();
        None
    }

    /// Nothing was typed for [`PASTE_PAUSE`].
    pub fn paused(&mut self) {
        if let At::Paste { .. } = self.at {
            self.at = At::Ground;
        }
    }

    fn byte(&mut self, byte: u8, pass: &mut Vec<u8>) -> Option<Key> {
        match self.at {
            At::Ground if byte == ESC => {
                self.at = At::Escape;
                self.sequence.push(ESC);
                None
            }
            At::Ground => self.plain(byte, pass),
            At::Paste { seen, dropped } => {
                if !dropped {
                    pass.push(byte);
                }
                self.at = match seen {
                    _ if PASTE_END[seen] != byte => At::Paste { seen: usize::from(byte == ESC), dropped },
                    _ if seen + 1 == PASTE_END.len() => At::Ground,
                    _ => At::Paste { seen: seen + 1, dropped },
                };
                None
            }
            At::Escape => {
                self.sequence.push(byte);
                match byte {
                    b'[' => self.at = At::Sequence,
                    b'O' => self.at = At::Single,
                    // Escape, and then the beginning of a sequence.
                    ESC => {
                        self.sequence.pop();
                        let key = self.whole(pass);
                        self.at = At::Escape;
                        self.sequence.push(ESC);
                        return key;
                    }
                    _ => return self.whole(pass),
                }
                None
            }
            At::Single | At::Sequence if byte < 0x20 => {
                // A control byte belongs to no sequence: the sequence was none.
                let key = self.whole(pass);
                debug_assert_eq!(self.at, At::Ground);
                key.or_else(|| self.byte(byte, pass))
            }
            At::Single | At::Mouse { left: ..=1 } => {
                self.sequence.push(byte);
                self.whole(pass)
            }
            At::Mouse { left } => {
                self.sequence.push(byte);
                self.at = At::Mouse { left: left - 1 };
                None
            }
            At::Sequence => {
                self.sequence.push(byte);
                if self.sequence == MOUSE {
                    self.at = At::Mouse { left: MOUSE_BYTES };
                    return None;
                }
                let done = (0x40..=0x7e).contains(&byte) || self.sequence.len() >= MAX_SEQUENCE;
                if done { self.whole(pass) } else { None }
            }
        }
    }

    /// A byte outside of any sequence.
    fn plain(&mut self, byte: u8, pass: &mut Vec<u8>) -> Option<Key> {
        let is_prefix = byte == self.prefix.byte;
        match self.next {
            Next::Theirs if is_prefix => self.next = Next::Command,
            Next::Theirs => pass.push(byte),
            Next::Command if is_prefix => {
                self.next = Next::Theirs;
                pass.push(byte);
            }
            Next::Command | Next::Answer => {
                let key = self.character(byte)?;
                self.next = Next::Theirs;
                return Some(key);
            }
        }
        None
    }

    /// The key that a byte of ours is, or ends.
    fn character(&mut self, byte: u8) -> Option<Key> {
        self.character.push(byte);
        let key = match std::str::from_utf8(&self.character) {
            Ok(text) => text.chars().next().map_or(Key::Other, legacy::single),
            Err(error) if error.error_len().is_none() => return None,
            Err(_) => Key::Other,
        };
        self.character.clear();
        Some(key)
    }

    /// A sequence is complete.
    fn whole(&mut self, pass: &mut Vec<u8>) -> Option<Key> {
        let sequence = std::mem::take(&mut self.sequence);
        let passed = std::mem::take(&mut self.passed);
        self.at = At::Ground;
        if sequence == PASTE_START {
            let dropped = self.next == Next::Answer;
            self.at = At::Paste { seen: 0, dropped };
            if dropped {
                return None;
            }
            self.next = Next::Theirs;
        } else if (passed == 0 || self.next != Next::Theirs) && self.is_ours(&sequence) {
            return self.ours(&sequence, pass);
        }
        pass.extend_from_slice(&sequence[passed..]);
        None
    }

    /// Whether a whole sequence is for us. Mouse, focus and modifier keys by themselves
    /// are the program's even after the prefix.
    fn is_ours(&self, sequence: &[u8]) -> bool {
        if let Some(key) = describe(sequence) {
            if key.release {
                return self.pressed.contains(&key.code);
            }
            return (self.next != Next::Theirs && !key.is_modifier()) || self.is_prefix(key);
        }
        let mouse_or_focus = matches!(sequence, [ESC, b'[', b'<' | b'M', ..] | [ESC, b'[', b'I' | b'O']);
        self.next != Next::Theirs && !mouse_or_focus
    }

    fn ours(&mut self, sequence: &[u8], pass: &mut Vec<u8>) -> Option<Key> {
        let Some(key) = describe(sequence) else {
            self.next = Next::Theirs;
            return Some(if sequence == [ESC] { Key::Escape } else { legacy::sequence(sequence) });
        };
        if key.release {
            self.pressed.retain(|code| *code != key.code);
            return None;
        }
        let is_prefix = self.is_prefix(key);
        if is_prefix && self.next == Next::Command {
            self.next = Next::Theirs;
            self.pressed.retain(|code| *code != key.code);
            pass.extend_from_slice(sequence);
            return None;
        }
        if !self.pressed.contains(&key.code) {
            // More keys than fingers means releases that never come: the oldest is forgotten.
            if self.pressed.len() == FINGERS {
                self.pressed.remove(0);
            }
            self.pressed.push(key.code);
        }
        if is_prefix && self.next == Next::Theirs {
            self.next = Next::Command;
            return None;
        }
        self.next = Next::Theirs;
        Some(key.meaning())
    }

    fn is_prefix(&self, key: Described) -> bool {
        key.with_control() == Some(self.prefix.code)
    }
}

#[cfg(test)]
mod tests;
