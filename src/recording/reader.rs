//! Reads a recording, also one that is being written.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::index::{self, Entry, Mark};
use super::input::{self, Input};
use super::{INDEX, pack, segment, segment_number};
use crate::clock::Timestamp;

/// Bytes looked through at once when searching backwards for lines.
const TAIL_BLOCK: usize = 64 * 1024;

/// Where a recording lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a session's directory, live or done.
    Directory(PathBuf),
    /// In a pack.
    Pack {
        /// The pack's file.
        path: PathBuf,
        /// Where the recording begins in it.
        offset: u64,
    },
}

/// Reads a recording. What the files hold counts; an index that is behind, torn or gone
/// costs timing, not bytes.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    began: Option<Timestamp>,
    entries: Vec<Entry>,
    segments: Vec<Segment>,
}

#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Memory(Vec<u8>),
}

/// A run of bytes that follow one another.
#[derive(Debug)]
struct Segment {
    number: u32,
    offset: u64,
    length: u64,
    /// Opened when first read; a segment that is dropped meanwhile stays readable.
    file: Option<File>,
}

/// Bytes found by [`Reader::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes the program had written before these.
    pub offset: u64,
    /// How many there are.
    pub length: usize,
}

/// Output that came at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Milliseconds since recording began.
    pub ms: u32,
    /// Its first byte.
    pub offset: u64,
    /// The byte after its last.
    pub end: u64,
}

impl Reader {
    /// Opens a recording. A session that has written nothing is an empty one.
    ///
    /// # Errors
    /// The system's own; `InvalidData` for a damaged pack.
    pub fn open(source: &Source) -> io::Result<Reader> {
        let empty = |place| Reader { place, began: None, entries: Vec::new(), segments: Vec::new() };
        match source {
            Source::Directory(directory) => {
                let mut reader = empty(Place::Directory(directory.clone()));
                reader.refresh()?;
                Ok(reader)
            }
            Source::Pack { path, offset } => {
                let packed = pack::read(path, *offset)?;
                let mut reader = empty(Place::Memory(packed.raw));
                reader.index(&packed.index);
                if let Place::Memory(raw) = &reader.place {
                    let length = raw.len() as u64;
                    reader.segments.push(Segment { number: 1, offset: packed.first, length, file: None });
                }
                Ok(reader)
            }
        }
    }

    /// Looks for what was written since. A pack never changes.
    ///
    /// # Errors
    /// The system's own.
    pub fn refresh(&mut self) -> io::Result<()> {
        let Place::Directory(directory) = &self.place else { return Ok(()) };
        let directory = directory.clone();
        // The segments first: then the index is at least as new as they are.
        let mut found = list(&directory)?;
        match fs::read(directory.join(INDEX)) {
            Ok(bytes) => self.index(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        found.sort_unstable();
        let mut old = std::mem::take(&mut self.segments).into_iter().peekable();
        let mut next = 0;
        for (number, length) in found {
            let offset = self.begins(number).unwrap_or(next);
            while old.next_if(|s| s.number < number).is_some() {}
            let file = old.next_if(|s| s.number == number).and_then(|s| s.file);
            next = offset + length;
            self.segments.push(Segment { number, offset, length, file });
        }
        Ok(())
    }

    fn index(&mut self, bytes: &[u8]) {
        if let Some((began, entries)) = index::parse(bytes) {
            self.began = Some(began);
            self.entries = entries;
        }
    }

    fn begins(&self, number: u32) -> Option<u64> {
        self.entries.iter().rev().find(|e| e.mark == Mark::Segment { number }).map(|e| e.offset)
    }

    /// When recording began.
    pub fn began(&self) -> Option<Timestamp> {
        self.began
    }

    /// The first byte still kept.
    pub fn first(&self) -> u64 {
        self.segments.first().map_or(0, |s| s.offset)
    }

    /// The byte after the last recorded one.
    pub fn end(&self) -> u64 {
        self.segments.last().map_or(0, |s| s.offset + s.length)
    }

    /// The index: sizes, gaps, dropped segments.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Who typed what.
    pub fn inputs(&self) -> Vec<Input> {
        input::inputs(&self.entries)
    }

    /// Reads recorded bytes from `from` on, past gaps and dropped segments; `None` at the
    /// end. Bytes that follow one another: less than `buffer` may be filled.
    ///
    /// # Errors
    /// The system's own.
    pub fn read(&mut self, from: u64, buffer: &mut [u8]) -> io::Result<Option<Piece>> {
        let place = &self.place;
        for at in &mut self.segments {
            let end = at.offset + at.length;
            if from >= end || buffer.is_empty() {
                continue;
            }
            let offset = from.max(at.offset);
            let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
            let skip = offset - at.offset;
            let length = match place {
                Place::Memory(raw) => {
                    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                    let bytes = raw.get(skip..).and_then(|r| r.get(..wanted)).unwrap_or_default();
                    buffer[..bytes.len()].copy_from_slice(bytes);
                    bytes.len()
                }
                Place::Directory(directory) => {
                    if at.file.is_none() {
                        match File::open(segment(directory, at.number)) {
                            Ok(file) => at.file = Some(file),
                            // Dropped since we looked.
                            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                            Err(error) => return Err(error),
                        }
                    }
                    match &at.file {
                        Some(file) => file.read_at(&mut buffer[..wanted], skip)?,
                        None => 0,
                    }
                }
            };
            if length > 0 {
                return Ok(Some(Piece { offset, length }));
            }
        }
        Ok(None)
    }

    /// Where the last `lines` lines begin. A last line without its end counts as one.
    ///
    /// # Errors
    /// The system's own.
    pub fn tail(&mut self, lines: usize) -> io::Result<u64> {
        let (first, end) = (self.first(), self.end());
        if lines == 0 {
            return Ok(end);
        }
        let mut block = vec![0; TAIL_BLOCK];
        let mut before = end;
        let mut seen = 0;
        while before > first {
            let from = before.saturating_sub(TAIL_BLOCK as u64).max(first);
            let mut pieces = Vec::new();
            let mut at = from;
            let mut filled = 0;
            while at < before {
                let room = usize::try_from(before - at).unwrap_or(usize::MAX).min(block.len() - filled);
                let Some(piece) = self.read(at, &mut block[filled..filled + room])? else { break };
                if piece.offset >= before {
                    break;
                }
                let length = piece.length.min(usize::try_from(before - piece.offset).unwrap_or(usize::MAX));
                pieces.push((piece.offset, filled, length));
                filled += length;
                at = piece.offset + length as u64;
            }
            for (offset, start, length) in pieces.into_iter().rev() {
                for newline in memchr::memrchr_iter(b'\n', &block[start..start + length]) {
                    let after = offset + newline as u64 + 1;
                    // The newline that ends the last line begins none.
                    if after == end {
                        continue;
                    }
                    seen += 1;
                    if seen == lines {
                        return Ok(after);
                    }
                }
            }
            before = from;
        }
        Ok(first)
    }

    /// Output in the order and at the times it came, from the first byte kept. Where the
    /// index is lacking everything comes at the last moment known.
    pub fn bursts(&self) -> Vec<Burst> {
        let (first, end) = (self.first(), self.end());
        let mut bursts: Vec<Burst> = Vec::new();
        for entry in self.entries.iter().filter(|e| e.mark == Mark::Output && e.offset < end) {
            let offset = entry.offset.max(first);
            match bursts.last_mut() {
                // Begins in a dropped segment: only what is left of it counts.
                Some(last) if last.offset >= offset => last.ms = entry.ms,
                Some(last) => {
                    last.end = offset;
                    bursts.push(Burst { ms: entry.ms, offset, end });
                }
                None => bursts.push(Burst { ms: entry.ms, offset: first, end }),
            }
        }
        if bursts.is_empty() && end > first {
            bursts.push(Burst { ms: 0, offset: first, end });
        }
        bursts
    }
}

/// The segments in a directory: number and length.
fn list(directory: &Path) -> io::Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(segment_number) else { continue };
        match entry.metadata() {
            Ok(file) => found.push((number, file.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A small finished recording as a whole, for packing: `None` when it is longer than
/// `limit` or in several segments.
pub(super) fn whole(directory: &Path, limit: u64) -> io::Result<Option<pack::Packed>> {
    let found = list(directory)?;
    let (raw, number) = match found.as_slice() {
        [] => (Vec::new(), None),
        [(1, length)] if *length <= limit => (fs::read(segment(directory, 1))?, Some(1)),
        _ => return Ok(None),
    };
    let index = match fs::read(directory.join(INDEX)) {
        Ok(index) if index.len() as u64 <= limit => index,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let first = index::parse(&index)
        .and_then(|(_, entries)| {
            entries.iter().find(|e| number.is_some_and(|number| e.mark == Mark::Segment { number })).map(|e| e.offset)
        })
        .unwrap_or(0);
    Ok(Some(pack::Packed { first, raw, index }))
}
