//! Text that goes past the parser.

use proptest::prelude::*;

use super::stream::stream;
use super::*;

#[test]
fn runs_end_at_edges_and_wide_characters() {
    let mut screen = fed(6, 4, "\u{4e2d}\u{6587}\u{5b57}\rab");
    assert_eq!(screen.text(false), "ab\u{6587}\u{5b57}\n");
    feed(&mut screen, "c");
    assert_eq!(screen.text(false), "abc \u{5b57}\n");
    let mut screen = fed(6, 4, "abcdefghijklmnopqrstuvwxyz\r\n");
    assert_eq!(screen.text(false), "mnopqr\nstuvwx\nyz\n");
    let mut screen = fed(6, 4, "abc\x1b[2Dx\x1b[4hyz");
    assert_eq!(screen.text(false), "axyzc\n");
}

#[test]
fn what_was_printed_last_is_repeated() {
    for (text, shown) in [("xyz\x1b[3b", "xyzzzz\n"), ("x\u{e9}\x1b[b", "x\u{e9}\u{e9}\n"), ("\x1b[3b", "")] {
        assert_eq!(fed(20, 2, text).text(false), shown);
    }
    // Half a character, which the sequence breaks off.
    assert_eq!(fed(20, 2, b"xy\xe4\xbd\x1b[2b").text(false), "xy\u{fffd}\u{fffd}\u{fffd}\n");
}

#[test]
fn colours_and_attributes_are_those_of_the_parser() {
    let alone = (0..=300).map(|n| n.to_string());
    let after = (0..=300).flat_map(|n| {
        [
            "1;{}",
            "{};1",
            "38;{}",
            "48;5;{}",
            "38;2;{};7;9",
            "38;2;1;2;{};4",
            "48;2;{}",
            "0{}",
            "{};;31",
            "4:{}",
            "58;5;{}",
            ">4;{}",
        ]
        .map(|order| order.replace("{}", &n.to_string()))
    });
    let odd =
        ["", ";", ";;", "38", "48;", "38;5", "0001", "1;2;3;4;7;9;31;42", "65536", "99999999", "38:5:3", "38:2::1:2:3"];
    for order in alone.chain(after).chain(odd.map(str::to_owned)) {
        let text = format!("\x1b[1;3;4:3;7;9;58:5:9;96;44m\x1b[{order}mx");
        let (mut past, mut through) = (fed(4, 1, &text), screen(4, 1));
        for part in text.split_inclusive('m') {
            through.feed.midway = true;
            feed(&mut through, part);
        }
        let (past, through) = (state(&mut past, 0, Before::Fresh), state(&mut through, 0, Before::Fresh));
        pretty_assert(&past, &through, &order, b"");
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn it_is_as_if_it_had_not(pieces in stream(60), columns in 2u16..45, rows in 1u16..14) {
        let (mut past, mut through) = (screen(columns, rows), screen(columns, rows));
        for piece in &pieces {
            feed(&mut past, piece);
            through.feed.midway = true;
            feed(&mut through, piece);
        }
        let history = past.engine.model().with_primary(|grid| grid.history_size());
        let (past, through) = (state(&mut past, history, Before::Fresh), state(&mut through, history, Before::Fresh));
        pretty_assert(&past, &through, &format!("{columns}x{rows} {:?}", pieces.concat()), b"");
    }
}
