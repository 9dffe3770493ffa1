//! The screen as text.

use super::*;

#[test]
fn text_is_what_is_seen() {
    let mut screen = fed(10, 4, "\x1b[31mred\x1b[m  \r\n\r\ne\u{301} 漢\x1b[4;1H   ");
    assert_eq!(screen.text(false), "red\n\ne\u{301} 漢\n");
    assert_eq!(screen.text(true), "\x1b[31mred\x1b[m\n\ne\u{301} 漢\n");
}

#[test]
fn coloured_blanks_are_seen_in_colour() {
    let mut screen = fed(4, 2, "a\x1b[44m\x1b[K");
    assert_eq!(screen.text(false), "a\n");
    assert_eq!(screen.text(true), "a\x1b[44m   \x1b[m\n");
}

#[test]
fn the_alternate_screen_is_the_screen() {
    let mut screen = fed(10, 2, "below\x1b[?1049h\x1b[Habove");
    assert_eq!(screen.text(false), "above\n");
    feed(&mut screen, "\x1b[?1049l");
    assert_eq!(screen.text(false), "below\n");
}

#[test]
fn leaving_makes_any_terminal_plain() {
    let mut screen = fed(40, 12, super::stream::FEATURES);
    feed(&mut screen, super::stream::ALTERNATE);
    feed(&mut screen, super::stream::MESS);
    let text = {
        let mut seen = fed(40, 12, super::stream::FEATURES);
        seen.text(false)
    };
    feed(&mut screen, crate::screen::leave());
    assert_eq!(screen.text(false), text, "nothing is cleared");
    let mut plain = self::screen(40, 12);
    let (here, there) = (state(&mut screen, 0, Before::Used), state(&mut plain, 0, Before::Used));
    let without_saved = |modes: &str| modes.split(" saved").next().unwrap().to_owned();
    assert_eq!(without_saved(&here.modes), without_saved(&there.modes));
    let pen = |cursor: &str| cursor.split_once("waits").unwrap().1.to_owned();
    assert_eq!(pen(&here.cursor), pen(&there.cursor));
}
