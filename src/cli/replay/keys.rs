//! The keys of a player.

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Stop, or go on.
    Pause,
    /// To the next thing that happened.
    Step,
    /// Twice as fast.
    Faster,
    /// Half as fast.
    Slower,
    /// Enough.
    Quit,
}

/// The keys in what a terminal sent at once; others are nothing. A terminal sends all of
/// an arrow's sequence together.
pub fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b' ' => found.push(Key::Pause),
            b'.' => found.push(Key::Step),
            b'+' | b'=' => found.push(Key::Faster),
            b'-' => found.push(Key::Slower),
            b'q' | b'Q' | 0x03 => found.push(Key::Quit),
            0x1b => {
                let Some(sequence) = rest.strip_prefix(b"[").or_else(|| rest.strip_prefix(b"O")) else { continue };
                let end = sequence.iter().position(|b| (0x40..=0x7e).contains(b)).unwrap_or(sequence.len());
                if sequence.get(end) == Some(&b'C') {
                    found.push(Key::Step);
                }
                rest = sequence.get(end + 1..).unwrap_or_default();
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_what_is_none() {
        assert_eq!(keys(b" .+-q"), [Key::Pause, Key::Step, Key::Faster, Key::Slower, Key::Quit]);
        assert_eq!(keys(b"\x1b[C\x1bOC\x1b[1;5C"), [Key::Step; 3]);
        assert_eq!(keys(b"\x1b[A\x1b[<35;1;1Mx\x1b"), []);
        assert_eq!(keys(b"\x03"), [Key::Quit]);
        // Cut off: nothing of it is a key.
        assert_eq!(keys(b"\x1b[1;5"), []);
    }
}
