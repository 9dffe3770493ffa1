//! A recording played into a screen, a little at a time.

use std::vec::IntoIter;

use super::Recorded;
use crate::protocol::Fault;
use crate::recording::{Event, Step};
use crate::screen::Screen;
use crate::task::spec::DEFAULT_SIZE;

/// Bytes played at once: what came at one moment may be much.
const CHUNK: usize = 64 * 1024;

/// A recording and how far it was played.
#[derive(Debug)]
pub struct Playback<'a> {
    recorded: Recorded<'a>,
    steps: IntoIter<Step>,
    next: Option<Step>,
    screen: Screen,
    buffer: Vec<u8>,
}

/// What was played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Played {
    /// Output.
    Output,
    /// The screen has another size.
    Resize,
}

impl<'a> Playback<'a> {
    /// From the beginning, as it is recorded now.
    pub fn new(mut recorded: Recorded<'a>) -> Playback<'a> {
        let first = recorded.reader().first();
        recorded.missing(0, first);
        let mut steps = recorded.reader().timeline().into_iter();
        let (columns, rows) = recorded.size().unwrap_or(DEFAULT_SIZE);
        let next = steps.next();
        Playback { recorded, steps, next, screen: Screen::new(columns, rows, 0), buffer: vec![0; CHUNK] }
    }

    /// The recording.
    pub fn recorded(&self) -> &Recorded<'a> {
        &self.recorded
    }

    /// Keeps what is to be said of the recording, for while the terminal shows something else.
    pub fn hold_notes(&mut self) {
        self.recorded.hold_notes();
    }

    /// Says what was kept.
    pub fn tell_notes(&mut self) {
        self.recorded.tell_notes();
    }

    /// What the session showed at this moment.
    pub fn screen(&mut self) -> &mut Screen {
        &mut self.screen
    }

    /// Columns and rows at this moment.
    pub fn size(&self) -> (u16, u16) {
        self.screen.size()
    }

    /// When the next thing happened, in milliseconds; `None` at the end.
    pub fn next_ms(&self) -> Option<u32> {
        self.next.map(|step| step.ms)
    }

    /// The next thing is another size of the screen.
    pub fn next_is_resize(&self) -> bool {
        self.next.is_some_and(|step| matches!(step.event, Event::Resize { .. }))
    }

    /// Plays on a little. What a terminal may see of it is appended to `visible`: all but
    /// the questions to a terminal. `None` at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn play(&mut self, visible: &mut Vec<u8>) -> Result<Option<Played>, Fault> {
        let Some(Step { ms, event }) = self.next else { return Ok(None) };
        let (played, rest) = match event {
            Event::Resize { columns, rows } => {
                self.screen.resize(columns, rows);
                (Played::Resize, None)
            }
            Event::Output { offset, end } => {
                let read = self.recorded.read(offset, end, &mut self.buffer)?;
                self.recorded.missing(offset, read.map_or(end, |(found, _)| found));
                let rest = read.map(|(offset, length)| {
                    self.screen.feed(&self.buffer[..length], visible);
                    // Nobody is there to be answered.
                    drop(self.screen.take_answers());
                    offset + length as u64
                });
                (Played::Output, rest.filter(|offset| *offset < end).map(|offset| Event::Output { offset, end }))
            }
        };
        self.next = match rest {
            Some(event) => Some(Step { ms, event }),
            None => self.steps.next(),
        };
        if self.next.is_none() {
            // Lost at the end, as on a full disk.
            let (end, written) = (self.recorded.reader().end(), self.recorded.written());
            self.recorded.missing(end, written);
        }
        Ok(Some(played))
    }

    /// Plays all that happened up to this moment.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn play_to(&mut self, ms: u32) -> Result<(), Fault> {
        let mut visible = Vec::new();
        while self.next_ms().is_some_and(|next| next <= ms) {
            self.play(&mut visible)?;
            visible.clear();
        }
        Ok(())
    }
}
