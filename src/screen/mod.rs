//! The terminal model: what a session's screen shows, kept so exactly that a fresh
//! terminal can be painted as if it had been there all the time.

/// A session's screen.
#[derive(Debug)]
pub struct Screen {}

#[allow(unused_variables, missing_docs)]
impl Screen {
    /// An empty screen. Sizes are brought into 1 to 1 000. `history_bytes` bounds the
    /// memory for lines that have scrolled off.
    pub fn new(columns: u16, rows: u16, history_bytes: u64) -> Self {
        unimplemented!()
    }
    /// Takes output of the program in. What viewers may see of it is appended to
    /// `visible`: everything but the questions a program asks its terminal.
    pub fn feed(&mut self, bytes: &[u8], visible: &mut Vec<u8>) {
        unimplemented!()
    }
    /// Answers to questions the program asked: to be written to the program.
    pub fn take_answers(&mut self) -> Vec<u8> {
        unimplemented!()
    }
    /// Held-back synchronized output (DEC 2026) must be shown at the latest this long
    /// from now: call [`Screen::flush`] then. `None` when nothing is held back.
    pub fn flush_after(&self) -> Option<std::time::Duration> {
        unimplemented!()
    }
    /// Shows synchronized output whose end did not come.
    pub fn flush(&mut self) {
        unimplemented!()
    }
    /// The parser is between sequences: a viewer may join here.
    pub fn at_ground(&self) -> bool {
        unimplemented!()
    }
    /// Bytes since the parser was last between sequences, as viewers may see them, at
    /// most 64 KiB; sent after a picture so that a viewer may join at any time.
    pub fn since_ground(&self) -> &[u8] {
        unimplemented!()
    }
    pub fn resize(&mut self, columns: u16, rows: u16) {
        unimplemented!()
    }
    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        unimplemented!()
    }
    /// Escape sequences that paint a terminal of size `viewer`, whatever its state, as
    /// this screen: up to `history_lines` scrolled-off lines, hidden primary screen,
    /// cells, cursor, pen, modes, title. A smaller viewer gets the picture clipped.
    pub fn picture(&mut self, viewer: (u16, u16), history_lines: u32) -> Vec<u8> {
        unimplemented!()
    }
    /// The screen as lines of text, trailing blanks cut; with `ansi` with colours.
    pub fn text(&mut self, ansi: bool) -> String {
        unimplemented!()
    }
    /// The program asked for pastes to be marked.
    pub fn bracketed_paste(&self) -> bool {
        unimplemented!()
    }
    /// The window title the program set.
    pub fn title(&self) -> Option<String> {
        unimplemented!()
    }
}

/// Puts a terminal back from every mode that a picture or a program may have set, without
/// clearing it: leaves the alternate screen, shows the cursor, switches mouse, paste,
/// focus, keypad and kitty keyboard off, resets pen, charset, region, origin and wrap.
pub fn leave() -> Vec<u8> {
    unimplemented!()
}
