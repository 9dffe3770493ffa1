//! Colours as they are until somebody says otherwise.

use alacritty_terminal::vte::ansi::{NamedColor, Rgb};

/// The engine's index of the text's colour.
pub(super) const FOREGROUND: usize = NamedColor::Foreground as usize;
/// The engine's index of the background's colour.
pub(super) const BACKGROUND: usize = NamedColor::Background as usize;
/// The engine's index of the cursor's colour.
pub(super) const CURSOR: usize = NamedColor::Cursor as usize;

/// xterm's first sixteen.
const NAMED: [(u8, u8, u8); 16] = [
    (0x00, 0x00, 0x00),
    (0xcd, 0x00, 0x00),
    (0x00, 0xcd, 0x00),
    (0xcd, 0xcd, 0x00),
    (0x00, 0x00, 0xee),
    (0xcd, 0x00, 0xcd),
    (0x00, 0xcd, 0xcd),
    (0xe5, 0xe5, 0xe5),
    (0x7f, 0x7f, 0x7f),
    (0xff, 0x00, 0x00),
    (0x00, 0xff, 0x00),
    (0xff, 0xff, 0x00),
    (0x5c, 0x5c, 0xff),
    (0xff, 0x00, 0xff),
    (0x00, 0xff, 0xff),
    (0xff, 0xff, 0xff),
];

/// The colour that every terminal shows for `index` unless it is told or configured
/// otherwise: sixteen names, a cube of 6×6×6, 24 greys.
pub(super) fn indexed(index: u8) -> Rgb {
    let (r, g, b) = match index {
        0..=15 => NAMED[usize::from(index)],
        16..=231 => {
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let cube = index - 16;
            (level(cube / 36), level(cube / 6 % 6), level(cube % 6))
        }
        232..=255 => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    };
    Rgb { r, g, b }
}
