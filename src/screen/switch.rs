//! Saving and restoring the cursor, and switching between the primary and the alternate
//! screen, with all that goes along: the engine forgets origin mode and charset, knows one
//! of the three ways to switch, and overwrites the primary screen's saved cursor.

use alacritty_terminal::term::TermMode;
use alacritty_terminal::vte::ansi::{Handler, NamedPrivateMode, PrivateMode};

use super::model::{Hidden, Model, Saved};

impl Model {
    /// Sets origin mode without moving the cursor.
    fn set_origin(&mut self, on: bool) {
        let cursor = self.grid().cursor.clone();
        let origin = PrivateMode::Named(NamedPrivateMode::Origin);
        if on {
            self.term.set_private_mode(origin);
        } else {
            self.term.unset_private_mode(origin);
        }
        self.term.grid_mut().cursor = cursor;
    }

    pub(super) fn saved(&self) -> Saved {
        Saved { charset: self.shadow.charset, origin: self.mode().contains(TermMode::ORIGIN) }
    }

    pub(super) fn restore(&mut self, saved: Saved) {
        self.set_active_charset(saved.charset);
        self.set_origin(saved.origin);
    }

    pub(super) fn enter_alternate(&mut self, by: u16) {
        if self.alternate() {
            return;
        }
        let grid = self.grid();
        let saved_cursor = if by == 1049 { grid.cursor.clone() } else { grid.saved_cursor.clone() };
        if by == 1049 {
            self.shadow.saved[0] = self.saved();
        }
        let (region, tabs) = (self.region(), self.shadow.tabs.clone());
        self.shadow.hidden = Some(Hidden { by, saved_cursor, region, tabs });
        self.term.swap_alt();
    }

    pub(super) fn leave_alternate(&mut self, by: u16) {
        if !self.alternate() {
            return;
        }
        let cursor = self.grid().cursor.clone();
        self.term.swap_alt();
        let grid = self.term.grid_mut();
        let mut entered_by = 1049;
        if let Some(hidden) = self.shadow.hidden.take() {
            entered_by = hidden.by;
            grid.saved_cursor = hidden.saved_cursor;
        }
        if by != 1049 {
            grid.cursor = cursor;
            return;
        }
        // Entered by 1049 too, the cursor is where it was, and moved along by a resize.
        if entered_by != 1049 {
            grid.cursor = grid.saved_cursor.clone();
        }
        self.restore(self.shadow.saved[0]);
    }
}
