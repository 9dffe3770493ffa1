//! What a viewer gets that joins at a cut.

use autodev::screen::Screen;

use crate::table::Size;

/// Memory for lines that have scrolled off: more than any stream here needs.
pub const HISTORY_BYTES: u64 = 16 << 20;

/// The two parts of what a joining viewer gets.
#[derive(Debug)]
pub struct Joined {
    /// The picture, and what else there was of a sequence that the cut is in.
    pub picture: Vec<u8>,
    /// What viewers get of the rest.
    pub rest: Vec<u8>,
}

/// Cuts `stream` at `cut`.
pub fn join(size: Size, stream: &[u8], cut: usize) -> Joined {
    let mut screen = Screen::new(size.0, size.1, HISTORY_BYTES);
    let (before, after) = stream.split_at(cut);
    screen.feed(before, &mut Vec::new());
    let mut picture = screen.picture(size, u32::MAX);
    picture.extend_from_slice(screen.since_ground());
    let mut rest = Vec::new();
    screen.feed(after, &mut rest);
    Joined { picture, rest }
}
