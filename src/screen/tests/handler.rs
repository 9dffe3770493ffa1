//! Nothing the parser can say is lost on the way to the engine.

use std::collections::BTreeSet;

use super::*;

/// Names of the methods in a Rust source between two lines.
fn methods(source: &str, from: &str, to: &str) -> BTreeSet<String> {
    let start = source.find(from).expect("the start is there") + from.len();
    let end = source[start..].find(to).expect("the end is there") + start;
    source[start..end]
        .lines()
        .filter_map(|line| line.strip_prefix("    fn "))
        .filter_map(|line| line.split(['(', '<']).next())
        .map(str::to_owned)
        .collect()
}

/// The engine's parser, in the source that this was compiled from.
fn parser_source() -> Option<String> {
    let registry = std::env::home_dir()?.join(".cargo/registry/src");
    let registry =
        std::env::var_os("CARGO_HOME").map_or(registry, |home| std::path::Path::new(&home).join("registry/src"));
    let lock = include_str!("../../../Cargo.lock");
    let version = lock.split("[[package]]").find(|package| package.contains("name = \"vte\"\nversion = \"0.15"))?;
    let version = version.lines().find_map(|line| line.strip_prefix("version = \""))?.trim_end_matches('"');
    let index = std::fs::read_dir(registry).ok()?.flatten();
    index
        .map(|index| index.path().join(format!("vte-{version}/src/ansi.rs")))
        .find_map(|path| std::fs::read_to_string(path).ok())
}

#[test]
fn every_method_of_the_parser_is_taken() {
    let Some(source) = parser_source() else {
        eprintln!("skipped: the parser's source is not in cargo's registry");
        return;
    };
    let theirs = methods(&source, "pub trait Handler {", "\n}\n");
    let ours = methods(include_str!("../handler.rs"), "impl Handler for Model {", "\n}\n");
    assert!(theirs.len() > 60, "the trait was found: {theirs:?}");
    assert_eq!(theirs, ours);
}

/// What a screen shows, blanks cut.
fn shows(bytes: &str) -> String {
    fed(10, 4, bytes).text(false)
}

#[test]
fn the_engine_s_slips_are_mended() {
    // Deleting more than there is leaves what stands before the cursor.
    assert_eq!(shows("abcdefghij\x1b[1;9H\x1b[5P"), "abcdefgh\n");
    // Erasing above the second line takes the first.
    assert_eq!(shows("one\r\ntwo\x1b[1J"), "");
    // The cursor stops at margins, and columns are no lines in origin mode.
    assert_eq!(shows("\x1b[2;3r\x1b[3;1H\x1b[9Aa"), "\na\n");
    assert_eq!(shows("\x1b[2;3r\x1b[?6h\x1b[2;1H\x1b[3Gb"), "\n\n  b\n");
    // A region outside the screen is none.
    assert_eq!(shows("\x1b[50;60ra\x1b[4;1H\nb"), "\n\n\nb\n");
    // Inserted and deleted lines put the cursor at the margin.
    assert_eq!(shows("abc\x1b[Ld"), "d\nabc\n");
    // A tab at the edge does not wrap, and leaves no character.
    assert_eq!(shows("0123456789\t!"), "0123456789\n!\n");
    // Back from before the first stop is the first column.
    assert_eq!(shows("\x1b[3g\x1b[5G\x1bH\r123\x1b[Za"), "a23\n");
    assert_eq!(shows("\x1b[3g\x1b[5G\x1bH\x1b[7G7\x1b[Za"), "    a 7\n");
    // Newline mode is obeyed.
    assert_eq!(shows("\x1b[20hone\ntwo\x1b[20l\n3"), "one\ntwo\n   3\n");
    // Half a wide character is none.
    assert_eq!(shows("漢字\x1b[1;2H\x1b[K"), "");
    assert_eq!(shows("a漢字\x1b[1;3H\x1b[P"), "a 字\n");
    assert_eq!(shows("a漢字\x1b[1;3H\x1b[@"), "a   字\n");
}

#[test]
fn saved_cursors_keep_charset_and_origin() {
    let mut screen = fed(10, 4, "\x1b)0\x0e\x1b7\x0f\x1b8q");
    assert_eq!(screen.text(false), "─\n");
    feed(&mut screen, "\x1b[2;3r\x1b[?6h\x1b7\x1b[?6l\x1b8\x1b[1;1Hq");
    assert_eq!(screen.text(false), "─\n─\n");
}

#[test]
fn soft_reset_leaves_the_text() {
    let mut screen = fed(10, 4, "\x1b[31;1m\x1b[2;3r\x1b[?6h\x1b[4h\x1b[?25l\x1b(0tuxt\x1b[!pq");
    assert_eq!(screen.text(false), "\n├┤│├q\n");
    assert_eq!(screen.engine.model().region(), 0..4);
    let plain = fed(10, 4, "").engine.model().mode();
    assert_eq!(screen.engine.model().mode(), plain);
}
