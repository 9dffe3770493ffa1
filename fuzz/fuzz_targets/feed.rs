//! Any output, in any reads and sizes: no panic, and what is kept stays small.
//!
//! The first bytes are the size of the screen and of a read.

#![no_main]

use autodev::screen::Screen;
use libfuzzer_sys::fuzz_target;

/// Memory for lines that have scrolled off.
const HISTORY: u64 = 64 * 1024;
/// What a picture of so small a screen may take at most: history, palette, titles and links.
const PICTURE_MAX: usize = 4 << 20;

fuzz_target!(|data: &[u8]| {
    let [columns, rows, read, output @ ..] = data else { return };
    let mut screen = Screen::new(u16::from(*columns), u16::from(rows % 64), HISTORY);
    let mut visible = Vec::new();
    for part in output.chunks(usize::from(*read).max(1)) {
        visible.clear();
        screen.feed(part, &mut visible);
        assert!(screen.since_ground().len() <= 64 * 1024);
        assert!(screen.title().is_none_or(|title| title.len() <= 1024));
    }
    screen.take_answers();
    assert!(screen.picture(screen.size(), u32::MAX).len() <= PICTURE_MAX);
    screen.resize(u16::from(*rows), u16::from(columns % 64));
    assert!(screen.picture((80, 24), 9).len() <= PICTURE_MAX);
    screen.text(true);
});
