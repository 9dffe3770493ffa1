//! Who typed what, in the timing index.
//!
//! The text lies in the entries themselves, eight bytes in each: then it is written, read,
//! packed and dropped with the index, and readers that do not know it skip it. One input
//! may be several entries; each says whether it goes on from the one before.

use super::index::{Entry, Mark};

/// Most bytes of one input that are written down; of the rest only the number is. What a
/// person types or tells an agent is shorter; a longer text was pasted, and is a file
/// somewhere.
pub const MAX_INPUT: usize = 4 * 1024;
/// Bytes of text in one entry.
const IN_ENTRY: usize = 8;

const GOES_ON: u8 = 1;
const HIDDEN: u8 = 2;
const OMITTED: u8 = 4;

/// Where input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typist {
    /// Somebody at an attached terminal.
    Viewer,
    /// `autodev send`.
    Send,
    /// What the program was started with to do.
    Prompt,
}

impl Typist {
    /// Its name for people and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Typist::Viewer => "viewer",
            Typist::Send => "send",
            Typist::Prompt => "prompt",
        }
    }
}

/// What one entry says of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Who typed.
    pub by: Typist,
    /// It belongs to the input of the entry before.
    pub goes_on: bool,
    /// What was typed.
    pub what: What,
}

/// What was typed, as far as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// So many of these bytes.
    Text([u8; IN_ENTRY], u8),
    /// So many bytes that the terminal did not show either: a password.
    Hidden(u64),
    /// So many bytes beyond [`MAX_INPUT`].
    Omitted(u64),
}

impl Part {
    /// The three spare bytes of the entry, and its extra.
    pub(super) fn encode(&self) -> ([u8; 3], u64) {
        let by = match self.by {
            Typist::Viewer => 1,
            Typist::Send => 2,
            Typist::Prompt => 3,
        };
        let flag = if self.goes_on { GOES_ON } else { 0 };
        match self.what {
            What::Text(bytes, length) => ([by, length, flag], u64::from_le_bytes(bytes)),
            What::Hidden(count) => ([by, 0, flag | HIDDEN], count),
            What::Omitted(count) => ([by, 0, flag | OMITTED], count),
        }
    }

    /// The way back; `None` for what is not known here.
    pub(super) fn decode([by, length, flags]: [u8; 3], extra: u64) -> Option<Part> {
        let by = match by {
            1 => Typist::Viewer,
            2 => Typist::Send,
            3 => Typist::Prompt,
            _ => return None,
        };
        let what = match flags & !GOES_ON {
            0 if usize::from(length) <= IN_ENTRY => What::Text(extra.to_le_bytes(), length),
            HIDDEN => What::Hidden(extra),
            OMITTED => What::Omitted(extra),
            _ => return None,
        };
        Some(Part { by, goes_on: flags & GOES_ON != 0, what })
    }
}

/// A text in as many parts as it takes, then what was left out of it.
pub(super) fn parts(by: Typist, goes_on: bool, text: &[u8], omitted: u64) -> impl Iterator<Item = Part> {
    let texts = text.chunks(IN_ENTRY).map(|chunk| {
        let mut bytes = [0; IN_ENTRY];
        bytes[..chunk.len()].copy_from_slice(chunk);
        // At most IN_ENTRY.
        What::Text(bytes, u8::try_from(chunk.len()).unwrap_or(0))
    });
    let all = texts.chain((omitted > 0).then_some(What::Omitted(omitted)));
    all.enumerate().map(move |(n, what)| Part { by, goes_on: goes_on || n > 0, what })
}

/// An input put together again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Milliseconds since recording began.
    pub ms: u32,
    /// Bytes the program had written before.
    pub offset: u64,
    /// Who typed.
    pub by: Typist,
    /// What was typed, as far as it is written down.
    pub text: Vec<u8>,
    /// Bytes that the terminal did not show, and that are not written down.
    pub hidden: u64,
    /// Further bytes that are not written down.
    pub omitted: u64,
}

/// The inputs in an index.
pub(super) fn inputs(entries: &[Entry]) -> Vec<Input> {
    let mut found: Vec<Input> = Vec::new();
    for entry in entries {
        let Mark::Input(Part { by, goes_on, what }) = entry.mark else { continue };
        let fresh = || Input { ms: entry.ms, offset: entry.offset, by, text: Vec::new(), hidden: 0, omitted: 0 };
        let follows = goes_on && found.last().is_some_and(|last| last.by == by);
        if !follows {
            found.push(fresh());
        }
        let Some(input) = found.last_mut() else { continue };
        match what {
            What::Text(bytes, length) => input.text.extend(bytes.iter().take(usize::from(length))),
            What::Hidden(count) => input.hidden = input.hidden.saturating_add(count),
            What::Omitted(count) => input.omitted = input.omitted.saturating_add(count),
        }
    }
    found
}
