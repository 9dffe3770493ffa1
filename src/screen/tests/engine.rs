//! Text that waits to be laid out, and what nobody can see any more.

use proptest::prelude::*;

use super::stream::stream;
use super::*;

/// A history of so few lines that floods wash through it.
fn small(columns: u16, rows: u16) -> Screen {
    Screen::new(columns, rows, 20 * u64::from(columns) * 24)
}

/// Feeds the same to one whose text may wait and to one that takes all by way of the parser.
fn assert_alike(pieces: &[impl AsRef<[u8]>], (columns, rows): (u16, u16)) {
    let (mut late, mut at_once) = (small(columns, rows), small(columns, rows));
    for piece in pieces {
        feed(&mut late, piece);
        at_once.feed.midway = true;
        feed(&mut at_once, piece);
    }
    let history = late.engine.model().with_primary(|grid| grid.history_size());
    assert_eq!(history, at_once.engine.model().with_primary(|grid| grid.history_size()));
    let (late, at_once) = (state(&mut late, history, Before::Fresh), state(&mut at_once, history, Before::Fresh));
    let all: Vec<u8> = pieces.iter().flat_map(AsRef::as_ref).copied().collect();
    let note = format!("{columns}x{rows} {}", all[..all.len().min(4000)].escape_ascii());
    pretty_assert(&late, &at_once, &note, b"");
}

#[test]
fn a_flood_leaves_what_it_would_have_left_line_by_line() {
    let numbered = |ending: &str| (0..6_000).map(|n| format!("line {n}{ending}")).collect::<String>();
    let starts =
        ["", "\x1b[31;44mred", "\x1b[?7l", "\x1b[4h", "\x1b(0", "\x1b[3;9Hhere", "\x1b[2;4r\x1b[2H", "\x1b[?1049h"];
    let floods = [
        numbered("\r\n"),
        numbered("\n"),
        numbered("\r"),
        numbered("\tand a tab\r\n"),
        numbered(" that is longer than the screen is wide\r\n"),
        numbered("\r\n") + &"\r\n".repeat(900),
        numbered("\n") + "\r\n" + &"\n".repeat(200),
        "without end ".repeat(3_000),
    ];
    for start in starts {
        for flood in &floods {
            for step in [4095, flood.len()] {
                let pieces = std::iter::once(start.as_bytes()).chain(flood.as_bytes().chunks(step));
                assert_alike(&pieces.chain([&b"\x1b[2b\xcc\x81."[..]]).collect::<Vec<_>>(), (31, 7));
            }
        }
    }
}

#[test]
fn what_can_all_be_seen_does_not_wait_for_ever() {
    let line = "a line without an end".repeat(20_000);
    assert_alike(&[&line[..300_000], &line[300_000..], "\r\n"], (80, 24));
}

fn flood() -> impl Strategy<Value = String> {
    let line = ("[ -~\t]{0,50}", prop_oneof![8 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")]);
    (prop::collection::vec(line, 1..12), 1usize..120).prop_map(|(lines, times)| {
        lines.iter().map(|(text, end)| format!("{text}{end}")).collect::<String>().repeat(times)
    })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn streams_with_floods_are_as_without_waiting(
        pieces in prop::collection::vec(prop_oneof![stream(8), prop::collection::vec(flood(), 1..3)], 1..8),
        columns in 2u16..45,
        rows in 1u16..14,
    ) {
        assert_alike(&pieces.concat(), (columns, rows));
    }
}
