//! Keys as terminals describe them: kitty's `CSI … u` and xterm's `CSI 27;…~`.

use super::{Key, legacy};

/// A key as a sequence describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub code: u32,
    /// What it types with shift, where the terminal says so.
    shifted: Option<u32>,
    /// Where it would be on a US keyboard, where the terminal says so.
    base: Option<u32>,
    /// What it types, where the terminal says so.
    text: Option<u32>,
    modifiers: u32,
    pub release: bool,
}

impl Described {
    /// What it means to us.
    pub fn meaning(self) -> Key {
        if let Some(code) = self.with_control() {
            return char::from_u32(code).map_or(Key::Other, legacy::with_control);
        }
        if self.modifiers & !modifier::SHIFT != 0 {
            return Key::Other;
        }
        let code = if self.modifiers == 0 {
            self.text.unwrap_or(self.code)
        } else {
            self.text.or(self.shifted).unwrap_or(match self.code {
                code @ 0x61..=0x7a => code - 0x20,
                // The terminal does not say what shift does here: as on a US keyboard.
                0x2f => 0x3f,
                0x3b => 0x3a,
                code => code,
            })
        };
        match char::from_u32(code) {
            // Kitty numbers keys without a character from here.
            Some(c) if !(0xE000..0xF900).contains(&code) => legacy::single(c),
            _ => Key::Other,
        }
    }

    /// The key that it is together with control and nothing else.
    pub fn with_control(self) -> Option<u32> {
        // On a layout without Latin letters only the base tells which key it is.
        let code = if self.code < 0x80 { self.code } else { self.base.unwrap_or(self.code) };
        Some(code).filter(|_| self.modifiers == modifier::CONTROL)
    }

    /// Shift, control and the like, pressed by themselves (kitty's numbers for them).
    pub fn is_modifier(self) -> bool {
        matches!(self.code, 57_358..=57_360 | 57_441..=57_454)
    }
}

/// Reads `CSI code[:shifted[:base]] [; modifiers[:event] [; text]] u` and
/// `CSI 27 ; modifiers ; code ~`.
pub(super) fn describe(sequence: &[u8]) -> Option<Described> {
    let body = sequence.strip_prefix(b"\x1b[")?;
    let (&last, fields) = body.split_last()?;
    let mut fields = fields.split(|b| *b == b';');
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u32>().ok();
    let modifiers = |text: &[u8]| if text.is_empty() { Some(1) } else { number(text) };
    let strip = |value: u32| value.saturating_sub(1) & !modifier::LOCKS;
    match last {
        b'u' => {
            let mut codes = fields.next()?.split(|b| *b == b':');
            let code = number(codes.next()?)?;
            let shifted = codes.next().and_then(number);
            let base = codes.next().and_then(number);
            let mut state = fields.next().unwrap_or_default().split(|b| *b == b':');
            let modifiers = strip(modifiers(state.next().unwrap_or_default())?);
            let release = state.next() == Some(b"3");
            let text = fields.next().and_then(|t| number(t.split(|b| *b == b':').next()?));
            Some(Described { code, shifted, base, text, modifiers, release })
        }
        b'~' if fields.next() == Some(b"27") => {
            let modifiers = strip(modifiers(fields.next()?)?);
            let code = number(fields.next()?)?;
            Some(Described { code, shifted: None, base: None, text: None, modifiers, release: false })
        }
        _ => None,
    }
}

/// Bits of the modifiers field of key sequences, less one.
mod modifier {
    pub const SHIFT: u32 = 1;
    pub const CONTROL: u32 = 4;
    /// Caps lock and num lock say nothing about the key meant.
    pub const LOCKS: u32 = 64 | 128;
}
