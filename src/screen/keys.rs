//! The kitty keyboard protocol's stack of modes. The engine's own differs from the
//! protocol in what setting without pushing does, and panics when it overflows.

/// Entries of the stack; the oldest is lost when one more is pushed.
pub(super) const DEPTH: usize = 64;

/// All flags there are.
const KNOWN: u8 = 0b1_1111;

/// The modes of one screen. The last entry is in force; none is all off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyModes(Vec<u8>);

impl KeyModes {
    /// What is in force.
    pub(super) fn flags(&self) -> u8 {
        self.0.last().copied().unwrap_or(0)
    }

    /// The whole stack, what is in force last; the first entry is the base.
    pub(super) fn entries(&self) -> &[u8] {
        &self.0
    }

    /// `CSI > flags u`
    pub(super) fn push(&mut self, flags: u8) {
        if self.0.is_empty() {
            self.0.push(0);
        }
        if self.0.len() > DEPTH {
            self.0.remove(0);
        }
        self.0.push(flags & KNOWN);
    }

    /// `CSI < count u`
    pub(super) fn pop(&mut self, count: usize) {
        self.0.truncate(self.0.len().saturating_sub(count));
    }

    /// `CSI = flags ; how u`
    pub(super) fn set(&mut self, change: impl FnOnce(u8) -> u8) {
        let flags = change(self.flags()) & KNOWN;
        match self.0.last_mut() {
            Some(last) => *last = flags,
            None => self.0.push(flags),
        }
    }
}
