//! Packs: one file a day holds many small finished recordings.
//!
//! Each is, all numbers little endian: `"ADVPACK1"`, the session's identity (16 bytes),
//! the offset of its first byte (u64), bytes of output (u32), bytes of index (u32), the
//! first 8 bytes of the SHA-256 of all this but itself and of what follows; then the
//! index and the output. A pack is only appended to; where a recording begins in it is
//! kept by who packed it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::reader;
use crate::clock::Timestamp;
use crate::id::Uid;

/// Most bytes of output, and of index, that go into a pack: most tasks leave less, and a
/// file each would cost a block and an inode.
pub const LIMIT: u64 = 16 * 1024;

const MAGIC: [u8; 8] = *b"ADVPACK1";
const HEADER: usize = 48;

/// A recording in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// Offset of the first byte.
    pub first: u64,
    /// Output.
    pub raw: Vec<u8>,
    /// The timing index as in its own file.
    pub index: Vec<u8>,
}

/// The pack for recordings that end at `day`, in the directory of finished sessions.
pub fn path(done: &Path, day: Timestamp) -> PathBuf {
    let text = day.to_string();
    done.join(format!("{}.pack", text.get(..10).unwrap_or("undated")))
}

/// Appends the recordings of finished sessions to the pack at `path`, and syncs once:
/// after this they are durable there and may be removed from their directories. One
/// answer for each session: where it begins in the pack, or `None` when it is too large
/// and stays where it is. Only one process may pack.
///
/// # Errors
/// The system's own; then nothing was added.
pub fn append(path: &Path, sessions: &[(Uid, PathBuf)]) -> io::Result<Vec<Option<u64>>> {
    let mut bytes = Vec::new();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let begin = file.metadata()?.len();
    let mut places = Vec::with_capacity(sessions.len());
    for (uid, directory) in sessions {
        places.push(match reader::whole(directory, LIMIT)? {
            Some(packed) => {
                let place = begin + bytes.len() as u64;
                encode(*uid, &packed, &mut bytes);
                Some(place)
            }
            None => None,
        });
    }
    if bytes.is_empty() {
        return Ok(places);
    }
    let written = file.write_all_at(&bytes, begin).and_then(|()| file.sync_all()).and_then(|()| match path.parent() {
        // The file's name must be as durable as what is in it.
        Some(parent) if begin == 0 => File::open(parent)?.sync_all(),
        _ => Ok(()),
    });
    if let Err(error) = written {
        // Whatever is left behind the old end is overwritten by the next.
        drop(file.set_len(begin));
        return Err(error);
    }
    Ok(places)
}

/// Reads the recording that begins at `offset`.
pub(super) fn read(path: &Path, offset: u64) -> io::Result<Packed> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{} at {offset}: {why}", path.display()));
    let file = File::open(path)?;
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, offset).map_err(|_| bad("the pack ends before it"))?;
    if header[..8] != MAGIC {
        return Err(bad("no recording begins here"));
    }
    let number = |from: usize| u32::from_le_bytes([header[from], header[from + 1], header[from + 2], header[from + 3]]);
    let (raw, index) = (u64::from(number(32)), u64::from(number(36)));
    if raw > LIMIT || index > LIMIT {
        return Err(bad("a damaged header"));
    }
    let (raw, index) = (number(32) as usize, number(36) as usize);
    let mut body = vec![0; index + raw];
    file.read_exact_at(&mut body, offset + HEADER as u64).map_err(|_| bad("the pack ends within it"))?;
    if check(&header[..40], &body) != header[40..] {
        return Err(bad("damaged: its checksum is another"));
    }
    let first = u64::from(number(24)) | u64::from(number(28)) << 32;
    let raw = body.split_off(index);
    Ok(Packed { first, raw, index: body })
}

fn encode(uid: Uid, packed: &Packed, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&uid.bytes());
    out.extend_from_slice(&packed.first.to_le_bytes());
    // Both are at most LIMIT.
    out.extend_from_slice(&u32::try_from(packed.raw.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&u32::try_from(packed.index.len()).unwrap_or(0).to_le_bytes());
    let body = [packed.index.as_slice(), packed.raw.as_slice()].concat();
    let sum = check(&out[begin..], &body);
    out.extend_from_slice(&sum);
    out.extend_from_slice(&body);
}

fn check(header: &[u8], body: &[u8]) -> [u8; 8] {
    let digest = Sha256::new().chain_update(header).chain_update(body).finalize();
    let mut sum = [0; 8];
    sum.copy_from_slice(&digest[..8]);
    sum
}
