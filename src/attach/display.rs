//! What is on its way to the user's terminal, and the traces that programs leave there: what
//! they have set that neither a picture nor [`screen::leave`] takes back. It is taken back
//! before the next whole picture, which may be of another session, and on leaving.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

use super::queue::Queue;
use super::terminal::{Terminal, write_within};
use crate::screen;

/// Has the terminal remember what it is given back with: its wheel, its urgency, its title.
const TAKE: &[u8] = b"\x1b[?1007;1042s\x1b[22;2t";
/// Where the cursor is does not matter any more: terminals that bring origin mode back with
/// it lose that too.
const GIVE_BACK: &[u8] = b"\x1b[?6l\x1b[?1007;1042r\x1b[23;2t";
/// The title it had, which it goes on remembering.
const OLD_TITLE: &[u8] = b"\x1b[23;2t\x1b[22;2t";
/// Most modes that are remembered; nobody knows so many.
const MODES_MAX: usize = 64;
/// Private modes that pictures and [`screen::leave`] deal with.
const KNOWN: [u16; 25] = [
    1, 5, 6, 7, 9, 12, 25, 47, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 1042, 1047, 1048, 1049, 2004,
    2026, 2031, 2048,
];

/// What puts a terminal back that a session was shown on.
pub fn leave() -> Vec<u8> {
    [&screen::leave(), GIVE_BACK].concat()
}

/// Bytes on their way to the terminal.
#[derive(Debug)]
pub struct Display {
    queue: Queue,
    traces: Traces,
    /// What the terminal was last told to be left with, besides [`leave`].
    told: Vec<u8>,
}

impl Display {
    /// For a terminal of so many rows: what it shows goes up into its own history instead of
    /// being painted over.
    pub fn new(rows: u16) -> Display {
        let mut queue = Queue::default();
        queue.push(&b"\n".repeat(usize::from(rows)));
        queue.push(TAKE);
        Display { queue, traces: Traces::default(), told: Vec::new() }
    }

    /// Adds what is ours.
    pub fn push(&mut self, bytes: &[u8]) {
        self.queue.push(bytes);
    }

    /// Adds what a program has printed.
    pub fn program(&mut self, bytes: &[u8]) {
        self.traces.note(bytes);
        self.queue.push(bytes);
    }

    /// Adds a picture.
    pub fn picture(&mut self, bytes: &[u8]) {
        if screen::is_whole(bytes) {
            self.queue.push(&std::mem::take(&mut self.traces).undo());
        }
        self.program(bytes);
    }

    /// The terminal was given back meanwhile.
    pub fn take_again(&mut self) {
        self.queue.push(TAKE);
    }

    /// What has not gone yet.
    pub fn rest(&self) -> &[u8] {
        self.queue.rest()
    }

    /// Forgets what has not gone yet.
    pub fn clear(&mut self) {
        self.queue.clear();
    }

    /// Writes what the terminal takes now; `false` when there is something left.
    ///
    /// # Errors
    /// The system's own.
    pub fn write(&mut self, terminal: &Terminal) -> io::Result<bool> {
        self.tell(terminal);
        self.queue.write(|bytes| terminal.output().write(bytes))
    }

    /// Writes all there is, within a limit.
    ///
    /// # Errors
    /// `TimedOut`; otherwise the system's own.
    pub fn flush(&mut self, terminal: &Terminal, limit: Duration) -> io::Result<()> {
        self.tell(terminal);
        write_within(terminal.output(), self.queue.rest(), limit)
    }

    /// What is to be taken back must be known before it is set.
    fn tell(&mut self, terminal: &Terminal) {
        let undo = self.traces.undo();
        if undo != self.told {
            terminal.leave_with([undo.clone(), leave()].concat());
            self.told = undo;
        }
    }
}

/// What programs have set.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traces {
    /// The palette.
    palette: bool,
    /// Text, background and cursor: OSC 10 to 12.
    colours: [bool; 3],
    /// Private modes that are not known here.
    modes: BTreeSet<u16>,
    /// Modes 1007 and 1042, of which no default is right everywhere.
    told: bool,
    title: bool,
}

impl Traces {
    /// Looks through what goes to the terminal, which has whole sequences in most cases.
    fn note(&mut self, bytes: &[u8]) {
        for at in memchr::memchr_iter(0x1b, bytes) {
            match &bytes[at + 1..] {
                [b']', rest @ ..] => self.command(rest),
                [b'[', b'?', rest @ ..] => self.mode(rest),
                [b'c', ..] => self.modes.clear(),
                _ => {}
            }
        }
    }

    fn command(&mut self, rest: &[u8]) {
        match rest {
            [b'4', b';', ..] => self.palette = true,
            [b'1', last @ b'0'..=b'2', b';', ..] => {
                // OSC 10 may be followed by the colours of the next ones.
                self.colours[usize::from(last - b'0')..].fill(true);
            }
            [b'0' | b'2', b';', ..] => self.title = true,
            _ => {}
        }
    }

    fn mode(&mut self, rest: &[u8]) {
        let Some(end) = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';')) else { return };
        let numbers = rest[..end].split(|byte| *byte == b';').filter_map(|n| std::str::from_utf8(n).ok()?.parse().ok());
        for number in numbers {
            match rest[end] {
                b'h' | b'l' if matches!(number, 1007 | 1042) => self.told = true,
                b'h' if !KNOWN.contains(&number) && self.modes.len() < MODES_MAX => drop(self.modes.insert(number)),
                b'l' => drop(self.modes.remove(&number)),
                _ => {}
            }
        }
    }

    /// What takes all of it back.
    fn undo(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.palette {
            out.extend_from_slice(b"\x1b]104\x1b\\");
        }
        for (code, _) in (110..).zip(self.colours).filter(|(_, set)| *set) {
            out.extend_from_slice(format!("\x1b]{code}\x1b\\").as_bytes());
        }
        for mode in &self.modes {
            out.extend_from_slice(format!("\x1b[?{mode}l").as_bytes());
        }
        if self.told {
            out.extend_from_slice(b"\x1b[?1007;1042r");
        }
        if self.title {
            out.extend_from_slice(OLD_TITLE);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(bytes: &[u8]) -> String {
        let mut traces = Traces::default();
        traces.note(bytes);
        String::from_utf8(traces.undo()).unwrap()
    }

    #[test]
    fn what_was_set_is_taken_back() {
        assert_eq!(undone(b"text \x1b[1;31m\x1b[?1;25;1000;1049;2004;2026h\x1b]8;;http://x\x07"), "");
        assert_eq!(undone(b"\x1b]12;#fab283\x07\x1b[?2027;25h"), "\x1b]112\x1b\\\x1b[?2027l");
        assert_eq!(undone(b"\x1b]10;red\x07"), "\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\");
        assert_eq!(undone(b"\x1b]4;1;red\x07\x1b[?1007l"), "\x1b]104\x1b\\\x1b[?1007;1042r");
        assert_eq!(undone(b"\x1b[?45;67h and \x1b[?45l"), "\x1b[?67l");
        assert_eq!(undone(b"\x1b]2;title\x07"), "\x1b[23;2t\x1b[22;2t");
        assert_eq!(undone(b"\x1b[?99999h\x1b[?\x1b]\x1b]1\x1b[?2027"), "");
        let many: String = (3000..4000).map(|n| format!("\x1b[?{n}h")).collect();
        assert_eq!(undone(many.as_bytes()).matches('l').count(), MODES_MAX);
    }

    #[test]
    fn a_whole_picture_begins_without_traces() {
        let mut display = Display::new(0);
        display.clear();
        display.program(b"\x1b]12;red\x07");
        display.clear();
        display.picture(b"\x1b[?2026honly what changed");
        assert!(!display.rest().starts_with(b"\x1b]112"));
        display.clear();
        let mut other = screen::Screen::new(80, 24, 0);
        display.picture(&other.picture((80, 24), 0));
        assert!(display.rest().starts_with(b"\x1b]112\x1b\\\x18"));
        assert_eq!(display.traces, Traces::default());
    }
}
