//! A recording as it went: what was printed and how large the screen was, in order.

use super::index::{Entry, Mark};
use super::reader::Burst;

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Milliseconds since recording began.
    pub ms: u32,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program printed.
    Output {
        /// Bytes it had printed before.
        offset: u64,
        /// The byte after the last of these.
        end: u64,
    },
    /// The screen got this size.
    Resize {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
}

/// Puts bursts and sizes together. A burst within which the size changed or somebody typed
/// is cut there: an echo comes after its key.
pub(super) fn timeline(bursts: &[Burst], entries: &[Entry]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(bursts.len());
    let mut cuts = entries
        .iter()
        .filter_map(|entry| match entry.mark {
            Mark::Resize { columns, rows } => Some((entry.offset, entry.ms, Some(Event::Resize { columns, rows }))),
            Mark::Input(_) => Some((entry.offset, entry.ms, None)),
            _ => None,
        })
        .peekable();
    for burst in bursts {
        let mut ms = burst.ms;
        let mut offset = burst.offset;
        while let Some((at, when, size)) = cuts.next_if(|(at, ..)| *at < burst.end) {
            if at > offset {
                steps.push(Step { ms, event: Event::Output { offset, end: at } });
                offset = at;
                // What follows came after it.
                ms = ms.max(when);
            }
            steps.extend(size.map(|event| Step { ms: when.min(ms), event }));
        }
        steps.push(Step { ms, event: Event::Output { offset, end: burst.end } });
    }
    steps.extend(cuts.filter_map(|(_, ms, event)| Some(Step { ms, event: event? })));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stand_where_they_came() {
        let burst = |ms, offset, end| Burst { ms, offset, end };
        let size = |ms, offset, columns| Entry { offset, ms, mark: Mark::Resize { columns, rows: 24 } };
        let bursts = [burst(5, 0, 10), burst(20, 10, 30)];
        let entries = [size(0, 0, 80), size(7, 4, 90), size(15, 10, 100), size(40, 30, 120)];
        let output = |ms, offset, end| Step { ms, event: Event::Output { offset, end } };
        let resize = |ms, columns| Step { ms, event: Event::Resize { columns, rows: 24 } };
        assert_eq!(
            timeline(&bursts, &entries),
            [
                resize(0, 80),
                output(5, 0, 4),
                resize(7, 90),
                output(7, 4, 10),
                resize(15, 100),
                output(20, 10, 30),
                resize(40, 120),
            ]
        );
        assert_eq!(timeline(&[], &entries[..1]), [resize(0, 80)]);
    }
}
