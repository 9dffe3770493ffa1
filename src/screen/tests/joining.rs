//! A viewer may join at any byte.

use proptest::prelude::*;

use super::stream::{ALTERNATE, FEATURES, stream as any_stream};
use super::*;

/// A stream with strings long enough to be passed on in parts.
fn stream() -> Vec<u8> {
    let mut bytes = FEATURES.as_bytes().to_vec();
    bytes.extend_from_slice(b"\x1bPq");
    bytes.extend(std::iter::repeat_n(b'~', 5000));
    bytes.extend_from_slice(b"\x1b\\");
    bytes.extend_from_slice(ALTERNATE.as_bytes());
    bytes.extend_from_slice(b"\x1b]2;");
    bytes.extend(std::iter::repeat_n(b't', 5000));
    bytes.extend_from_slice(b"\x07\xe6\xbc\xa2end");
    bytes
}

#[test]
fn picture_then_the_rest_is_the_whole() {
    let stream = stream();
    let mut whole = fed(40, 12, &stream);
    let last = state(&mut whole, 0, Before::Fresh);
    // Of the long strings every five hundredth byte will do.
    let dull = |at: usize| {
        [b'~', b't'].contains(&stream[at]) && stream[at.saturating_sub(9)..at].iter().all(|b| *b == stream[at])
    };
    for split in (0..stream.len()).filter(|at| at % 500 == 0 || !dull(*at)) {
        let mut screen = screen(40, 12);
        feed(&mut screen, &stream[..split]);
        let mut joined = self::screen(40, 12);
        feed(&mut joined, screen.picture((40, 12), 99));
        feed(&mut joined, screen.since_ground());
        assert_eq!(screen.at_ground(), screen.since_ground().is_empty());
        feed(&mut joined, feed(&mut screen, &stream[split..]));
        let there = state(&mut joined, 0, Before::Fresh);
        pretty_assert(&last, &there, &format!("joined at {split}"), b"");
    }
}

#[test]
fn long_strings_have_a_stand_in() {
    for (start, stop) in [(&b"\x1bPq"[..], &b"\x1b\\"[..]), (b"\x1b]1337;File=:", b"\x07"), (b"\x1b_Ga=T;", b"\x1b\\")]
    {
        let mut screen = screen(40, 12);
        let mut string = start.to_vec();
        string.extend(std::iter::repeat_n(b'A', 300_000));
        let mut visible = Vec::new();
        for part in string.chunks(1000) {
            screen.feed(part, &mut visible);
            assert!(screen.since_ground().len() <= 64 * 1024);
        }
        assert!(visible == string, "all of it passes");
        assert!(!screen.at_ground());
        let mut joined = self::screen(40, 12);
        feed(&mut joined, screen.picture((40, 12), 0));
        feed(&mut joined, screen.since_ground());
        let mut rest = stop.to_vec();
        rest.extend_from_slice(b"after");
        let visible = feed(&mut screen, &rest);
        assert_eq!(visible, rest);
        assert!(screen.at_ground());
        feed(&mut joined, visible);
        assert_eq!(joined.text(false), "after\n");
        assert_eq!(screen.text(false), "after\n");
    }
}

#[test]
fn a_character_is_repeated_for_who_did_not_see_it() {
    let mut screen = fed(40, 12, "\x1b(0q");
    let mut joined = fed(40, 12, screen.picture((40, 12), 0));
    let visible = feed(&mut screen, "\x1b[3b\x1b[b\x1b[31m\x1b[2bx\x1b[b");
    assert!(visible.starts_with(b"q\x1b[2bq\x1b"), "{}", visible.escape_ascii());
    feed(&mut joined, visible);
    assert_eq!(joined.text(true), screen.text(true));
    assert_eq!(joined.text(false), "───────││\n");
    assert_eq!(feed(&mut fed(40, 12, ""), "\x1b[3b"), b"", "there is nothing to repeat");
    // More than there is room for stays what it is.
    for (columns, last) in [(7, "漢"), (7, "x")] {
        let mut many = fed(columns, 3, last);
        let mut each = fed(columns, 3, last.repeat(10_000));
        feed(&mut many, "\x1b[9999b");
        pretty_assert(&state(&mut each, 0, Before::Fresh), &state(&mut many, 0, Before::Fresh), last, b"");
    }
}

#[test]
fn broken_characters_are_shown_at_once() {
    for (before, after) in [(&b"\xd0\xd0"[..], &b"\xd0x"[..]), (b"\xe6\xbc\xd0", b"\x90x"), (b"\xd0\x1b[6n", b"\x90x")]
    {
        let mut screen = fed(40, 12, before);
        let mut joined = fed(40, 12, screen.picture((40, 12), 0));
        feed(&mut joined, feed(&mut screen, after));
        assert!(screen.text(false).starts_with('\u{fffd}'), "{}", screen.text(false));
        assert_eq!(joined.text(false), screen.text(false), "{} | {}", before.escape_ascii(), after.escape_ascii());
    }
}

#[test]
fn an_open_frame_stays_open() {
    let mut screen = fed(40, 12, "\x1b[?2026hhalf");
    assert!(screen.flush_after().is_some_and(|wait| wait <= std::time::Duration::from_millis(150)));
    assert!(!screen.picture((40, 12), 0).ends_with(b"\x1b[?2026l"));
    assert_eq!(screen.text(false), "half\n", "the model is up to date");
    screen.flush();
    assert_eq!(screen.flush_after(), None);
    assert!(screen.picture((40, 12), 0).ends_with(b"\x1b[?2026l"));
    feed(&mut screen, "\x1b[?2026h\x1b[?2026l");
    assert_eq!(screen.flush_after(), None);
}

/// Joins a stream at `cut`; what was lost on the way is told by a panic.
fn assert_joined(columns: u16, rows: u16, stream: &[u8], cut: usize) {
    let mut screen = screen(columns, rows);
    feed(&mut screen, &stream[..cut]);
    let picture = screen.picture((columns, rows), u32::MAX);
    let mut joined = self::screen(columns, rows);
    feed(&mut joined, &picture);
    feed(&mut joined, screen.since_ground());
    feed(&mut joined, feed(&mut screen, &stream[cut..]));
    let kept = screen.engine.model().with_primary(|grid| grid.history_size());
    let [here, there] = [&mut screen, &mut joined].map(|screen| {
        let mut state = state(screen, kept, Before::Fresh);
        // Where a picture cannot bring back that a line goes on, the mark is missing later
        // on in places that nobody could name.
        let lines = [&mut state.shown, &mut state.primary, &mut state.history].into_iter().flatten();
        lines.for_each(|line| line.retain(|c| c != '↩'));
        state
    });
    let (before, after) = (stream[..cut].escape_ascii(), stream[cut..].escape_ascii());
    pretty_assert(&here, &there, &format!("{columns}x{rows} {before} | {after}"), &picture);
}

/// Bytes among which sequences and broken characters are frequent.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let frequent = prop::sample::select(
        b"\x1b\x1b\x1b[[[]P_?;012479mHrbJKhLM78\x07\\\x18\n\xe6\xbc\xa2\xd0\x90\xcc\x81ab".to_vec(),
    );
    prop::collection::vec(prop_oneof![9 => frequent, 1 => any::<u8>()], 1..80)
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_stream_may_be_joined_anywhere(
        pieces in any_stream(60),
        cut in any::<prop::sample::Index>(),
        columns in 2u16..45,
        rows in 1u16..14,
    ) {
        // The end closes what the last piece may have left open.
        let stream = [pieces.concat().as_bytes(), b"\x18\x1b\\"].concat();
        let cut = cut.index(stream.len());
        // Not kept: what was left behind in the alternate screen, and titles on the stack.
        let has = |any: &[&str]| any.iter().any(|one| memchr::memmem::find(&stream[..cut], one.as_bytes()).is_some());
        let shows_other = fed(columns, rows, &stream[..cut]).engine.model().alternate();
        prop_assume!(shows_other || !has(&["\x1b[?47l", "\x1b[?1047l", "\x1b[?1049l"]));
        prop_assume!(!has(&["\x1b[22t"]));
        assert_joined(columns, rows, &stream, cut);
    }

    #[test]
    fn any_bytes_may_be_joined_anywhere(
        bytes in bytes(),
        cut in any::<prop::sample::Index>(),
        columns in 2u16..12,
        rows in 1u16..6,
    ) {
        let stream = [&bytes, &b"\x18\x1b\\"[..]].concat();
        assert_joined(columns, rows, &stream, cut.index(stream.len()));
    }
}
