//! Compressed segments: closed ones become a `zstd` frame each, a little at a time.
//!
//! A frame has its content's length in its header and a checksum at its end. It is written
//! under another name, synced and renamed, and only then the raw file is removed: where both
//! are there the compressed one counts, as it alone is sure to be whole after a power cut.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;
use zstd::zstd_safe::get_frame_content_size;

use super::{compressed, segment};
use crate::crash;

/// Bytes compressed at once: a millisecond's work, for which output can wait.
const STEP: usize = 64 * 1024;
/// The fastest level. A higher one makes a log hardly smaller, and takes more memory.
const LEVEL: i32 = 1;
/// Bytes that are searched for repetitions, as a power of two. With these 256 KiB a keeper
/// needs less than a megabyte while it compresses; twice as much saves nothing.
const WINDOW_LOG: u32 = 18;
/// A smaller segment takes a block of the disk whatever is done to it.
const WORTHWHILE: u64 = 4 * 1024;
/// The longest segment the settings allow: a header that says more is damaged.
const MAX_LENGTH: u64 = 1024 * 1024 * 1024;
/// A frame's header is no longer than this.
const FRAME_HEADER: u64 = 18;

/// A segment on its way to its compressed form. Dropped before its end it leaves all as it
/// was.
pub(super) struct Compression {
    directory: PathBuf,
    /// The segment's number.
    pub number: u32,
    raw: File,
    length: u64,
    at: u64,
    frame: Encoder<'static, File>,
    buffer: Vec<u8>,
}

impl Compression {
    /// Begins with a closed segment; `None` where it is not worth the while.
    ///
    /// # Errors
    /// The system's own.
    pub fn begin(directory: &Path, number: u32) -> io::Result<Option<Compression>> {
        let raw = File::open(segment(directory, number))?;
        let length = raw.metadata()?.len();
        if !(WORTHWHILE..=MAX_LENGTH).contains(&length) {
            return Ok(None);
        }
        let to = temporary(directory, number);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
        let mut frame = Encoder::new(file, LEVEL)?;
        frame.window_log(WINDOW_LOG)?;
        frame.include_checksum(true)?;
        frame.include_contentsize(true)?;
        frame.set_pledged_src_size(Some(length))?;
        Ok(Some(Compression {
            directory: directory.to_owned(),
            number,
            raw,
            length,
            at: 0,
            frame,
            buffer: vec![0; STEP],
        }))
    }

    /// Goes on a little. At the end: how many bytes the segment takes on disk now.
    ///
    /// # Errors
    /// The system's own; the raw segment is still there.
    pub fn step(&mut self) -> io::Result<Option<u64>> {
        if self.at < self.length {
            let read = match self.raw.read_at(&mut self.buffer, self.at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
            self.frame.write_all(&self.buffer[..read])?;
            crash::point("compressing");
            self.at += read as u64;
            return Ok(None);
        }
        self.frame.do_finish()?;
        let file = self.frame.get_ref();
        let length = file.metadata()?.len();
        if length >= self.length {
            return Ok(Some(self.length));
        }
        file.sync_data()?;
        fs::rename(temporary(&self.directory, self.number), compressed(&self.directory, self.number))?;
        crash::point("compressed");
        fs::remove_file(segment(&self.directory, self.number))?;
        Ok(Some(length))
    }
}

impl Drop for Compression {
    fn drop(&mut self) {
        // After a whole way it has its own name and is not there.
        drop(fs::remove_file(temporary(&self.directory, self.number)));
    }
}

/// Compresses a segment from beginning to end. Doing it once more is no harm.
///
/// # Errors
/// `NotFound` when that was done before; otherwise the system's own, and the raw segment is
/// still there.
pub(super) fn compress(directory: &Path, number: u32) -> io::Result<()> {
    if compressed(directory, number).try_exists()? {
        // Whoever did it did not come to this.
        return fs::remove_file(segment(directory, number));
    }
    if let Some(mut compression) = Compression::begin(directory, number)? {
        while compression.step()?.is_none() {}
    }
    Ok(())
}

/// The length of what is in a compressed segment, from its header.
///
/// # Errors
/// `InvalidData` when it is damaged; otherwise the system's own.
pub(super) fn length(path: &Path) -> io::Result<u64> {
    let mut header = Vec::new();
    File::open(path)?.take(FRAME_HEADER).read_to_end(&mut header)?;
    match get_frame_content_size(&header) {
        Ok(Some(length)) if length <= MAX_LENGTH => Ok(length),
        _ => Err(damaged(path, &"its header makes no sense")),
    }
}

/// Reads a compressed segment.
///
/// # Errors
/// `InvalidData` when it is damaged; otherwise the system's own.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let length = length(path)?;
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    // One byte more than there is: only who asks for it has the checksum looked at.
    let read = Decoder::new(&file).and_then(|frame| frame.take(length + 1).read_to_end(&mut bytes));
    match read {
        Ok(read) if read as u64 == length => Ok(bytes),
        Ok(_) => Err(damaged(path, &"it is not as long as it says")),
        Err(error) => Err(damaged(path, &error)),
    }
}

/// Removes what a keeper that was killed left half done.
pub(super) fn remove_temporary(directory: &Path, number: u32) {
    drop(fs::remove_file(temporary(directory, number)));
}

fn damaged(path: &Path, why: &dyn Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: {why}", path.display()))
}

fn temporary(directory: &Path, number: u32) -> PathBuf {
    compressed(directory, number).with_extension("tmp")
}

impl std::fmt::Debug for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compression").field("number", &self.number).field("at", &self.at).finish_non_exhaustive()
    }
}
