//! Lines of ours over a session's picture: help, questions, what went wrong. Whoever
//! shows one asks the keeper for the picture again afterwards.

use unicode_width::UnicodeWidthChar;

/// Ends whatever sequence the terminal is within, and puts aside what would displace or
/// recolour our lines: character sets, origin mode, scroll region, wrapping, colours.
const PLAIN: &[u8] = b"\x18\x1b\\\x0f\x1b(B\x1b[?6l\x1b[r\x1b[?7l\x1b[0;7m";
/// The cursor would blink somewhere in our lines.
const AFTER: &[u8] = b"\x1b[0m\x1b[?25l";

/// Escape sequences that paint `lines` over the lowest rows of a terminal of this size.
pub fn paint(lines: &[String], columns: u16, rows: u16) -> Vec<u8> {
    let mut bytes = PLAIN.to_vec();
    let room = usize::from(rows);
    let shown = &lines[..lines.len().min(room)];
    for (index, line) in shown.iter().enumerate() {
        let row = room - shown.len() + index + 1;
        bytes.extend_from_slice(format!("\x1b[{row};1H{}", fit(line, usize::from(columns))).as_bytes());
    }
    bytes.extend_from_slice(AFTER);
    bytes
}

/// Escape sequences that paint `lines`, which are escape sequences themselves, from the top
/// of a terminal with so many rows, and nothing else.
pub(super) fn whole(lines: &[Vec<u8>], rows: u16) -> Vec<u8> {
    let mut bytes = b"\x1b[?2026h\x1b[?25l".to_vec();
    for row in 0..usize::from(rows) {
        bytes.extend_from_slice(format!("\x1b[{};1H\x1b[0m\x1b[K", row + 1).as_bytes());
        bytes.extend_from_slice(lines.get(row).map_or(&[][..], Vec::as_slice));
    }
    bytes.extend_from_slice(b"\x1b[0m\x1b[?2026l");
    bytes
}

/// `text` cut or filled up to exactly `columns`. Control characters, which may come with
/// a text from elsewhere, become blanks.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let mut fitted = String::new();
    let mut used = 0;
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        let width = c.width().unwrap_or(0);
        if used + width > columns {
            break;
        }
        fitted.push(c);
        used += width;
    }
    fitted.extend(std::iter::repeat_n(' ', columns - used));
    fitted
}

/// Columns that a text of ours takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fill_the_lowest_rows_exactly() {
        let painted = paint(&["one".into(), "日本語!".into()], 5, 10);
        let text = String::from_utf8(painted).unwrap();
        assert!(text.contains("\x1b[9;1Hone  \x1b[10;1H日本 \x1b[0m"), "{text:?}");
    }

    #[test]
    fn a_small_terminal_and_a_hostile_text_do_no_harm() {
        let text = String::from_utf8(paint(&["a\x1b[2Jb".into(), "c".into()], 6, 1)).unwrap();
        assert!(text.contains("\x1b[1;1Ha [2Jb\x1b[0m"), "{text:?}");
        assert!(paint(&["a".into()], 0, 0).starts_with(PLAIN));
    }
}
