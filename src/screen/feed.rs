//! One pass over what a program writes: questions are answered and cut out, everything
//! else goes to the engine and, byte for byte, to the viewers.
//!
//! Sequences are dealt with when they are whole, so that the viewers are between two of
//! them most of the time. Only strings longer than [`HELD_MAX`] are passed on in parts.

use std::ops::Range;

use unicode_width::UnicodeWidthChar;

use super::Screen;
use super::query::{self, Answerer, Question, Terminator};
use super::sequence::{CAN, Control, ESC, Kind, Rest, Sequence, number, rest_of, sequence};

/// A sequence that is not whole is held back up to this many bytes.
const HELD_MAX: usize = 4 * 1024;
/// Bytes of a command that the engine is given; it would keep all of them.
const COMMAND_MAX: usize = 64 * 1024;
/// Bytes kept of a sequence for viewers that join in its middle.
const SINCE_MAX: usize = 64 * 1024;

/// A question in a single byte: who are you? PuTTY answers with its name.
const ENQ: u8 = 0x05;
/// Ends a sequence and does nothing else.
const ST: &[u8] = b"\x1b\\";
/// What is shown of bytes that are no character.
pub(super) const REPLACEMENT: &str = "\u{fffd}";
/// First byte of U+0080 to U+00BF.
const C1_LEAD: u8 = 0xc2;

/// Between two reads.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The start of a sequence or character, not passed on yet.
    pub(super) held: Vec<u8>,
    /// A sequence too long to be held, in whose middle we are.
    long: Option<Long>,
    /// What viewers have got of it.
    since: Vec<u8>,
    /// The engine has got the start of something that it may still be in the middle of.
    pub(super) midway: bool,
}

/// A sequence that is dealt with in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Long {
    kind: Kind,
    /// Viewers get it. What is too long to be anything but an attack is dropped.
    passed: bool,
    /// Bytes of it that the engine may still get.
    engine: usize,
}

impl Feed {
    pub(super) fn since_ground(&self) -> &[u8] {
        &self.since
    }

    /// Keeps what viewers have got of a long sequence, or a stand-in that ends alike.
    fn pass(&mut self, kind: Kind, bytes: &[u8]) {
        if self.since.len() + bytes.len() <= SINCE_MAX {
            self.since.extend_from_slice(bytes);
            return;
        }
        let ignored: &[u8] = if kind == Kind::Command { b"\x1b]9999;" } else { b"\x1b_" };
        self.since.clear();
        self.since.extend_from_slice(ignored);
    }
}

/// Who a whole sequence is for.
enum Deal<'a> {
    /// Engine and viewers.
    Both,
    /// The engine has no use for it, and might take it for text.
    Viewers,
    Question(Question<'a>),
    SoftReset,
    /// The last character, so many times more.
    Repeat(u16),
}

impl Screen {
    /// The body of [`Screen::feed`].
    pub(super) fn take_in(&mut self, bytes: &[u8], visible: &mut Vec<u8>) {
        if self.feed.held.is_empty() {
            self.pass_over(bytes, visible);
        } else {
            let mut joined = std::mem::take(&mut self.feed.held);
            joined.extend_from_slice(bytes);
            self.pass_over(&joined, visible);
        }
    }

    fn pass_over(&mut self, bytes: &[u8], visible: &mut Vec<u8>) {
        let mut at = self.finish_long(bytes, visible);
        // What lies before is the engine's, and the viewers'.
        let (mut given, mut done) = (at, at);
        while let Some(found) = special(&bytes[at..]) {
            at += found;
            if bytes[at] == C1_LEAD {
                match bytes.get(at + 1) {
                    Some(0x80..=0x9f) => {}
                    Some(_) => {
                        at += 1;
                        continue;
                    }
                    None => break,
                }
            }
            self.print_part(bytes, given..at, &mut done, visible);
            match bytes[at] {
                ESC => {
                    if let Some(length) = plain_control(&bytes[at..]) {
                        let control = &bytes[at..at + length];
                        // It ends what the parser may be in the middle of.
                        if std::mem::take(&mut self.feed.midway) {
                            self.engine.advance(control);
                        } else {
                            self.engine.control(control);
                        }
                        at += length;
                        given = at;
                        continue;
                    }
                    visible.extend_from_slice(&bytes[done..at]);
                    let (kind, length, broken) = match sequence(&bytes[at..]) {
                        Sequence::Whole { kind, length, broken } => (kind, length, broken),
                        Sequence::Partial(kind) => {
                            self.hold(kind, &bytes[at..], visible);
                            return;
                        }
                    };
                    let whole = &bytes[at..at + length];
                    match tidied(kind, whole) {
                        Some((controls, tidy)) => {
                            self.both(&controls, visible);
                            self.pass_over(&tidy, visible);
                        }
                        None => self.hand_out(kind, whole, broken, visible),
                    }
                    at += length;
                }
                ENQ => {
                    visible.extend_from_slice(&bytes[done..at]);
                    at += 1;
                }
                // A control character of eight bits: some terminals obey, the engine does not.
                _ => {
                    visible.extend_from_slice(&bytes[done..at]);
                    at += 2;
                }
            }
            (given, done) = (at, at);
        }
        let whole = bytes.len() - unfinished_character(&bytes[given..]);
        self.print_part(bytes, given..whole, &mut done, visible);
        visible.extend_from_slice(&bytes[done..whole]);
        self.feed.held.extend_from_slice(&bytes[whole..]);
    }

    /// Prints a part of `bytes`. Viewers get them from `done` on when more has come together;
    /// but the start of a character at the end is none, as something else follows, and is
    /// shown at once: whoever joins now sees it.
    fn print_part(&mut self, bytes: &[u8], part: Range<usize>, done: &mut usize, visible: &mut Vec<u8>) {
        let text = &bytes[part.clone()];
        let (text, broken) = text.split_at(text.len() - unfinished_character(text));
        // The parser may be in the middle of something, and alone knows of what.
        if self.feed.midway {
            self.engine.advance(text);
        } else {
            self.engine.print(text);
        }
        if !broken.is_empty() {
            self.engine.advance(REPLACEMENT.as_bytes());
            visible.extend_from_slice(&bytes[*done..part.end - broken.len()]);
            visible.extend_from_slice(REPLACEMENT.as_bytes());
            *done = part.end;
        }
    }

    /// Deals with a whole sequence. One that is broken off has its end in the ESC of the next,
    /// which may go to nobody, or later: it gets one of its own.
    fn hand_out(&mut self, kind: Kind, whole: &[u8], broken: bool, visible: &mut Vec<u8>) {
        self.hand_over(kind, whole, visible);
        if broken {
            self.both(ST, visible);
        }
    }

    fn hand_over(&mut self, kind: Kind, whole: &[u8], visible: &mut Vec<u8>) {
        let deal = Self::deal(kind, whole);
        if matches!(deal, Deal::Both | Deal::SoftReset) {
            self.engine.advance(whole);
            self.feed.midway = false;
        }
        match deal {
            Deal::Question(question) => {
                let mut answerer = Answerer { model: self.engine.model(), looks: &self.looks, out: &mut self.answers };
                let order = answerer.answer(&question);
                return self.both(&order, visible);
            }
            Deal::SoftReset => self.engine.model().soft_reset(),
            Deal::Repeat(count) => {
                if std::mem::take(&mut self.feed.midway) {
                    self.engine.advance(&[CAN]);
                }
                let repeated = self.repeated(count);
                return self.both(&repeated, visible);
            }
            Deal::Viewers if kind == Kind::Command => {
                let command = body(whole).0;
                let notifies = is_notification(command);
                if notifies || command.starts_with(b"52;") {
                    self.engine.model().shadow.call(whole, notifies);
                }
            }
            Deal::Viewers => {}
            Deal::Both => {}
        }
        visible.extend_from_slice(whole);
    }

    /// Gives bytes to the engine and the viewers.
    fn both(&mut self, bytes: &[u8], visible: &mut Vec<u8>) {
        if !bytes.is_empty() {
            self.engine.advance(bytes);
            visible.extend_from_slice(bytes);
        }
    }

    /// Deals with what still belongs to a sequence that began in an earlier read; returns
    /// how many bytes those were.
    fn finish_long(&mut self, bytes: &[u8], visible: &mut Vec<u8>) -> usize {
        let Some(long) = self.feed.long else { return 0 };
        match rest_of(long.kind, bytes) {
            Some(Rest { length, broken }) => {
                self.part(long, &bytes[..length], visible);
                self.feed.midway = true;
                self.feed.long = None;
                self.feed.since = Vec::new();
                if broken {
                    self.both(ST, visible);
                }
                length
            }
            None => {
                self.go_on(long, bytes, visible);
                bytes.len()
            }
        }
    }

    /// Passes on a part of a long sequence that goes on after it.
    fn go_on(&mut self, long: Long, bytes: &[u8], visible: &mut Vec<u8>) {
        // The ESC of the end, perhaps.
        let length = if bytes.ends_with(&[ESC]) { bytes.len() - 1 } else { bytes.len() };
        self.feed.long = Some(self.part(long, &bytes[..length], visible));
        self.feed.held.extend_from_slice(&bytes[length..]);
    }

    /// Passes on a part of a long sequence.
    fn part(&mut self, mut long: Long, bytes: &[u8], visible: &mut Vec<u8>) -> Long {
        if long.engine > 0 {
            let given = bytes.len().min(long.engine);
            self.engine.advance(&bytes[..given]);
            long.engine -= given;
            if long.engine == 0 {
                self.engine.advance(&[CAN]);
            }
        }
        if long.passed {
            visible.extend_from_slice(bytes);
            self.feed.pass(long.kind, bytes);
        }
        long
    }

    /// Holds back the start of a sequence, or begins to pass it on in parts.
    fn hold(&mut self, kind: Kind, bytes: &[u8], visible: &mut Vec<u8>) {
        if bytes.len() <= HELD_MAX {
            self.feed.held.extend_from_slice(bytes);
            return;
        }
        let passed = match kind {
            // No terminal makes anything of so many parameters.
            Kind::Escape | Kind::Control => false,
            Kind::Command => !matches!(number(&bytes[2..]), 4 | 5 | 10..=19 | 21 | 22 | 50 | 60 | 61),
            Kind::Device => query::device(&bytes[2..]).is_none(),
            Kind::Other => query::other(&bytes[1..]).is_none(),
        };
        let engine = if passed && for_engine(kind, bytes) { COMMAND_MAX } else { 0 };
        self.go_on(Long { kind, passed, engine }, bytes, visible);
    }

    /// Who a whole sequence is for.
    fn deal<'a>(kind: Kind, bytes: &'a [u8]) -> Deal<'a> {
        let question = match kind {
            Kind::Escape if bytes == b"\x1bZ" => Some(Question::Identify),
            Kind::Escape => None,
            Kind::Control => match Control::parse(&bytes[2..]) {
                Some(Control { private: None, intermediates: b"!", action: b'p', .. }) => return Deal::SoftReset,
                Some(Control { private: None, intermediates: b"", action: b'b', parameters }) => {
                    return Deal::Repeat(number(parameters));
                }
                Some(control) => query::control(control),
                None => None,
            },
            Kind::Command => {
                let (body, terminator) = body(bytes);
                query::command(body, terminator)
            }
            Kind::Device => query::device(body(bytes).0),
            Kind::Other => query::other(&bytes[1..]),
        };
        match question {
            Some(question) => Deal::Question(question),
            None if for_engine(kind, bytes) => Deal::Both,
            None => Deal::Viewers,
        }
    }

    /// REP, with the character that it repeats: a viewer that has just joined knows of none.
    ///
    /// Repeating more often than there are cells only costs time: as many lines fewer leave
    /// the screen the same.
    fn repeated(&mut self, count: u16) -> Vec<u8> {
        let Some((last, _)) = self.engine.model().shadow.printed else { return Vec::new() };
        let (columns, rows) = self.engine.settings().size();
        let line = columns / last.width().unwrap_or(1).max(1);
        let mut count = usize::from(count.max(1));
        let most = columns * (rows + 2);
        if count > most {
            count -= (count - most).div_ceil(line) * line;
        }
        match count - 1 {
            0 => last.to_string().into_bytes(),
            more => format!("{last}\x1b[{more}b").into_bytes(),
        }
    }
}

/// Where the next byte is that needs a look. In coloured output it is near.
fn special(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 12;
    let near = &bytes[..bytes.len().min(NEAR)];
    match near.iter().position(|byte| matches!(*byte, ESC | ENQ | C1_LEAD)) {
        Some(at) => Some(at),
        None => memchr::memchr3(ESC, ENQ, C1_LEAD, &bytes[near.len()..]).map(|at| near.len() + at),
    }
}

/// The length of a whole control sequence that is nothing but an order: most are.
fn plain_control(bytes: &[u8]) -> Option<usize> {
    let body = bytes.strip_prefix(b"\x1b[")?;
    let end = body.iter().position(|byte| !(0x20..0x40).contains(byte))?;
    let plain = match body[end] {
        b'm' => body[0] != b'?',
        action => (0x40..0x7f).contains(&action) && !b"bcnpqtuxSyvw|R".contains(&action),
    };
    plain.then_some(end + 3)
}

/// A whole sequence with control characters in its midst, apart: what is carried out at
/// once, and the sequence as it would be without. Else a question could hide from us that
/// every terminal understands. `None` when there is nothing to tidy.
fn tidied(kind: Kind, bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let in_order = |byte: &u8| (0x20..0x7f).contains(byte);
    let ordered = bytes.iter().skip(1).take_while(|byte| in_order(byte)).count() + 1;
    // Inside of strings control characters mean nothing.
    let string = !matches!(kind, Kind::Escape | Kind::Control);
    let broken_off = !string && !bytes.last().is_some_and(|last| (0x30..0x7f).contains(last));
    if ordered == bytes.len() || broken_off || (string && ordered > 1) {
        return None;
    }
    let loose = if string { bytes.iter().position(|byte| b"]PX^_".contains(byte))? } else { bytes.len() };
    let controls = bytes[1..loose].iter().copied().filter(|byte| *byte < 0x20).collect();
    let kept = bytes[1..loose].iter().copied().filter(in_order);
    let tidy = std::iter::once(ESC).chain(kept).chain(bytes[loose..].iter().copied()).collect();
    Some((controls, tidy))
}

/// What lies between the two bytes that start a string and its end.
fn body(bytes: &[u8]) -> (&[u8], Terminator) {
    let body = bytes.get(2..).unwrap_or_default();
    match body {
        [body @ .., ESC, b'\\'] => (body, Terminator::String),
        [body @ .., 0x07] => (body, Terminator::Bell),
        [body @ .., CAN | 0x1a] => (body, Terminator::String),
        body => (body, Terminator::String),
    }
}

/// Whether a command, without its start and end, asks the desktop to tell the user
/// something: OSC 9 as iTerm2 has it (9;4 is progress), OSC 777, OSC 99.
fn is_notification(command: &[u8]) -> bool {
    match command {
        [b'9', b';', rest @ ..] => !rest.starts_with(b"4;") && rest != b"4",
        command => command.starts_with(b"777;notify;") || command.starts_with(b"99;"),
    }
}

/// Whether the engine makes anything of a sequence.
fn for_engine(kind: Kind, bytes: &[u8]) -> bool {
    match kind {
        Kind::Escape | Kind::Control => true,
        Kind::Command => matches!(number(&bytes[2..]), 0 | 2 | 4 | 8 | 10..=12 | 22 | 50 | 104 | 110..=112),
        Kind::Device | Kind::Other => false,
    }
}

/// How many bytes at the end are the start of a character that is to be continued.
pub(super) fn unfinished_character(bytes: &[u8]) -> usize {
    if bytes.last().is_none_or(u8::is_ascii) {
        return 0;
    }
    (1..=bytes.len().min(3))
        .find(|back| !(0x80..0xc0).contains(&bytes[bytes.len() - back]))
        .filter(|back| {
            let start = &bytes[bytes.len() - back..];
            std::str::from_utf8(start).is_err_and(|error| error.error_len().is_none())
        })
        .unwrap_or(0)
}
