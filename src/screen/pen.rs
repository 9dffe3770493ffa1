//! The pen: colours, attributes and link that text is written with, and the shortest
//! sequences from one to the next.

use std::io::Write;

use alacritty_terminal::term::cell::{Cell, Flags, Hyperlink};
use alacritty_terminal::vte::ansi::{Color, NamedColor, Rgb};

/// SGR 5 and 6, which the engine has no flag for; it carries unknown bits along.
pub(super) const BLINK: Flags = Flags::from_bits_retain(1 << 15);

/// The flags that are attributes of text, not marks of layout.
pub(super) const ATTRIBUTES: Flags = Flags::INVERSE
    .union(Flags::BOLD)
    .union(Flags::DIM)
    .union(Flags::ITALIC)
    .union(Flags::ALL_UNDERLINES)
    .union(Flags::HIDDEN)
    .union(Flags::STRIKEOUT)
    .union(BLINK);

/// Each attribute with its SGR parameter.
const SGR: [(Flags, &[u8]); 12] = [
    (Flags::BOLD, b";1"),
    (Flags::DIM, b";2"),
    (Flags::ITALIC, b";3"),
    (Flags::UNDERLINE, b";4"),
    (Flags::DOUBLE_UNDERLINE, b";4:2"),
    (Flags::UNDERCURL, b";4:3"),
    (Flags::DOTTED_UNDERLINE, b";4:4"),
    (Flags::DASHED_UNDERLINE, b";4:5"),
    (BLINK, b";5"),
    (Flags::INVERSE, b";7"),
    (Flags::HIDDEN, b";8"),
    (Flags::STRIKEOUT, b";9"),
];

const FOREGROUND: Color = Color::Named(NamedColor::Foreground);
const BACKGROUND: Color = Color::Named(NamedColor::Background);

/// What text is written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pen {
    foreground: Color,
    background: Color,
    flags: Flags,
    underline: Option<Color>,
    link: Option<Hyperlink>,
}

impl Default for Pen {
    fn default() -> Self {
        Pen { foreground: FOREGROUND, background: BACKGROUND, flags: Flags::empty(), underline: None, link: None }
    }
}

impl Pen {
    /// The pen a cell was written with.
    pub(super) fn of(cell: &Cell) -> Self {
        Pen {
            foreground: cell.fg,
            background: cell.bg,
            flags: cell.flags & ATTRIBUTES,
            underline: cell.underline_color(),
            link: cell.hyperlink(),
        }
    }

    /// Whether erasing with this pen would leave colour behind.
    pub(super) fn colours_blanks(&self) -> bool {
        self.background != BACKGROUND
    }

    /// Changes from this pen to that of `cell`.
    pub(super) fn change(&mut self, out: &mut Vec<u8>, cell: &Cell) {
        // Most cells are like the one before, and have no heap part to look into.
        if cell.extra.is_none()
            && self.foreground == cell.fg
            && self.background == cell.bg
            && self.flags == cell.flags & ATTRIBUTES
            && self.underline.is_none()
            && self.link.is_none()
        {
            return;
        }
        let to = Pen::of(cell);
        if self.link != to.link {
            link(out, to.link.as_ref());
        }
        let mut from = self.clone();
        let gone = from.flags.difference(to.flags);
        let restart = !gone.is_empty() || (from.underline.is_some() && to.underline.is_none());
        if restart {
            from = Pen::default();
        }
        let mut parameters = Vec::new();
        to.differing(&from, &mut parameters);
        match (restart, parameters.as_slice()) {
            (true, rest) => {
                out.extend_from_slice(b"\x1b[0");
                out.extend_from_slice(rest);
                out.push(b'm');
            }
            (false, [_, rest @ ..]) => {
                out.extend_from_slice(b"\x1b[");
                out.extend_from_slice(rest);
                out.push(b'm');
            }
            (false, []) => {}
        }
        *self = to;
    }

    /// Back to the plain pen.
    pub(super) fn reset(&mut self, out: &mut Vec<u8>) {
        if self.link.is_some() {
            link(out, None);
        }
        self.link = None;
        if *self != Pen::default() {
            out.extend_from_slice(b"\x1b[m");
            *self = Pen::default();
        }
    }

    /// This pen's SGR parameters, each after a `;`, as seen from the plain pen.
    pub(super) fn parameters(&self, out: &mut Vec<u8>) {
        self.differing(&Pen::default(), out);
    }

    fn differing(&self, from: &Pen, out: &mut Vec<u8>) {
        let new = self.flags.difference(from.flags);
        for (_, parameter) in SGR.iter().filter(|(flag, _)| new.contains(*flag)) {
            out.extend_from_slice(parameter);
        }
        if self.foreground != from.foreground {
            colour(out, self.foreground, 30);
        }
        if self.background != from.background {
            colour(out, self.background, 40);
        }
        if self.underline != from.underline
            && let Some(underline) = self.underline
        {
            underline_colour(out, underline);
        }
    }
}

/// Text or background colour; `base` is 30 or 40.
fn colour(out: &mut Vec<u8>, colour: Color, base: u16) {
    let _ = match colour {
        Color::Named(name) => match name as u16 {
            n @ 0..=7 => write!(out, ";{}", base + n),
            n @ 8..=15 => write!(out, ";{}", base + 60 + n - 8),
            _ => write!(out, ";{}", base + 9),
        },
        Color::Indexed(index) => write!(out, ";{};5;{index}", base + 8),
        Color::Spec(Rgb { r, g, b }) => write!(out, ";{};2;{r};{g};{b}", base + 8),
    };
}

/// Only with colons: terminals without underline colours would read the parts of the
/// other form as attributes. The empty part is the colour space.
fn underline_colour(out: &mut Vec<u8>, colour: Color) {
    let _ = match colour {
        Color::Named(name) => write!(out, ";58:5:{}", (name as u16).min(255)),
        Color::Indexed(index) => write!(out, ";58:5:{index}"),
        Color::Spec(Rgb { r, g, b }) => write!(out, ";58:2::{r}:{g}:{b}"),
    };
}

/// How the engine ends the names it makes for links that have none.
pub(super) const OWN_LINK: &str = "_alacritty";

/// Starts or ends a link. Links without a name get one, so that their parts stay one.
fn link(out: &mut Vec<u8>, link: Option<&Hyperlink>) {
    let printable = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let _ = match link {
        None => write!(out, "\x1b]8;;\x1b\\"),
        Some(link) => {
            let id = match link.id().strip_suffix(OWN_LINK) {
                Some(number) => format!("autodev-{number}"),
                None => printable(link.id()),
            };
            write!(out, "\x1b]8;id={id};{}\x1b\\", printable(link.uri()))
        }
    };
}
