//! What a session's program wrote, on disk: raw bytes in capped segment files with a
//! timing index beside them.
//!
//! A session's directory holds `rec-000001.raw`, `rec-000002.raw`, … and `rec.idx`
//! ([`index`] has its form). A segment that is full is compressed when there is time
//! (`rec-000001.raw.zst`); who reads need not care. Offsets count the bytes the program wrote, so they stay true
//! when old segments are dropped and when bytes could not be recorded. The keeper's
//! recorder thread is the one [`Writer`]; everybody else reads with a [`Reader`], also
//! while the session runs. Small finished recordings are moved into daily packs
//! ([`pack`]), so that many small tasks do not leave many small files.
//!
//! Writing is not synced: a recording survives the death of any process, and a power loss
//! up to what the system had written back. Packing syncs.

mod compress;
pub mod index;
pub mod input;
pub mod pack;
mod reader;
mod segments;
mod timeline;
mod writer;

pub use reader::{Burst, Kept, Piece, Reader, Source};
pub use timeline::{Event, Step};
pub use writer::Writer;

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The timing index's file name in a session's directory.
pub const INDEX: &str = "rec.idx";

/// The path of a segment; numbers start at 1.
pub fn segment(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("rec-{number:06}.raw"))
}

/// The path of a compressed segment.
fn compressed(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("rec-{number:06}.raw.zst"))
}

/// The forms of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    Compressed,
}

/// What a file's name says, if it is a segment's.
fn segment_name(name: &str) -> Option<(u32, Form)> {
    let rest = name.strip_prefix("rec-")?;
    let (digits, form) = match rest.strip_suffix(".zst") {
        Some(rest) => (rest.strip_suffix(".raw")?, Form::Compressed),
        None => (rest.strip_suffix(".raw")?, Form::Raw),
    };
    if digits.len() < 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|n| *n > 0).map(|number| (number, form))
}

/// What was put into it, as it is written down.
fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compresses what is not compressed yet of a recording that nobody writes any more.
///
/// # Errors
/// The system's own; all is still there, some of it perhaps compressed.
pub fn compress(directory: &Path) -> io::Result<()> {
    for number in segments::list(directory)?.into_keys() {
        compress::remove_temporary(directory, number);
        match compress::compress(directory, number) {
            // It is compressed already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
