//! The screen as lines of text.

use alacritty_terminal::grid::{Dimensions, Grid};
use alacritty_terminal::term::cell::{Cell, Flags};

use super::model::as_line;
use super::pen::Pen;

/// The lines of `grid`, each ended by a newline, without what is blank at the end; with
/// `ansi` also colours, attributes and links.
pub(super) fn text(grid: &Grid<Cell>, ansi: bool) -> String {
    let mut out = Vec::new();
    let mut kept = 0;
    for line in 0..grid.screen_lines() {
        let row = &grid[as_line(line)];
        let end = row[..].iter().rposition(|cell| shows(cell, ansi)).map_or(0, |last| last + 1);
        let mut pen = Pen::default();
        for cell in row[..].iter().take(end) {
            if cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
                continue;
            }
            if ansi {
                pen.change(&mut out, cell);
            }
            let mut buffer = [0; 4];
            for c in std::iter::once(&cell.c).chain(cell.zerowidth().into_iter().flatten()) {
                out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            }
        }
        pen.reset(&mut out);
        out.push(b'\n');
        if end > 0 {
            kept = out.len();
        }
    }
    out.truncate(kept);
    // Only characters went in.
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether anything is to be seen of a cell.
fn shows(cell: &Cell, ansi: bool) -> bool {
    let lines = Flags::ALL_UNDERLINES | Flags::STRIKEOUT | Flags::INVERSE;
    let marks = cell.zerowidth().is_some_and(|marks| !marks.is_empty());
    cell.c != ' ' || marks || (ansi && (cell.bg != Cell::default().bg || cell.flags.intersects(lines)))
}
