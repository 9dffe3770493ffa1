//! The form of `rec.idx`, all numbers little endian.
//!
//! Header, 16 bytes: `"ADVREC1\n"`, when recording began (i64, milliseconds since 1970).
//! Then entries of 24 bytes: offset (u64), milliseconds since the beginning (u32), kind
//! (u8), three bytes that are zero but for input, extra (u64). Entries are appended in the
//! order of time, so neither number ever becomes less. Left out by a reader are kinds that
//! it does not know, a torn entry at the end, zeros that a power cut left, and what does
//! not fit into the order, as it is damaged.
//!
//! | kind | offset | extra |
//! |---|---|---|
//! | 1 output | first byte of a burst, which lasts until the next one's | 0 |
//! | 2 gap | first byte not recorded | how many bytes |
//! | 3 dropped | bytes written before | number of the segment removed |
//! | 4 resize | bytes written before | columns, and rows × 65 536 |
//! | 5 input | bytes written before | up to 8 bytes of text, or how many are not here |
//! | 6 segment | first byte in it | its number |
//!
//! The three bytes of an input: who (1 viewer, 2 send, 3 prompt); bytes of text in extra;
//! flags (1 goes on from the input before, 2 hidden: extra is how many bytes the terminal
//! did not show, 4 omitted: extra is how many bytes of a long input are left out).

use super::input::Part;
use crate::clock::Timestamp;

/// Bytes of the header.
pub const HEADER: usize = 16;
/// Bytes of an entry.
pub const ENTRY: usize = 24;

const MAGIC: [u8; 8] = *b"ADVREC1\n";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The program wrote; lasts until the next burst.
    Output,
    /// Bytes that could not be recorded.
    Gap {
        /// How many.
        bytes: u64,
    },
    /// The oldest segment was removed, to stay within the limit.
    Dropped {
        /// Its number.
        segment: u32,
    },
    /// The screen has a new size.
    Resize {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Somebody typed.
    Input(Part),
    /// A new segment file begins. Bytes within one segment follow one another.
    Segment {
        /// Its number.
        number: u32,
    },
}

/// One entry of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Bytes the program had written before.
    pub offset: u64,
    /// Milliseconds since recording began.
    pub ms: u32,
    /// What happened.
    pub mark: Mark,
}

/// The header as bytes.
pub fn header(began: Timestamp) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..].copy_from_slice(&began.0.to_le_bytes());
    bytes
}

impl Entry {
    /// The entry as bytes.
    pub fn encode(&self) -> [u8; ENTRY] {
        let (kind, more, extra) = match self.mark {
            Mark::Output => (1, [0; 3], 0),
            Mark::Gap { bytes } => (2, [0; 3], bytes),
            Mark::Dropped { segment } => (3, [0; 3], u64::from(segment)),
            Mark::Resize { columns, rows } => (4, [0; 3], u64::from(columns) | u64::from(rows) << 16),
            Mark::Input(part) => {
                let (more, extra) = part.encode();
                (5, more, extra)
            }
            Mark::Segment { number } => (6, [0; 3], u64::from(number)),
        };
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.ms.to_le_bytes());
        bytes[12] = kind;
        bytes[13..16].copy_from_slice(&more);
        bytes[16..].copy_from_slice(&extra.to_le_bytes());
        bytes
    }

    /// Reads an entry; `None` for kinds not known here and for senseless ones.
    fn decode(bytes: &[u8; ENTRY]) -> Option<Entry> {
        let (offset, rest) = bytes.split_first_chunk::<8>()?;
        let (ms, rest) = rest.split_first_chunk::<4>()?;
        let ([kind, more @ ..], rest) = rest.split_first_chunk::<4>()?;
        let (extra, _) = rest.split_first_chunk::<8>()?;
        let extra = u64::from_le_bytes(*extra);
        let mark = match kind {
            1 => Mark::Output,
            2 => Mark::Gap { bytes: extra },
            3 => Mark::Dropped { segment: u32::try_from(extra).ok()? },
            4 => Mark::Resize {
                columns: u16::try_from(extra & 0xFFFF).ok()?,
                rows: u16::try_from(extra >> 16 & 0xFFFF).ok()?,
            },
            5 => Mark::Input(Part::decode(*more, extra)?),
            6 => Mark::Segment { number: u32::try_from(extra).ok()? },
            _ => return None,
        };
        Some(Entry { offset: u64::from_le_bytes(*offset), ms: u32::from_le_bytes(*ms), mark })
    }
}

/// Reads an index: when recording began, and every sound entry. Without a whole header
/// there is nothing.
pub fn parse(bytes: &[u8]) -> Option<(Timestamp, Vec<Entry>)> {
    let (head, rest) = bytes.split_first_chunk::<HEADER>()?;
    let (magic, began) = head.split_first_chunk::<8>()?;
    if *magic != MAGIC {
        return None;
    }
    let began = Timestamp(i64::from_le_bytes(began.try_into().ok()?));
    let (entries, _torn) = rest.as_chunks::<ENTRY>();
    Some((began, in_order(entries.iter().filter_map(Entry::decode))))
}

/// Without those that a damaged number has put in the wrong place.
fn in_order(entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut kept: Vec<Entry> = Vec::new();
    for entry in entries {
        let goes_back =
            |before: Option<&Entry>| before.is_some_and(|before| before.offset > entry.offset || before.ms > entry.ms);
        if goes_back(kept.last()) {
            // Also from the one before: then this one is too low, else the last is too high.
            if goes_back(kept.iter().nth_back(1)) {
                continue;
            }
            kept.pop();
        }
        kept.push(entry);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::input::{Typist, What};

    #[test]
    fn entries_survive_the_disk_and_a_torn_end_is_ignored() {
        let entries = [
            Entry { offset: 0, ms: 0, mark: Mark::Segment { number: 1 } },
            Entry { offset: 0, ms: 1, mark: Mark::Output },
            typed(Typist::Viewer, false, What::Text(*b"ls\r\0\0\0\0\0", 3)),
            typed(Typist::Send, false, What::Hidden(12)),
            typed(Typist::Prompt, true, What::Omitted(1 << 33)),
            Entry { offset: 7, ms: 4, mark: Mark::Resize { columns: 120, rows: 40 } },
            Entry { offset: 9, ms: 5, mark: Mark::Gap { bytes: 1 << 40 } },
            Entry { offset: 1 << 41, ms: u32::MAX, mark: Mark::Dropped { segment: 1 } },
        ];
        let mut bytes = header(Timestamp(5)).to_vec();
        for entry in &entries {
            bytes.extend_from_slice(&entry.encode());
        }
        assert_eq!(parse(&bytes), Some((Timestamp(5), entries.to_vec())));
        for cut in 0..bytes.len() {
            let whole = cut.checked_sub(HEADER).map(|body| body / ENTRY);
            assert_eq!(parse(&bytes[..cut]).map(|(_, found)| found.len()), whole, "{cut}");
        }
        let mut unknown = bytes.clone();
        unknown[HEADER + 12] = 99;
        assert_eq!(parse(&unknown).unwrap().1.len(), entries.len() - 1);
        assert_eq!(parse(b"not an index at all, surely"), None);
    }

    #[test]
    fn a_damaged_number_costs_an_entry_or_two() {
        let entries: Vec<Entry> = (1..6)
            .map(|n| Entry { offset: n * 100, ms: n as u32 * 10, mark: Mark::Segment { number: n as u32 } })
            .collect();
        let bytes: Vec<u8> = header(Timestamp(5)).into_iter().chain(entries.iter().flat_map(Entry::encode)).collect();
        // Every bit of where and when but of the last one's, which nothing contradicts.
        for n in 0..entries.len() - 1 {
            for bit in 0..12 * 8 {
                let mut damaged = bytes.clone();
                damaged[HEADER + n * ENTRY + bit / 8] ^= 1 << (bit % 8);
                let (_, found) = parse(&damaged).unwrap();
                let sound: Vec<Entry> = entries.iter().filter(|entry| found.contains(entry)).copied().collect();
                // Where either of two may be the wrong one the right one may go.
                assert!(sound.len() >= entries.len() - 2, "{n} {bit}: {found:?}");
                assert!(found.is_sorted_by_key(|entry| entry.offset) && found.is_sorted_by_key(|entry| entry.ms));
            }
        }
    }

    fn typed(by: Typist, goes_on: bool, what: What) -> Entry {
        Entry { offset: 4, ms: 3, mark: Mark::Input(Part { by, goes_on, what }) }
    }

    #[test]
    fn an_input_of_another_kind_is_skipped() {
        let good = typed(Typist::Viewer, false, What::Text(*b"12345678", 8)).encode();
        assert!(Entry::decode(&good).is_some());
        for (at, bad) in [(13, 0), (13, 4), (14, 9), (15, 6), (15, 8)] {
            let mut entry = good;
            entry[at] = bad;
            assert_eq!(Entry::decode(&entry), None, "{at} {bad}");
        }
    }

    /// Recordings outlive versions: these bytes never change.
    #[test]
    fn golden_bytes() {
        assert_eq!(header(Timestamp(1)), *b"ADVREC1\n\x01\0\0\0\0\0\0\0");
        let entry = Entry { offset: 2, ms: 3, mark: Mark::Resize { columns: 80, rows: 24 } };
        assert_eq!(entry.encode(), *b"\x02\0\0\0\0\0\0\0\x03\0\0\0\x04\0\0\0\x50\0\x18\0\0\0\0\0");
        let entry = typed(Typist::Send, true, What::Text(*b"hi\0\0\0\0\0\0", 2));
        assert_eq!(entry.encode(), *b"\x04\0\0\0\0\0\0\0\x03\0\0\0\x05\x02\x02\x01hi\0\0\0\0\0\0");
    }
}
