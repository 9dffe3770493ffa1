//! Links in cells: how many bytes of them a screen may hold.

use std::sync::Arc;

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::Line;
use alacritty_terminal::term::cell::Cell;

use super::model::{Model, as_line};

/// Longest link, in bytes; a longer one is no link.
const LINK_MAX: usize = 2083;
/// Bytes of links that the screen and its history may hold.
const LINKS_MAX: usize = 1024 * 1024;
/// After so many bytes of new links those still held are counted.
const LINKS_STEP: usize = 256 * 1024;
/// What a link costs beside its text.
const LINK_OVERHEAD: usize = 128;

impl Model {
    /// Whether one more link of this size may be held.
    pub(super) fn room_for_link(&mut self, size: usize) -> bool {
        if size > LINK_MAX {
            return false;
        }
        self.shadow.link_bytes += size + LINK_OVERHEAD;
        if self.shadow.link_bytes > LINKS_STEP {
            self.shadow.link_bytes = 0;
            self.shadow.links_full = self.count_links() > LINKS_MAX;
        }
        !self.shadow.links_full
    }

    /// Bytes of the links on both screens and in history.
    pub(super) fn count_links(&mut self) -> usize {
        fn of<'a>(cells: impl Iterator<Item = &'a Cell>) -> usize {
            let mut bytes = 0;
            let mut last = None;
            for extra in cells.filter_map(|cell| cell.extra.as_ref()) {
                // The cells of one link stand together and share it.
                if last.replace(Arc::as_ptr(extra)) == Some(Arc::as_ptr(extra)) {
                    continue;
                }
                let cell = Cell { extra: Some(extra.clone()), ..Cell::default() };
                if let Some(link) = cell.hyperlink() {
                    bytes += link.uri().len() + link.id().len() + LINK_OVERHEAD;
                }
            }
            bytes
        }
        let rows = self.term.screen_lines();
        let shown = of((0..rows).flat_map(|line| &self.term.grid()[as_line(line)]));
        let primary = self.with_primary(|grid| {
            let (top, bottom) = (grid.topmost_line().0, grid.bottommost_line().0);
            of((top..=bottom).flat_map(|line| &grid[Line(line)]))
        });
        shown + primary
    }
}
