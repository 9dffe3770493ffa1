//! The terminal model: what a session's screen shows, kept so exactly that a fresh
//! terminal can be painted as if it had been there all the time.
//!
//! Output goes one way: [`Screen::feed`] finds the questions programs ask (`query`) by the
//! grammar of escape sequences (`sequence`), answers them, and gives the rest both to the
//! engine (`handler`, `model`) and to the viewers. `picture` is the way back, from the model
//! to sequences.
//!
//! Not kept, because no sequence could bring it back or the engine has no place for it:
//! overlines, left and right margins, protected cells, images, marks of shell integration,
//! a stack of titles in the viewer's terminal, a cursor that was restored to outside of the
//! scroll region in origin mode, where no order to go to a place reaches, once another is
//! saved, and what a program
//! has left behind in the alternate screen (saved cursor, keyboard modes) while that is not
//! shown. An accent or a part of an emoji that comes after the join may stand apart from its
//! character, in terminals that put together only what comes at once.

use std::fmt;
use std::time::Duration;

use alacritty_terminal::term::TermMode;
use alacritty_terminal::vte::ansi::Timeout;

use crate::protocol::keeper::Looks;

/// Writes formatted bytes; writing to memory cannot fail.
macro_rules! put {
    ($out:expr, $($argument:tt)*) => {{
        let _ = ::std::io::Write::write_fmt(&mut $out, format_args!($($argument)*));
    }};
}

mod canvas;
mod edit;
mod engine;
mod feed;
mod handler;
mod keys;
mod lines;
mod links;
mod model;
mod modes;
mod palette;
mod pen;
mod picture;
mod plain;
mod query;
mod reset;
mod rows;
mod sequence;
mod sgr;
mod switch;
#[cfg(test)]
mod tests;
mod text;

pub use canvas::Canvas;
use engine::Engine;
use feed::Feed;
use model::{Model, Size};
use picture::Painter;
pub use reset::{is_whole, leave};
pub use rows::{RowText, Rows};

/// Fewest columns: a wide character must have room.
pub const COLUMNS_MIN: u16 = 2;
/// Most columns or rows.
pub const SIZE_MAX: u16 = 1000;
/// A synchronized frame (mode 2026) is shown after this even when its end does not come.
const FRAME_MAX: Duration = Duration::from_millis(150);

/// Width and height of a cell in pixels where no writer's terminal has said its own.
const USUAL_CELL: (u16, u16) = (10, 20);

/// The parser's clock for synchronized frames: never. The model is always up to date;
/// only showing it waits.
#[derive(Default)]
struct Immediately;

impl Timeout for Immediately {
    fn set_timeout(&mut self, _duration: Duration) {}
    fn clear_timeout(&mut self) {}
    fn pending_timeout(&self) -> bool {
        false
    }
}

/// A session's screen.
pub struct Screen {
    engine: Engine,
    feed: Feed,
    answers: Vec<u8>,
    looks: Looks,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (columns, rows) = self.size();
        f.debug_struct("Screen").field("columns", &columns).field("rows", &rows).finish_non_exhaustive()
    }
}

impl Screen {
    /// An empty screen. Columns are brought into 2 to 1 000 (a wide character must fit), rows
    /// into 1 to 1 000. `history_bytes` bounds the memory for lines that have scrolled off.
    pub fn new(columns: u16, rows: u16, history_bytes: u64) -> Self {
        Screen {
            engine: Engine::new(bounded(columns, rows), history_bytes),
            feed: Feed::default(),
            answers: Vec::new(),
            looks: Looks::default(),
        }
    }

    /// Takes output of the program in. What viewers may see of it is appended to
    /// `visible`: everything but the questions a program asks its terminal. A sequence or
    /// character that is not complete is held back until it is.
    pub fn feed(&mut self, bytes: &[u8], visible: &mut Vec<u8>) {
        self.take_in(bytes, visible);
    }

    /// Answers to questions the program asked: to be written to the program.
    pub fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    /// What the writer's terminal looks like, for answers from now on.
    pub fn set_looks(&mut self, looks: Looks) {
        self.looks = looks;
    }

    /// What the writer's terminal looks like, as far as it was said.
    pub fn looks(&self) -> Looks {
        self.looks
    }

    /// Whether the program has rung the bell or sent a notification since this was last
    /// asked.
    pub fn take_rung(&mut self) -> bool {
        self.engine.take_rung()
    }

    /// What the program has sent since this was last asked that is for the user and in no
    /// picture: bells, notifications, what it copies to the clipboard. Sequences too long to
    /// be looked at as a whole are not among them.
    pub fn take_calls(&mut self) -> Vec<u8> {
        self.engine.take_calls()
    }

    /// While a program has a synchronized frame (DEC 2026) open: how long a picture should
    /// wait for its end. Call [`Screen::flush`] then. `None` when none is open.
    pub fn flush_after(&self) -> Option<Duration> {
        self.engine.settings().shadow.frame.map(|since| FRAME_MAX.saturating_sub(since.elapsed()))
    }

    /// Takes an open frame as ended.
    pub fn flush(&mut self) {
        self.engine.model().shadow.frame = None;
    }

    /// What viewers have got so far ends between sequences: one may join here.
    pub fn at_ground(&self) -> bool {
        self.feed.since_ground().is_empty()
    }

    /// Bytes that viewers have got since they were last between sequences, at most 64 KiB;
    /// sent after a picture so that a viewer may join at any time. Of a longer sequence it
    /// is a stand-in that makes the terminal ignore the rest.
    pub fn since_ground(&self) -> &[u8] {
        self.feed.since_ground()
    }

    /// Changes the size, brought into the same bounds as in [`Screen::new`]. The primary
    /// screen and its history flow anew, the alternate screen is cut.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        let size = bounded(columns, rows);
        if self.engine.settings().size() != (size.columns, size.rows) {
            self.engine.model().resize(size);
        }
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        outer_size(self.engine.settings())
    }

    /// Escape sequences that paint a terminal of size `viewer`, whatever its state, as
    /// this screen: up to `history_lines` scrolled-off lines (at most 256 KiB), hidden
    /// primary screen, cells, cursor, pen, modes, title. A smaller viewer gets the picture
    /// clipped, from the left and from the first line that leaves the cursor in sight; a
    /// larger one gets it at the top left. What the terminal shows before is overwritten.
    pub fn picture(&mut self, viewer: (u16, u16), history_lines: u32) -> Vec<u8> {
        picture::picture(
            self.engine.model(),
            viewer_size(viewer),
            usize::try_from(history_lines).unwrap_or(usize::MAX),
            true,
        )
    }

    /// The screen as lines of text, trailing blanks and blank lines cut; with `ansi` with
    /// colours.
    pub fn text(&mut self, ansi: bool) -> String {
        text::text(self.engine.model().grid(), ansi)
    }

    /// The screen as lines of escape sequences, each to be painted in a blank line; clipped
    /// to `viewer` as a picture is.
    pub fn lines(&mut self, viewer: (u16, u16)) -> Vec<Vec<u8>> {
        let model = self.engine.model();
        Painter::new(model, viewer_size(viewer), false).separate_lines(model.grid())
    }

    /// The row of the primary screen, from 0, below all that is shown there and below its
    /// cursor; the number of rows when there is none.
    pub fn below(&mut self) -> u16 {
        let row = self.engine.model().with_primary(lines::below);
        u16::try_from(row).unwrap_or(SIZE_MAX)
    }

    /// The alternate screen is shown.
    pub fn is_alternate(&self) -> bool {
        self.engine.settings().alternate()
    }

    /// The program asked for pastes to be marked.
    pub fn bracketed_paste(&self) -> bool {
        self.engine.settings().mode().contains(TermMode::BRACKETED_PASTE)
    }

    /// The window title the program set, at most 1 KiB.
    pub fn title(&self) -> Option<String> {
        self.engine.settings().shadow.title.clone()
    }
}

/// A viewer's terminal may be as narrow as it likes.
fn viewer_size((columns, rows): (u16, u16)) -> Size {
    Size { columns: usize::from(columns.clamp(1, SIZE_MAX)), rows: usize::from(rows.clamp(1, SIZE_MAX)) }
}

fn outer_size(model: &Model) -> (u16, u16) {
    let (columns, rows) = model.size();
    let narrow = |size: usize| u16::try_from(size).unwrap_or(SIZE_MAX);
    (narrow(columns), narrow(rows))
}

fn bounded(columns: u16, rows: u16) -> Size {
    Size { columns: usize::from(columns.clamp(COLUMNS_MIN, SIZE_MAX)), rows: usize::from(rows.clamp(1, SIZE_MAX)) }
}
