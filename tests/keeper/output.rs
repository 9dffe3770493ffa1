//! Every byte is recorded; nobody who looks on slows the program.

use autodev::protocol::keeper::{FromKeeper, ToKeeper};
use sha2::{Digest, Sha256};

use super::support::{Home, LONG, sized};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// More than is ever queued for anybody.
const LARGE: usize = 6_000_000;

/// A file of bytes that a terminal does not change when told so.
fn large(home: &mut Home, length: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..length).map(|n| b"0123456789abcdefghijklmnopqrstuvwxyz\n"[(n + n / 4_099) % 37]).collect();
    home.file("large", &bytes, 0o644);
    home.spec.steps[0].argv = vec!["/bin/sh".into(), "-c".into(), "stty -opost; cat large".into()];
    bytes
}

#[test]
fn every_byte_is_recorded() {
    let mut home = Home::script("");
    let bytes = large(&mut home, 10_000_000);
    let mut session = home.run();
    let record = session.exit();
    assert_eq!((record.recording_bytes, record.recording_lost), (10_000_000, 0));
    assert_eq!(record.recording_sha256, sha256(&bytes));
    assert_eq!(sha256(&session.home.recorded()), record.recording_sha256);
}

#[test]
fn a_viewer_that_does_not_read_slows_nobody_and_gets_the_end() {
    let mut home = Home::script("");
    large(&mut home, LARGE);
    home.spec.steps[0].argv[2].push_str("; printf 'the very end'");
    let mut session = home.keep();
    let (mut slow, _) = session.attach(sized(80, 24));
    session.go();
    let record = session.exit();
    assert_eq!((record.exit.code, record.recording_lost), (Some(0), 0));
    let mut pictures = 0;
    let mut bytes = 0;
    let mut last = Vec::new();
    let exit = loop {
        match slow.receive().unwrap() {
            FromKeeper::Picture { bytes, .. } => {
                pictures += 1;
                last = bytes;
            }
            FromKeeper::Output { bytes: part, .. } => {
                bytes += part.len();
                last.extend_from_slice(&part);
            }
            FromKeeper::Exited(record) => break record,
            _ => {}
        }
    };
    assert!(pictures >= 1 && bytes < LARGE, "{pictures} pictures, {bytes} bytes");
    assert!(String::from_utf8_lossy(&last).contains("the very end"));
    assert_eq!(exit, std::fs::read(session.home.dir().exit()).unwrap());
}

#[test]
fn a_follower_gets_what_is_not_yet_in_the_files() {
    let mut session = Home::script("echo one; read line; echo two").run();
    let (mut writer, _) = session.attach(sized(80, 24));
    writer.see("one");
    let mut follower = session.client();
    follower.send(&ToKeeper::Follow);
    let offset = follower.wait(|m| match m {
        FromKeeper::Following { offset } => Some(offset),
        _ => None,
    });
    let mut seen = session.home.recorded();
    assert!(seen.len() as u64 >= offset, "not in the files when it was said");
    seen.truncate(offset as usize);
    writer.send(&ToKeeper::Input(b"\r".to_vec()));
    loop {
        match follower.receive().unwrap() {
            FromKeeper::Output { bytes, .. } => seen.extend_from_slice(&bytes),
            FromKeeper::Exited(_) => break,
            other => panic!("{other:?}"),
        }
    }
    session.exit();
    assert_eq!(seen, session.home.recorded());
    assert_eq!(seen, b"one\r\n\r\ntwo\r\n");

    // After the end everything is in the files.
    follower.send(&ToKeeper::Follow);
    assert_eq!(follower.receive(), Some(FromKeeper::Following { offset: seen.len() as u64 }));
    follower.exit();
}

#[test]
fn a_follower_that_falls_behind_is_told_what_it_missed() {
    let mut home = Home::script("");
    let bytes = large(&mut home, LARGE);
    let mut session = home.keep();
    let mut follower = session.client();
    follower.send(&ToKeeper::Follow);
    assert_eq!(follower.receive(), Some(FromKeeper::Following { offset: 0 }));
    session.go();
    session.exit();
    let mut at = 0;
    let mut skipped = 0;
    loop {
        match follower.receive().unwrap() {
            FromKeeper::Output { offset, bytes: part } => {
                assert_eq!(offset, at);
                assert_eq!(part, bytes[at as usize..at as usize + part.len()]);
                at += part.len() as u64;
            }
            FromKeeper::Skipped { from, to } => {
                assert_eq!(from, at);
                skipped += to - from;
                at = to;
            }
            FromKeeper::Exited(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(at, LARGE as u64);
    assert!(skipped > 0);
}

/// A program that goes on after it has printed much: what it printed takes less room while
/// it waits, and nobody who reads it notices.
#[test]
fn a_long_recording_is_compressed_while_the_program_waits() {
    let mut session = Home::script("seq 600000; printf 'press a key'; read key").run();
    let (mut viewer, _) = session.attach(sized(80, 24));
    viewer.see("press a key");
    let directory = session.home.dir().0;
    let is_there = |name: &str| directory.join(name).exists();
    // 4.8 MB: one segment of 4 MiB is full.
    let deadline = std::time::Instant::now() + LONG;
    while !is_there("rec-000001.raw.zst") || is_there("rec-000001.raw") {
        assert!(std::time::Instant::now() < deadline, "{:?}", std::fs::read_to_string(session.home.dir().log()));
        std::thread::yield_now();
    }
    assert!(is_there("rec-000002.raw") && !is_there("rec-000002.raw.zst"));
    viewer.send(&ToKeeper::Input(b"\r".to_vec()));
    let record = session.exit();
    let recorded = session.home.recorded();
    assert_eq!((recorded.len() as u64, record.recording_lost), (record.recording_bytes, 0));
    assert!(recorded.starts_with(b"1\r\n2\r\n") && recorded.windows(7).any(|w| w == b"600000\r"));
}
