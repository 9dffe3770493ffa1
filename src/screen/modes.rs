//! Private modes: those that switch screens, those the engine does not know, and those whose
//! beginning differs between terminals. And titles.

use std::time::Instant;

use alacritty_terminal::vte::ansi::{Handler, NamedPrivateMode, PrivateMode};

use super::model::{Model, TITLE_MAX, UNKNOWN_MODES_MAX};

/// Private modes never set in a viewer again: VT52, column and page sizes, left and
/// right margins (the engine has none), highlight tracking (hangs xterm).
const NOT_REPLAYED: [u16; 9] = [2, 3, 38, 40, 69, 80, 95, 1001, 2026];

impl Model {
    /// Sets a private mode, or takes it back.
    pub(super) fn private_mode(&mut self, mode: PrivateMode, on: bool) {
        match mode {
            PrivateMode::Unknown(by @ (47 | 1047)) => self.switch_screen(by, on),
            PrivateMode::Unknown(1048) if on => self.save_cursor_position(),
            PrivateMode::Unknown(1048) => self.restore_cursor_position(),
            PrivateMode::Unknown(number) if on => {
                if self.shadow.modes.len() < UNKNOWN_MODES_MAX && !NOT_REPLAYED.contains(&number) {
                    self.shadow.modes.insert(number);
                }
            }
            PrivateMode::Unknown(number) => drop(self.shadow.modes.remove(&number)),
            PrivateMode::Named(named) => match named {
                NamedPrivateMode::SwapScreenAndSetRestoreCursor => self.switch_screen(1049, on),
                NamedPrivateMode::SyncUpdate => {
                    // One that is open stays the same one.
                    self.shadow.frame = on.then(|| self.shadow.frame.unwrap_or_else(Instant::now));
                }
                // Ignored by terminals unless they are told to allow it.
                NamedPrivateMode::ColumnMode => {}
                _ => self.plain_mode(named, on),
            },
        }
    }

    fn switch_screen(&mut self, by: u16, on: bool) {
        if on {
            self.enter_alternate(by);
        } else {
            self.leave_alternate(by);
        }
    }

    fn plain_mode(&mut self, named: NamedPrivateMode, on: bool) {
        let mode = PrivateMode::Named(named);
        self.remember(named, on);
        if on {
            self.term.set_private_mode(mode);
        } else {
            self.term.unset_private_mode(mode);
            if named == NamedPrivateMode::Origin {
                self.term.goto(0, 0);
            }
        }
    }

    /// Keeps what a program has said about modes that terminals do not start alike with.
    fn remember(&mut self, mode: NamedPrivateMode, on: bool) {
        match mode {
            NamedPrivateMode::BlinkingCursor => self.shadow.cursor_blink = Some(on),
            NamedPrivateMode::AlternateScroll => self.shadow.alternate_scroll = Some(on),
            NamedPrivateMode::UrgencyHints => self.shadow.urgency = Some(on),
            _ => {}
        }
    }

    /// Keeps a title, cut and without control characters.
    pub(super) fn keep_title(&mut self, title: Option<String>) {
        self.shadow.title = title.map(|title| {
            let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= TITLE_MAX;
            title.char_indices().take_while(fits).map(|(_, c)| c).filter(|c| !c.is_control()).collect()
        });
    }
}
