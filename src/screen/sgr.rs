//! Colours and attributes (SGR) past the parser: in coloured output every second thing is an
//! order for them. What is unusual goes to the parser as everything else does.

use alacritty_terminal::vte::ansi::{Attr, Color, Handler, NamedColor, Rgb};

use super::model::Model;

/// In the order of their numbers.
const COLOURS: [NamedColor; 8] = [
    NamedColor::Black,
    NamedColor::Red,
    NamedColor::Green,
    NamedColor::Yellow,
    NamedColor::Blue,
    NamedColor::Magenta,
    NamedColor::Cyan,
    NamedColor::White,
];

impl Model {
    /// Carries out what stands between `ESC [` and `m`. Answers whether it could; if not, the
    /// parser must do it from the start, which makes no difference for what was done already.
    pub(super) fn set_pen(&mut self, body: &[u8]) -> bool {
        let mut numbers = Numbers { rest: Some(body) };
        while let Some(number) = numbers.next() {
            let attribute = match number {
                Some(38) => colour(&mut numbers).map(Attr::Foreground),
                Some(48) => colour(&mut numbers).map(Attr::Background),
                Some(number) => attribute(number),
                None => None,
            };
            match attribute {
                Some(attribute) => self.terminal_attribute(attribute),
                None => return false,
            }
        }
        true
    }
}

fn attribute(number: u8) -> Option<Attr> {
    let named = |first: u8| Color::Named(COLOURS[usize::from(number - first)]);
    let bright = |first: u8| Color::Named(COLOURS[usize::from(number - first)].to_bright());
    Some(match number {
        0 => Attr::Reset,
        1 => Attr::Bold,
        2 => Attr::Dim,
        3 => Attr::Italic,
        4 => Attr::Underline,
        7 => Attr::Reverse,
        9 => Attr::Strike,
        22 => Attr::CancelBoldDim,
        23 => Attr::CancelItalic,
        24 => Attr::CancelUnderline,
        27 => Attr::CancelReverse,
        29 => Attr::CancelStrike,
        30..=37 => Attr::Foreground(named(30)),
        39 => Attr::Foreground(Color::Named(NamedColor::Foreground)),
        40..=47 => Attr::Background(named(40)),
        49 => Attr::Background(Color::Named(NamedColor::Background)),
        90..=97 => Attr::Foreground(bright(90)),
        100..=107 => Attr::Background(bright(100)),
        _ => return None,
    })
}

/// What follows 38 and 48.
fn colour(numbers: &mut Numbers<'_>) -> Option<Color> {
    let mut next = || numbers.next().flatten();
    match next()? {
        2 => Some(Color::Spec(Rgb { r: next()?, g: next()?, b: next()? })),
        5 => next().map(Color::Indexed),
        _ => None,
    }
}

/// Numbers between semicolons, as most are; `None` in place of one that is not.
struct Numbers<'a> {
    rest: Option<&'a [u8]>,
}

impl Iterator for Numbers<'_> {
    type Item = Option<u8>;

    fn next(&mut self) -> Option<Option<u8>> {
        const DIGITS_MAX: usize = 3;
        let rest = self.rest?;
        let mut number = 0;
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'0'..=b'9' if at < DIGITS_MAX => number = number * 10 + u16::from(byte - b'0'),
                b';' => {
                    self.rest = Some(&rest[at + 1..]);
                    return Some(u8::try_from(number).ok());
                }
                _ => return Some(None),
            }
        }
        self.rest = None;
        Some(u8::try_from(number).ok())
    }
}
