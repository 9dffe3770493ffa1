//! Hostile output and sizes: bounded memory, never a panic; clipped and roomy viewers.

use proptest::prelude::*;

use super::stream::{ALTERNATE, FEATURES, MESS, stream};
use super::*;
use crate::screen::keys::DEPTH;
use crate::screen::model::{MARKS_MAX, TITLE_MAX, TITLES_MAX, UNKNOWN_MODES_MAX};

/// Feeds in reads of a few KiB.
fn flood(screen: &mut Screen, bytes: &[u8]) -> usize {
    let mut visible = Vec::new();
    for part in bytes.chunks(4096) {
        screen.feed(part, &mut visible);
    }
    visible.len()
}

#[test]
fn a_cell_keeps_few_marks() {
    for base in ["e", "漢", "0123456789"] {
        let mut screen = fed(10, 4, base);
        flood(&mut screen, "\u{301}".repeat(1_000_000).as_bytes());
        let most = screen.engine.model().grid()[Line(0)]
            .into_iter()
            .filter_map(|cell| cell.zerowidth())
            .map(<[char]>::len)
            .max();
        assert_eq!(most, Some(MARKS_MAX), "on {base}");
        assert_painted(&mut screen, base);
    }
}

#[test]
fn marks_need_no_cell_before_them() {
    let mut screen = fed(10, 4, "\u{301}\u{ad}\u{200d}");
    assert_painted(&mut screen, "marks alone");
    // What is taken for harmless must be: no character below takes no room.
    let none = (' '..'\u{a0}').filter(|c| unicode_width::UnicodeWidthChar::width(*c) == Some(0)).count();
    assert_eq!(none, 0);
}

#[test]
fn titles_are_short() {
    let mut screen = screen(10, 4);
    flood(&mut screen, format!("\x1b]2;{}\x07", "漢".repeat(700_000)).as_bytes());
    assert!(screen.title().unwrap().len() <= TITLE_MAX);
    flood(&mut screen, format!("\x1b]2;{}\x07", "t".repeat(3000)).as_bytes());
    assert_eq!(screen.title().unwrap().len(), TITLE_MAX);
    feed(&mut screen, "\x1b]2;a\u{9c}b\u{7f}c\x07");
    assert_eq!(screen.title().unwrap(), "abc", "nothing in it ends a string");
    flood(&mut screen, "\x1b[22t".repeat(10_000).as_bytes());
    assert_eq!(screen.engine.model().shadow.titles.len(), TITLES_MAX);
    assert_eq!(feed(&mut screen, "ok"), b"ok");
}

#[test]
fn stacks_and_sets_end() {
    let mut screen = screen(10, 4);
    flood(&mut screen, "\x1b[>1u\x1b[>3u".repeat(10_000).as_bytes());
    assert!(screen.engine.model().keys().entries().len() <= DEPTH + 1);
    assert_eq!(screen.engine.model().keys().flags(), 3);
    let modes: String = (0..=9999).map(|mode| format!("\x1b[?{mode}h")).collect();
    flood(&mut screen, modes.as_bytes());
    assert_eq!(screen.engine.model().shadow.modes.len(), UNKNOWN_MODES_MAX);
    screen.picture((10, 4), 10);
}

#[test]
fn links_are_bounded() {
    let mut screen = screen(80, 24);
    let uri = "u".repeat(1500);
    for link in 0..4000 {
        feed(&mut screen, format!("\x1b]8;;http://{link}/{uri}\x1b\\x"));
    }
    let held = screen.engine.model().count_links();
    assert!(held < 2 * 1024 * 1024, "{held} bytes of links");
    feed(&mut screen, "\x1bc");
    assert_eq!(screen.engine.model().count_links(), 0);
    for link in 0..200 {
        feed(&mut screen, format!("\x1b]8;;http://{link}/{uri}\x1b\\x"));
    }
    assert!(screen.engine.model().count_links() > 100_000, "links come back when there is room");
    let mut screen = fed(10, 4, format!("\x1b]8;;{}\x1b\\x", "u".repeat(3000)));
    assert_eq!(screen.engine.model().count_links(), 0, "a link of three thousand is none");
}

#[test]
fn endless_sequences_pass_or_vanish() {
    let endless = |start: &str, byte: char| format!("{start}{}", String::from(byte).repeat(500_000)).into_bytes();
    for (start, byte, stop, passed) in [
        ("\x1b]2;", 't', "\x07", true),
        ("\x1b]8;;", 'u', "\x07", true),
        ("\x1b]11;?", '?', "\x07", false),
        ("\x1bP", 'q', "\x1b\\", true),
        ("\x1bP$q", 'm', "\x1b\\", false),
        ("\x1b_", 'x', "\x1b\\", true),
        ("\x1b[", '1', "m", false),
        ("\x1b[1", ';', "m", false),
        ("\x1b", ' ', "F", false),
    ] {
        let mut screen = screen(20, 4);
        let bytes = endless(start, byte);
        let visible = flood(&mut screen, &bytes);
        assert_eq!(visible, if passed { bytes.len() } else { 0 }, "{}", start.escape_debug());
        assert!(screen.since_ground().len() <= 64 * 1024);
        assert!(screen.feed.held.len() <= 4 * 1024, "{}", start.escape_debug());
        assert!(screen.picture((20, 4), 99).len() < 4 * 1024, "{}", start.escape_debug());
        feed(&mut screen, stop);
        assert!(screen.at_ground());
        assert_eq!(feed(&mut screen, "text"), b"text");
        assert_eq!(screen.text(false), "text\n", "{}", start.escape_debug());
        assert_eq!(screen.take_answers(), b"");
    }
}

#[test]
fn costly_sequences_are_cut_short() {
    let began = std::time::Instant::now();
    let mut screen = fed(80, 24, "x");
    flood(
        &mut screen,
        "\x1b[65535b\x1b[65535I\x1b[3g\x1b[65535Z\x1b[65535@\x1b[65535S\x1b[65535L".repeat(500).as_bytes(),
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    // As many as were asked for, as far as one can see.
    let mut all = fed(7, 3, "x");
    let mut few = fed(7, 3, "x");
    feed(&mut all, "\x1b[9999b");
    feed(&mut few, "x".repeat(9999));
    pretty_assert(&state(&mut few, 0, Before::Fresh), &state(&mut all, 0, Before::Fresh), "repeated", b"");
}

#[test]
fn history_keeps_within_its_bytes() {
    for (columns, bytes) in [(80, 1 << 20), (200, 3 << 20), (80, 3 << 20), (80, 0), (1000, 10_000)] {
        let mut screen = Screen::new(columns, 24, bytes);
        // One row allocated by the engine, however it came about.
        let rows = |screen: &mut Screen| format!("{:?}", screen.engine.model().grid()).matches("occ:").count() as u64;
        let row = u64::from(columns) * 24 + 32;
        assert_eq!(rows(&mut screen), 24, "nothing is allocated before it is needed");
        feed(&mut screen, "line\r\n".repeat(30));
        assert!(rows(&mut screen) <= 24 + bytes / row, "{columns}: {} rows", rows(&mut screen));
        feed(&mut screen, "line\r\n".repeat(5000));
        assert!(rows(&mut screen) <= 24 + bytes / row, "{columns}: {} rows", rows(&mut screen));
        assert_eq!(screen.engine.model().grid().history_size() as u64, bytes / row);
        feed(&mut screen, "\x1b[3J");
        feed(&mut screen, "line\r\n".repeat(5000));
        assert!(rows(&mut screen) <= 24 + bytes / row, "{columns}: {} rows", rows(&mut screen));
    }
}

#[test]
fn sizes_are_brought_into_bounds() {
    for (columns, rows) in [(0, 0), (1, 1), (2, 1), (u16::MAX, 1), (1, u16::MAX), (1000, 1000)] {
        let mut screen = screen(columns, rows);
        let (columns, rows) = screen.size();
        assert!((2..=1000).contains(&columns) && (1..=1000).contains(&rows));
        feed(&mut screen, "漢字\x1b[9999;9999H漢\x1b[?1049h漢\r\n\x1b[2J");
        screen.picture((columns, rows), 9);
        screen.picture((0, 0), 9);
        screen.picture((1, 1), 9);
        screen.resize(0, 0);
        screen.resize(30, 3);
        assert_eq!(screen.size(), (30, 3));
    }
}

#[test]
fn a_smaller_viewer_gets_a_part() {
    let lines: Vec<_> = (0..12).map(|n| format!("{n:02} 漢字かな line")).collect();
    let mut screen = fed(40, 12, lines.join("\r\n"));
    // The cursor is in the last line.
    let mut small = fed(6, 4, screen.picture((6, 4), 0));
    assert_eq!(small.text(false), "08 漢\n09 漢\n10 漢\n11 漢\n");
    feed(&mut screen, "\x1b[H");
    let mut small = fed(8, 4, screen.picture((8, 4), 0));
    assert_eq!(small.text(false), "00 漢字\n01 漢字\n02 漢字\n03 漢字\n");
    let point = small.engine.model().grid().cursor.point;
    assert_eq!((point.line.0, point.column.0), (0, 0));
    // Nothing wraps, nothing scrolls.
    assert_eq!(small.engine.model().grid().history_size(), 0);
}

#[test]
fn a_larger_viewer_gets_it_at_the_top_left() {
    let mut screen = fed(40, 12, FEATURES);
    let text = screen.text(false);
    let history = screen.engine.model().grid().history_size();
    let mut large = fed(60, 20, screen.picture((60, 20), 99));
    assert_eq!(large.text(false), text);
    assert_eq!(large.engine.model().grid().history_size(), history);
    // Scrolling stays within the part that is the session's.
    let mut screen = fed(40, 12, "\x1b[12;1Hlast");
    let mut large = fed(60, 20, screen.picture((60, 20), 0));
    let visible = feed(&mut screen, "\r\nnext");
    feed(&mut large, visible);
    assert_eq!(large.text(false), screen.text(false));
}

#[test]
fn history_in_a_picture_is_limited() {
    let mut screen = Screen::new(80, 24, 4 << 20);
    for line in 0..1500 {
        feed(
            &mut screen,
            format!("\x1b[38;2;{};2;3m{line}\x1b[38;2;{};9;9m.", line % 256, line % 7).repeat(6) + "\r\n",
        );
    }
    let picture = screen.picture((80, 24), 5);
    let mut seen = fed(80, 24, &picture);
    assert_eq!(seen.engine.model().grid().history_size(), 5);
    let picture = screen.picture((80, 24), u32::MAX);
    assert!(picture.len() < 300 * 1024, "{}", picture.len());
    let mut seen = fed(80, 24, &picture);
    let kept = seen.engine.model().grid().history_size();
    assert!(kept > 500);
    pretty_assert(
        &state(&mut screen, kept, Before::Fresh),
        &state(&mut seen, kept, Before::Fresh),
        "newest lines",
        b"",
    );
}

#[test]
fn resizing_keeps_up() {
    let mut screen = fed(40, 12, FEATURES);
    feed(&mut screen, ALTERNATE);
    for (columns, rows) in [(20, 6), (80, 24), (3, 2), (40, 12), (41, 50), (2, 1), (100, 3)] {
        screen.resize(columns, rows);
        assert_painted(&mut screen, &format!("{columns}x{rows}"));
        feed(&mut screen, MESS);
        feed(&mut screen, "\x18");
        assert_painted(&mut screen, &format!("{columns}x{rows} used"));
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn any_bytes_do(bytes in prop::collection::vec(any::<u8>(), 0..400), split in 0usize..400) {
        let mut screen = screen(9, 4);
        let split = split.min(bytes.len());
        feed(&mut screen, &bytes[..split]);
        screen.picture((9, 4), 9);
        feed(&mut screen, &bytes[split..]);
        feed(&mut screen, "\x18\x1b\\");
        assert_painted(&mut screen, "any bytes");
        screen.text(true);
    }

    #[test]
    fn any_stream_survives_any_size(pieces in stream(40), sizes in prop::collection::vec((1u16..50, 1u16..14), 1..6)) {
        let mut screen = screen(20, 6);
        for (part, (columns, rows)) in pieces.chunks(8).zip(&sizes) {
            feed(&mut screen, part.concat());
            screen.resize(*columns, *rows);
            feed(&mut screen, part.concat());
            feed(&mut screen, "\x18\x1b\\");
            assert_painted(&mut screen, &format!("{sizes:?} {:?}", pieces.concat()));
            screen.picture((7, 3), 9);
        }
    }
}
