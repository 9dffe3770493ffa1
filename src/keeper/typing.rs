//! Typing for clients that are not attached: one text at a time, and Enter only when the
//! program has taken the text in. Many programs take an Enter that comes together with a
//! text for a part of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::event_loop::{Keeper, Stage};
use super::terminal::CANONICAL_LINE;
use crate::protocol::keeper::{FromKeeper, RefusedCode};
use crate::recording::input::Typist;

/// The terminal was quiet this long after a text: Enter may come.
const QUIET: Duration = Duration::from_millis(100);
/// A terminal that is never quiet (a spinner) and shows no echo gets Enter after this.
const PATIENCE: Duration = Duration::from_secs(2);
/// As much of a text's end is looked for in the output.
const ECHO: usize = 16;

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// A text to type.
#[derive(Debug)]
pub struct Send {
    client: u64,
    bytes: Vec<u8>,
    paste: bool,
    enter: bool,
}

impl Send {
    /// A text, as a paste where the program asked for that, with Enter after it.
    pub fn new(bytes: Vec<u8>, paste: bool, enter: bool) -> Send {
        Send { client: 0, bytes, paste, enter }
    }
}

/// Texts that wait, and the one being typed.
#[derive(Debug, Default)]
pub struct Typing {
    /// Bounded by the clients: each waits for its answer before its next is read.
    queue: VecDeque<Send>,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    client: u64,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// The text is handed to the terminal; then `Some` waits for its echo.
    Text(Option<Echo>),
    /// The text was handed over.
    Settling { echo: Echo, quiet: Instant, patience: Instant },
    /// Enter is handed to the terminal.
    Enter,
}

/// Looks for the end of a text in the output.
#[derive(Debug)]
struct Echo {
    wanted: Vec<u8>,
    /// The end of the output so far, a little shorter than what is wanted.
    seen: Vec<u8>,
    found: bool,
}

impl Echo {
    fn of(text: &[u8]) -> Echo {
        let plain = text.iter().rev().take(ECHO).take_while(|b| **b >= 0x20 && **b != 0x7F).count();
        Echo { wanted: text[text.len() - plain..].to_vec(), seen: Vec::new(), found: false }
    }

    fn saw(&mut self, output: &[u8]) {
        if self.wanted.is_empty() || self.found {
            return;
        }
        self.seen.extend_from_slice(output);
        self.found = memchr::memmem::find(&self.seen, &self.wanted).is_some();
        let keep = self.seen.len().min(self.wanted.len() - 1);
        self.seen.drain(..self.seen.len() - keep);
    }
}

impl Typing {
    /// The program has written something that can be seen.
    pub fn saw(&mut self, output: &[u8], now: Instant) {
        match self.current.as_mut().map(|current| &mut current.step) {
            Some(Step::Text(Some(echo))) => echo.saw(output),
            Some(Step::Settling { echo, quiet, .. }) => {
                echo.saw(output);
                *quiet = now + QUIET;
            }
            _ => {}
        }
    }

    /// A client is gone: what it has not begun to type is forgotten.
    pub fn forget(&mut self, client: u64) {
        self.queue.retain(|send| send.client != client);
    }

    /// When Enter comes at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.current {
            Some(Current { step: Step::Settling { quiet, patience, .. }, .. }) => Some(*quiet.min(patience)),
            _ => None,
        }
    }
}

impl Keeper {
    /// A client wants a text typed.
    pub(super) fn send_request(&mut self, index: usize, mut send: Send, now: Instant) {
        if !matches!(self.stage, Stage::Running { .. }) {
            return self.refuse(index, RefusedCode::State, "no program runs here that could be typed to");
        }
        let client = &mut self.clients[index];
        client.busy = true;
        send.client = client.id;
        self.typing.queue.push_back(send);
        self.type_on(now);
    }

    /// Hands what was typed to the terminal, and has it noted who typed it. Of what the
    /// program reads without showing it, only how long it was.
    pub(super) fn hand_over(&mut self, by: Typist, bytes: &[u8]) {
        // As it is before the program has read it. Noted afterwards: somebody waits for the echo.
        let hidden = self.terminal.hides_input();
        self.terminal.push(bytes);
        self.terminal.write();
        if hidden {
            self.recorder.hidden(by, bytes.len() as u64);
        } else {
            self.recorder.input(by, &self.output.blotted(bytes), 0);
        }
        self.output.answered();
    }

    /// Types on as far as the terminal takes it.
    pub(super) fn type_on(&mut self, now: Instant) {
        loop {
            let Some(current) = &mut self.typing.current else {
                if self.terminal.is_full() {
                    return;
                }
                let Some(send) = self.typing.queue.pop_front() else { return };
                self.type_text(send);
                continue;
            };
            if self.terminal.wants_write() {
                return;
            }
            match &mut current.step {
                Step::Text(echo) => match echo.take() {
                    Some(echo) => {
                        current.step = Step::Settling { echo, quiet: now + QUIET, patience: now + PATIENCE };
                    }
                    None => self.typed(),
                },
                Step::Settling { echo, quiet, patience } => {
                    if !echo.found && now < *quiet && now < *patience {
                        return;
                    }
                    current.step = Step::Enter;
                    self.hand_over(Typist::Send, b"\r");
                }
                Step::Enter => self.typed(),
            }
        }
    }

    fn type_text(&mut self, send: Send) {
        let Send { client, bytes, paste, enter } = send;
        if self.terminal.is_canonical()
            && let Some(long) =
                bytes.split(|b| matches!(b, b'\n' | b'\r')).map(<[u8]>::len).find(|l| *l > CANONICAL_LINE)
        {
            let reason = format!(
                "a line of {long} bytes: the program reads lines, and the terminal takes at most {CANONICAL_LINE} bytes in one"
            );
            return self.answer(client, &FromKeeper::Refused { code: RefusedCode::State, reason });
        }
        let step = match (bytes.is_empty(), enter) {
            (true, true) => Step::Enter,
            (_, enter) => Step::Text(enter.then(|| Echo::of(&bytes))),
        };
        let mut typed = if paste && self.output.bracketed_paste() && !bytes.is_empty() {
            [PASTE_BEGIN, &without(&bytes, PASTE_END), PASTE_END].concat()
        } else {
            bytes
        };
        if matches!(step, Step::Enter) {
            typed.push(b'\r');
        }
        self.hand_over(Typist::Send, &typed);
        self.typing.current = Some(Current { client, step });
    }

    /// The current text is typed.
    fn typed(&mut self) {
        if let Some(Current { client, .. }) = self.typing.current.take() {
            self.answer(client, &FromKeeper::Done);
        }
    }

    /// The program is gone: nothing is typed any more.
    pub(super) fn drop_typing(&mut self) {
        let current = self.typing.current.take().map(|current| current.client);
        let waiting: Vec<u64> = self.typing.queue.drain(..).map(|send| send.client).collect();
        for client in current.into_iter().chain(waiting) {
            let reason = "the program ended before all was typed".to_owned();
            self.answer(client, &FromKeeper::Refused { code: RefusedCode::State, reason });
        }
    }

    fn answer(&mut self, id: u64, message: &FromKeeper) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
            client.busy = false;
            client.send(message);
        }
    }
}

/// `text` without any `part`: a text must not end its own paste.
fn without(text: &[u8], part: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    for byte in text {
        kept.push(*byte);
        if kept.ends_with(part) {
            kept.truncate(kept.len() - part.len());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_found_across_pieces() {
        let mut echo = Echo::of(b"one\rcontinue the work please");
        assert_eq!(echo.wanted, b" the work please");
        for byte in b"\x1b[2K> continue the work please" {
            assert!(!echo.found);
            echo.saw(&[*byte]);
        }
        assert!(echo.found);
        assert!(Echo::of(b"\x03").wanted.is_empty());
    }

    #[test]
    fn a_text_cannot_end_its_own_paste() {
        assert_eq!(without(b"a\x1b[201~b", PASTE_END), b"ab");
        assert_eq!(without(b"a\x1b[2\x1b[201~01~b", PASTE_END), b"ab");
    }
}
