//! Scrolling in a document made by hand.

use super::*;
use crate::screen::Screen;

fn scroll(text: &str) -> Scroll {
    let mut document = Screen::new(20, 4, 1 << 20);
    document.feed(text.as_bytes(), &mut Vec::new());
    let paths = Paths { config: "/".into(), state: "/nowhere".into(), runtime: "/".into() };
    let mut scroll = Scroll::of(document.into_rows(), 0, &paths, &"42.1".parse().unwrap(), (20, 4));
    scroll.complete = true;
    scroll
}

fn keys(scroll: &mut Scroll, keys: &str) -> Outcome {
    let mut last = Outcome::Stay;
    for c in keys.chars() {
        last = scroll.key(if c == '\n' { Key::Enter } else { Key::Char(c) });
    }
    last
}

/// What a terminal shows of it.
fn shown(scroll: &Scroll) -> Vec<String> {
    let (columns, rows) = scroll.size;
    let mut terminal = Screen::new(columns, rows, 0);
    terminal.feed(&scroll.paint(), &mut Vec::new());
    terminal.text(false).lines().map(str::to_owned).collect()
}

const TEXT: &str = "zero\r\none two\r\n漢字 three\r\nfour\r\nfive\r\nsix is so long that it wraps\r\nEnd";

#[test]
fn it_begins_at_the_end_and_goes_back() {
    let mut scroll = scroll(TEXT);
    assert_eq!(shown(&scroll)[..3], ["six is so long that", "it wraps", "End"]);
    keys(&mut scroll, "kkkk");
    assert_eq!(shown(&scroll)[0], "four");
    scroll.key(Key::PageUp);
    scroll.key(Key::PageUp);
    scroll.key(Key::PageUp);
    assert_eq!(shown(&scroll)[..3], ["zero", "one two", "漢字 three"]);
    keys(&mut scroll, "G");
    assert_eq!(shown(&scroll)[2], "End");
    assert_eq!(keys(&mut scroll, "q"), Outcome::Back);
}

#[test]
fn search_goes_both_ways_and_says_when_there_is_nothing() {
    let mut scroll = scroll(TEXT);
    keys(&mut scroll, "/THREE\n");
    assert!(shown(&scroll)[3].contains("no 'THREE' above"));
    keys(&mut scroll, "/three\n");
    assert_eq!(scroll.cursor, Place { row: 2, column: 5 });
    keys(&mut scroll, "/o\n");
    assert_eq!(scroll.cursor, Place { row: 1, column: 6 });
    keys(&mut scroll, "n");
    assert_eq!(scroll.cursor, Place { row: 1, column: 0 });
    keys(&mut scroll, "N");
    assert_eq!(scroll.cursor, Place { row: 1, column: 6 });
    keys(&mut scroll, "?END\n");
    assert!(shown(&scroll)[3].contains("no 'END' below"));
    keys(&mut scroll, "?End\n");
    assert_eq!(scroll.cursor, Place { row: 7, column: 0 });
    // All that is found is marked, wide characters whole.
    assert_eq!((scroll.marked(7).first(), scroll.marked(1).first()), (Some(&(0..3)), None));
    keys(&mut scroll, "/漢\n");
    let column = scroll.cursor.column;
    assert_eq!(scroll.marked(scroll.cursor.row).first(), Some(&(column..column + 2)));
    keys(&mut scroll, "/nothing");
    scroll.key(Key::Escape);
    assert_eq!(scroll.typed, None);
}

fn copied(text: &str, back: bool) -> Outcome {
    Outcome::Copy { text: text.to_owned(), back }
}

#[test]
fn what_is_selected_is_copied() {
    let mut scroll = scroll(TEXT);
    assert_eq!(keys(&mut scroll, "y"), Outcome::Bell);
    keys(&mut scroll, "g");
    keys(&mut scroll, "jwvj0");
    // From "two" on to the first character of the next row.
    assert_eq!(keys(&mut scroll, "\n"), copied("two\n漢", true));
    keys(&mut scroll, "v");
    keys(&mut scroll, "gjjjjjV");
    assert_eq!(keys(&mut scroll, "jy"), copied("six is so long that it wraps", false));
    scroll.key(Key::Escape);
    assert_eq!(scroll.anchor, None);
}

#[test]
fn nothing_at_all_can_be_scrolled_through_too() {
    let mut scroll = scroll("");
    for key in [Key::Up, Key::PageUp, Key::PageDown, Key::End, Key::Char('w'), Key::Char('b'), Key::Char('V')] {
        scroll.key(key);
    }
    assert_eq!(keys(&mut scroll, "y"), copied("", false));
    scroll.resize((1, 1));
    scroll.paint();
}
