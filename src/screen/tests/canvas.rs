//! Terminals that get pictures only.

use proptest::prelude::*;

use super::stream::stream;
use super::*;
use crate::screen::Canvas;

/// What a terminal of size `viewer` shows after a picture of `screen` made for it.
fn clipped(screen: &mut Screen, viewer: (u16, u16)) -> (String, String) {
    let mut whole = self::screen(viewer.0.max(2), viewer.1);
    feed(&mut whole, screen.paint(&mut Canvas::default(), viewer, 0));
    (whole.text(true), whole.title().unwrap_or_default())
}

#[test]
fn only_what_changed_is_painted() {
    let mut screen = fed(80, 24, "one\r\ntwo\r\nthree");
    let mut canvas = Canvas::default();
    let first = screen.paint(&mut canvas, (40, 10), 0);
    assert!(String::from_utf8_lossy(&first).contains("two"));
    feed(&mut screen, "\x1b[2;1Hnew");
    let next = String::from_utf8(screen.paint(&mut canvas, (40, 10), 0)).unwrap();
    assert_eq!(next, "\x1b[?2026h\x1b[?25l\x1b[2;1H\x1b[Knew\x1b[2;4H\x1b[?25h\x1b[?2026l");
    // A mode that matters to typing: all anew.
    feed(&mut screen, "\x1b[?2004h");
    assert!(screen.paint(&mut canvas, (40, 10), 0).ends_with(b"\x1b[?2004h\x1b[?25h\x1b[?2026l"));
    canvas.spoil();
    assert!(String::from_utf8_lossy(&screen.paint(&mut canvas, (40, 10), 0)).contains("three"));
}

#[test]
fn a_title_that_is_gone_is_taken_away() {
    let mut screen = fed(80, 24, "\x1b]2;title\x07");
    let mut canvas = Canvas::default();
    let mut terminal = fed(40, 10, screen.paint(&mut canvas, (40, 10), 0));
    assert_eq!(terminal.title().as_deref(), Some("title"));
    feed(&mut screen, "\x1bc");
    feed(&mut terminal, screen.paint(&mut canvas, (40, 10), 0));
    assert_eq!(terminal.title().as_deref(), Some(""));
}

/// A wide character without room in the last column leaves a blank there with its looks.
#[test]
fn a_blank_left_over_has_its_looks() {
    let mut screen = fed(6, 2, "aaajq\x1b[4m漢");
    let mut canvas = Canvas::default();
    let mut terminal = fed(6, 2, screen.paint(&mut canvas, (6, 2), 0));
    assert_eq!(screen.text(true), "aaajq\x1b[4m \x1b[m\n\x1b[4m漢\x1b[m\n");
    assert_eq!(terminal.text(true), screen.text(true));
}

#[test]
fn a_saved_cursor_above_the_picture_writes_nothing() {
    // It waits behind the last column of a line that has no place in the viewer.
    let mut screen = fed(6, 2, "\x1b[1;6Hx\x1b7\r\n");
    assert_eq!(clipped(&mut screen, (6, 1)).0, "");
}

#[test]
fn what_the_stream_hangs_on_is_left_out() {
    let mut screen = fed(80, 24, "\x1b[5;10r\x1b[?6h\x1b[4h\x1b[?7l\x1b(0\x1b[31mlqk");
    let mut other = fed(90, 30, screen.paint(&mut Canvas::default(), (90, 30), 0));
    feed(&mut other, "\x1b[30;1Hx");
    assert_eq!(other.text(false).lines().count(), 30);
    assert_eq!(other.text(false).lines().last(), Some("x"));
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn changes_lead_to_the_same_as_a_whole_picture(
        pieces in stream(40), viewer in (1u16..50, 1u16..20), size in (2u16..45, 1u16..14),
    ) {
        let mut screen = screen(size.0, size.1);
        let mut canvas = Canvas::default();
        let mut terminal = self::screen(viewer.0.max(2), viewer.1);
        for piece in &pieces {
            feed(&mut screen, piece);
            feed(&mut terminal, screen.paint(&mut canvas, viewer, 0));
            prop_assert_eq!((terminal.text(true), terminal.title().unwrap_or_default()), clipped(&mut screen, viewer));
        }
    }
}
