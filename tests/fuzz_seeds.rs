//! What `fuzz/` runs for hours, for a moment: its seeds, and each of them damaged a few
//! hundred times.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "common/random.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod random;

#[path = "../fuzz/checks/exit_record.rs"]
mod exit_record;
#[path = "../fuzz/checks/frame.rs"]
mod frame;
#[path = "../fuzz/checks/session.rs"]
mod session;

use std::fs;
use std::path::Path;

use random::Random;

/// Of each seed.
const DAMAGES: usize = 300;

fn replay(name: &str, check: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut random = Random::new();
    let mut count = 0;
    for seed in fs::read_dir(&seeds).unwrap() {
        let seed = fs::read(seed.unwrap().path()).unwrap();
        check(&seed);
        for _ in 0..DAMAGES {
            check(&damaged(&seed, &mut random));
        }
        count += 1;
    }
    assert!(count > 0, "there are no seeds in {}", seeds.display());
}

/// Cut, flipped, overwritten, or with something put in or taken out.
fn damaged(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        let Some(byte) = bytes.get_mut(at) else { continue };
        match random.below(5) {
            0 => bytes.truncate(at),
            1 => *byte ^= 1 << random.below(8),
            2 => *byte = [0, 1, 0x7f, 0x80, 0xff][random.below(5) as usize],
            3 => bytes.insert(at, random.below(256) as u8),
            _ => {
                let end = (at + 1 + random.below(8) as usize).min(bytes.len());
                bytes.drain(at..end);
            }
        }
    }
    bytes
}

#[test]
fn frames() {
    replay("frame", frame::check);
}

#[test]
fn exit_records() {
    replay("exit_record", exit_record::check);
}

#[test]
fn session_files() {
    replay("session", session::check);
}
