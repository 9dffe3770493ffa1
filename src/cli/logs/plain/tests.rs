//! What is left of terminal output, for every way it may arrive.

use super::*;

fn run(rows: u16, chunks: &[&[u8]]) -> String {
    let mut plain = Plain::new(rows);
    let mut out = Vec::new();
    for chunk in chunks {
        plain.feed(chunk, &mut out);
    }
    plain.finish(&mut out);
    String::from_utf8(out).unwrap()
}

/// The same, however the input is cut.
fn check(input: &str, expected: &str) {
    let bytes = input.as_bytes();
    for cut in 0..=bytes.len() {
        assert_eq!(run(24, &[&bytes[..cut], &bytes[cut..]]), expected, "{input:?} cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(run(24, &single), expected, "{input:?} in bytes");
}

#[test]
fn text_and_lines_stay() {
    check("", "");
    check("one\r\ntwo\r\n", "one\ntwo\n");
    check("one\r\ntwo", "one\ntwo\n");
    check("a\r\n\r\nb\r\n", "a\n\nb\n");
    check("Grüße 日本語 e\u{301}!\r\n", "Grüße 日本語 e\u{301}!\n");
    check("a\tb\r\n", "a       b\n");
    check("trailing   \r\n", "trailing\n");
}

#[test]
fn what_leaves_no_letters_is_dropped() {
    check("\x1b[1;31mred\x1b[0m \x1b[4:3mcurl\x1b[m\r\n", "red curl\n");
    check("\x1b]0;a title\x07x\x1b]8;;http://e\x1b\\link\x1b]8;;\x1b\\\r\n", "xlink\n");
    check("\x1b(0\x1b)B\x1b=\x1b>\x1b[?2004h\x1b[>4;1m\x1b[2 qx\x07\x00\x7f\r\n", "x\n");
    check("\x1bP+q544e\x1b\\a\x1b_G;\x1b\\b\x1b[12\x18c\r\n", "abc\n");
}

#[test]
fn rewritten_lines_are_shown_as_they_became() {
    check("  1%\r 50%\r100%\r\ndone\r\n", "100%\ndone\n");
    check("long line\rshort\x1b[K\r\n", "short\n");
    check("long line\rshort\r\n", "shortline\n");
    check("abc\x08\x08X\r\n", "aXc\n");
    check("abcdef\x1b[4G\x1b[2P\x1b[@_\r\n", "abc_f\n");
    check("abcdef\r\x1b[2C\x1b[2X\r\n", "ab  ef\n");
    check("日本\r\x1b[CX\r\n", " X本\n");
    check("日本\x1b[D\x1b[DX\r\n", "日X\n");
}

#[test]
fn rows_above_can_be_rewritten() {
    check("a: 1%\r\nb: 1%\r\n\x1b[2Aa: 2%\r\nb: 2%\r\n", "a: 2%\nb: 2%\n");
    check("one\r\ntwo\r\nthree\r\n\x1b[3A\x1b[Jnew\r\n", "new\n");
    check("one\r\ntwo\x1b[H\x1b[2Jnew\r\n", "one\ntwo\nnew\n");
    check("one\r\n\x1b[H\x1b[2J\x1b[3J", "one\n");
    check("one\r\n\x1b[H\x1b[2Jtwo\r\n\x1b[H\x1b[2J\x1b[?1049hvim\x1b[?1049lthree\r\n", "one\ntwo\nvim\nthree\n");
    // Painted again and again.
    check("head\r\n 1%\x1b[H\x1b[2J\x1b[3Jhead\r\n 2%\x1b[2J\x1b[Hhead\r\n 3%\r\n", "head\n 3%\n");
    check("x\x1b7yz\x1b8Q\r\n", "xQz\n");
    check("one\r\n\x1bMtwo\r\n", "two\n");
}

#[test]
fn a_full_screen_program_leaves_what_it_showed_last() {
    check(
        "$ vim\r\n\x1b[?1049h\x1b[Hfirst\x1b[2;1Hsecond\x1b[H\x1b[2Jlast\x1b[3;5Hline\x1b[?1049l$ \r\n",
        "$ vim\nlast\n\n    line\n$\n",
    );
    check("\x1b[?1049h\x1b[Hkilled in it", "killed in it\n");
}

#[test]
fn lines_are_printed_once_they_cannot_change() {
    let mut plain = Plain::new(3);
    let mut out = Vec::new();
    plain.feed(b"1\r\n2\r\n3\r\n4", &mut out);
    assert_eq!(out, b"1\n");
    plain.settle(&mut out);
    assert_eq!(out, b"1\n2\n3\n");
    plain.feed(b"\r\n\x1b[2Ax\r\n", &mut out);
    assert_eq!(out, b"1\n2\n3\n4\nx\n");
    plain.finish(&mut out);
    assert_eq!(out, b"1\n2\n3\n4\nx\n");
}

#[test]
fn long_lines_stay_in_one_and_memory_is_bounded() {
    let line = "x".repeat(MAX_CELLS * 5 + 7);
    check_once(&format!("{line}\r\n"), &format!("{line}\n"));
    let wide = "日".repeat(MAX_CELLS);
    check_once(&format!("a{wide}\r\nb"), &format!("a{wide}\nb\n"));

    let mut plain = Plain::new(u16::MAX);
    let mut out = Vec::new();
    for _ in 0..3 {
        plain.feed("e\u{301}".repeat(10_000).as_bytes(), &mut out);
        plain.feed("\u{301}".repeat(100_000).as_bytes(), &mut out);
        plain.feed(b"\x1b[999999999B\x1b[999999999;99999999999999999999H\x1b[9999999@", &mut out);
    }
    assert!(out.len() < 10_000_000);
    plain.finish(&mut out);
}

fn check_once(input: &str, expected: &str) {
    assert!(run(24, &[input.as_bytes()]) == expected);
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    assert_eq!(run(24, &[b"a\xffb\xe6\x97\r\n"]), "a\u{fffd}b\u{fffd}\n");
    use proptest::prelude::*;
    let part = prop_oneof![
        Just(b"\x1b[".to_vec()),
        Just(b"\x1b[?1049h".to_vec()),
        Just(b"\x1b[?1049l".to_vec()),
        Just("日".as_bytes().to_vec()),
        Just("\u{301}".as_bytes().to_vec()),
        "\x1b\\[[0-9]{0,3}[@-Z]".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest!(|(parts in proptest::collection::vec(part, 0..40), rows in 0u16..6)| {
        let input = parts.concat();
        let whole = run(rows, &[&input]);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&whole, &run(rows, &bytes));
        let control = whole.chars().any(|c| c.is_control() && c != '\n');
        prop_assert!(!control, "{whole:?}");
    });
}
