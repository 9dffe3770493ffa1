//! The engine with its parser, and plain text that waits before both.
//!
//! A program that prints faster than anybody looks scrolls most of its lines through the
//! screen and out of history again. So plain text is laid out only when somebody looks, or
//! something else than text follows; what nobody could see any more then never is.

use alacritty_terminal::vte::ansi::Processor;

use super::Immediately;
use super::feed::{REPLACEMENT, unfinished_character};
use super::model::{Model, Size};
use super::plain::other_than_plain;

/// Less text than this is laid out at once: it is done before somebody asks.
const WAITING_MIN: usize = 1024;
/// Most bytes that wait: as many as a processor keeps near.
const WAITING_MAX: usize = 256 * 1024;
/// Bytes tested at once for being plain.
const BLOCK: usize = 64;

/// The engine, its parser, and text that both have still to get.
pub(super) struct Engine {
    model: Model,
    parser: Processor<Immediately>,
    /// Plain text between sequences.
    waiting: Vec<u8>,
}

impl Engine {
    pub(super) fn new(size: Size, history_bytes: u64) -> Self {
        Engine { model: Model::new(size, history_bytes), parser: Processor::new(), waiting: Vec::new() }
    }

    /// All that the output so far has made.
    pub(super) fn model(&mut self) -> &mut Model {
        self.lay_out();
        &mut self.model
    }

    /// The same for good.
    pub(super) fn into_model(mut self) -> Model {
        self.lay_out();
        self.model
    }

    /// What text never changes: the size, modes, the title.
    pub(super) fn settings(&self) -> &Model {
        &self.model
    }

    /// Whether the bell was rung or a notification sent since this was last asked.
    pub(super) fn take_rung(&mut self) -> bool {
        std::mem::take(&mut self.model.shadow.rang)
    }

    /// Calls to the user since they were last taken.
    pub(super) fn take_calls(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.model.shadow.calls)
    }

    /// Takes bytes by way of the parser.
    pub(super) fn advance(&mut self, bytes: &[u8]) {
        self.lay_out();
        self.parser.advance(&mut self.model, bytes);
    }

    /// Takes a whole control sequence between two others.
    pub(super) fn control(&mut self, sequence: &[u8]) {
        let pen = sequence.strip_prefix(b"\x1b[").and_then(|body| body.strip_suffix(b"m"));
        if !pen.is_some_and(|body| self.model().set_pen(body)) {
            self.advance(sequence);
        }
    }

    /// Takes what stands between two sequences, to its end.
    pub(super) fn print(&mut self, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let mut plain = 0;
            if !self.waiting.is_empty() || rest.len() >= WAITING_MIN {
                plain = plain_length(rest);
            }
            if !self.waiting.is_empty() || plain >= WAITING_MIN {
                self.put_off(&rest[..plain]);
                rest = &rest[plain..];
            }
            if !rest.is_empty() {
                self.lay_out();
                rest = self.print_some(rest);
            }
        }
    }

    fn put_off(&mut self, text: &[u8]) {
        self.waiting.extend_from_slice(text);
        if self.waiting.len() > WAITING_MAX {
            let seen = self.model.first_that_matters(&self.waiting);
            if self.waiting.len() - seen > WAITING_MAX / 2 {
                self.lay_out();
            } else {
                self.waiting.drain(..seen);
            }
        }
    }

    /// Lays out the text that waits.
    fn lay_out(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.waiting);
        let seen = self.model.first_that_matters(&text);
        let mut rest = &text[seen..];
        while !rest.is_empty() {
            rest = self.print_some(rest);
        }
    }

    /// Prints what is plain at the start of `text`, and what follows up to the next that is;
    /// returns the rest.
    fn print_some<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        let plain = self.model.print_plain(text);
        let from = &text[plain..];
        if from.is_empty() {
            return from;
        }
        let (other, rest) = from.split_at(other_than_plain(from));
        // The start of a character is none when something else follows: the parser would
        // wait for more of it.
        let (other, broken) = other.split_at(other.len() - unfinished_character(other));
        self.parser.advance(&mut self.model, other);
        if !broken.is_empty() {
            self.parser.advance(&mut self.model, REPLACEMENT.as_bytes());
        }
        rest
    }
}

/// How much of `text` from its start on may wait: ASCII, tabs and ends of lines.
fn plain_length(text: &[u8]) -> usize {
    fn waits(byte: u8) -> bool {
        (b' '..=b'~').contains(&byte) | (byte == b'\n') | (byte == b'\r') | (byte == b'\t')
    }
    // Without a way out in the midst of a block it is tested in a few steps.
    let blocks = text.chunks(BLOCK).take_while(|block| block.iter().fold(true, |all, byte| all & waits(*byte)));
    let whole = blocks.map(<[u8]>::len).sum();
    whole + text[whole..].iter().take_while(|byte| waits(**byte)).count()
}
