//! What real programs print, as it was recorded (`recordings/README.md` says how), joined at
//! many places.

use std::fs;
use std::path::Path;

use autodev::screen::Screen;

use crate::join::{HISTORY_BYTES, Joined, join};
use crate::state::difference;
use crate::table::Size;
use crate::tmux::Tmux;
use crate::xterm::Xterm;

/// The size they were recorded at.
const SIZE: Size = (100, 30);
/// Cuts for our engine in each recording.
const CUTS: usize = 60;
/// Cuts for engines that are not ours, which take longer.
const CUTS_ELSEWHERE: usize = 8;
const CUTS_IN_TMUX: usize = 3;

/// Each recording with its name.
fn recordings() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/terminal/recordings");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "raw"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() >= 10, "the recordings are there");
    found
}

/// Half of the places lie at equal distances, half anywhere, but always the same.
fn cuts(length: usize, count: usize) -> Vec<usize> {
    let mut cuts: Vec<_> = (1..=count / 2).map(|n| length * n / (count / 2 + 1)).collect();
    let mut random = 88_172_645_463_325_252_u64;
    while cuts.len() < count {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        cuts.push(usize::try_from(random % length as u64).unwrap());
    }
    cuts
}

/// All that a picture would paint: two screens with the same are the same.
fn painted(bytes: &[&[u8]]) -> String {
    let mut screen = Screen::new(SIZE.0, SIZE.1, HISTORY_BYTES);
    for part in bytes {
        screen.feed(part, &mut Vec::new());
    }
    screen.picture(SIZE, u32::MAX).escape_ascii().to_string().replace("\\x1b", "\n\\x1b")
}

#[test]
fn our_engine_shows_the_same() {
    for (name, stream) in recordings() {
        let whole = painted(&[&stream]);
        for cut in cuts(stream.len(), CUTS) {
            let Joined { picture, rest } = join(SIZE, &stream, cut);
            let there = painted(&[&picture, &rest]);
            let differing = whole.lines().zip(there.lines()).find(|(whole, there)| whole != there);
            assert!(whole == there, "{name} joined at {cut}: {differing:?}");
        }
    }
}

#[test]
fn xterm_js_shows_the_same() {
    let Some(mut xterm) = Xterm::start() else { return };
    let mut wrong = String::new();
    for (name, stream) in recordings() {
        let whole = xterm.end(SIZE, &stream);
        for cut in cuts(stream.len(), CUTS_ELSEWHERE) {
            let Joined { picture, rest } = join(SIZE, &stream, cut);
            let lines = difference(&whole, &xterm.end(SIZE, &[picture, rest].concat()));
            if !lines.is_empty() {
                wrong.push_str(&format!("{name} joined at {cut}:\n{lines}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn tmux_shows_the_same() {
    let Some(mut tmux) = Tmux::start(SIZE) else { return };
    let mut wrong = String::new();
    for (name, stream) in recordings() {
        // Questions are for us: tmux would answer them, too.
        let whole = join(SIZE, &stream, 0).rest;
        for cut in cuts(stream.len(), CUTS_IN_TMUX) {
            let Joined { picture, rest } = join(SIZE, &stream, cut);
            let [whole, there] = tmux.ends([&whole, &[picture, rest].concat()]);
            let lines = difference(&whole, &there);
            if !lines.is_empty() {
                wrong.push_str(&format!("{name} joined at {cut}:\n{lines}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
