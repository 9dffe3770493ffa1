//! The grammar of escape sequences: where one ends and what kind it is. Mirrors the
//! engine's parser, which keeps its own state to itself, so that both always agree on
//! when they are between sequences.

/// Starts every sequence.
pub(super) const ESC: u8 = 0x1b;
/// Breaks a sequence off.
pub(super) const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const BEL: u8 = 0x07;

/// What stands at the start of some bytes that begin with ESC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    /// It goes on after the bytes at hand.
    Partial(Kind),
    /// It takes this many bytes, with what ended it. `broken` by another ESC it has no end of
    /// its own.
    Whole { kind: Kind, length: usize, broken: bool },
}

/// The rest of a sequence: so many bytes, and whether another ESC broke it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    pub length: usize,
    pub broken: bool,
}

/// The kinds of sequences, by how they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `ESC`, intermediates, one final byte. Also what was broken off by another ESC.
    Escape,
    /// `ESC [`, parameters, one final byte.
    Control,
    /// `ESC ]` up to BEL or ST: an operating system command.
    Command,
    /// `ESC P` up to ST: a device control string.
    Device,
    /// `ESC _`, `ESC ^` or `ESC X` up to ST: meant for nobody we know, or for pictures.
    Other,
}

/// Looks at `bytes`, which begin with ESC.
pub(super) fn sequence(bytes: &[u8]) -> Sequence {
    let mut intermediates = false;
    for (at, &byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            ESC => return Sequence::Whole { kind: Kind::Escape, length: at, broken: true },
            CAN | SUB => return Sequence::Whole { kind: Kind::Escape, length: at + 1, broken: false },
            0x20..=0x2f => intermediates = true,
            b'[' if !intermediates => return end(Kind::Control, bytes, at + 1),
            b']' if !intermediates => return end(Kind::Command, bytes, at + 1),
            b'P' if !intermediates => return end(Kind::Device, bytes, at + 1),
            b'X' | b'^' | b'_' if !intermediates => return end(Kind::Other, bytes, at + 1),
            0x30..=0x7e => return Sequence::Whole { kind: Kind::Escape, length: at + 1, broken: false },
            // Control characters are carried out, everything else is ignored.
            _ => {}
        }
    }
    Sequence::Partial(Kind::Escape)
}

fn end(kind: Kind, bytes: &[u8], from: usize) -> Sequence {
    match rest_of(kind, &bytes[from..]) {
        Some(Rest { length, broken }) => Sequence::Whole { kind, length: from + length, broken },
        None => Sequence::Partial(kind),
    }
}

/// How many of `bytes`, which lie inside a sequence of `kind`, still belong to it; `None`
/// when all do and more is to come.
pub(super) fn rest_of(kind: Kind, bytes: &[u8]) -> Option<Rest> {
    let ended = |length| Some(Rest { length, broken: false });
    let broken = |length| Some(Rest { length, broken: true });
    match kind {
        Kind::Escape | Kind::Control => {
            let first = if kind == Kind::Control { 0x40 } else { 0x30 };
            let at = bytes.iter().position(|b| matches!(*b, ESC | CAN | SUB) || (first..0x7f).contains(b))?;
            if bytes[at] == ESC { broken(at) } else { ended(at + 1) }
        }
        Kind::Command | Kind::Device | Kind::Other => {
            let mut from = 0;
            loop {
                let at = from + string_end(kind, &bytes[from..])?;
                return match (bytes[at], bytes.get(at + 1)) {
                    (ESC, Some(b'\\')) => ended(at + 2),
                    // ST may still come.
                    (ESC, None) => None,
                    (ESC, Some(_)) => broken(at),
                    (BEL | CAN | SUB, _) => ended(at + 1),
                    _ => {
                        from = at + 1;
                        continue;
                    }
                };
            }
        }
    }
}

/// Where a string may end: at ESC or a control character that breaks it off.
fn string_end(kind: Kind, bytes: &[u8]) -> Option<usize> {
    let escape = memchr::memchr3(ESC, CAN, SUB, bytes);
    if kind != Kind::Command {
        return escape;
    }
    let within = escape.map_or(bytes, |at| &bytes[..at]);
    memchr::memchr(BEL, within).or(escape)
}

/// A control sequence taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Control<'a> {
    /// `<`, `=`, `>` or `?` before the parameters.
    pub private: Option<u8>,
    /// Digits, `;` and `:`.
    pub parameters: &'a [u8],
    /// Bytes between parameters and final byte.
    pub intermediates: &'a [u8],
    /// The byte that says what to do.
    pub action: u8,
}

impl<'a> Control<'a> {
    /// From what stands between `ESC [` and the end, the final byte included. `None` when
    /// it is not well formed (broken off, or with control characters inside).
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let (&action, body) = body.split_last()?;
        if !(0x40..0x7f).contains(&action) {
            return None;
        }
        let (private, body) = match body.split_first() {
            Some((&sign @ b'<'..=b'?', rest)) => (Some(sign), rest),
            _ => (None, body),
        };
        let split = body.iter().position(|b| !(0x30..=0x3b).contains(b)).unwrap_or(body.len());
        let (parameters, intermediates) = body.split_at(split);
        let well_formed = intermediates.iter().all(|b| (0x20..=0x2f).contains(b));
        well_formed.then_some(Control { private, parameters, intermediates, action })
    }

    /// The parameters as numbers; missing ones are 0.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u16> + 'a {
        self.parameters.split(|b| *b == b';').map(number)
    }

    /// The first parameter, 0 when missing.
    pub(super) fn first(&self) -> u16 {
        self.numbers().next().unwrap_or(0)
    }
}

/// The digits at the start of `bytes` as a number, as the engine reads them.
pub(super) fn number(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0u16, |sum, digit| sum.saturating_mul(10).saturating_add(u16::from(digit - b'0')))
}
