//! Terminal output as plain text: what would be left on the paper if the terminal printed.
//!
//! A terminal without end: lines are as long as they come, the last `rows` of them can be
//! rewritten (progress bars, tools that paint their lines again and again), and what
//! scrolls out of these is printed. Colours and all else that leaves no letters is
//! dropped. Memory is bounded by rows × [`MAX_CELLS`].

mod window;

use window::Window;

/// Cells in one row; a longer line goes on in the next row and is put together again when
/// printed.
const MAX_CELLS: usize = 4096;
/// Most rows that can be rewritten: the largest screen a keeper has.
const MAX_ROWS: u16 = 1_000;
/// Longest parameters of a control sequence looked at.
const MAX_PARAMETERS: usize = 64;

/// Makes plain text of terminal output, as it comes.
#[derive(Debug)]
pub struct Plain {
    main: Window,
    /// What was on the screen when it was cleared. Whoever clears to paint the same again
    /// begins with the same line: that is printed once.
    cleared: Vec<u8>,
    /// The alternate screen, while the program uses it.
    other: Option<Window>,
    state: State,
    parameters: Vec<u8>,
    /// The beginning of a character.
    partial: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ground,
    Escape,
    /// After `ESC` and an intermediate byte: one more.
    Charset,
    Sequence,
    /// A title or the like: up to BEL or ST.
    Text,
    TextEscape,
}

impl Plain {
    /// For a terminal of so many rows.
    pub fn new(rows: u16) -> Self {
        Plain {
            main: Window::new(rows),
            cleared: Vec::new(),
            other: None,
            state: State::Ground,
            parameters: Vec::new(),
            partial: Vec::new(),
        }
    }

    /// Takes output in; appends lines that cannot change any more to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            if self.state == State::Ground && byte >= b' ' && byte != 0x7f {
                let length = rest.iter().position(|b| *b < b' ' || *b == 0x7f).unwrap_or(rest.len());
                self.text(&rest[..length], out);
                rest = &rest[length..];
            } else {
                self.byte(byte, out);
                rest = &rest[1..];
            }
        }
    }

    /// Prints all lines above the cursor's; from now on only that one can be rewritten.
    pub fn settle(&mut self, out: &mut Vec<u8>) {
        self.print_main(out, |main, out| main.set_height(1, out));
    }

    /// Lines that would be printed at the end.
    pub fn open_lines(&self) -> usize {
        lines(&self.cleared) + self.main.open_lines() + self.other.as_ref().map_or(0, Window::open_lines)
    }

    /// Forgets all but the last `lines` lines of those that were not printed yet.
    pub fn drop_above(&mut self, lines: usize) {
        let below = self.other.as_mut().map_or(0, |other| {
            other.drop_above(lines);
            other.open_lines()
        });
        let left = lines.saturating_sub(below);
        self.main.drop_above(left);
        let left = left.saturating_sub(self.main.open_lines());
        let mut ends = memchr::memrchr_iter(b'\n', &self.cleared).skip(left);
        if let Some(end) = ends.next() {
            self.cleared.drain(..=end);
        }
    }

    /// Prints what is left.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            self.put(char::REPLACEMENT_CHARACTER, out);
        }
        self.leave_other(out);
        self.print_main(out, Window::print_all);
        out.append(&mut self.cleared);
    }

    /// Prints of the main screen, behind what it was cleared of.
    fn print_main(&mut self, out: &mut Vec<u8>, print: impl FnOnce(&mut Window, &mut Vec<u8>)) {
        let from = out.len();
        print(&mut self.main, out);
        if out.len() > from && !self.cleared.is_empty() {
            let cleared = std::mem::take(&mut self.cleared);
            if first_line(&out[from..]) != first_line(&cleared) {
                out.splice(from..from, cleared);
            }
        }
    }

    /// Clears the screen in use. What was on the main one is part of the log.
    fn clear(&mut self, out: &mut Vec<u8>) {
        if self.other.is_some() {
            return self.window().erase_rows(2);
        }
        let mut seen = Vec::new();
        self.main.take_rows(&mut seen);
        if !seen.is_empty() {
            if first_line(&seen) != first_line(&self.cleared) {
                out.append(&mut self.cleared);
            }
            self.cleared = seen;
        }
    }

    fn window(&mut self) -> &mut Window {
        self.other.as_mut().unwrap_or(&mut self.main)
    }

    /// A character to the screen in use. What scrolls out of the alternate one is gone.
    fn put(&mut self, c: char, out: &mut Vec<u8>) {
        match &mut self.other {
            Some(other) => other.put(c, &mut Vec::new()),
            None => self.print_main(out, |main, out| main.put(c, out)),
        }
    }

    fn line_feed(&mut self, out: &mut Vec<u8>) {
        match &mut self.other {
            Some(other) => other.line_feed(&mut Vec::new()),
            None => self.print_main(out, Window::line_feed),
        }
    }

    /// What the alternate screen showed last is part of the log, though a terminal takes
    /// it away: else a full-screen program would leave nothing at all.
    fn leave_other(&mut self, out: &mut Vec<u8>) {
        if let Some(mut other) = self.other.take()
            && other.open_lines() > 0
        {
            self.print_main(out, Window::print_all);
            out.append(&mut self.cleared);
            other.print_all(out);
        }
    }

    /// Text without control characters.
    fn text(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let joined;
        let mut rest = if self.partial.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.partial).as_slice(), bytes].concat();
            joined.as_slice()
        };
        while !rest.is_empty() {
            let (valid, bad) = match std::str::from_utf8(rest) {
                Ok(text) => (text, 0),
                Err(error) => {
                    let valid = std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default();
                    match error.error_len() {
                        Some(length) => (valid, length),
                        None => {
                            self.partial = rest[error.valid_up_to()..].to_vec();
                            (valid, 0)
                        }
                    }
                }
            };
            for c in valid.chars() {
                self.put(c, out);
            }
            if bad > 0 {
                self.put(char::REPLACEMENT_CHARACTER, out);
            }
            if !self.partial.is_empty() {
                return;
            }
            rest = &rest[valid.len() + bad..];
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            // A control character within a character: that was none.
            self.partial.clear();
            self.put(char::REPLACEMENT_CHARACTER, out);
        }
        match (self.state, byte) {
            (_, 0x18 | 0x1a) => self.state = State::Ground,
            (State::Text, 0x1b) => self.state = State::TextEscape,
            (State::Text, 0x07) => self.state = State::Ground,
            (State::Text, _) => {}
            (State::TextEscape, b'\\') => self.state = State::Ground,
            (_, 0x1b) => self.state = State::Escape,
            (State::TextEscape, _) => {
                self.state = State::Escape;
                self.escape(byte, out);
            }
            (_, 0..b' ') => self.control(byte, out),
            (State::Ground, _) => {}
            (State::Escape, _) => self.escape(byte, out),
            (State::Charset, _) => self.state = State::Ground,
            (State::Sequence, 0x40..=0x7e) => {
                self.state = State::Ground;
                let parameters = std::mem::take(&mut self.parameters);
                self.sequence(&parameters, byte, out);
            }
            (State::Sequence, _) => {
                if self.parameters.len() < MAX_PARAMETERS {
                    self.parameters.push(byte);
                }
            }
        }
    }

    fn control(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'\n' | 0x0b | 0x0c => self.line_feed(out),
            b'\r' => self.window().column = 0,
            0x08 => self.window().left(1),
            b'\t' => {
                let window = self.window();
                window.column = (window.column / 8 * 8 + 8).min(MAX_CELLS - 1);
            }
            _ => {}
        }
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.state = State::Ground;
        match byte {
            b'[' => {
                self.state = State::Sequence;
                self.parameters.clear();
            }
            b']' | b'P' | b'X' | b'^' | b'_' => self.state = State::Text,
            b' '..=b'/' => self.state = State::Charset,
            b'D' => self.line_feed(out),
            b'E' => {
                self.window().column = 0;
                self.line_feed(out);
            }
            b'M' => self.window().up(1),
            b'7' => self.window().save(),
            b'8' => self.window().restore(),
            _ => {}
        }
    }

    fn sequence(&mut self, parameters: &[u8], last: u8, out: &mut Vec<u8>) {
        if let Some(modes) = parameters.strip_prefix(b"?") {
            let alternate = modes.split(|b| *b == b';').any(|m| matches!(m, b"47" | b"1047" | b"1049"));
            match last {
                b'h' if alternate && self.other.is_none() => self.other = Some(Window::new(self.main.height_wanted())),
                b'l' if alternate => self.leave_other(out),
                _ => {}
            }
            return;
        }
        // Private or with intermediate bytes: nothing that moves letters.
        if !parameters.iter().all(|b| b.is_ascii_digit() || matches!(b, b';' | b':')) {
            return;
        }
        let mut fields = parameters.split(|b| *b == b';').map(|field| {
            let number = std::str::from_utf8(field).ok().and_then(|f| f.parse::<usize>().ok());
            number.unwrap_or(0).min(MAX_CELLS)
        });
        let first = fields.next().unwrap_or(0);
        let second = fields.next().unwrap_or(0);
        let count = first.max(1);
        let window = self.window();
        match last {
            b'A' => window.up(count),
            b'B' | b'e' => window.down(count),
            b'C' | b'a' => window.column = (window.column + count).min(MAX_CELLS - 1),
            b'D' => window.left(count),
            b'E' => {
                window.down(count);
                window.column = 0;
            }
            b'F' => {
                window.up(count);
                window.column = 0;
            }
            b'G' | b'`' => window.column = (count - 1).min(MAX_CELLS - 1),
            b'H' | b'f' => {
                window.go_to_row(count - 1);
                window.column = (second.max(1) - 1).min(MAX_CELLS - 1);
            }
            b'd' => window.go_to_row(count - 1),
            b'J' if first == 2 => self.clear(out),
            // What has scrolled off is printed already.
            b'J' if first == 3 => {}
            b'J' => window.erase_rows(first),
            b'K' => window.erase_cells(first),
            b'P' => window.delete(count),
            b'@' => window.insert(count),
            b'X' => window.blank(count),
            b's' => window.save(),
            b'u' => window.restore(),
            _ => {}
        }
    }
}

fn first_line(text: &[u8]) -> Option<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').next()
}

fn lines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

#[cfg(test)]
mod tests;
