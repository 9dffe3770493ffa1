//! What must survive, a case each: what was printed before the viewer joined, and what is
//! printed after, which shows whether all is as it was.

/// Columns and rows.
pub type Size = (u16, u16);

/// The size of every case.
pub const SIZE: Size = (40, 12);

/// One thing that must survive.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    pub before: &'static str,
    pub after: &'static str,
    /// Why xterm.js itself would differ.
    pub unlike_xterm: Option<&'static str>,
    /// Why tmux itself would.
    pub unlike_tmux: Option<&'static str>,
}

impl Case {
    const fn unlike_xterm(mut self, why: &'static str) -> Case {
        self.unlike_xterm = Some(why);
        self
    }

    const fn unlike_tmux(mut self, why: &'static str) -> Case {
        self.unlike_tmux = Some(why);
        self
    }

    /// The whole of it, and where it is cut.
    pub fn stream(&self) -> (Vec<u8>, usize) {
        ([self.before, self.after].concat().into_bytes(), self.before.len())
    }
}

const fn case(name: &'static str, before: &'static str, after: &'static str) -> Case {
    Case { name, before, after, unlike_xterm: None, unlike_tmux: None }
}

/// Text in lines, so that scrolling shows.
macro_rules! filled {
    () => {
        "0 zero\r\n1 one\r\n2 two\r\n3 three\r\n4 four\r\n5 five\r\n6 six\r\n7 seven\r\n8 eight\r\n9 nine\r\n10 ten\r\n11 eleven"
    };
}

/// More lines than the screen has.
macro_rules! scrolled {
    () => {
        concat!(filled!(), "\r\n12 twelve\r\n\r\n\x1b[33m14 yellow\x1b[m\r\n15 fifteen")
    };
}

/// Shows pen, wrapping, insert mode and charset at the cursor.
const TEXT: &str = "text \x0eqx\x0f";

pub const CASES: &[Case] = &[
    // Cells.
    case("16 colours", "\x1b[31mr\x1b[42mg\x1b[90;107md\x1b[39mf\x1b[49mb", "\x1b[34mblue\x1b[m plain"),
    case("256 colours", "\x1b[38;5;1mlow \x1b[38;5;208mhigh \x1b[48;5;17mback \x1b[38;5;255mgrey", TEXT),
    case(
        "true colour",
        "\x1b[38;2;1;2;3msemi \x1b[38:2::4:5:6mcolon \x1b[48;2;7;8;9mback \x1b[48:2::10:11:12mcolon",
        TEXT,
    ),
    case(
        "attributes",
        "\x1b[1mb\x1b[2md\x1b[3mi\x1b[4mu\x1b[5mk\x1b[7mv\x1b[8mh\x1b[9ms\x1b[22mB\x1b[23mI\x1b[24mU\x1b[25mK",
        "pen\x1b[27mV\x1b[28mH\x1b[29mS",
    ),
    case(
        "underlines",
        "\x1b[4mone\x1b[4:2mtwo\x1b[4:3mcurl\x1b[4:4mdot\x1b[4:5mdash\x1b[21mold two\x1b[4:0mnone",
        "\x1b[4:3mcurl",
    ),
    case("underline colours", "\x1b[4:3;58;5;9mred\x1b[58:2::10:20:30mrgb \x1b[59mtext's\x1b[58:5:200m", TEXT),
    case("wide characters", "漢字かな\r\n0123456789012345678901234567890123456789\x1b[2;39H漢字", "한글漢"),
    case("half of a wide character", "漢字漢字\x1b[1;2Hx\x1b[1;5H\x1b[K", "字").unlike_tmux("it leaves the other half"),
    case("accents", "e\u{301}a\u{300}\u{316} o\u{308}", "e\u{301}"),
    case("emoji", "👍 ok 🎉 done", "🚀 x"),
    case("joined emoji", "👨\u{200d}👩\u{200d}👧 🇩🇪 👍🏽 ❤\u{fe0f} end\r\nnext line", "👨\u{200d}👩"),
    case(
        "coloured blanks",
        "\x1b[44mblue\x1b[K\x1b[m\r\n\x1b[7m   \x1b[27m\x1b[4m   \x1b[m\x1b[3;20H\x1b[41m\x1b[5X",
        "x\x1b[J",
    ),
    case("blanks within lines", "a\x1b[10Cb\x1b[20Cc\r\n          d", "\x1b[A\x1b[Ke"),
    case(
        "links",
        "\x1b]8;;http://a.example/\x07one\x1b]8;;\x07 \x1b]8;id=x;http://b.example/\x1b\\two\r\n",
        "on\x1b]8;;\x07off",
    ),
    case("lines that wrap", "a line that is longer than forty columns, so that it goes on\r\nshort", "\x1b[K\r\nx"),
    case("erased to look full", filled!(), "\x1b[5;1H\x1b[1J\x1b[8;3H\x1b[J"),
    // The cursor and how text is put in.
    case("cursor", concat!(filled!(), "\x1b[4;7H"), TEXT),
    case("waiting to wrap", "\x1b[2;36H12345", "6"),
    case("waiting to wrap at the end", concat!(filled!(), "\x1b[12;37H\x1b[31mlast"), "next"),
    case("waiting to wrap behind a wide character", "\x1b[2;39H漢", "字"),
    case("waiting to wrap, then told to move", "\x1b[2;36H12345", "\x08x\r\ny"),
    case("pen", "\x1b[1;3;4:3;9;38;5;208;48;2;1;2;3;58;5;9m", "text\x1b[0;7mmore"),
    case("line drawing", "\x1b(0lqqk\r\n", "mqqj\x1b(Bmqqj"),
    case("line drawing by shifting", "\x1b)0tq\x0etq", "tq\x0ftq"),
    case("line drawing in all sets", "\x1b(0\x1b)0\x1b*0\x1b+0x\x1b(B", "x\x0ex\x0fx"),
    case("saved cursor", "\x1b[3;9H\x1b[32m\x1b7\x1b[m\x1b[7;1Hthere", "\x1b8here\r\n\x1b8again"),
    case("saved cursor by another name", "\x1b[3;9H\x1b[32m\x1b[s\x1b[m\x1b[7;1Hthere", "\x1b[uhere"),
    case("saved charset", "\x1b)0\x0e\x1b7\x0f\x1b)Bq", "\x1b8q\x0fq"),
    case("saved origin mode", "\x1b[3;9r\x1b[?6h\x1b[2;2H\x1b7\x1b[?6l\x1b[H", "\x1b8here\x1b[Hthere"),
    case("saved while waiting to wrap", "\x1b[2;36H12345\x1b7\x1b[5;5H", "\x1b8x"),
    case("tab stops", "\x1b[3g\x1b[5G\x1bH\x1b[21G\x1bH\r", "\tone\ttwo\tthree\x1b[Zback"),
    case("no tab stops", "\x1b[3g\r", "\tx"),
    case("more tab stops", "\x1b[4G\x1bH\r", "\ta\tb\tc"),
    case("wrapping off", "\x1b[?7l", "0123456789012345678901234567890123456789more"),
    case("a character to be repeated", "ab\x1b[31m漢\x1b[3b\x1b[m\x1b(0q", "\x1b[4bx\x1b[b")
        .unlike_tmux("it repeats no wide characters"),
    case("insert mode", "abcdef\x1b[4h\x1b[1;3H", "new漢"),
    case("newline mode", "\x1b[20h", "one\ntwo"),
    // Regions.
    case(
        "scroll region",
        concat!(filled!(), "\x1b[3;8r\x1b[8;1H"),
        "\nnew\nnewer\x1b[3;1H\x1bMtop\x1b[5;1H\x1b[L\x1b[6;1H\x1b[2M",
    ),
    case("below a scroll region", concat!(filled!(), "\x1b[3;8r\x1b[12;1H"), "\nlast\x1b[2;1H\x1bM\x1bM\x1bMfirst"),
    case("origin mode", concat!(filled!(), "\x1b[3;8r\x1b[?6h\x1b[2;4H"), "here\x1b[99;1Hend\x1b[?6l\x1b[Htop"),
    case("a region of the top", concat!(filled!(), "\x1b[1;5r\x1b[5;1H"), "\nnew\nnewer"),
    // History.
    case("history", scrolled!(), "\r\nmore\r\nmore"),
    case(
        "history of wrapped lines",
        concat!("wrapped into the second line of the screen, and off it\r\n", scrolled!()),
        "\r\nx",
    ),
    case(
        "history in colours",
        concat!("\x1b[44mblue\x1b[K\r\n\x1b[m漢字\x1b[4:3;58;5;1mx\x1b[m\r\n", scrolled!()),
        "\r\nx",
    ),
    case("history, then cleared", concat!(scrolled!(), "\x1b[H\x1b[2J\x1b[3Jnew"), "\r\nx"),
    case(
        "history of full lines",
        concat!(
            "0123456789012345678901234567890123456789\r\n",
            "0123456789012345678901234567890123456789\r\n",
            scrolled!()
        ),
        "\r\nx",
    ),
    // Two screens.
    case("alternate screen", "below\r\nmore\x1b[?1049h\x1b[2;3Habove", "here\x1b[?1049lback"),
    case(
        "alternate screen over history",
        concat!(scrolled!(), "\x1b[35m\x1b[?1049h\x1b[Habove"),
        "\x1b[?1049lback\r\nx",
    ),
    case("alternate screen, cursor waiting below", "\x1b[2;36H12345\x1b[?1049h", "x\x1b[?1049ly"),
    case("alternate screen, pen and charset below", "\x1b[31m\x1b)0\x0e\x1b[?1049h\x1b[m\x0fx", "x\x1b[?1049lxq"),
    case(
        "saved cursors of both screens",
        "\x1b[3;3H\x1b7\x1b[5;5H\x1b[?1049h\x1b[2;2H\x1b7\x1b[9;9H",
        "\x1b8here\x1b[?1049l\x1b8there",
    ),
    case("alternate screen of the old kind", "below\x1b[?47h\x1b[Habove", "\x1b[?47lback"),
    case("alternate screen of the middle kind", "below\x1b7\x1b[?1047h\x1b[Habove", "\x1b[?1047l\x1b8back")
        .unlike_tmux("it has one saved cursor for both screens"),
    case("cursor saved by a mode", "\x1b[4;4H\x1b[33m\x1b[?1048h\x1b[m\x1b[H", "\x1b[?1048lhere"),
    case(
        "region in the alternate screen",
        "below\x1b[?1049h\x1b[3;6r\x1b[?6h\x1b[4;1Hlast",
        "\nnew\x1b[?6l\x1b[r\x1b[?1049lback",
    ),
    case("tab stops in the alternate screen", "below\x1b[?1049h\x1b[3g\x1b[5G\x1bH\r", "\tx\x1b[?1049l\ty"),
    case("region left behind", "\x1b[3;6r\x1b[6;1Hlow\x1b[?1049h\x1b[rabove", "\x1b[12;1H\n\x1b[?1049l\nx"),
    case("tab stops left behind", "\x1b[3g\x1b[5G\x1bH\r\x1b[?1049h", "\tx\x1b[?1049l\ty")
        .unlike_xterm("it has other stops in the alternate screen; xterm and we have the same"),
    case("origin mode left behind", "\x1b[3;6r\x1b[?6h\x1b[2;2H\x1b[?1049h\x1b[?6l\x1b[r\x1b[Hx", "y\x1b[?1049lz"),
    // Modes.
    case("bracketed paste", "\x1b[?2004h", "x"),
    case("mouse clicks", "\x1b[?1000h", "x"),
    case("mouse drags", "\x1b[?1002h", "x"),
    case("mouse moves", "\x1b[?1003h", "x"),
    case("mouse as X10", "\x1b[?9h", "x"),
    case("mouse in decimals", "\x1b[?1000;1006h", "x"),
    case("mouse in pixels", "\x1b[?1003;1016h", "x"),
    case("mouse on and off", "\x1b[?1000;1002;1003h\x1b[?1003l", "x"),
    case("mouse, fewer events last", "\x1b[?1003h\x1b[?1000h", "x"),
    case("focus events", "\x1b[?1004h", "x"),
    case("cursor keys", "\x1b[?1h", "x"),
    case("keypad", "\x1b=", "x"),
    case("hidden cursor", "\x1b[?25l", "x"),
    case("cursor style", "\x1b[3 q", "x"),
    case("steady cursor style", "\x1b[6 q", "x"),
    case("cursor style, then blinking off", "\x1b[5 q\x1b[?12l", "x"),
    case("colour scheme reports", "\x1b[?2031h", "x"),
    case("reverse wrapping", "\x1b[?45h\x1b[?7h\r\n", "x"),
    case("title", "\x1b]2;a title – ü\x07", "x"),
    case("title of both kinds", "\x1b]0;both\x1b\\", "x"),
    case("no title", "\x1b]2;\x07", "x"),
    case("keyboard flags", "\x1b[>1u\x1b[>5u", "x\x1b[<u"),
    case("keyboard flags set", "\x1b[=5;1u\x1b[=2;2u", "x"),
    case("keyboard flags of both screens", "\x1b[>1u\x1b[?1049h\x1b[>3u\x1b[=7;1u", "x\x1b[?1049ly"),
    case("keyboard flags left behind", "\x1b[>1u\x1b[>9u\x1b[?1049h", "\x1b[>5ux\x1b[<u\x1b[?1049ly\x1b[<u"),
    case("colours of the palette", "\x1b]4;3;rgb:11/22/33;200;#445566\x07", "\x1b[33mx\x1b]104;3\x07"),
    case("colours of the terminal", "\x1b]10;#aabbcc\x07\x1b]11;#010203\x07\x1b]12;#ff0000\x07", "x\x1b]111\x07"),
    // Resets.
    case("soft reset", concat!(filled!(), "\x1b[3;6r\x1b[?6h\x1b[4h\x1b[31m\x1b(0\x1b[?7l\x1b[!p"), "x\r\nq\x1b8y")
        .unlike_tmux("it knows none"),
    case("full reset", concat!(filled!(), "\x1b[3;6r\x1b[31m\x1b[3g\x1b[?1049h\x1b[>1u\x1bc"), "x\ty\r\nq")
        .unlike_tmux("it stays in the alternate screen"),
    case("alignment", "\x1b#8", "x\n"),
    // All at once.
    case(
        "an editor",
        concat!(
            scrolled!(),
            "\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?1004h\x1b[?1002;1006h\x1b[>1u\x1b]2;file\x07\x1b[2 q",
            "\x1b[1;11r\x1b[H\x1b[2J\x1b[38;5;81mfn\x1b[m main() {\r\n\x1b[1m    漢字\x1b[m();\r\n}\x1b[12;1H\x1b[7m-- INSERT --\x1b[K\x1b[m\x1b[2;9H"
        ),
        "x\x1b[11;1H\n~\x1b[r\x1b[?2004l\x1b[?1004l\x1b[?1006;1002l\x1b[<u\x1b[?1l\x1b>\x1b[?1049l\r\n$ ",
    ),
    case(
        "everything",
        concat!(
            scrolled!(),
            "\x1b(B\x1b)B\x1b[32m\x1b7\x1b[3g\x1b[5G\x1bH\x1b[21G\x1bH\x1b[3;10r\x1b[?6h\x1b[2;4Hin region\x1b[?1004;1h\x1b=",
            "\x1b[3 q\x1b]8;;http://a.example/\x07\x1b[4:3;58;5;9;1m\x1b)0\x0eqq\x1b[4h\x1b[?7l\x1b[?25l\x1b[3;30H"
        ),
        "mqqj\x1b[9;1H\n\n\tx\x1b[?6l\x1b[4l\x0f\x1b[?7h\x1b8y\x1b[?25h",
    ),
];
