//! feed(picture(x)) ≡ x.

use proptest::prelude::*;

use super::stream::{ALTERNATE, FEATURES, stream};
use super::*;

#[test]
fn features_survive() {
    let mut screen = fed(40, 12, FEATURES);
    assert!(screen.engine.model().grid().history_size() > 0, "something has scrolled off");
    assert_painted(&mut screen, "primary");
}

#[test]
fn both_screens_survive() {
    let mut screen = fed(40, 12, FEATURES);
    feed(&mut screen, ALTERNATE);
    assert!(screen.engine.model().alternate());
    assert_painted(&mut screen, "alternate");
    for way in ["47", "1047"] {
        let mut screen = fed(40, 12, FEATURES);
        feed(&mut screen, format!("\x1b[?6l\x1b7\x1b[9;9H\x1b[?{way}hother"));
        assert_painted(&mut screen, way);
    }
}

#[test]
fn a_cursor_outside_of_the_region_gets_back_there_in_origin_mode() {
    for (line, then) in
        [(2, ""), (2, "\x1b[A\x1b[9Gx"), (11, "\x1b[31mx"), (11, "\x1b[B\x1b[20Gx"), (11, "\r\x1b[40Gx")]
    {
        let restored = format!("\x1b[?6h\x1b[{line};7H\x1b[42m\x1b7\x1b[5;9r\x1b[m\x1b8{then}");
        let mut screen = fed(40, 12, FEATURES.replace("\x1b[4h", "") + "\x1b[r" + &restored);
        let at = screen.engine.model().grid().cursor.point.line.0;
        assert!(!(4..9).contains(&at), "{restored:?}: {at}");
        assert_painted(&mut screen, &restored);
    }
}

#[test]
fn lines_stay_lines_whatever_an_emoji_s_width() {
    // As a terminal that gives the first sign two columns instead of six would paint it: the
    // rest of the line may be elsewhere in it, but no line begins or ends elsewhere.
    for (line, next) in [("👨\u{200d}👩\u{200d}👧 to the edge 90", "and on"), ("⚠\u{fe0f} to the edge 0123456", "漢")]
    {
        let mut screen = fed(20, 4, format!("{line}{next}\r\nlast"));
        assert_painted(&mut screen, line);
        let picture = String::from_utf8(screen.picture((20, 4), 0)).unwrap();
        let mut other = fed(20, 4, picture.replace('\u{200d}', "").replace("👩👧", "").replace('⚠', "⚠ "));
        let (here, there) = (screen.text(false), other.text(false));
        assert_eq!(here.lines().count(), there.lines().count());
        for (here, there) in here.lines().zip(there.lines()).skip(1) {
            assert_eq!(here, there);
        }
    }
}

#[test]
fn what_belongs_together_is_not_cut_apart() {
    for together in ["👨\u{200d}👩\u{200d}👧", "🇩🇪", "👍🏽", "🐻\u{200d}❄\u{fe0f}"] {
        for line in [format!("{together} end"), format!("before {together}"), format!("01234567890123456789{together}")]
        {
            let mut screen = fed(20, 4, format!("{line}\r\nlast"));
            let picture = String::from_utf8(screen.picture((20, 4), 0)).unwrap();
            assert!(picture.contains(together), "{line}: {}", picture.escape_debug());
        }
    }
}

#[test]
fn text_goes_on_behind_text_whatever_its_width() {
    // To this terminal the sign is six columns wide, to others two.
    let sign = "👨\u{200d}👩\u{200d}👧";
    for (before, place) in [(format!("{sign} is a fam"), "\x1b[1;1H"), (format!("{sign} is\x1b[1;17H"), "\x1b[1;17H")] {
        let mut screen = fed(40, 4, &before);
        assert_painted(&mut screen, &before);
        let picture = String::from_utf8(screen.picture((40, 4), 0)).unwrap();
        let (_, end) = picture.split_once("\x1b7").unwrap();
        assert!(end.starts_with(place), "{}", end.escape_debug());
        assert_eq!(end.contains(sign), place == "\x1b[1;1H", "{}", end.escape_debug());
    }
}

#[test]
fn what_is_saved_scrolls_along_with_no_lines() {
    // Some terminals keep the saved cursor as a place in the text.
    let mut screen = fed(20, 4, "\x1b[2;3H\x1b[32m\x1b7\x1b[m\x1b[4;1H1\r\n2\r\n3\r\nlast");
    let picture = String::from_utf8(screen.picture((20, 4), 99)).unwrap();
    let (painted, saved) = (picture.find("last").unwrap(), picture.find("\x1b7").unwrap());
    assert!(painted < saved, "{}", picture.escape_debug());
}

#[test]
fn each_screen_has_its_region_and_tab_stops() {
    // Some terminals have them twice.
    let mut screen = fed(20, 6, "\x1b[2;4r\x1b[3g\x1b[5G\x1bH\x1b[?1049h\x1b[3;5r\x1b[3g\x1b[7G\x1bH");
    let picture = String::from_utf8(screen.picture((20, 6), 99)).unwrap();
    let (primary, alternate) = picture.split_once("\x1b[?1049h").unwrap();
    assert!(primary.contains("\x1b[3g\x1b[5G\x1bH") && primary.contains("\x1b[2;4r"), "{}", primary.escape_debug());
    let whole = alternate.find("\x1b[r").unwrap();
    assert!(whole < alternate.find("\x1b[3;5r").unwrap(), "{}", alternate.escape_debug());
    assert!(
        alternate.contains("\x1b[3g\x1b[7G\x1bH") && !alternate.contains("\x1b[5G"),
        "{}",
        alternate.escape_debug()
    );
}

#[test]
fn looking_changes_nothing() {
    let mut screen = fed(40, 12, FEATURES);
    feed(&mut screen, ALTERNATE);
    let before = state(&mut screen, 99, Before::Fresh);
    screen.picture((40, 12), 500);
    screen.text(true);
    let after = state(&mut screen, 99, Before::Fresh);
    pretty_assert(&before, &after, "after a picture", b"");
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn any_stream_survives(pieces in stream(60), columns in 2u16..45, rows in 1u16..14) {
        let mut screen = screen(columns, rows);
        for piece in &pieces {
            feed(&mut screen, piece);
        }
        // Ends what the last piece may have left open, as a picture does.
        feed(&mut screen, "\x18\x1b\\");
        assert_painted(&mut screen, &format!("{columns}x{rows} {:?}", pieces.concat()));
    }
}
