//! Pictures for a terminal that never gets the stream, because its size is another: after
//! the first only the lines that have changed are painted.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::model::Size;
use super::picture::{Painter, picture};
use super::reset;
use super::{Screen, viewer_size};

/// Empties the window title.
const NO_TITLE: &[u8] = b"\x1b]2;\x1b\\";

/// What such a terminal shows.
#[derive(Debug, Default)]
pub struct Canvas {
    shown: Option<Shown>,
}

/// Everything a change of which asks for a whole picture, and a sign for each line.
#[derive(Debug)]
struct Shown {
    viewer: Size,
    alternate: bool,
    modes: Vec<u8>,
    titled: bool,
    lines: Vec<u64>,
}

impl Canvas {
    /// Its terminal was used for something else: the next picture is a whole one.
    pub fn spoil(&mut self) {
        self.shown = None;
    }
}

impl Screen {
    /// Escape sequences that bring a terminal of size `viewer`, which shows what `canvas`
    /// remembers, to this screen: clipped as in [`Screen::picture`], with the modes that
    /// matter to typing. What the program writes must not be sent to such a terminal. The
    /// first picture has up to `history_lines` lines of history above.
    pub fn paint(&mut self, canvas: &mut Canvas, viewer: (u16, u16), history_lines: u32) -> Vec<u8> {
        let viewer = viewer_size(viewer);
        let model = self.engine.model();
        let mut painter = Painter::new(model, viewer, false);
        let lines = painter.separate_lines(model.grid());
        painter.modes(model);
        let modes = std::mem::take(&mut painter.out);
        let now = Shown {
            viewer,
            alternate: model.alternate(),
            modes,
            titled: model.shadow.title.is_some(),
            lines: lines.iter().map(|line| sign(line)).collect(),
        };
        let before = canvas.shown.replace(now);
        let (Some(before), Some(now)) = (before, &canvas.shown) else {
            return picture(model, viewer, usize::try_from(history_lines).unwrap_or(usize::MAX), false);
        };
        if before.viewer != now.viewer || before.alternate != now.alternate || before.modes != now.modes {
            let mut whole = picture(model, viewer, 0, false);
            if before.titled && !now.titled {
                // A picture says nothing of what there is not.
                whole.extend_from_slice(NO_TITLE);
            }
            return whole;
        }
        painter.out.extend_from_slice(reset::FRAME_START);
        painter.out.extend_from_slice(b"\x1b[?25l");
        for (row, line) in lines.iter().enumerate() {
            if before.lines.get(row) != now.lines.get(row) {
                // Erased first: behind a full line the cursor waits to wrap.
                put!(painter.out, "\x1b[{};1H\x1b[K", row + 1);
                painter.out.extend_from_slice(line);
            }
        }
        painter.place(model);
        painter.end(model);
        painter.out
    }
}

/// Tells lines apart.
fn sign(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}
