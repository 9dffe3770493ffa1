mod compressed;
mod typed;

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::index::Mark;
use super::*;
use crate::clock::Timestamp;
use crate::id::Uid;
use crate::protocol::launch::RecordingLimits;

const LIMITS: RecordingLimits = RecordingLimits { max_bytes: 32 * 1024, segment_bytes: 8 * 1024 };

fn writer(directory: &Path) -> Writer {
    Writer::new(directory.to_owned(), LIMITS, Timestamp(1_000))
}

fn open(directory: &Path) -> Reader {
    Reader::open(&Source::Directory(directory.to_owned())).unwrap()
}

/// Everything kept, as runs of bytes that follow one another.
fn all(reader: &mut Reader) -> Vec<(u64, Vec<u8>)> {
    let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut at = 0;
    // Small and odd, so that pieces end anywhere.
    let mut buffer = [0; 777];
    while let Some(piece) = reader.read(at, &mut buffer).unwrap() {
        let bytes = &buffer[..piece.length];
        match found.last_mut() {
            Some((offset, run)) if *offset + run.len() as u64 == piece.offset => run.extend_from_slice(bytes),
            _ => found.push((piece.offset, bytes.to_vec())),
        }
        at = piece.offset + piece.length as u64;
    }
    found
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[test]
fn what_was_written_is_read_and_the_hash_is_its() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    assert_eq!(all(&mut open(dir.path())), []);
    let bytes = pattern(20_000);
    for (n, part) in bytes.chunks(1_234).enumerate() {
        writer.output(n as u32, part);
    }
    writer.flush();
    let mut reader = open(dir.path());
    assert_eq!(all(&mut reader), [(0, bytes.clone())]);
    assert_eq!((reader.first(), reader.end(), reader.began()), (0, 20_000, Some(Timestamp(1_000))));
    assert_eq!(writer.sha256(), Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect::<String>());

    // It grows, and the same reader follows.
    writer.output(100, b"more");
    writer.flush();
    reader.refresh().unwrap();
    let mut buffer = [0; 10];
    assert_eq!(reader.read(20_000, &mut buffer).unwrap(), Some(Piece { offset: 20_000, length: 4 }));
    assert_eq!(&buffer[..4], b"more");
    assert_eq!(reader.read(20_004, &mut buffer).unwrap(), None);
}

#[test]
fn the_oldest_segments_are_dropped_whole_and_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let bytes = pattern(100_000);
    for part in bytes.chunks(3_000) {
        writer.output(5, part);
        let used: u64 = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap())
            .filter(|e| e.file_name() != INDEX)
            .map(|e| e.metadata().unwrap().len())
            .sum();
        assert!(used <= LIMITS.max_bytes, "{used}");
    }
    writer.flush();
    let mut reader = open(dir.path());
    let first = reader.first();
    assert!(first > 0 && first.is_multiple_of(8 * 1024), "{first}");
    assert_eq!(all(&mut reader), [(first, bytes[first as usize..].to_vec())]);
    let dropped = reader.entries().iter().filter(|e| matches!(e.mark, Mark::Dropped { .. })).count();
    assert_eq!(dropped as u64, first / (8 * 1024));
    assert_eq!((writer.offset(), writer.lost()), (100_000, 0));
}

#[test]
fn gaps_keep_offsets_true() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    writer.output(1, b"before");
    writer.gap(2, 1_000);
    writer.output(3, b"after");
    writer.flush();
    let mut reader = open(dir.path());
    assert_eq!(all(&mut reader), [(0, b"before".to_vec()), (1_006, b"after".to_vec())]);
    assert_eq!((writer.offset(), writer.lost()), (1_011, 1_000));
    assert!(reader.entries().iter().any(|e| e.offset == 6 && e.mark == Mark::Gap { bytes: 1_000 }));
}

#[test]
fn a_disk_that_fails_makes_a_gap_and_is_tried_again_later() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("not-there");
    let mut writer = Writer::new(gone.clone(), LIMITS, Timestamp(0));
    writer.output(0, b"lost");
    assert!(writer.take_error().is_some());
    fs::create_dir(&gone).unwrap();
    writer.output(500, b"too early");
    writer.output(1_000, b"kept");
    writer.flush();
    assert_eq!(writer.lost(), 13);
    assert_eq!(all(&mut open(&gone)), [(13, b"kept".to_vec())]);
}

/// A full disk lets files be made, but nothing be written to them.
#[test]
fn a_full_disk_leaves_no_empty_segments() {
    let dir = tempfile::tempdir().unwrap();
    let first = segment(dir.path(), 1);
    let mut writer = writer(dir.path());
    for second in 0..3 {
        std::os::unix::fs::symlink("/dev/full", &first).unwrap();
        writer.output(second * 1_000, b"lost");
        assert!(writer.take_error().is_some());
        assert!(fs::symlink_metadata(&first).is_err(), "{second}");
    }
    writer.output(3_000, b"kept");
    writer.flush();
    let mut reader = open(dir.path());
    assert_eq!((all(&mut reader), writer.lost()), (vec![(12, b"kept".to_vec())], 12));
    assert!(!reader.is_incomplete() && !segment(dir.path(), 2).exists());
}

#[test]
fn a_file_that_is_gone_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    writer.output(1, &pattern(20_000));
    writer.flush();
    assert!(!open(dir.path()).is_incomplete());
    fs::remove_file(segment(dir.path(), 2)).unwrap();
    let mut reader = open(dir.path());
    assert!(reader.is_incomplete());
    assert_eq!(all(&mut reader), [(0, pattern(8_192)), (16_384, pattern(20_000)[16_384..].to_vec())]);
    // What was dropped to stay within the limit is not.
    writer.output(2, &pattern(40_000));
    writer.flush();
    assert!(!open(dir.path()).is_incomplete());
}

/// A session that has ended leaves its path to the next of its name.
#[test]
fn another_recording_at_the_same_path_is_not_read_on_in() {
    let dir = tempfile::tempdir().unwrap();
    let (live, done) = (dir.path().join("live"), dir.path().join("done"));
    fs::create_dir(&live).unwrap();
    let mut one = writer(&live);
    one.output(1, &pattern(20_000));
    one.flush();
    let mut reader = open(&live);
    let mut buffer = [0; 10];
    reader.read(0, &mut buffer).unwrap();
    fs::rename(&live, &done).unwrap();
    assert!(reader.is_moved());
    fs::create_dir(&live).unwrap();
    let mut other = writer(&live);
    other.output(1, &[b'x'; 40_000]);
    other.flush();
    for _ in 0..2 {
        assert_eq!(reader.refresh().unwrap_err().kind(), std::io::ErrorKind::NotFound);
        assert_eq!(reader.read(10_000, &mut buffer).unwrap_err().kind(), std::io::ErrorKind::NotFound);
        assert!(reader.is_moved());
    }
    // What was opened before is still the same.
    assert_eq!(reader.read(5, &mut buffer).unwrap(), Some(Piece { offset: 5, length: 10 }));
    assert_eq!(buffer, pattern(15)[5..]);
}

#[test]
fn tails_begin_at_lines() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    writer.output(0, b"one\ntwo\n");
    writer.gap(1, 10);
    writer.output(2, b"three\nfour");
    writer.flush();
    let mut reader = open(dir.path());
    let tails: Vec<u64> = (0..6).map(|n| reader.tail(n).unwrap()).collect();
    assert_eq!(tails, [28, 24, 8, 4, 0, 0]);
    writer.output(3, b"\n");
    writer.flush();
    reader.refresh().unwrap();
    assert_eq!((reader.tail(1).unwrap(), reader.tail(2).unwrap()), (24, 8));

    // Nothing is looked for between segments, however far apart.
    writer.gap(4, 1 << 50);
    writer.output(5, b"end");
    writer.flush();
    reader.refresh().unwrap();
    assert_eq!((reader.tail(1).unwrap(), reader.tail(9).unwrap()), (29, 0));

    // Lines longer than a block.
    let dir = tempfile::tempdir().unwrap();
    let limits = RecordingLimits { max_bytes: 1 << 30, segment_bytes: 50_000 };
    let mut writer = Writer::new(dir.path().to_owned(), limits, Timestamp(0));
    let long = [vec![b'x'; 200_000], b"\n".to_vec()].concat();
    for _ in 0..3 {
        writer.output(0, &long);
    }
    assert_eq!(open(dir.path()).tail(2).unwrap(), 200_001);
}

#[test]
fn timing_comes_back_in_bursts() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    writer.output(100, b"a");
    writer.output(105, b"b");
    writer.resize(107, 100, 30);
    writer.output(120, b"cd");
    writer.flush();
    let reader = open(dir.path());
    assert_eq!(reader.bursts(), [Burst { ms: 100, offset: 0, end: 2 }, Burst { ms: 120, offset: 2, end: 4 }]);
    assert!(reader.entries().iter().any(|e| e.offset == 2 && e.mark == Mark::Resize { columns: 100, rows: 30 }));
}

#[test]
fn a_lost_or_torn_index_costs_timing_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let bytes = pattern(20_000);
    writer.output(1, &bytes);
    writer.flush();
    let index = dir.path().join(INDEX);
    let whole = fs::read(&index).unwrap();
    for cut in [whole.len() - 1, 40, 17, 3, 0] {
        fs::write(&index, &whole[..cut]).unwrap();
        let mut reader = open(dir.path());
        assert_eq!(all(&mut reader), [(0, bytes.clone())], "{cut}");
        assert_eq!(reader.bursts().iter().map(|b| b.end - b.offset).sum::<u64>(), 20_000);
    }
    fs::remove_file(&index).unwrap();
    assert_eq!(all(&mut open(dir.path())), [(0, bytes)]);
}

#[test]
fn packs_hold_small_recordings_and_notice_damage() {
    let dir = tempfile::tempdir().unwrap();
    let session = |name: &str, bytes: &[u8]| {
        let directory = dir.path().join(name);
        fs::create_dir(&directory).unwrap();
        let mut writer = writer(&directory);
        writer.output(3, bytes);
        writer.flush();
        (Uid::new(), directory)
    };
    let one = session("one", b"first");
    let large = session("large", &pattern(30_000));
    let two = session("two", b"second\n");
    let empty = session("empty", b"");
    let path = pack::path(dir.path(), Timestamp(1_795_000_000_000));
    assert_eq!(path.file_name().unwrap(), "2026-11-18.pack");

    let places = pack::append(&path, &[one, large, two]).unwrap();
    assert_eq!((places[0], places[1]), (Some(0), None));
    let more = pack::append(&path, &[empty]).unwrap();
    let read = |place: Option<u64>| {
        let mut reader = Reader::open(&Source::Pack { path: path.clone(), offset: place.unwrap() }).unwrap();
        (all(&mut reader), reader.bursts())
    };
    assert_eq!(read(places[0]), (vec![(0, b"first".to_vec())], vec![Burst { ms: 3, offset: 0, end: 5 }]));
    assert_eq!(read(places[2]).0, [(0, b"second\n".to_vec())]);
    assert_eq!(read(more[0]), (vec![], vec![]));

    let whole = fs::read(&path).unwrap();
    let end = places[2].unwrap() as usize;
    for at in 0..end {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let error = Reader::open(&Source::Pack { path: path.clone(), offset: 0 }).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{at}");
    }
}

#[test]
fn zeros_that_a_power_cut_left_are_left_out() {
    let end = |bytes: &[u8], zeros: usize, compressed: bool| {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(
            dir.path().to_owned(),
            RecordingLimits { max_bytes: 1 << 30, segment_bytes: 1 << 20 },
            Timestamp(0),
        );
        writer.output(1, &[bytes, &vec![0; zeros]].concat());
        writer.flush();
        let mut index = fs::OpenOptions::new().append(true).open(dir.path().join(INDEX)).unwrap();
        std::io::Write::write_all(&mut index, &[0; 1_000]).unwrap();
        if compressed {
            compress(dir.path()).unwrap();
        }
        let mut reader = open(dir.path());
        let found = reader.zeros_at_end().unwrap();
        reader.leave_out(found);
        assert_eq!(reader.bursts().last().map(|burst| burst.end), Some(reader.end()).filter(|end| *end > 0));
        assert_eq!(reader.entries().len(), 2);
        (found, reader.end())
    };
    assert_eq!(end(b"text", 0, false), (0, 4));
    assert_eq!(end(b"text", 511, false), (0, 515));
    assert_eq!(end(b"text", 512, false), (512, 4));
    assert_eq!(end(b"te\0xt", 300_000, false), (300_000, 5));
    assert_eq!(end(&pattern(100_001), 100_000, true), (100_000, 100_001));
    assert_eq!(end(b"", 70_000, false), (70_000, 0));
}
