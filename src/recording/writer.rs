//! The one writer of a recording: the keeper's recorder thread.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use sha2::{Digest, Sha256};

use super::compress::Compression;
use super::index::{self, Entry, Mark};
use super::input::{self, MAX_INPUT, Part, Typist, What};
use super::{INDEX, compressed, hexadecimal, segment};
use crate::clock::Timestamp;
use crate::protocol::launch::RecordingLimits;

/// At most one output entry in this time, in milliseconds: what an eye can tell apart.
const BURST_MS: u32 = 10;
/// Past this size the index notes output once a second only: a program that never stops
/// printing gets here after some twenty minutes.
const FINE_INDEX: u64 = 4 * 1024 * 1024;
const COARSE_BURST_MS: u32 = 1_000;
/// The index ends here whatever happens; the bytes are still recorded.
const MAX_INDEX: u64 = 64 * 1024 * 1024;
/// Past this size what is typed is not noted any more: a mouse that is moved all day must
/// not take the room for the timing of the output.
const MAX_INPUT_INDEX: u64 = MAX_INDEX / 2;
/// Entries that wait for a disk that fails, in bytes, before what is typed is not noted.
const MAX_UNWRITTEN: usize = 64 * 1024;
/// Input of one source that comes within this many milliseconds of its last is one with
/// it: a paste arrives in pieces.
const TOGETHER_MS: u32 = 10;
/// After a failed write (a full disk) the next try, in milliseconds. Output meanwhile is
/// a gap.
const RETRY_MS: u32 = 1_000;
/// Smallest segment, so that a senseless limit does not make a file for each line.
const MIN_SEGMENT: u64 = 4 * 1024;

/// Writes a recording. Files are made when there is something to write. A disk that fails
/// makes gaps, never errors: the program goes on.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    began: Timestamp,
    segment_bytes: u64,
    max_bytes: u64,
    index: Option<File>,
    index_length: u64,
    /// Entries not yet in the file.
    entries: Vec<u8>,
    current: Option<Segment>,
    /// Number of the last segment made.
    number: u32,
    /// Whole segments before the current one, oldest first.
    kept: VecDeque<Kept>,
    /// What they take on disk.
    kept_bytes: u64,
    /// One of them is being compressed.
    compression: Option<Compression>,
    offset: u64,
    lost: u64,
    hash: Sha256,
    /// A gap that is still growing, not yet among the entries.
    open_gap: Option<Gap>,
    /// When the last output entry was made.
    burst: Option<u32>,
    /// The input noted last, which may go on.
    typing: Option<Typing>,
    retry_at: Option<u32>,
    error: Option<io::Error>,
}

#[derive(Clone, Copy, Debug)]
struct Typing {
    by: Typist,
    hidden: bool,
    ms: u32,
    /// Bytes of it that were written down.
    noted: usize,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    offset: u64,
    ms: u32,
    bytes: u64,
}

/// A whole segment.
#[derive(Clone, Copy, Debug)]
struct Kept {
    number: u32,
    /// On disk.
    bytes: u64,
    /// It is compressed, or cannot be.
    settled: bool,
}

#[derive(Debug)]
struct Segment {
    file: File,
    length: u64,
}

impl Writer {
    /// A recording in `directory`, which holds none yet.
    pub fn new(directory: PathBuf, limits: RecordingLimits, began: Timestamp) -> Self {
        Writer {
            directory,
            began,
            // Two segments at least: the oldest is dropped whole while another is written.
            segment_bytes: limits.segment_bytes.min(limits.max_bytes / 2).max(MIN_SEGMENT),
            max_bytes: limits.max_bytes.max(2 * MIN_SEGMENT),
            index: None,
            index_length: 0,
            entries: Vec::new(),
            current: None,
            number: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            compression: None,
            offset: 0,
            lost: 0,
            hash: Sha256::new(),
            open_gap: None,
            burst: None,
            typing: None,
            retry_at: None,
            error: None,
        }
    }

    /// Records output of the program, `ms` after the beginning.
    pub fn output(&mut self, ms: u32, bytes: &[u8]) {
        if self.retry_at.is_some_and(|at| ms < at) {
            return self.gap(ms, bytes.len() as u64);
        }
        self.retry_at = None;
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.append(ms, rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) => {
                    self.error = Some(error);
                    self.retry_at = Some(ms.saturating_add(RETRY_MS));
                    return self.gap(ms, rest.len() as u64);
                }
            }
        }
    }

    /// Notes that `bytes` bytes of output were not recorded.
    pub fn gap(&mut self, ms: u32, bytes: u64) {
        if bytes == 0 {
            return;
        }
        // Bytes within one segment follow one another, so a gap ends it.
        self.close();
        match self.open_gap.as_mut() {
            // Not yet in the file: one entry tells it all.
            Some(gap) => gap.bytes += bytes,
            None => self.open_gap = Some(Gap { offset: self.offset, ms, bytes }),
        }
        self.offset += bytes;
        self.lost += bytes;
        self.burst = None;
    }

    /// Notes a new size of the screen.
    pub fn resize(&mut self, ms: u32, columns: u16, rows: u16) {
        self.note(ms, Mark::Resize { columns, rows });
    }

    /// Notes what was typed: `text`, of which at most [`MAX_INPUT`] bytes are written down,
    /// and `omitted` further bytes.
    pub fn input(&mut self, ms: u32, by: Typist, text: &[u8], omitted: u64) {
        let (goes_on, noted) = self.type_on(ms, by, false);
        let (text, beyond) = text.split_at(text.len().min(MAX_INPUT - noted));
        if let Some(typing) = &mut self.typing {
            typing.noted += text.len();
        }
        for part in input::parts(by, goes_on, text, omitted + beyond.len() as u64) {
            self.note_input(ms, part);
        }
    }

    /// Notes that so many bytes were typed while the terminal showed nothing of it.
    pub fn hidden(&mut self, ms: u32, by: Typist, bytes: u64) {
        let (goes_on, _) = self.type_on(ms, by, true);
        self.note_input(ms, Part { by, goes_on, what: What::Hidden(bytes) });
    }

    /// Whether what is typed now goes on from the last input, and how much of that was
    /// written down.
    fn type_on(&mut self, ms: u32, by: Typist, hidden: bool) -> (bool, usize) {
        let last = self
            .typing
            .filter(|last| last.by == by && last.hidden == hidden && ms.saturating_sub(last.ms) <= TOGETHER_MS);
        let noted = last.map_or(0, |last| last.noted);
        self.typing = Some(Typing { by, hidden, ms, noted });
        (last.is_some(), noted)
    }

    fn note_input(&mut self, ms: u32, part: Part) {
        let waiting = self.entries.len();
        if waiting < MAX_UNWRITTEN && self.index_length + (waiting as u64) < MAX_INPUT_INDEX {
            self.note(ms, Mark::Input(part));
        }
    }

    /// Brings the index up to date on disk. After this a reader finds all there is.
    pub fn flush(&mut self) {
        // While the disk fails a gap goes on growing as one entry.
        if self.retry_at.is_some() {
            return;
        }
        self.end_gap();
        if self.entries.is_empty() {
            return;
        }
        if let Err(error) = self.write_index() {
            // Kept in memory; written with the next entries.
            self.error = Some(error);
        }
    }

    /// Nothing more will come: a last try to bring the index up to date.
    pub fn finish(&mut self) {
        self.retry_at = None;
        self.compression = None;
        self.flush();
    }

    /// [`Writer::compress`] has something to do.
    pub fn can_compress(&self) -> bool {
        self.compression.is_some() || self.kept.iter().any(|kept| !kept.settled)
    }

    /// Compresses whole segments a little, for when there is nothing to record; `false`
    /// when there is nothing to compress either. Meanwhile there are two forms of one.
    pub fn compress(&mut self) -> bool {
        let done = match &mut self.compression {
            Some(compression) => compression.step().map(|done| done.map(|bytes| (compression.number, bytes))),
            None => {
                let Some(next) = self.kept.iter_mut().find(|kept| !kept.settled) else { return false };
                next.settled = true;
                Compression::begin(&self.directory, next.number).map(|begun| {
                    self.compression = begun;
                    None
                })
            }
        };
        match done {
            Ok(None) => return true,
            Ok(Some((number, bytes))) => {
                if let Some(kept) = self.kept.iter_mut().find(|kept| kept.number == number) {
                    self.kept_bytes = self.kept_bytes - kept.bytes + bytes;
                    kept.bytes = bytes;
                }
            }
            Err(error) => {
                let text = format!("a segment stays as it is: {error}");
                self.error = Some(io::Error::new(error.kind(), text));
            }
        }
        // With all its memory.
        self.compression = None;
        true
    }

    /// Bytes the program wrote so far, recorded or lost.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of those that were not recorded.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// SHA-256 of all bytes recorded so far, also of those dropped since, in hexadecimal.
    pub fn sha256(&self) -> String {
        hexadecimal(self.hash.clone())
    }

    /// The last failure since this was asked.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Writes as much as fits into the current segment.
    fn append(&mut self, ms: u32, bytes: &[u8]) -> io::Result<usize> {
        if self.current.as_ref().is_some_and(|s| s.length >= self.segment_bytes) {
            self.close();
        }
        if self.current.is_none() {
            self.open(ms)?;
        }
        let Some(current) = self.current.as_mut() else { return Ok(0) };
        let room = usize::try_from(self.segment_bytes - current.length).unwrap_or(usize::MAX);
        let written = match current.file.write_at(&bytes[..bytes.len().min(room)], current.length) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            Err(error) => return Err(error),
        };
        current.length += written as u64;
        self.hash.update(&bytes[..written]);
        let apart = if self.index_length > FINE_INDEX { COARSE_BURST_MS } else { BURST_MS };
        if self.burst.is_none_or(|at| ms.saturating_sub(at) >= apart) {
            self.burst = Some(ms);
            self.note(ms, Mark::Output);
        }
        self.offset += written as u64;
        Ok(written)
    }

    /// Begins the next segment, after making room for it.
    fn open(&mut self, ms: u32) -> io::Result<()> {
        while self.kept_bytes + self.segment_bytes > self.max_bytes {
            let Some(Kept { number, bytes, .. }) = self.kept.front().copied() else { break };
            self.compression = self.compression.take().filter(|compression| compression.number != number);
            for form in [segment, compressed] {
                match fs::remove_file(form(&self.directory, number)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            self.kept.pop_front();
            self.kept_bytes -= bytes;
            self.note(ms, Mark::Dropped { segment: number });
        }
        let number = self.number + 1;
        let path = segment(&self.directory, number);
        let file = create(&path)?;
        if let Err(error) = reserve(&file) {
            drop(fs::remove_file(path));
            return Err(error);
        }
        self.number = number;
        self.current = Some(Segment { file, length: 0 });
        self.note(ms, Mark::Segment { number });
        // Readers must be able to place the segment's bytes as soon as they see them.
        self.burst = None;
        self.flush();
        Ok(())
    }

    fn close(&mut self) {
        let Some(current) = self.current.take() else { return };
        if current.length == 0 {
            // The next try is under the same number.
            drop(fs::remove_file(segment(&self.directory, self.number)));
            self.number -= 1;
        } else {
            self.kept.push_back(Kept { number: self.number, bytes: current.length, settled: false });
            self.kept_bytes += current.length;
        }
    }

    fn note(&mut self, ms: u32, mark: Mark) {
        self.end_gap();
        self.push(Entry { offset: self.offset, ms, mark });
    }

    fn end_gap(&mut self) {
        if let Some(Gap { offset, ms, bytes }) = self.open_gap.take() {
            self.push(Entry { offset, ms, mark: Mark::Gap { bytes } });
        }
    }

    fn push(&mut self, entry: Entry) {
        if self.index_length + (self.entries.len() as u64) < MAX_INDEX {
            self.entries.extend_from_slice(&entry.encode());
        }
    }

    /// Written at a known place, so that what a failed write left behind is overwritten.
    fn write_index(&mut self) -> io::Result<()> {
        if self.index.is_none() {
            let file = create(&self.directory.join(INDEX))?;
            file.write_all_at(&index::header(self.began), 0)?;
            self.index_length = index::HEADER as u64;
            self.index = Some(file);
        }
        if let Some(file) = &self.index {
            file.write_all_at(&self.entries, self.index_length)?;
            self.index_length += self.entries.len() as u64;
            self.entries.clear();
        }
        Ok(())
    }
}

/// Takes the first block, so that a full disk refuses a segment before anything is noted of
/// it. Where a file system cannot do that the first write says how it is.
fn reserve(file: &File) -> io::Result<()> {
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, 1) {
        Err(error @ (Errno::ENOSPC | Errno::EDQUOT)) => Err(error.into()),
        _ => Ok(()),
    }
}

fn create(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
