//! What a session's program wrote, on disk: raw bytes in capped segment files with a
//! timing index beside them.
//!
//! A session's directory holds `rec-000001.raw`, `rec-000002.raw`, … and `rec.idx`
//! ([`index`] has its form). Offsets count the bytes the program wrote, so they stay true
//! when old segments are dropped and when bytes could not be recorded. The keeper's
//! recorder thread is the one [`Writer`]; everybody else reads with a [`Reader`], also
//! while the session runs. Small finished recordings are moved into daily packs
//! ([`pack`]), so that many small tasks do not leave many small files.
//!
//! Writing is not synced: a recording survives the death of any process, and a power loss
//! up to what the system had written back. Packing syncs.

pub mod index;
pub mod input;
pub mod pack;
mod reader;
mod writer;

pub use reader::{Burst, Piece, Reader, Source};
pub use writer::Writer;

use std::path::{Path, PathBuf};

/// The timing index's file name in a session's directory.
pub const INDEX: &str = "rec.idx";

/// The path of a segment; numbers start at 1.
pub fn segment(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("rec-{number:06}.raw"))
}

/// The number of a segment file's name.
fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("rec-")?.strip_suffix(".raw")?;
    if digits.len() < 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|n| *n > 0)
}

#[cfg(test)]
mod tests;
