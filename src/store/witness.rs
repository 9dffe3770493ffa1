//! The witness: a small file outside the database that remembers its head.
//!
//! SQLite opens a database whose write-ahead log was cut or removed without complaint;
//! the commits in it are simply gone. The witness knows better. Two slots are written in
//! turn, so that a torn write leaves the other one whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::id::Uid;

/// One disk sector: written whole or not at all on nearly every disk.
const SLOT: usize = 512;
const MAGIC: &[u8; 8] = b"adwitns1";
/// Bytes in front of the checksum.
const BODY: usize = 8 + 8 + 16 + 8 + 32 + 8 + 8;

/// What is remembered of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Which life of the database: changes when a backup is restored.
    pub epoch: Uid,
    /// Number of the last event.
    pub seq: i64,
    /// Its hash.
    pub hash: [u8; 32],
    /// The daemon's generation.
    pub generation: u64,
    /// Highest task number given out.
    pub highest_task: i64,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    /// Writes so far; says which slot is newer, and which is next.
    writes: u64,
}

impl Witness {
    /// Reads the newest whole slot; `None` when there is no file or no whole slot in it.
    pub(super) fn read(path: &Path) -> io::Result<Option<Head>> {
        match File::open(path) {
            Ok(file) => Ok(newest(&file)?.map(|(_, head)| head)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the file for writing, making it (0600) if need be.
    pub(super) fn open(path: &Path) -> io::Result<Witness> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        let writes = newest(&file)?.map_or(0, |(writes, _)| writes);
        Ok(Witness { file, writes })
    }

    /// Remembers `head`. Survives this process at once, the machine after [`Self::sync`]:
    /// a witness that is behind does no harm.
    pub(super) fn write(&mut self, head: &Head) -> io::Result<()> {
        let writes = self.writes.wrapping_add(1);
        let offset = if writes.is_multiple_of(2) { 0 } else { SLOT as u64 };
        self.file.write_all_at(&encode(writes, head), offset)?;
        self.writes = writes;
        Ok(())
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn newest(file: &File) -> io::Result<Option<(u64, Head)>> {
    let mut slots = Vec::with_capacity(2);
    for offset in [0, SLOT as u64] {
        let mut slot = [0; SLOT];
        match file.read_exact_at(&mut slot, offset) {
            Ok(()) => slots.extend(decode(&slot)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
    Ok(slots.into_iter().max_by_key(|(writes, _)| *writes))
}

fn encode(writes: u64, head: &Head) -> [u8; SLOT] {
    let mut body = Vec::with_capacity(SLOT);
    body.extend_from_slice(MAGIC);
    body.extend_from_slice(&writes.to_le_bytes());
    body.extend_from_slice(&head.epoch.bytes());
    body.extend_from_slice(&head.seq.to_le_bytes());
    body.extend_from_slice(&head.hash);
    body.extend_from_slice(&head.generation.to_le_bytes());
    body.extend_from_slice(&head.highest_task.to_le_bytes());
    let sum = Sha256::digest(&body);
    body.extend_from_slice(&sum);
    let mut slot = [0; SLOT];
    slot[..body.len()].copy_from_slice(&body);
    slot
}

fn decode(slot: &[u8; SLOT]) -> Option<(u64, Head)> {
    let (body, rest) = slot.split_at(BODY);
    let sum = Sha256::digest(body);
    if !body.starts_with(MAGIC) || !rest.starts_with(&sum) {
        return None;
    }
    let mut at = MAGIC.len();
    let writes = u64::from_le_bytes(take(body, &mut at)?);
    let head = Head {
        epoch: Uid::from_bytes(take(body, &mut at)?),
        seq: i64::from_le_bytes(take(body, &mut at)?),
        hash: take(body, &mut at)?,
        generation: u64::from_le_bytes(take(body, &mut at)?),
        highest_task: i64::from_le_bytes(take(body, &mut at)?),
    };
    Some((writes, head))
}

fn take<const N: usize>(body: &[u8], at: &mut usize) -> Option<[u8; N]> {
    let part = body.get(*at..*at + N)?;
    *at += N;
    part.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: i64) -> Head {
        Head { epoch: Uid::from_bytes([7; 16]), seq, hash: [9; 32], generation: 3, highest_task: 42 }
    }

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness");
        assert_eq!(Witness::read(&path).unwrap(), None);
        let mut witness = Witness::open(&path).unwrap();
        for seq in 1..=5 {
            witness.write(&head(seq)).unwrap();
            assert_eq!(Witness::read(&path).unwrap(), Some(head(seq)));
        }
        // The fifth write lies in the second slot; a torn sixth would hit the first.
        witness.file.write_all_at(&[0; 40], 0).unwrap();
        assert_eq!(Witness::read(&path).unwrap(), Some(head(5)));
        witness.file.write_all_at(&[0; 40], SLOT as u64).unwrap();
        assert_eq!(Witness::read(&path).unwrap(), None);
    }

    #[test]
    fn writing_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness");
        Witness::open(&path).unwrap().write(&head(1)).unwrap();
        Witness::open(&path).unwrap().write(&head(2)).unwrap();
        assert_eq!(Witness::read(&path).unwrap(), Some(head(2)));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * SLOT as u64);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let slot = encode(1, &head(1));
        for byte in 0..BODY + 32 {
            let mut bad = slot;
            bad[byte] ^= 1;
            assert_eq!(decode(&bad), None, "byte {byte}");
        }
    }
}
