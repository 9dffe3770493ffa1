//! What programs print: four kinds of text, always the same.

/// A kind of output.
pub struct Stream {
    pub name: &'static str,
    pub bytes: Vec<u8>,
}

/// Short lines, base64, colours, and all the world's scripts.
pub fn all() -> [Stream; 4] {
    [
        Stream { name: "short lines", bytes: fill(8 << 20, short) },
        Stream { name: "base64", bytes: fill(12 << 20, base64) },
        Stream { name: "colour", bytes: fill(8 << 20, colour) },
        Stream { name: "unicode", bytes: fill(6 << 20, unicode) },
    ]
}

/// Lines of 76 letters, so many bytes of them.
pub fn text(bytes: usize) -> Vec<u8> {
    fill(bytes, base64)
}

/// Whole lines until there is enough.
fn fill(bytes: usize, line: fn(&mut Chance, &mut String)) -> Vec<u8> {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut out = String::with_capacity(bytes + 4096);
    while out.len() < bytes {
        line(&mut chance, &mut out);
        out.push('\n');
    }
    out.into_bytes()
}

/// Numbers that look like chance and are the same each time (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("short") % limit
    }

    fn letter(&mut self) -> char {
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[self.below(64)])
    }
}

/// Seven digits, as `seq` prints them.
fn short(chance: &mut Chance, out: &mut String) {
    out.push_str(&(1_000_000 + chance.below(9_000_000)).to_string());
}

fn base64(chance: &mut Chance, out: &mut String) {
    out.extend((0..76).map(|_| chance.letter()));
}

/// Words, each in a colour of one of three kinds.
fn colour(chance: &mut Chance, out: &mut String) {
    let mut columns = 0;
    while columns < 70 {
        let sequence = match chance.below(3) {
            0 => format!("\x1b[{};{}m", chance.below(2), 30 + chance.below(8)),
            1 => format!("\x1b[38;5;{}m", chance.below(256)),
            _ => format!("\x1b[38;2;{};{};{}m", chance.below(256), chance.below(256), chance.below(256)),
        };
        out.push_str(&sequence);
        let length = 1 + chance.below(8);
        out.extend((0..length).map(|_| chance.letter()));
        columns += length;
    }
    out.push_str("\x1b[0m");
}

/// Ideographs, emoji, and letters with combining marks, in runs.
fn unicode(chance: &mut Chance, out: &mut String) {
    let mut columns = 0;
    while columns < 70 {
        let kind = chance.below(4);
        for _ in 0..1 + chance.below(8) {
            let base = |first: u32, offset: usize| {
                char::from_u32(first + u32::try_from(offset).expect("small")).expect("a character")
            };
            match kind {
                0 | 1 => out.push(base(0x4e00, chance.below(0x5000))),
                2 => out.push(base(0x1f600, chance.below(0x40))),
                _ => {
                    out.push(base(u32::from('a'), chance.below(26)));
                    out.push(base(0x300, chance.below(0x30)));
                    columns -= 1;
                }
            }
            columns += 2;
        }
    }
}
