//! A viewer that joins anywhere ends up with the screen of one who was always there.
//!
//! The first bytes are the size of the screen and the place of the cut.

#![no_main]

use autodev::screen::Screen;
use libfuzzer_sys::fuzz_target;

/// Memory for lines that have scrolled off: none, for what is not shown is compared by the
/// project's own tests.
const HISTORY: u64 = 0;

/// Orders after which a picture is known not to bring back everything: leaving the alternate
/// screen, which leaves things behind in it.
const NOT_KEPT: [&[u8]; 2] = [b"47l", b"49l"];

fuzz_target!(|data: &[u8]| {
    let [columns, rows, cut, output @ ..] = data else { return };
    if NOT_KEPT.iter().any(|order| output.windows(order.len()).any(|window| window == *order)) {
        return;
    }
    let (columns, rows) = (u16::from(columns % 80), u16::from(rows % 30));
    let (before, after) = output.split_at(output.len() * usize::from(*cut) / 256);
    let mut screen = Screen::new(columns, rows, HISTORY);
    screen.feed(before, &mut Vec::new());
    let mut stream = screen.picture(screen.size(), 0);
    stream.extend_from_slice(screen.since_ground());
    screen.feed(after, &mut stream);
    // Whatever was left open.
    screen.feed(b"\x18\x1b\\", &mut stream);
    let mut joined = Screen::new(columns, rows, HISTORY);
    joined.feed(&stream, &mut Vec::new());
    assert_eq!(screen.text(true), joined.text(true));
    assert_eq!(screen.bracketed_paste(), joined.bracketed_paste());
});
