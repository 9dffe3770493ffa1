//! Reads a recording, also one that is being written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::index::{self, Entry, Mark};
use super::input::{self, Input};
use super::segments::{self, Content, Segment};
use super::timeline::{self, Step};
use super::{INDEX, hexadecimal, pack};
use crate::clock::Timestamp;

/// Bytes looked through at once when searching backwards for lines.
const TAIL_BLOCK: usize = 64 * 1024;

/// Fewest zeros at the end that are taken for damage: a disk loses whole sectors. Programs
/// print a few zeros at most, to give a slow terminal time.
const MIN_ZEROS: u64 = 512;

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

impl Source {
    /// What the database says: a directory, or an offset in a pack.
    pub fn new(path: PathBuf, offset: Option<u64>) -> Source {
        match offset {
            Some(offset) => Source::Pack { path, offset },
            None => Source::Directory(path),
        }
    }
}

/// Reads a recording. What the files hold counts; an index that is behind, torn or gone
/// costs timing, not bytes.
#[derive(Debug)]
pub struct Reader {
    /// `None` for a pack, which is in memory.
    directory: Option<Directory>,
    began: Option<Timestamp>,
    entries: Vec<Entry>,
    segments: Vec<Segment>,
    /// A segment is not there, and the index does not say that it was dropped.
    incomplete: bool,
}

/// A session's directory as it was when it was opened. Its path may become another's: a
/// session that has ended leaves it to the next of its name.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    open: File,
}

impl Directory {
    fn open(path: &Path) -> io::Result<Directory> {
        Ok(Directory { path: path.to_owned(), open: File::open(path)? })
    }

    /// What was found by its path was in it.
    ///
    /// # Errors
    /// `NotFound` when the path leads elsewhere by now.
    fn is_there(&self) -> io::Result<()> {
        let (found, ours) = (fs::metadata(&self.path)?, self.open.metadata()?);
        if (found.dev(), found.ino()) == (ours.dev(), ours.ino()) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// How much of a recording is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All that the program wrote.
    Whole,
    /// A part: the rest was dropped, never recorded, or lost with the power. Of that there
    /// is no hash.
    Part,
    /// As much as the program wrote, and not that.
    Changed,
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
        let mut reader =
            Reader { directory: None, began: None, entries: Vec::new(), segments: Vec::new(), incomplete: false };
        match source {
            Source::Directory(directory) => {
                reader.directory = Some(Directory::open(directory)?);
                reader.refresh()?;
            }
            Source::Pack { path, offset } => {
                let packed = pack::read(path, *offset)?;
                reader.index(&packed.index);
                let (offset, length) = (packed.first, packed.raw.len() as u64);
                reader.segments.push(Segment { number: 1, offset, length, content: Content::Bytes(packed.raw) });
            }
        }
        Ok(reader)
    }

    /// Looks for what was written since. A pack never changes.
    ///
    /// # Errors
    /// `NotFound` when it is not there any more; otherwise the system's own.
    pub fn refresh(&mut self) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        // The segments first: then the index is at least as new as they are.
        let mut found = segments::list(&directory.path)?;
        let index = match fs::read(directory.path.join(INDEX)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        directory.is_there()?;
        self.index(&index);
        let (begins, dropped) = self.places();
        let Some(directory) = &self.directory else { return Ok(()) };
        let mut incomplete = false;
        for number in begins.keys().filter(|number| !dropped.contains(number)) {
            if !found.contains_key(number) {
                match segments::find(&directory.path, *number)? {
                    Some(length) => drop(found.insert(*number, length)),
                    None => incomplete = true,
                }
            }
        }
        directory.is_there()?;
        self.incomplete = incomplete;
        let mut old: BTreeMap<u32, Content> = self.segments.drain(..).map(|s| (s.number, s.content)).collect();
        let mut next = 0;
        let numbers: Vec<u32> = found.keys().copied().skip(1).collect();
        for (n, (number, length)) in found.into_iter().enumerate() {
            // They do not overlap, whatever a damaged index says.
            let offset = begins.get(&number).copied().filter(|offset| *offset >= next).unwrap_or(next);
            // Of a damaged one: up to the next, and as much as it takes to be noticed.
            let length = length.unwrap_or_else(|| {
                let end = numbers.get(n).and_then(|number| begins.get(number));
                end.map_or(1, |end| end.saturating_sub(offset).max(1))
            });
            next = offset.saturating_add(length);
            let content = old.remove(&number).unwrap_or_default();
            self.segments.push(Segment { number, offset, length, content });
        }
        Ok(())
    }

    fn index(&mut self, bytes: &[u8]) {
        if let Some((began, entries)) = index::parse(bytes) {
            self.began = Some(began);
            self.entries = entries;
        }
    }

    /// Where segments begin by the index, and which of them were dropped.
    fn places(&self) -> (BTreeMap<u32, u64>, BTreeSet<u32>) {
        let (mut begins, mut dropped) = (BTreeMap::new(), BTreeSet::new());
        for entry in &self.entries {
            match entry.mark {
                Mark::Segment { number } => drop(begins.insert(number, entry.offset)),
                Mark::Dropped { segment } => drop(dropped.insert(segment)),
                _ => {}
            }
        }
        (begins, dropped)
    }

    /// It is not where it was opened any more.
    pub fn is_moved(&self) -> bool {
        self.directory.as_ref().is_some_and(|directory| directory.is_there().is_err())
    }

    /// Bytes are missing that were neither dropped nor known to be lost: a file was removed.
    /// Only of a recording that nobody writes any more.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
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
        self.segments.last().map_or(0, |s| s.offset.saturating_add(s.length))
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
    /// `InvalidData`, with its name, for a damaged segment: once, and from then on it is
    /// passed over as if it were not there. Otherwise the system's own.
    pub fn read(&mut self, from: u64, buffer: &mut [u8]) -> io::Result<Option<Piece>> {
        for at in 0..self.segments.len() {
            let Segment { offset: begin, length, .. } = self.segments[at];
            let end = begin.saturating_add(length);
            if from >= end || buffer.is_empty() {
                continue;
            }
            let offset = from.max(begin);
            let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
            self.open_segment(at)?;
            let length = self.segments[at].read_at(offset - begin, &mut buffer[..wanted])?;
            if length > 0 {
                return Ok(Some(Piece { offset, length }));
            }
        }
        Ok(None)
    }

    /// Makes a segment readable, if it is still there. One at a time is kept in memory.
    fn open_segment(&mut self, at: usize) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        if !matches!(self.segments[at].content, Content::Unopened) {
            return Ok(());
        }
        for other in &mut self.segments {
            if let Content::Bytes(_) = other.content {
                other.content = Content::Unopened;
            }
        }
        match self.segments[at].open(&directory.path) {
            // Dropped since we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        }
        directory.is_there().inspect_err(|_| self.segments[at].content = Content::Unopened)
    }

    /// How many zeros there are at the end of the last segment, as a power cut leaves them
    /// when the length of a file reached the disk and its bytes did not; 0 for a few, which
    /// the program will have printed. Only for a recording that nobody writes any more.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn zeros_at_end(&mut self) -> io::Result<u64> {
        let Some(last) = self.segments.last() else { return Ok(0) };
        let (begin, end) = (last.offset, self.end());
        let mut block = vec![0; TAIL_BLOCK];
        let mut kept = end;
        while kept > begin {
            let from = kept.saturating_sub(TAIL_BLOCK as u64).max(begin);
            let wanted = usize::try_from(kept - from).unwrap_or(0);
            let Some(piece) = self.read(from, &mut block[..wanted])? else { break };
            if piece.offset != from || piece.length < wanted {
                break;
            }
            match block[..wanted].iter().rposition(|byte| *byte != 0) {
                Some(last) => {
                    kept = from + last as u64 + 1;
                    break;
                }
                None => kept = from,
            }
        }
        Ok(Some(end - kept).filter(|zeros| *zeros >= MIN_ZEROS).unwrap_or(0))
    }

    /// Leaves so many bytes at the end of the last segment out, up to the next refresh.
    pub fn leave_out(&mut self, bytes: u64) {
        if let Some(last) = self.segments.last_mut() {
            last.length = last.length.saturating_sub(bytes);
        }
    }

    /// What is kept of `bytes` with this hash, which is `None` where nobody knows it.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn kept(&mut self, bytes: u64, sha256: Option<&str>) -> io::Result<Kept> {
        if self.first() > 0 || self.end() < bytes || self.is_incomplete() || (bytes > 0 && sha256.is_none()) {
            return Ok(Kept::Part);
        }
        let is = self.sha256()?;
        Ok(if sha256.is_none_or(|was| was == is) { Kept::Whole } else { Kept::Changed })
    }

    /// SHA-256 of all that is kept, in hexadecimal.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn sha256(&mut self) -> io::Result<String> {
        let mut hash = Sha256::new();
        let mut block = vec![0; TAIL_BLOCK];
        let mut at = 0;
        while let Some(piece) = self.read(at, &mut block)? {
            hash.update(&block[..piece.length]);
            at = piece.offset + piece.length as u64;
        }
        Ok(hexadecimal(hash))
    }

    /// Where the last `lines` lines begin. A last line without its end counts as one.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn tail(&mut self, lines: usize) -> io::Result<u64> {
        let end = self.end();
        if lines == 0 {
            return Ok(end);
        }
        let mut block = vec![0; TAIL_BLOCK];
        let mut seen = 0;
        // Not through the bytes between segments, of which there may be any number.
        for at in (0..self.segments.len()).rev() {
            self.open_segment(at)?;
            let mut before = self.segments[at].length;
            while before > 0 {
                let from = before.saturating_sub(TAIL_BLOCK as u64);
                let wanted = usize::try_from(before - from).unwrap_or(TAIL_BLOCK);
                let segment = &self.segments[at];
                let read = segment.read_at(from, &mut block[..wanted])?;
                for newline in memchr::memrchr_iter(b'\n', &block[..read]) {
                    let after = segment.offset + from + newline as u64 + 1;
                    // The newline that ends the last line begins none.
                    if after == end {
                        continue;
                    }
                    seen += 1;
                    if seen == lines {
                        return Ok(after);
                    }
                }
                before = from;
            }
        }
        Ok(self.first())
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

    /// What happened, in order: output as in [`Reader::bursts`], and the sizes of the screen.
    pub fn timeline(&self) -> Vec<Step> {
        timeline::timeline(&self.bursts(), &self.entries)
    }

    /// Milliseconds from the beginning of the recording to the last thing in its index.
    pub fn last_ms(&self) -> u32 {
        self.entries.last().map_or(0, |entry| entry.ms)
    }
}

/// A small finished recording as a whole, for packing: `None` when it is longer than
/// `limit` or in several segments.
pub(super) fn whole(directory: &Path, limit: u64) -> io::Result<Option<pack::Packed>> {
    let found: Vec<_> = segments::list(directory)?.into_iter().collect();
    let (raw, number) = match found.as_slice() {
        [] => (Vec::new(), None),
        [(1, Some(length))] if *length <= limit => {
            let mut raw = vec![0; usize::try_from(*length).unwrap_or(0)];
            let mut only = Segment { number: 1, offset: 0, length: *length, content: Content::Unopened };
            only.open(directory)?;
            let read = only.read_at(0, &mut raw)?;
            raw.truncate(read);
            (raw, Some(1))
        }
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
