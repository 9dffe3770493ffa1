//! Scrolling back through what a session has shown, with search and copying by keys.

mod document;
mod place;

use std::ops::Range;

use super::cover::Outcome;
use super::keys::Key;
use super::line::{Line, Typed};
use super::notice;
use crate::id::SessionName;
use crate::paths::Paths;
use crate::protocol::Fault;
use crate::screen::Rows;

use place::Place;

/// Which way a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To older lines.
    Back,
    /// To newer lines.
    On,
}

/// What is scrolled through, and where one is.
#[derive(Debug)]
pub(super) struct Scroll {
    paths: Paths,
    session: SessionName,
    document: Rows,
    /// Bytes the program had written when the document was made.
    end: u64,
    /// The recording was read already: there is nothing older.
    complete: bool,
    /// The terminal's size.
    size: (u16, u16),
    /// The first row shown.
    top: usize,
    cursor: Place,
    /// The other end of what is selected.
    anchor: Option<Place>,
    pattern: Option<(String, Way)>,
    typed: Option<(Line, Way)>,
    message: Option<String>,
}

impl Scroll {
    /// Begins at the end.
    ///
    /// # Errors
    /// When the keeper does not answer.
    pub(super) fn open(paths: &Paths, session: &SessionName, size: (u16, u16)) -> Result<Scroll, Fault> {
        let (document, end) = document::from_keeper(paths, session)?;
        Ok(Scroll::of(document, end, paths, session, size))
    }

    /// Scrolling in `document`, which ends at the byte `end` of what the program wrote, from
    /// its last row on.
    fn of(document: Rows, end: u64, paths: &Paths, session: &SessionName, size: (u16, u16)) -> Scroll {
        let mut scroll = Scroll {
            paths: paths.clone(),
            session: session.clone(),
            document,
            end,
            complete: false,
            size,
            top: 0,
            cursor: Place::default(),
            anchor: None,
            pattern: None,
            typed: None,
            message: None,
        };
        scroll.cursor.row = scroll.last_row();
        scroll.show_cursor();
        scroll
    }

    /// The terminal has another size.
    pub(super) fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
        self.show_cursor();
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: Key) -> Outcome {
        self.message = None;
        if let Some((line, way)) = &mut self.typed {
            let way = *way;
            match line.key(key) {
                Typed::On => return Outcome::Stay,
                Typed::Dropped => self.typed = None,
                Typed::Done(pattern) => {
                    self.typed = None;
                    if !pattern.is_empty() {
                        self.pattern = Some((pattern, way));
                    }
                    self.search(way);
                }
            }
            return Outcome::Stay;
        }
        let page = self.page().saturating_sub(1).max(1);
        match key {
            Key::Escape if self.anchor.take().is_some() => {}
            Key::Escape | Key::Char('q') | Key::Control('c') => return Outcome::Back,
            Key::Up | Key::Char('k') | Key::Control('p') => self.go_back(1),
            Key::Down | Key::Char('j') | Key::Control('n') => self.go_on(1),
            Key::PageUp | Key::Control('b') => self.go_back(page),
            Key::PageDown | Key::Control('f') => self.go_on(page),
            Key::Control('u') => self.go_back(page.div_ceil(2)),
            Key::Control('d') => self.go_on(page.div_ceil(2)),
            Key::Char('g') => {
                self.complete();
                self.cursor.row = 0;
            }
            Key::Char('G') => self.cursor.row = self.last_row(),
            Key::Left | Key::Char('h') => self.cursor.left(&self.document),
            Key::Right | Key::Char('l') => self.cursor.right(&self.document),
            Key::Home | Key::Char('0' | '^') => self.cursor.column = 0,
            Key::End | Key::Char('$') => self.cursor.end(&self.document),
            Key::Char('w') => self.cursor.next_word(&self.document),
            Key::Char('b') => self.cursor.previous_word(&self.document),
            Key::Char('/') => self.typed = Some((Line::new("search back: "), Way::Back)),
            Key::Char('?') => self.typed = Some((Line::new("search on: "), Way::On)),
            Key::Char(turn @ ('n' | 'N')) => match self.pattern {
                None => return Outcome::Bell,
                Some((_, way)) => self.search(if turn == 'n' { way } else { way.other() }),
            },
            Key::Char('v' | ' ') => self.anchor = if self.anchor.is_some() { None } else { Some(self.cursor) },
            Key::Char('V') => {
                self.anchor = Some(Place { column: 0, ..self.cursor });
                self.cursor.end(&self.document);
            }
            Key::Char('y') | Key::Enter => match self.anchor.take() {
                Some(anchor) => {
                    let text = place::text(&self.document, anchor, self.cursor);
                    self.message = Some(format!("{} characters copied", text.chars().count()));
                    return Outcome::Copy { text, back: key == Key::Enter };
                }
                None => return Outcome::Bell,
            },
            _ => return Outcome::Bell,
        }
        self.show_cursor();
        Outcome::Stay
    }

    /// Escape sequences that paint it on the whole terminal.
    pub(super) fn paint(&self) -> Vec<u8> {
        let columns = usize::from(self.size.0);
        let mut lines: Vec<Vec<u8>> = (self.top..self.top + self.page())
            .map(|row| self.document.paint(row, columns, &self.marked(row)))
            .collect();
        let line = match (&self.typed, &self.message) {
            (Some((line, _)), _) => format!(" {}", line.shown(columns.saturating_sub(1))),
            (None, Some(message)) => format!(" {message}"),
            (None, None) => {
                let keys = "q back  / search up  ? down  v select  y copy";
                format!(" {}  line {} of {}  {keys}", self.session, self.cursor.row + 1, self.document.count())
            }
        };
        lines.push(format!("\x1b[7m{}", notice::fit(&line, columns)).into_bytes());
        let mut out = notice::whole(&lines, self.size.1);
        let (row, column) = (self.cursor.row - self.top, self.cursor.column.min(columns.saturating_sub(1)));
        out.extend_from_slice(format!("\x1b[{};{}H\x1b[?25h", row + 1, column + 1).as_bytes());
        out
    }

    /// Rows of the document that are shown.
    fn page(&self) -> usize {
        usize::from(self.size.1).saturating_sub(1).max(1)
    }

    fn last_row(&self) -> usize {
        self.document.count().saturating_sub(1)
    }

    fn go_back(&mut self, rows: usize) {
        if rows > self.cursor.row {
            self.complete();
        }
        self.cursor.row = self.cursor.row.saturating_sub(rows);
    }

    fn go_on(&mut self, rows: usize) {
        self.cursor.row = (self.cursor.row + rows).min(self.last_row());
    }

    /// Moves what is shown so that the cursor is in it.
    fn show_cursor(&mut self) {
        let page = self.page();
        self.top = self.top.min(self.cursor.row).max((self.cursor.row + 1).saturating_sub(page));
    }

    /// Reads the recording, if that was not done yet. What is in the keeper's memory are the
    /// last of its rows.
    fn complete(&mut self) {
        if std::mem::replace(&mut self.complete, true) {
            return;
        }
        match document::from_recording(&self.paths, &self.session, self.end, &self.document) {
            Ok(document) => {
                let before = self.document.count();
                let more = document.count().saturating_sub(before);
                if more > 0 {
                    self.document = document;
                    self.top += more;
                    self.cursor.row += more;
                    if let Some(anchor) = &mut self.anchor {
                        anchor.row += more;
                    }
                }
            }
            Err(error) => self.message = Some(format!("the recording cannot be read: {error}")),
        }
    }

    /// Goes to the next place where the pattern is, that way.
    fn search(&mut self, way: Way) {
        let Some((pattern, _)) = self.pattern.clone() else { return };
        let found = |scroll: &Scroll| match way {
            Way::Back => place::find_back(&scroll.document, &pattern, scroll.cursor),
            Way::On => place::find_on(&scroll.document, &pattern, scroll.cursor),
        };
        let mut place = found(self);
        if place.is_none() && way == Way::Back {
            self.complete();
            place = found(self);
        }
        match place {
            Some(place) => self.cursor = place,
            None => self.message = Some(format!("no '{pattern}' {}", if way == Way::Back { "above" } else { "below" })),
        }
        self.show_cursor();
    }

    /// The columns of a row that are selected, or show what was searched for.
    fn marked(&self, row: usize) -> Vec<Range<usize>> {
        let Some(anchor) = self.anchor else {
            let pattern = self.pattern.as_ref();
            return pattern.map_or_else(Vec::new, |(pattern, _)| place::matches(&self.document.text(row), pattern));
        };
        let (from, to) = place::ordered(anchor, self.cursor);
        if !(from.row..=to.row).contains(&row) {
            return Vec::new();
        }
        let start = if row == from.row { from.column } else { 0 };
        let end = if row == to.row { to.column + 1 } else { usize::from(self.size.0) };
        std::iter::once(start..end).collect()
    }
}

impl Way {
    fn other(self) -> Way {
        match self {
            Way::Back => Way::On,
            Way::On => Way::Back,
        }
    }
}

#[cfg(test)]
mod tests;
