//! What the user's terminal looks like: asked once, for the programs that ask the session's.
//!
//! The answers come among what is typed and are taken out there. The last question is one
//! that every terminal answers, so the end of the answers is known; a terminal that does not
//! know the others says nothing to them.

use std::time::{Duration, Instant};

use crate::protocol::keeper::Looks;

/// Text, background and cursor colour, the size of a cell, and who are you?
const QUESTIONS: &[u8] = b"\x1b]10;?\x1b\\\x1b]11;?\x1b\\\x1b]12;?\x1b\\\x1b[16t\x1b[c";
/// Answers that come later than this, from a terminal at the other end of the world, are
/// taken for typing; a program makes nothing of them.
const ANSWERS_LIMIT: Duration = Duration::from_secs(5);
/// The longest answer: a colour of four digits each.
const ANSWER_MAX: usize = 64;

const ESC: u8 = 0x1b;

/// Takes the answers out of what is typed.
#[derive(Debug)]
pub(super) struct Replies {
    asked: Instant,
    /// No more answers are awaited.
    done: bool,
    /// The terminal has said all it knows.
    known: bool,
    looks: Looks,
    /// What may be the beginning of an answer.
    held: Vec<u8>,
}

/// What some bytes that begin with ESC are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Typing.
    None,
    /// The beginning of an answer, or of a key.
    Partial,
    /// An answer of so many bytes.
    Whole(usize),
}

impl Replies {
    /// Nothing was asked.
    pub(super) fn none() -> Replies {
        Replies { asked: Instant::now(), done: true, known: false, looks: Looks::default(), held: Vec::new() }
    }

    /// The questions, to be written to the terminal, and who takes the answers.
    pub(super) fn ask() -> (&'static [u8], Replies) {
        (QUESTIONS, Replies { done: false, ..Replies::none() })
    }

    /// How the terminal looks, if it has said so.
    pub(super) fn known(&self) -> Option<Looks> {
        self.known.then_some(self.looks)
    }

    /// Answers are awaited.
    pub(super) fn are_due(&self) -> bool {
        !self.done
    }

    /// What may be the beginning of an answer waits for its rest. One that is no key's waits
    /// as long as it must.
    pub(super) fn waits(&self) -> bool {
        !self.held.is_empty() && ![&b"\x1b]1"[..], b"\x1b[?"].iter().any(|start| self.held.starts_with(start))
    }

    /// Takes what was read from the terminal: what is typing, and once the terminal has said
    /// all, how it looks.
    pub(super) fn take(&mut self, input: &[u8]) -> (Vec<u8>, Option<Looks>) {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(input);
        if self.done {
            return (bytes, None);
        }
        if self.asked.elapsed() > ANSWERS_LIMIT {
            self.done = true;
            return (bytes, None);
        }
        let mut typed = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while let Some(at) = memchr::memchr(ESC, rest) {
            typed.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            match answer(rest) {
                Answer::None => {
                    typed.push(ESC);
                    rest = &rest[1..];
                }
                Answer::Partial => {
                    self.held = rest.to_vec();
                    return (typed, None);
                }
                Answer::Whole(length) => {
                    self.note(&rest[..length]);
                    rest = &rest[length..];
                    if self.done {
                        typed.extend_from_slice(rest);
                        return (typed, Some(self.looks));
                    }
                }
            }
        }
        typed.extend_from_slice(rest);
        (typed, None)
    }

    /// Nothing more came: what was held back is typing.
    pub(super) fn give_up(&mut self) -> Vec<u8> {
        if self.waits() { std::mem::take(&mut self.held) } else { Vec::new() }
    }

    fn note(&mut self, answer: &[u8]) {
        match answer {
            [ESC, b']', b'1', which @ b'0'..=b'2', b';', colour @ ..] => {
                if let Some(colour) = self::colour(colour) {
                    match which {
                        b'0' => self.looks.foreground = colour,
                        b'1' => self.looks.background = colour,
                        _ => self.looks.cursor = colour,
                    }
                }
            }
            [ESC, b'[', b'6', b';', size @ .., b't'] => {
                let mut sides = size.split(|b| *b == b';').map(number);
                if let (Some(Some(height)), Some(Some(width))) = (sides.next(), sides.next()) {
                    self.looks.cell = (width, height);
                }
            }
            _ => (self.done, self.known) = (true, true),
        }
    }
}

/// Looks at bytes that begin with ESC.
fn answer(bytes: &[u8]) -> Answer {
    let bytes = &bytes[..bytes.len().min(ANSWER_MAX)];
    let starts = |prefix: &[u8]| {
        let common = prefix.len().min(bytes.len());
        bytes[..common] == prefix[..common]
    };
    let string = [b"\x1b]10;", b"\x1b]11;", b"\x1b]12;"].iter().any(|prefix| starts(*prefix));
    if string {
        let end = (0..bytes.len()).find(|at| bytes[*at] == 0x07 || bytes[*at..].starts_with(b"\x1b\\"));
        return match end {
            Some(at) if bytes[at] == 0x07 => Answer::Whole(at + 1),
            Some(at) => Answer::Whole(at + 2),
            None if bytes.len() < ANSWER_MAX => Answer::Partial,
            None => Answer::None,
        };
    }
    for (prefix, last) in [(b"\x1b[6;", b't'), (b"\x1b[?6", b'c'), (b"\x1b[?1", b'c'), (b"\x1b[?2", b'c')] {
        if !starts(prefix) {
            continue;
        }
        let Some(rest) = bytes.get(prefix.len()..) else { return Answer::Partial };
        match rest.iter().position(|b| !b.is_ascii_digit() && *b != b';') {
            Some(at) if rest[at] == last => return Answer::Whole(prefix.len() + at + 1),
            Some(_) => {}
            None => return Answer::Partial,
        }
    }
    Answer::None
}

/// `rgb:rrrr/gggg/bbbb`, one to four digits each, and how it was ended.
fn colour(text: &[u8]) -> Option<[u8; 3]> {
    let text = std::str::from_utf8(text).ok()?.trim_end_matches(['\x07', '\\', '\x1b']);
    let digits = text.strip_prefix("rgb:").or_else(|| text.strip_prefix("rgba:"))?;
    let mut parts = digits.split('/').map(|part| {
        let most = 16u32.pow(u32::try_from(part.len()).ok().filter(|digits| (1..=4).contains(digits))?) - 1;
        u8::try_from(u32::from_str_radix(part, 16).ok()? * 255 / most).ok()
    });
    Some([parts.next()??, parts.next()??, parts.next()??])
}

fn number(digits: &[u8]) -> Option<u16> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_out_wherever_reads_split_them() {
        let all =
            b"a\x1b]10;rgb:ffff/0000/8080\x1b\\b\x1b]11;rgb:00/10/ff\x07\x1b[A\x1b[6;20;9tc\x1b[?62;4cd\x1b]11;?e";
        let expected = Looks { foreground: [255, 0, 128], background: [0, 16, 255], cell: (9, 20), ..Looks::default() };
        for split in 0..=all.len() {
            let (_, mut replies) = Replies::ask();
            let (mut typed, first) = replies.take(&all[..split]);
            let (rest, second) = replies.take(&all[split..]);
            typed.extend(rest);
            assert_eq!(first.or(second), Some(expected), "{split}");
            assert_eq!(typed, b"ab\x1b[Acd\x1b]11;?e", "{split}");
            assert!(!replies.waits());
        }
    }

    #[test]
    fn typing_is_not_held_for_long() {
        let (_, mut replies) = Replies::ask();
        assert_eq!(replies.take(b"\x1b").0, b"");
        assert!(replies.waits());
        assert_eq!(replies.give_up(), b"\x1b");
        assert_eq!(replies.take(b"\x1b]11;rgb:ff").0, b"");
        assert!(!replies.waits() && replies.give_up().is_empty(), "no key begins so");
        assert_eq!(replies.take(b"ff/0/0\x07x").0, b"x");
        // Keys that begin alike, and a string that never ends.
        assert_eq!(replies.take(b"\x1b[6~\x1b[?x").0, b"\x1b[6~\x1b[?x");
        let long = [b"\x1b]11;".as_slice(), &[b'x'; 100]].concat();
        assert_eq!(replies.take(&long).0, long);
        let mut silent = Replies::none();
        assert_eq!(silent.take(b"\x1b]11;rgb:0/0/0\x07").0, b"\x1b]11;rgb:0/0/0\x07");
    }

    #[test]
    fn colours_of_any_width() {
        assert_eq!(colour(b"rgb:f/0/8\x07"), Some([255, 0, 136]));
        assert_eq!(colour(b"rgba:ffff/ffff/0000/ffff\x1b\\"), Some([255, 255, 0]));
        for bad in [&b"rgb:f/0"[..], b"red", b"rgb:fffff/0/0", b"rgb://", b"rgb:x/y/z", b"\xff"] {
            assert_eq!(colour(bad), None);
        }
    }
}
