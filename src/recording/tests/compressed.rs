//! Segments in their compressed form.

use std::path::PathBuf;

use super::*;

/// A program's output that can be compressed.
fn text(length: usize) -> Vec<u8> {
    (0..).flat_map(|n| format!("line {n} of a log\r\n").into_bytes()).take(length).collect()
}

/// What lies in the directory, and how many bytes the segments take.
fn files(directory: &Path) -> (Vec<String>, u64) {
    let mut names = Vec::new();
    let mut bytes = 0;
    for entry in fs::read_dir(directory).unwrap().map(|e| e.unwrap()).filter(|e| e.file_name() != INDEX) {
        names.push(entry.file_name().into_string().unwrap());
        bytes += entry.metadata().unwrap().len();
    }
    names.sort();
    (names, bytes)
}

#[test]
fn whole_segments_are_compressed_and_read_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let bytes = text(40_000);
    for part in bytes[..20_000].chunks(3_000) {
        writer.output(1, part);
    }
    writer.flush();
    // One that has looked at a file, and one that has not.
    let (mut opened, mut listed) = (open(dir.path()), open(dir.path()));
    assert_eq!(opened.read(0, &mut [0]).unwrap(), Some(Piece { offset: 0, length: 1 }));
    while writer.compress() {}
    assert!(writer.take_error().is_none());
    let (names, used) = files(dir.path());
    assert_eq!(names, ["rec-000001.raw.zst", "rec-000002.raw.zst", "rec-000003.raw"]);
    assert!(used < 10_000, "{used}");
    for reader in [&mut opened, &mut listed, &mut open(dir.path())] {
        assert_eq!(all(reader), [(0, bytes[..20_000].to_vec())]);
        assert_eq!(reader.tail(1).unwrap(), open(dir.path()).tail(1).unwrap());
    }
    // What is on disk counts: more is kept than would be otherwise.
    for part in bytes[20_000..].chunks(3_000) {
        writer.output(2, part);
        while writer.compress() {}
    }
    writer.finish();
    assert_eq!(all(&mut open(dir.path())), [(0, bytes.clone())]);
    compress(dir.path()).unwrap();
    compress(dir.path()).unwrap();
    let (names, _) = files(dir.path());
    assert_eq!(names.iter().filter(|name| name.ends_with(".zst")).count(), 5, "{names:?}");
    assert_eq!(names.len(), 5);
    assert_eq!(all(&mut open(dir.path())), [(0, bytes)]);
}

#[test]
fn compressed_segments_are_dropped_as_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    // What cannot be made smaller stays, and is not tried for ever.
    let noise: Vec<u8> = (0..1_250u32).flat_map(|n| Sha256::digest(n.to_le_bytes()).to_vec()).collect();
    let bytes = [text(30_000), noise, text(30_000)].concat();
    for part in bytes.chunks(1_000) {
        writer.output(1, part);
        // Perhaps in the middle of a segment that is dropped next.
        writer.compress();
    }
    while writer.compress() {}
    writer.flush();
    let mut reader = open(dir.path());
    let first = reader.first();
    assert!(first > 0);
    assert_eq!(all(&mut reader), [(first, bytes[first as usize..].to_vec())]);
    assert!(files(dir.path()).1 <= LIMITS.max_bytes);
}

/// The directory as a kill would leave it at each moment of a compression.
#[test]
fn a_kill_while_compressing_costs_nothing_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(
        dir.path().to_owned(),
        RecordingLimits { max_bytes: 1 << 30, segment_bytes: 300_000 },
        Timestamp(0),
    );
    let bytes = text(400_000);
    writer.output(1, &bytes);
    writer.flush();
    let raw = fs::read(segment(dir.path(), 1)).unwrap();
    let killed = |name: &str| -> PathBuf {
        let copy = dir.path().join(name);
        fs::create_dir(&copy).unwrap();
        for file in fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap()).filter(|e| e.path().is_file()) {
            fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        copy
    };
    let mut states = Vec::new();
    for step in 0.. {
        if !writer.compress() {
            break;
        }
        states.push(killed(&step.to_string()));
    }
    assert!(states.len() > 5);
    // Between the new name and the end of the old one, of which a power cut may leave a part.
    for (name, raw) in [("both", raw.as_slice()), ("cut", &raw[..5_000]), ("zeros", &[0; 300_000])] {
        let both = killed(name);
        fs::write(segment(&both, 1), raw).unwrap();
        states.push(both);
    }
    for state in states {
        assert_eq!(all(&mut open(&state)), [(0, bytes.clone())], "{}", state.display());
        compress(&state).unwrap();
        assert_eq!(all(&mut open(&state)), [(0, bytes.clone())], "{}", state.display());
        assert_eq!(files(&state).0, ["rec-000001.raw.zst", "rec-000002.raw.zst"], "{}", state.display());
    }
}

#[test]
fn a_damaged_segment_is_named_and_the_others_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let bytes = text(20_000);
    writer.output(1, &bytes);
    writer.flush();
    while writer.compress() {}
    let path = dir.path().join("rec-000002.raw.zst");
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 8;
    let mut wrong_sum = good.clone();
    wrong_sum[good.len() - 1] ^= 8;
    for bad in [&flipped, &wrong_sum, &good[..good.len() - 3], &good[..4], &[][..], b"something else altogether"] {
        fs::write(&path, bad).unwrap();
        let mut reader = open(dir.path());
        let mut buffer = vec![0; 30_000];
        assert_eq!(reader.read(0, &mut buffer).unwrap(), Some(Piece { offset: 0, length: 8_192 }));
        let error = reader.read(8_192, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("rec-000002.raw.zst"), "{error}");
        // Said once; then it is a gap, also for who looks again.
        reader.refresh().unwrap();
        let rest = Piece { offset: 16_384, length: 20_000 - 16_384 };
        assert_eq!(reader.read(8_192, &mut buffer).unwrap(), Some(rest));
        assert_eq!(&buffer[..rest.length], &bytes[16_384..]);
    }
}

#[test]
fn a_small_recording_is_packed_whatever_form_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    writer.output(1, &text(6_000));
    // Ends the segment.
    writer.gap(2, 5);
    writer.flush();
    while writer.compress() {}
    assert_eq!(files(dir.path()).0, ["rec-000001.raw.zst"]);
    let path = dir.path().join("pack");
    let place = pack::append(&path, &[(Uid::new(), dir.path().to_owned())]).unwrap()[0].unwrap();
    assert_eq!(all(&mut Reader::open(&Source::Pack { path, offset: place }).unwrap()), [(0, text(6_000))]);
}
