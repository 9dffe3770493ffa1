//! The questions programs ask their terminal, and our answers.
//!
//! The keeper answers alone, attached or not, and no viewer's terminal ever sees a
//! question: each would answer, and answers that come after a detach are typed into the
//! user's shell.

use alacritty_terminal::term::TermMode;
use alacritty_terminal::vte::ansi::{CursorShape, Rgb};

use super::model::Model;
use super::pen::Pen;
use super::sequence::{Control, number};
use super::{USUAL_CELL, palette};
use crate::protocol::keeper::Looks;

/// What is to be done about a sequence, seen from the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question<'a> {
    /// A control sequence that asks.
    Control(Control<'a>),
    /// `ESC Z`: what are you? Same as primary device attributes.
    Identify,
    /// An operating system command of this number asks about colours; its parameters.
    Colours(u16, &'a [u8], Terminator),
    /// `DCS $ q`: the current value of a setting.
    Setting(&'a [u8]),
    /// `DCS + q`: a terminfo capability.
    Capability(&'a [u8]),
    /// Something that a terminal would answer and we do not.
    Unanswered,
}

/// How a command was ended; answers end alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terminator {
    /// BEL.
    Bell,
    /// ESC \.
    String,
}

impl Terminator {
    fn bytes(self) -> &'static [u8] {
        match self {
            Terminator::Bell => b"\x07",
            Terminator::String => b"\x1b\\",
        }
    }
}

/// Whether a control sequence asks the terminal something.
pub(super) fn control(control: Control<'_>) -> Option<Question<'_>> {
    match (control.private, control.intermediates, control.action) {
        (None | Some(b'>' | b'='), b"", b'c')
        | (None | Some(b'?'), b"", b'n')
        | (None | Some(b'?'), b"$", b'p')
        | (Some(b'?'), b"", b'u' | b'm' | b'S')
        | (Some(b'>'), b"", b'q')
        | (None, b"", b'x') => Some(Question::Control(control)),
        (None, b"", b't') if matches!(control.first(), 11 | 13..=16 | 18..=21) => Some(Question::Control(control)),
        // Checksums, presentation reports and their like.
        (None, b"*", b'y') | (None, b"$", b'u' | b'w') | (None, b"&", b'u') | (None, b"\"", b'v') => {
            Some(Question::Unanswered)
        }
        (None, b"#", b'|' | b'R') => Some(Question::Unanswered),
        _ => None,
    }
}

/// Whether an operating system command asks; `body` lies between `ESC ]` and the end.
pub(super) fn command(body: &[u8], terminator: Terminator) -> Option<Question<'_>> {
    let (code, rest) = split(body, b';');
    if !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let asks = |field: &[u8]| field == b"?";
    match number(code) {
        code @ (4 | 10..=12) if rest.split(|b| *b == b';').any(asks) => Some(Question::Colours(code, rest, terminator)),
        5 | 13..=19 | 50 if rest.split(|b| *b == b';').any(asks) => Some(Question::Unanswered),
        21 if rest.contains(&b'?') => Some(Question::Unanswered),
        22 if rest.starts_with(b"?") => Some(Question::Unanswered),
        52 if asks(split(rest, b';').1) => Some(Question::Unanswered),
        60 | 61 => Some(Question::Unanswered),
        99 if split(rest, b';').0.split(|b| *b == b':').any(|field| field == b"p=?") => Some(Question::Unanswered),
        1337 if [&b"ReportCellSize"[..], b"ReportVariable=", b"Capabilities"].iter().any(|q| rest.starts_with(q)) => {
            Some(Question::Unanswered)
        }
        _ => None,
    }
}

/// Whether a device control string asks; `body` lies between `ESC P` and the end.
pub(super) fn device(body: &[u8]) -> Option<Question<'_>> {
    match body {
        [b'$', b'q', what @ ..] => Some(Question::Setting(what)),
        [b'+', b'q', what @ ..] => Some(Question::Capability(what)),
        _ => None,
    }
}

/// Whether another string asks: the kitty graphics query `ESC _ G … a=q …`.
pub(super) fn other(body: &[u8]) -> Option<Question<'_>> {
    let keys = split(body.strip_prefix(b"_G")?, b';').0;
    keys.split(|b| *b == b',').any(|key| key == b"a=q").then_some(Question::Unanswered)
}

fn split(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    match memchr::memchr(at, bytes) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

/// Who answers: the state of the screen, and what is known of the writer's terminal.
pub(super) struct Answerer<'a> {
    /// The screen.
    pub model: &'a Model,
    /// The writer's terminal.
    pub looks: &'a Looks,
    /// Where answers go.
    pub out: &'a mut Vec<u8>,
}

impl Answerer<'_> {
    /// Answers, unless nothing can be said. Returns the part of the question that was an
    /// order (a colour command may set one colour and ask for another).
    pub(super) fn answer(&mut self, question: &Question<'_>) -> Vec<u8> {
        match question {
            Question::Control(control) => self.control(control),
            Question::Identify => self.attributes(),
            Question::Colours(code, fields, terminator) => return self.colours(*code, fields, *terminator),
            Question::Setting(what) => self.setting(what),
            // Programs fall back to their terminfo entry.
            Question::Capability(names) => {
                for name in names.split(|b| *b == b';').filter(|n| n.iter().all(u8::is_ascii_hexdigit)) {
                    self.out.extend_from_slice(b"\x1bP0+r");
                    self.out.extend_from_slice(name);
                    self.out.extend_from_slice(b"\x1b\\");
                }
            }
            Question::Unanswered => {}
        }
        Vec::new()
    }

    fn control(&mut self, control: &Control<'_>) {
        let first = control.first();
        match (control.private, control.action) {
            (None, b'c') if first == 0 => self.attributes(),
            // "xterm 300": what programs take for a terminal with everything we have.
            (Some(b'>'), b'c') if first == 0 => put!(self.out, "\x1b[>0;300;0c"),
            (Some(b'='), b'c') if first == 0 => put!(self.out, "\x1bP!|00000000\x1b\\"),
            (private, b'n') => self.status(private.is_some(), first),
            (private, b'p') => self.mode(private.is_some(), first),
            (Some(b'?'), b'u') => put!(self.out, "\x1b[?{}u", self.model.keys().flags()),
            (Some(b'?'), b'm') if first == 4 => put!(self.out, "\x1b[>4;{}m", self.model.modify_other_keys()),
            (Some(b'>'), b'q') if first == 0 => put!(self.out, "\x1bP>|autodev({})\x1b\\", env!("CARGO_PKG_VERSION")),
            // No such graphics: "error in the action".
            (Some(b'?'), b'S') => put!(self.out, "\x1b[?{first};3;0S"),
            (None, b'x') if first < 2 => put!(self.out, "\x1b[{};1;1;128;128;1;0x", first + 2),
            (None, b't') => self.window(first),
            _ => {}
        }
    }

    /// A VT220 with colour.
    fn attributes(&mut self) {
        put!(self.out, "\x1b[?62;22c");
    }

    fn status(&mut self, private: bool, what: u16) {
        match (private, what) {
            (false, 5) => put!(self.out, "\x1b[0n"),
            (_, 6) => {
                let (line, column) = self.model.reported_cursor();
                let sign = if private { "?" } else { "" };
                put!(self.out, "\x1b[{sign}{line};{column}R");
            }
            // No printer, no user keys, a North American keyboard, no locator.
            (true, 15) => put!(self.out, "\x1b[?13n"),
            (true, 25) => put!(self.out, "\x1b[?20n"),
            (true, 26) => put!(self.out, "\x1b[?27;1;0;0n"),
            (true, 53 | 55) => put!(self.out, "\x1b[?53n"),
            (true, 996) => {
                let scheme = if rgb(self.looks.background).luminance() > 0.5 { 2 } else { 1 };
                put!(self.out, "\x1b[?997;{scheme}n");
            }
            _ => {}
        }
    }

    fn mode(&mut self, private: bool, number: u16) {
        let state = match self.model.mode_state(private, number) {
            Some(true) => 1,
            Some(false) => 2,
            None => 0,
        };
        let sign = if private { "?" } else { "" };
        put!(self.out, "\x1b[{sign}{number};{state}$y");
    }

    fn window(&mut self, what: u16) {
        let (columns, rows) = self.model.size();
        let cell = if self.looks.cell.0 == 0 || self.looks.cell.1 == 0 { USUAL_CELL } else { self.looks.cell };
        let (width, height) = (usize::from(cell.0), usize::from(cell.1));
        match what {
            11 => put!(self.out, "\x1b[1t"),
            13 => put!(self.out, "\x1b[3;0;0t"),
            14 => put!(self.out, "\x1b[4;{};{}t", rows * height, columns * width),
            15 => put!(self.out, "\x1b[5;{};{}t", rows * height, columns * width),
            16 => put!(self.out, "\x1b[6;{height};{width}t"),
            18 => put!(self.out, "\x1b[8;{rows};{columns}t"),
            19 => put!(self.out, "\x1b[9;{rows};{columns}t"),
            // The title could hold what a program put there to have it typed: left empty.
            20 => put!(self.out, "\x1b]L\x1b\\"),
            21 => put!(self.out, "\x1b]l\x1b\\"),
            _ => {}
        }
    }

    fn colours(&mut self, code: u16, fields: &[u8], terminator: Terminator) -> Vec<u8> {
        let mut orders = Vec::new();
        let mut fields = fields.split(|b| *b == b';');
        if code == 4 {
            while let (Some(index), Some(value)) = (fields.next(), fields.next()) {
                match u8::try_from(number(index)) {
                    Ok(index) if value == b"?" => {
                        let colour = self.model.colour(usize::from(index)).unwrap_or_else(|| palette::indexed(index));
                        self.colour(&format!("4;{index}"), colour, terminator);
                    }
                    _ => order(&mut orders, &[b"4", index, value]),
                }
            }
            return orders;
        }
        // Each further field is about the next colour.
        for (code, value) in (code..=12).zip(fields) {
            let (index, default) = match code {
                10 => (palette::FOREGROUND, rgb(self.looks.foreground)),
                11 => (palette::BACKGROUND, rgb(self.looks.background)),
                _ => (palette::CURSOR, rgb(self.looks.cursor)),
            };
            if value == b"?" {
                let colour = self.model.colour(index).unwrap_or(default);
                self.colour(&code.to_string(), colour, terminator);
            } else {
                order(&mut orders, &[code.to_string().as_bytes(), value]);
            }
        }
        orders
    }

    fn colour(&mut self, prefix: &str, Rgb { r, g, b }: Rgb, terminator: Terminator) {
        put!(self.out, "\x1b]{prefix};rgb:{r:02x}{r:02x}/{g:02x}{g:02x}/{b:02x}{b:02x}");
        self.out.extend_from_slice(terminator.bytes());
    }

    fn setting(&mut self, what: &[u8]) {
        let mut value = Vec::new();
        match what {
            b"m" => {
                value.push(b'0');
                Pen::of(&self.model.grid().cursor.template).parameters(&mut value);
                value.push(b'm');
            }
            b"r" => {
                let region = self.model.region();
                put!(value, "{};{}r", region.start + 1, region.end);
            }
            b" q" => put!(value, "{} q", cursor_style(self.model)),
            b"\"p" => value.extend_from_slice(b"62;1\"p"),
            b"\"q" => value.extend_from_slice(b"0\"q"),
            _ => {
                self.out.extend_from_slice(b"\x1bP0$r\x1b\\");
                return;
            }
        }
        self.out.extend_from_slice(b"\x1bP1$r");
        self.out.extend_from_slice(&value);
        self.out.extend_from_slice(b"\x1b\\");
    }
}

fn rgb([r, g, b]: [u8; 3]) -> Rgb {
    Rgb { r, g, b }
}

/// The number that DECSCUSR takes for the cursor's style; 0 is the terminal's own.
pub(super) fn cursor_style(model: &Model) -> u8 {
    match model.cursor_style() {
        None => 0,
        Some(style) => {
            let steady = u8::from(!style.blinking);
            match style.shape {
                CursorShape::Underline => 3 + steady,
                CursorShape::Beam => 5 + steady,
                CursorShape::Block | CursorShape::HollowBlock | CursorShape::Hidden => 1 + steady,
            }
        }
    }
}

/// The engine's flag for a mode that is only that, set or not.
pub(super) fn mode_flag(private: bool, number: u16) -> Option<TermMode> {
    Some(match (private, number) {
        (false, 4) => TermMode::INSERT,
        (false, 20) => TermMode::LINE_FEED_NEW_LINE,
        (true, 1) => TermMode::APP_CURSOR,
        (true, 6) => TermMode::ORIGIN,
        (true, 7) => TermMode::LINE_WRAP,
        (true, 25) => TermMode::SHOW_CURSOR,
        (true, 66) => TermMode::APP_KEYPAD,
        (true, 1000) => TermMode::MOUSE_REPORT_CLICK,
        (true, 1002) => TermMode::MOUSE_DRAG,
        (true, 1003) => TermMode::MOUSE_MOTION,
        (true, 1004) => TermMode::FOCUS_IN_OUT,
        (true, 1005) => TermMode::UTF8_MOUSE,
        (true, 1006) => TermMode::SGR_MOUSE,
        (true, 1007) => TermMode::ALTERNATE_SCROLL,
        (true, 1042) => TermMode::URGENCY_HINTS,
        (true, 2004) => TermMode::BRACKETED_PASTE,
        (true, 47 | 1047 | 1049) => TermMode::ALT_SCREEN,
        _ => return None,
    })
}

/// Writes one operating system command.
fn order(out: &mut Vec<u8>, fields: &[&[u8]]) {
    out.extend_from_slice(b"\x1b]");
    out.extend_from_slice(&fields.join(&b';'));
    out.extend_from_slice(b"\x1b\\");
}
