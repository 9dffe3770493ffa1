//! The way of output into the model: every order the parser reads goes to the engine,
//! and what the engine hides, lacks or does otherwise than most terminals is done here.
//!
//! A method of the trait that is missing here would silently do nothing: a test compares
//! the two lists.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::vte::ansi::cursor_icon::CursorIcon;
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape, CursorStyle, Handler, Hyperlink, KeyboardModes,
    KeyboardModesApplyBehavior, LineClearMode, Mode, ModifyOtherKeys, PrivateMode, Rgb, ScpCharPath, ScpUpdateMode,
    StandardCharset, TabulationClearMode,
};

use super::model::{BELL, Model, TITLES_MAX};
use super::palette;
use super::pen::BLINK;

impl Handler for Model {
    #[inline]
    fn input(&mut self, c: char) {
        self.print(c);
        self.shadow.printed = Some((c, self.grid().cursor.point));
    }

    #[inline]
    fn goto(&mut self, line: i32, column: usize) {
        self.term.goto(line, column);
    }

    fn goto_line(&mut self, line: i32) {
        self.term.goto_line(line);
    }

    // The engine adds the top of the region once more in origin mode.
    fn goto_col(&mut self, column: usize) {
        self.set_column(column);
    }

    // The margins stop the cursor, which the engine does not know.
    fn move_up(&mut self, lines: usize) {
        let (line, top) = (self.line(), self.shadow.region.start);
        let stop = if line < top { 0 } else { top };
        self.set_line(line.saturating_sub(lines).max(stop));
    }

    fn move_down(&mut self, lines: usize) {
        let (line, end) = (self.line(), self.shadow.region.end);
        let stop = if line >= end { self.term.screen_lines() } else { end };
        self.set_line(line.saturating_add(lines).min(stop - 1));
    }

    fn move_down_and_cr(&mut self, lines: usize) {
        self.move_down(lines);
        self.set_column(0);
    }

    fn move_up_and_cr(&mut self, lines: usize) {
        self.move_up(lines);
        self.set_column(0);
    }

    fn move_forward(&mut self, columns: usize) {
        self.term.move_forward(columns);
    }

    fn move_backward(&mut self, columns: usize) {
        self.term.move_backward(columns);
    }

    // Without leaving a tab in the cell, and without wrapping.
    fn put_tab(&mut self, count: u16) {
        self.move_forward_tabs(count);
    }

    fn move_forward_tabs(&mut self, count: u16) {
        self.term.move_forward_tabs(self.tabs_at_most(count));
    }

    // Where no stop is left, to the first column.
    fn move_backward_tabs(&mut self, count: u16) {
        let mut column = self.column();
        for _ in 0..self.tabs_at_most(count) {
            column = self.shadow.tabs[..column].iter().rposition(|stop| *stop).unwrap_or(0);
        }
        self.set_column(column);
    }

    fn backspace(&mut self) {
        self.term.backspace();
    }

    #[inline]
    fn carriage_return(&mut self) {
        self.term.carriage_return();
    }

    #[inline]
    fn linefeed(&mut self) {
        if !self.shadow.reserved && self.line() + 1 == self.shadow.region.end {
            self.reserve_history();
        }
        self.term.linefeed();
        // The engine knows the mode and does not heed it.
        if self.mode().contains(TermMode::LINE_FEED_NEW_LINE) {
            self.term.carriage_return();
        }
    }

    fn newline(&mut self) {
        self.linefeed();
    }

    fn reverse_index(&mut self) {
        self.term.reverse_index();
    }

    fn scroll_up(&mut self, lines: usize) {
        self.reserve_history();
        self.term.scroll_up(lines);
    }

    fn scroll_down(&mut self, lines: usize) {
        self.term.scroll_down(lines);
    }

    // Both put the cursor at the margin.
    fn insert_blank_lines(&mut self, lines: usize) {
        self.term.insert_blank_lines(lines);
        if self.shadow.region.contains(&self.line()) {
            self.set_column(0);
        }
    }

    fn delete_lines(&mut self, lines: usize) {
        self.reserve_history();
        self.term.delete_lines(lines);
        if self.shadow.region.contains(&self.line()) {
            self.set_column(0);
        }
    }

    fn insert_blank(&mut self, count: usize) {
        self.end_line();
        self.term.insert_blank(count);
        let column = self.column();
        let (columns, _) = self.size();
        self.mend([column, column.saturating_add(count), columns]);
    }

    // The engine would blank what stands before the cursor if told to delete more than
    // there is after it.
    fn delete_chars(&mut self, count: usize) {
        let column = self.column();
        let (columns, _) = self.size();
        let count = count.min(columns - column);
        self.end_line();
        self.term.delete_chars(count);
        self.mend([column, columns - count]);
    }

    fn erase_chars(&mut self, count: usize) {
        self.term.erase_chars(count);
        let column = self.column();
        self.mend([column, column.saturating_add(count)]);
    }

    fn clear_line(&mut self, mode: LineClearMode) {
        self.term.clear_line(mode);
        let column = self.column();
        self.mend([column, column + 1]);
    }

    fn clear_screen(&mut self, mode: ClearMode) {
        let history = self.grid().history_size();
        match mode {
            ClearMode::All => self.reserve_history(),
            ClearMode::Saved => self.history_cleared(history),
            // The engine leaves the first line alone.
            ClearMode::Above if self.line() == 1 => self.term.grid_mut().reset_region(..Line(1)),
            ClearMode::Above | ClearMode::Below => {}
        }
        self.term.clear_screen(mode);
        let column = self.column();
        self.mend([column, column + 1]);
    }

    fn set_horizontal_tabstop(&mut self) {
        let column = self.column();
        self.shadow.tabs[column] = true;
        self.term.set_horizontal_tabstop();
    }

    fn clear_tabs(&mut self, mode: TabulationClearMode) {
        let column = self.column();
        match mode {
            TabulationClearMode::Current => self.shadow.tabs[column] = false,
            TabulationClearMode::All => self.shadow.tabs.fill(false),
        }
        self.term.clear_tabs(mode);
    }

    // Unknown to the engine.
    fn set_tabs(&mut self, interval: u16) {
        let column = self.column();
        self.clear_tabs(TabulationClearMode::All);
        for stop in (0..self.term.columns()).step_by(usize::from(interval.max(1))) {
            self.term.grid_mut().cursor.point.column = Column(stop);
            self.set_horizontal_tabstop();
        }
        self.term.grid_mut().cursor.point.column = Column(column);
    }

    fn save_cursor_position(&mut self) {
        let shown = self.shown();
        self.shadow.saved[shown] = self.saved();
        self.term.save_cursor_position();
    }

    fn restore_cursor_position(&mut self) {
        self.restore(self.shadow.saved[self.shown()]);
        self.term.restore_cursor_position();
    }

    // A region outside the screen is none at all.
    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        let rows = self.term.screen_lines();
        let bottom = bottom.map_or(rows, |bottom| bottom.min(rows));
        let top = top.max(1);
        if top < bottom {
            self.shadow.region = top - 1..bottom;
            self.term.set_scrolling_region(top, Some(bottom));
        }
    }

    fn reset_state(&mut self) {
        let history = self.with_primary(|grid| grid.history_size());
        self.term.reset_state();
        for index in 0..=palette::CURSOR {
            self.term.reset_color(index);
        }
        self.reset_shadow();
        self.history_cleared(history);
    }

    #[inline]
    fn terminal_attribute(&mut self, attribute: Attr) {
        let flags = &mut self.term.grid_mut().cursor.template.flags;
        match attribute {
            Attr::BlinkSlow | Attr::BlinkFast => flags.insert(BLINK),
            Attr::CancelBlink => flags.remove(BLINK),
            // SGR 21, which all but old Linux consoles take for this.
            Attr::CancelBold => self.term.terminal_attribute(Attr::DoubleUnderline),
            attribute => self.term.terminal_attribute(attribute),
        }
    }

    fn set_mode(&mut self, mode: Mode) {
        self.term.set_mode(mode);
    }

    fn unset_mode(&mut self, mode: Mode) {
        self.term.unset_mode(mode);
    }

    fn report_mode(&mut self, mode: Mode) {
        self.term.report_mode(mode);
    }

    fn set_private_mode(&mut self, mode: PrivateMode) {
        self.private_mode(mode, true);
    }

    fn unset_private_mode(&mut self, mode: PrivateMode) {
        self.private_mode(mode, false);
    }

    fn report_private_mode(&mut self, mode: PrivateMode) {
        self.term.report_private_mode(mode);
    }

    fn set_keypad_application_mode(&mut self) {
        self.term.set_keypad_application_mode();
    }

    fn unset_keypad_application_mode(&mut self) {
        self.term.unset_keypad_application_mode();
    }

    fn set_active_charset(&mut self, index: CharsetIndex) {
        self.shadow.charset = index;
        self.term.set_active_charset(index);
    }

    fn configure_charset(&mut self, index: CharsetIndex, charset: StandardCharset) {
        self.term.configure_charset(index, charset);
    }

    fn set_cursor_style(&mut self, style: Option<CursorStyle>) {
        self.shadow.cursor_style = style;
        self.term.set_cursor_style(style);
    }

    fn set_cursor_shape(&mut self, shape: CursorShape) {
        self.shadow.cursor_style.get_or_insert_default().shape = shape;
        self.term.set_cursor_shape(shape);
    }

    fn set_color(&mut self, index: usize, colour: Rgb) {
        self.term.set_color(index, colour);
    }

    fn reset_color(&mut self, index: usize) {
        self.term.reset_color(index);
    }

    fn set_hyperlink(&mut self, link: Option<Hyperlink>) {
        let link = link.filter(|link| self.room_for_link(link.uri.len() + link.id.as_ref().map_or(0, String::len)));
        self.term.set_hyperlink(link);
    }

    // Titles and keyboard modes are kept here alone: the engine's stacks grow to thousands.
    fn set_title(&mut self, title: Option<String>) {
        self.keep_title(title);
    }

    fn push_title(&mut self) {
        if self.shadow.titles.len() == TITLES_MAX {
            self.shadow.titles.remove(0);
        }
        self.shadow.titles.push(self.shadow.title.clone());
    }

    fn pop_title(&mut self) {
        if let Some(title) = self.shadow.titles.pop() {
            self.shadow.title = title;
        }
    }

    fn push_keyboard_mode(&mut self, mode: KeyboardModes) {
        let shown = self.shown();
        self.shadow.keys[shown].push(mode.bits());
    }

    fn pop_keyboard_modes(&mut self, count: u16) {
        let shown = self.shown();
        self.shadow.keys[shown].pop(usize::from(count));
    }

    fn set_keyboard_mode(&mut self, mode: KeyboardModes, how: KeyboardModesApplyBehavior) {
        let shown = self.shown();
        let bits = mode.bits();
        self.shadow.keys[shown].set(|flags| match how {
            KeyboardModesApplyBehavior::Replace => bits,
            KeyboardModesApplyBehavior::Union => flags | bits,
            KeyboardModesApplyBehavior::Difference => flags & !bits,
        });
    }

    fn set_modify_other_keys(&mut self, mode: ModifyOtherKeys) {
        self.shadow.modify_other_keys = mode as u8;
        self.term.set_modify_other_keys(mode);
    }

    fn decaln(&mut self) {
        self.term.decaln();
        self.set_scrolling_region(1, None);
        self.term.goto(0, 0);
    }

    fn bell(&mut self) {
        self.shadow.call(BELL, true);
    }

    fn substitute(&mut self) {
        self.term.substitute();
    }

    fn set_mouse_cursor_icon(&mut self, icon: CursorIcon) {
        self.term.set_mouse_cursor_icon(icon);
    }

    fn set_scp(&mut self, path: ScpCharPath, update: ScpUpdateMode) {
        self.term.set_scp(path, update);
    }

    fn clipboard_store(&mut self, clipboard: u8, data: &[u8]) {
        self.term.clipboard_store(clipboard, data);
    }

    // Questions are answered and cut out before they come here.
    fn clipboard_load(&mut self, clipboard: u8, terminator: &str) {
        self.term.clipboard_load(clipboard, terminator);
    }

    fn identify_terminal(&mut self, intermediate: Option<char>) {
        self.term.identify_terminal(intermediate);
    }

    fn device_status(&mut self, what: usize) {
        self.term.device_status(what);
    }

    fn dynamic_color_sequence(&mut self, prefix: String, index: usize, terminator: &str) {
        self.term.dynamic_color_sequence(prefix, index, terminator);
    }

    fn text_area_size_pixels(&mut self) {
        self.term.text_area_size_pixels();
    }

    fn text_area_size_chars(&mut self) {
        self.term.text_area_size_chars();
    }

    fn report_keyboard_mode(&mut self) {
        self.term.report_keyboard_mode();
    }

    fn report_modify_other_keys(&mut self) {
        self.term.report_modify_other_keys();
    }
}
