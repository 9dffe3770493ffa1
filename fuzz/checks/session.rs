//! Any files in a session's directory, as a power cut or a bad disk may leave them: they are
//! looked at, read, compressed and packed without a panic, and never give more than they hold.
//!
//! The input is a row of files: which one (a byte), its length (two bytes, little endian),
//! its content.

use std::fs;
use std::path::Path;

use autodev::id::Uid;
use autodev::paths::SessionDir;
use autodev::recording::{self, Reader, Source, pack};
use autodev::recovery::gather;

const FILES: [&str; 10] = [
    "launch.json",
    "keeper.json",
    "exit.json",
    "started",
    "rec.idx",
    "rec-000001.raw",
    "rec-000002.raw",
    "rec-000001.raw.zst",
    "rec-000003.raw.zst",
    "day.pack",
];
/// Bytes read of one recording: a compressed one may say that it is enormous.
const MOST: u64 = 16 << 20;

pub fn check(data: &[u8]) {
    let Ok(home) = tempfile::tempdir() else { return };
    let dir = home.path().join("1.1");
    fs::create_dir(&dir).expect("a directory");
    let mut rest = data;
    while let [which, low, high, content @ ..] = rest {
        let (file, left) = content.split_at(content.len().min(usize::from(u16::from_le_bytes([*low, *high]))));
        fs::write(dir.join(FILES[usize::from(*which) % FILES.len()]), file).expect("a file");
        rest = left;
    }
    let found = gather::look(SessionDir(dir.clone()));
    drop(gather::belongs(&found.dir, Uid::from_bytes([1; 16])));
    read(&Source::Directory(dir.clone()));
    for offset in [0, 1, 48] {
        read(&Source::Pack { path: dir.join("day.pack"), offset });
    }
    drop(recording::compress(&dir));
    read(&Source::Directory(dir.clone()));
    packed(&dir, &home.path().join("own.pack"));
}

fn packed(dir: &Path, to: &Path) {
    let Ok(places) = pack::append(to, &[(Uid::from_bytes([2; 16]), dir.to_owned())]) else { return };
    if let Some(offset) = places[0] {
        let source = Source::Pack { path: to.to_owned(), offset };
        assert!(Reader::open(&source).is_ok(), "what was packed cannot be read");
    }
}

fn read(source: &Source) {
    let Ok(mut reader) = Reader::open(source) else { return };
    let (first, end) = (reader.first(), reader.end());
    assert!(first <= end);
    if end - first > MOST {
        return;
    }
    let mut buffer = vec![0; 64 * 1024];
    let mut at = first;
    while let Ok(Some(piece)) = reader.read(at, &mut buffer) {
        assert!(piece.length > 0 && piece.length <= buffer.len() && piece.offset >= at, "{piece:?} at {at}");
        at = piece.offset + piece.length as u64;
        assert!(at <= end, "{at} of {end}");
    }
    drop((reader.sha256(), reader.tail(10), reader.zeros_at_end(), reader.kept(end, Some(""))));
    drop((reader.bursts(), reader.timeline(), reader.inputs()));
}
