//! Streams as programs write them.

use proptest::prelude::*;

/// Leaves a terminal in as many states as possible.
pub(super) const MESS: &[u8] = b"hello\x1b[5;10r\x1b[?6h\x1b[31;1;4:3;58;5;9mred\x1b7\x1b[?1049h\x1b[?47h\
\x1b[?1;5;9;1000;1002;1003;1004;1005;1006;1015;1016;2004;2031h\x1b=\x1b[4h\x1b[20h\x1b[?7l\x1b[?25l\x1b[3g\
\x1b[12G\x1bH\x1b(0\x1b)0\x0e\x1b[>5u\x1b[=3;1u\x1b[>4;2m\x1b[5 q\x1b]8;;http://old\x1b\\link \xe4\xb8\xad\x1b[?2026h\x1b[3";

/// One of each thing that must survive, in one stream of 40 columns and 12 lines.
pub(super) const FEATURES: &str = concat!(
    "\x1b]2;features\x07",
    "one\r\ntwo \x1b[1mbold\x1b[2;3m dim italic\x1b[0m \x1b[4mu\x1b[4:2mU\x1b[4:3mc\x1b[4:4md\x1b[4:5mD\x1b[24m.\r\n",
    "\x1b[58:2::10:20:30m\x1b[4:3mcoloured\x1b[59m line\x1b[m \x1b[5mblink\x1b[25m \x1b[7minverse\x1b[27m",
    "\x1b[8mhidden\x1b[28m\x1b[9mstruck\x1b[m\r\n",
    "\x1b[31mr\x1b[92mg\x1b[38;5;208mo\x1b[38;2;1;2;3mt\x1b[44mB\x1b[105mM\x1b[48;5;17mI\x1b[48:2::9:8:7mT\x1b[m\r\n",
    "漢字とかな e\u{301}a\u{300}\u{316} 👨\u{200d}👩\u{200d}👧 🇩🇪 👍🏽 ❤\u{fe0f}.\r\n",
    "\x1b]8;id=a;http://example.org/\x1b\\link\x1b]8;;\x1b\\ and \x1b]8;;http://b.example/\x07other\x1b]8;;\x07\r\n",
    "a line that is longer than forty columns, so that it wraps, with 漢 at the edge\r\n",
    "\x1b(0lqqk\x1b(B \x1b)0\x0emqqj\x0f\r\n",
    "\x1b[44mcoloured to the end\x1b[K\x1b[m\r\n",
    "scrolled\r\naway\r\n\r\nlast\x1b[5;9H\x1b[32m\x1b7\x1b[m",
    "\x1b[3g\x1b[5G\x1bH\x1b[21G\x1bH\x1b[3;10r\x1b[?6h\x1b[2;4Hin region\x1b[?1h\x1b=\x1b[?2004h\x1b[?1002h",
    "\x1b[?1006h\x1b[?1004h\x1b[3 q\x1b[>1u\x1b[>5u\x1b[>4;1m\x1b[?2031h\x1b]4;3;rgb:11/22/33\x07\x1b]11;#102030\x07",
    "\x1b[4h\x1b[1;1Hinsert\x1b[4l\x1b[1;35Hedge 6\x1b[35mpen",
);

/// What the alternate screen adds.
pub(super) const ALTERNATE: &str = concat!(
    "\x1b[?6l\x1b[r\x1b[4;7H\x1b[1;33m\x1b)0\x1b[?1049h\x1b[2;2H\x1b[48;5;4m\x1b[Jhere\x1b[m漢\x1b[10;38H字",
    "\x1b[?25l\x1b[>3u\x1b[=7;1u\x1b[3;5H\x1b[36m\x1b7\x1b[2;8r\x1b[?6h\x1b[3;3H\x1b[?7l\x1b[9m"
);

/// A piece of a stream: text or one sequence.
fn piece() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        6 => "[ -~]{1,30}",
        2 => "[漢字か가Ａ]{1,6}",
        2 => prop::sample::select(vec!["e\u{301}", "👍🏽", "🇩🇪", "👨\u{200d}👩\u{200d}👧", "❤\u{fe0f}", "\u{200b}", "\u{301}"])
            .prop_map(str::to_owned),
        2 => "[lqkxmj~a]{1,5}",
        3 => prop::sample::select(vec!["\r\n", "\r", "\n", "\x08", "\t", "\x0b", "\x07"]).prop_map(str::to_owned),
    ];
    let number = || prop_oneof![4 => 0u16..6, 3 => 0u16..45, 1 => Just(9999u16)];
    let place = (number(), number(), prop::sample::select(vec!['H', 'f', 'r']))
        .prop_map(|(a, b, action)| format!("\x1b[{a};{b}{action}"));
    let counted = (number(), prop::sample::select("ABCDEFGdeaXP@LMSTIZb`".chars().collect::<Vec<_>>()))
        .prop_map(|(n, action)| format!("\x1b[{n}{action}"));
    let erase = (0u8..3, prop::sample::select(vec!['J', 'K'])).prop_map(|(n, action)| format!("\x1b[{n}{action}"));
    let attribute = prop_oneof![
        prop::sample::select(vec![
            "0",
            "1",
            "2",
            "3",
            "4",
            "4:2",
            "4:3",
            "4:4",
            "4:5",
            "5",
            "7",
            "8",
            "9",
            "21",
            "22",
            "23",
            "24",
            "25",
            "27",
            "28",
            "29",
            "59",
            "58:5:9",
            "58:2::1:2:3",
            "31",
            "37",
            "39",
            "90",
            "97",
            "41",
            "49",
            "107"
        ])
        .prop_map(|n| format!("\x1b[{n}m")),
        any::<(u8, bool)>().prop_map(|(n, back)| format!("\x1b[{};5;{n}m", if back { 48 } else { 38 })),
        any::<(u8, u8, u8, bool)>()
            .prop_map(|(r, g, b, back)| format!("\x1b[{};2;{r};{g};{b}m", if back { 48 } else { 38 })),
    ];
    let mode = (
        prop::sample::select(vec![
            1u16, 3, 5, 6, 7, 9, 12, 25, 47, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1042, 1047, 1048,
            1049, 2004, 2026, 2031,
        ]),
        any::<bool>(),
    )
        .prop_map(|(n, on)| format!("\x1b[?{n}{}", if on { 'h' } else { 'l' }));
    let other = prop::sample::select(vec![
        "\x1b7",
        "\x1b8",
        "\x1bD",
        "\x1bE",
        "\x1bM",
        "\x1bH",
        "\x1b=",
        "\x1b>",
        "\x1b(0",
        "\x1b(B",
        "\x1b)0",
        "\x1b)B",
        "\x0e",
        "\x0f",
        "\x1b[4h",
        "\x1b[4l",
        "\x1b[20h",
        "\x1b[20l",
        "\x1b[g",
        "\x1b[3g",
        "\x1b[?5W",
        "\x1b[s",
        "\x1b[u",
        "\x1b[r",
        "\x1b[!p",
        "\x1bc",
        "\x1b#8",
        "\x1b[>1u",
        "\x1b[>31u",
        "\x1b[<u",
        "\x1b[<9u",
        "\x1b[=5;1u",
        "\x1b[=2;2u",
        "\x1b[=1;3u",
        "\x1b[>4;2m",
        "\x1b[>4m",
        "\x1b[0 q",
        "\x1b[4 q",
        "\x1b[6 q",
        "\x1b]2;title\x07",
        "\x1b]0;\x1b\\",
        "\x1b[22t",
        "\x1b[23t",
        "\x1b]8;id=x;http://a/\x07",
        "\x1b]8;;http://b/\x1b\\",
        "\x1b]8;;\x07",
        "\x1b]4;5;rgb:1/2/3\x07",
        "\x1b]104\x07",
        "\x1b]10;#abcdef\x07",
        "\x1b]110\x07",
        "\x1b]50;CursorShape=1\x07",
        "\x1bPq#0;1\x1b\\",
        "\x1b_x\x1b\\",
        "\x1b[3",
        "\x1b[38;5",
        "\x1b]2;cut",
        "\x18",
        "\x1b[3J",
    ])
    .prop_map(str::to_owned);
    prop_oneof![10 => text, 4 => place, 5 => counted, 2 => erase, 4 => attribute, 3 => mode, 4 => other]
}

/// A stream of up to `pieces` pieces.
pub(super) fn stream(pieces: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(piece(), 1..pieces)
}
