//! Questions are answered, and nobody else hears them.

use super::stream::{ALTERNATE, FEATURES};
use super::*;
use crate::protocol::keeper::Looks;
use alacritty_terminal::vte::ansi::Rgb;

/// What a program is told when it asks after `before`.
fn told(before: &str, question: &str) -> String {
    let mut screen = fed(40, 12, before);
    let visible = feed(&mut screen, question);
    assert_eq!(visible, b"", "viewers do not see {}", question.escape_debug());
    assert!(screen.at_ground());
    String::from_utf8(screen.take_answers()).unwrap()
}

#[test]
fn answers_are_right() {
    let cases = [
        ("", "\x1b[c", "\x1b[?62;22c"),
        ("", "\x1b[0c", "\x1b[?62;22c"),
        ("", "\x1bZ", "\x1b[?62;22c"),
        ("", "\x1b[>c", "\x1b[>0;300;0c"),
        ("", "\x1b[=c", "\x1bP!|00000000\x1b\\"),
        ("", "\x1b[5n", "\x1b[0n"),
        ("\x1b[3;7H", "\x1b[6n", "\x1b[3;7R"),
        ("\x1b[3;7H", "\x1b[?6n", "\x1b[?3;7R"),
        ("\x1b[5;9r\x1b[?6h\x1b[2;2H", "\x1b[6n", "\x1b[2;2R"),
        ("", "\x1b[?996n", "\x1b[?997;1n"),
        ("\x1b[?1h", "\x1b[?1$p", "\x1b[?1;1$y"),
        ("", "\x1b[?1$p", "\x1b[?1;2$y"),
        ("", "\x1b[?7$p", "\x1b[?7;1$y"),
        ("", "\x1b[?2026$p", "\x1b[?2026;2$y"),
        ("\x1b[?2026h", "\x1b[?2026$p", "\x1b[?2026;1$y"),
        ("", "\x1b[?12345$p", "\x1b[?12345;0$y"),
        ("\x1b[4h", "\x1b[4$p", "\x1b[4;1$y"),
        ("", "\x1b[?u", "\x1b[?0u"),
        ("\x1b[>1u\x1b[=4;2u", "\x1b[?u", "\x1b[?5u"),
        ("\x1b[>1u\x1b[?1049h", "\x1b[?u", "\x1b[?0u"),
        ("\x1b[>4;2m", "\x1b[?4m", "\x1b[>4;2m"),
        ("", "\x1b[>q", concat!("\x1bP>|autodev(", env!("CARGO_PKG_VERSION"), ")\x1b\\")),
        ("", "\x1b[18t", "\x1b[8;12;40t"),
        ("", "\x1b[14t", "\x1b[4;240;400t"),
        ("", "\x1b[16t", "\x1b[6;20;10t"),
        ("\x1b]2;secret\x07", "\x1b[21t", "\x1b]l\x1b\\"),
        ("", "\x1b]10;?\x07", "\x1b]10;rgb:e5e5/e5e5/e5e5\x07"),
        ("", "\x1b]11;?\x1b\\", "\x1b]11;rgb:0000/0000/0000\x1b\\"),
        ("\x1b]12;#ff8000\x07", "\x1b]12;?\x07", "\x1b]12;rgb:ffff/8080/0000\x07"),
        ("", "\x1b]10;?;?\x07", "\x1b]10;rgb:e5e5/e5e5/e5e5\x07\x1b]11;rgb:0000/0000/0000\x07"),
        ("", "\x1b]4;1;?\x07", "\x1b]4;1;rgb:cdcd/0000/0000\x07"),
        (
            "\x1b]4;200;#010203\x07",
            "\x1b]4;200;?;16;?\x07",
            "\x1b]4;200;rgb:0101/0202/0303\x07\x1b]4;16;rgb:0000/0000/0000\x07",
        ),
        ("\x1b[1;4:3;38;5;9m", "\x1bP$qm\x1b\\", "\x1bP1$r0;1;4:3;38;5;9m\x1b\\"),
        ("\x1b[3;9r", "\x1bP$qr\x1b\\", "\x1bP1$r3;9r\x1b\\"),
        ("\x1b[6 q", "\x1bP$q q\x1b\\", "\x1bP1$r6 q\x1b\\"),
        ("", "\x1bP$qz\x1b\\", "\x1bP0$r\x1b\\"),
        ("", "\x1bP+q544e\x1b\\", "\x1bP0+r544e\x1b\\"),
        ("", "\x1b]52;c;?\x07", ""),
        ("", "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\", ""),
        ("", "\x05", ""),
    ];
    for (before, question, answer) in cases {
        assert_eq!(told(before, question), answer, "{:?} after {:?}", question, before);
    }
}

#[test]
fn orders_that_look_alike_pass() {
    for order in [
        "\x1b[s",
        "\x1b[u",
        "\x1b[>1u",
        "\x1b[<u",
        "\x1b[=1u",
        "\x1b[>4;1m",
        "\x1b[22;0t",
        "\x1b[23t",
        "\x1b[8;24;80t",
        "\x1b[2 q",
        "\x1b[!p",
        "\x1b]4;1;#112233\x07",
        "\x1b]52;c;aGVsbG8=\x07",
        "\x1b]10;#123456\x1b\\",
        "\x1b[?1049h",
        "\x1bPq#0\x1b\\",
        "\x1b_Ga=T,f=24;AAAA\x1b\\",
        "\x1b]1337;File=:AAAA\x07",
        "\x1b]133;A\x07",
        "\x1b[>0p",
        "\x1b[2;2S",
    ] {
        let mut screen = screen(40, 12);
        assert_eq!(feed(&mut screen, order).escape_ascii().to_string(), order.as_bytes().escape_ascii().to_string());
        assert_eq!(screen.take_answers(), b"");
    }
}

#[test]
fn a_question_with_an_order_keeps_the_order() {
    let mut screen = screen(40, 12);
    assert_eq!(feed(&mut screen, "\x1b]4;1;#010203;2;?\x07"), b"\x1b]4;1;#010203\x1b\\");
    assert_eq!(screen.take_answers(), b"\x1b]4;2;rgb:0000/cdcd/0000\x07");
    assert_eq!(screen.engine.model().colour(1), Some(Rgb { r: 1, g: 2, b: 3 }));
}

#[test]
fn looks_are_those_of_the_writer() {
    let mut screen = screen(10, 10);
    screen.set_looks(Looks { background: [255; 3], cell: (8, 16), ..Looks::default() });
    feed(&mut screen, "\x1b]11;?\x07\x1b[?996n\x1b[14t");
    assert_eq!(screen.take_answers(), b"\x1b]11;rgb:ffff/ffff/ffff\x07\x1b[?997;2n\x1b[4;160;80t");
}

/// A stream with questions in all places.
fn questioned() -> Vec<(&'static str, bool)> {
    let mut parts = Vec::new();
    for (at, part) in FEATURES.split_inclusive("\r\n").chain(ALTERNATE.split_inclusive('h')).enumerate() {
        let questions = [
            "\x1b[6n",
            "\x1b]11;?\x1b\\",
            "\x1bP$qm\x1b\\",
            "\x1b[c\x05",
            "\x1b]4;1;?\x07",
            "\x1b[?u",
            "\x1b_Ga=q;\x1b\\",
        ];
        parts.push((part, true));
        parts.push((questions[at % questions.len()], false));
    }
    parts
}

#[test]
fn questions_are_cut_wherever_reads_split_them() {
    let parts = questioned();
    let all: String = parts.iter().map(|(part, _)| *part).collect();
    let seen: String = parts.iter().filter(|(_, seen)| *seen).map(|(part, _)| *part).collect();
    let mut whole = screen(40, 12);
    assert_eq!(feed(&mut whole, &all).escape_ascii().to_string(), seen.as_bytes().escape_ascii().to_string());
    let answers = whole.take_answers();
    assert!(!answers.is_empty());
    let last = state(&mut whole, 99, Before::Fresh);
    for split in 0..=all.len() {
        let mut screen = screen(40, 12);
        let mut visible = feed(&mut screen, &all.as_bytes()[..split]);
        visible.extend(feed(&mut screen, &all.as_bytes()[split..]));
        assert!(visible == seen.as_bytes(), "split at {split}: {}", visible.escape_ascii());
        assert_eq!(screen.take_answers(), answers, "split at {split}");
        pretty_assert(&last, &state(&mut screen, 99, Before::Fresh), &format!("split at {split}"), b"");
    }
    let mut screen = screen(40, 12);
    let mut visible = Vec::new();
    for byte in all.as_bytes() {
        screen.feed(&[*byte], &mut visible);
    }
    assert!(visible == seen.as_bytes());
    assert_eq!(screen.take_answers(), answers);
}

#[test]
fn questions_do_not_hide_behind_control_characters() {
    for question in ["\x1b[\n6n", "\x1b\n[6n", "\x1b[6\x7f\nn", "\x1b\n\x00]11;?\x07", "\x1b\nP$qr\x1b\\"] {
        let mut screen = screen(40, 12);
        let visible = feed(&mut screen, question);
        assert!(visible.iter().all(|b| [b'\n', 0].contains(b)), "{}", visible.escape_ascii());
        assert!(!screen.take_answers().is_empty(), "{}", question.escape_debug());
        assert_eq!(screen.engine.model().grid().cursor.point.line, Line(1), "the newline is carried out");
    }
    let mut screen = screen(40, 12);
    assert_eq!(feed(&mut screen, "\x1b[3\r1mred\x1b[3\x18x"), b"\r\x1b[31mred\x1b[3\x18x");
}

#[test]
fn what_a_question_broke_off_stays_broken_off() {
    for (before, after) in [("\x1b]2;title", "title"), ("\x1b[3", ""), ("\x1b", ""), ("\x1bP0", "")] {
        for question in ["\x1b[6n", "\x1b]11;?\x07", "\x1b[2b", "\x1b[\n6n", "\x1b_Ga=T;AAAA\x1b\\"] {
            for split in 0..=before.len() + question.len() {
                let all = format!("x{before}{question}1mt");
                let mut screen = screen(40, 12);
                let mut visible = feed(&mut screen, &all[..=split]);
                visible.extend(feed(&mut screen, &all[split + 1..]));
                let note = format!("{:?} {:?} {}", before, question, visible.escape_ascii());
                assert!(screen.text(false).ends_with("1mt\n"), "{note}: {}", screen.text(false));
                assert_eq!(screen.title().unwrap_or_default(), after, "{note}");
                assert_eq!(fed(40, 12, &visible).text(false), screen.text(false), "{note}");
            }
        }
    }
}

#[test]
fn eight_bit_controls_reach_nobody() {
    let mut screen = screen(40, 12);
    assert_eq!(feed(&mut screen, "a\u{9b}6n\u{85}b\u{a0}c"), "a6nb\u{a0}c".as_bytes());
    assert_eq!(screen.take_answers(), b"");
}
