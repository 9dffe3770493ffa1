//! What of ours lies over a session's picture: the list of sessions, scrolling back, commands
//! that are typed, the line at the bottom.

use super::support::{Home, User, code};

const CAT: &str = "stty -echo; echo ready; exec cat";

#[test]
fn the_list_shows_who_calls_first_and_what_they_show() {
    let home = Home::new();
    let _one = home.session("42.1", "echo one; exec cat");
    let _two = home.session("43.1", "echo two; printf '\\033]0;the title\\007'; exec cat");
    let _three = home.session("review", "echo three; printf '\\a'; exec cat");
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("one");
    user.type_(b"\x02w");
    let list = user.see_that("shows the list and a preview", |s| s.contains("q goes back") && s.contains("\nthree"));
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with(" review") && lines[0].contains("asks"), "{list}");
    assert!(lines[1].starts_with("*42.1") && lines[2].starts_with(" 43.1"), "{list}");
    assert!(lines[2].ends_with("the title"), "{list}");
    // The preview lives.
    home.run(&["send", "review", "hello", "--enter"]);
    user.see("hello");
    user.type_(b"jj");
    user.see("\ntwo");
    user.type_(b"\r");
    user.see_that("shows the second", |s| s.contains("two") && !s.contains("goes back"));
    user.type_(b"over\r");
    user.see("over");
    // Nobody calls any more: the list begins where one comes from.
    user.type_(b"\x02w");
    user.see("q goes back");
    user.type_(b"q");
    user.see_that("is as before", |s| s.contains("over") && !s.contains("goes back"));
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);
    user.assert_sane();
    user.assert_plain();
}

#[test]
fn one_scrolls_back_through_memory_and_recording() {
    let home = Home::new();
    // More than the megabyte in memory holds.
    let _session = home.session("42.1", "seq -f 'line %.0f of many' 1 3000; exec cat");
    let mut user = User::start(&home, &["attach", "--no-history", "42.1"]);
    user.see("line 3000 of many");
    user.type_(b"\x02[");
    user.see("q back");
    user.type_(b"\x1b[5~\x1b[5~");
    user.see("line 2956 of many");
    user.type_(b"g");
    user.see("line 1 of many");
    // The program goes on meanwhile, and is not seen.
    home.run(&["send", "42.1", "meanwhile", "--enter"]);
    user.type_(b"?line 77 of\r");
    user.see_that("shows what was searched for", |s| s.contains("line 77 of many\n") && s.contains(" line 77 of "));
    user.type_(b"vwwwy");
    user.see("12 characters copied");
    user.type_(b"q");
    let shown = user.see("meanwhile");
    assert!(!shown.contains("line 77 of"), "{shown}");
    // "line 77 of m"
    assert!(String::from_utf8_lossy(&user.told).contains("\x1b]52;c;bGluZSA3NyBvZiBt\x07"), "{shown}");
    user.type_(b"here\r");
    user.see("here");
}

#[test]
fn one_who_scrolls_back_is_not_thrown_out_when_the_program_ends() {
    let home = Home::new();
    let _session = home.session("42.1", "stty -echo; echo ready; read x; echo \"<$x>\"; exit 3");
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    user.type_(b"\x02[");
    user.see("q back");
    home.run(&["send", "42.1", "last", "--enter"]);
    user.type_(b"/nowhere\r");
    user.see("no 'nowhere' above");
    user.type_(b"q");
    assert_eq!(code(&mut user), 1);
    user.assert_sane();
    user.assert_plain();
    assert!(user.shown().ends_with("ready\n<last>\n\n[42.1 exited 3]\n"), "{}", user.shown());
}

#[test]
fn commands_can_be_typed() {
    let home = Home::new();
    let _one = home.session("42.1", CAT);
    let _two = home.session("43.1", "echo two; exec cat");
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    user.type_(b"\x02:nonsense\r");
    user.see("there is no command 'nonsense'");
    user.type_(b" \x02:attach 99.1\r");
    user.see("there is no session 99.1");
    user.type_(b" \x02:attach 43.1\r");
    user.see("two");
    user.type_(b"\x02:de\r");
    assert_eq!(code(&mut user), 0);
    assert!(user.shown().ends_with("[detached 43.1]\n"), "{}", user.shown());
}

#[test]
fn the_line_at_the_bottom_is_never_in_the_way() {
    let home = Home::new();
    let script = "trap 'stty size' WINCH; stty size; while :; do read -r line && eval \"$line\"; done";
    let _session = home.session("42.1", script);
    let mut user = User::start(&home, &["attach", "--status", "42.1"]);
    user.see("23 80");
    user.see(" 42.1 ");
    // Whatever the program does with the last line of its screen, and with all of it.
    user.type_(b"printf '\\033[2J\\033[r\\033[999;1Hlast line\\n\\n\\033[999;1Hnew last'\r");
    let shown = user.see("new last");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[22], "new last", "{shown}");
    assert!(lines[23].starts_with(" 42.1 ") && lines[23].contains("C-b ? for help"), "{shown}");
    user.type_(b"\x02s");
    user.see("24 80");
    user.see_that("has no line of ours", |s| !s.contains("for help"));
    user.type_(b"\x02s");
    user.see("23 80");
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);
    user.assert_plain();
}

#[test]
fn history_does_not_push_the_picture_into_the_line_at_the_bottom() {
    let home = Home::new();
    let _session = home.session("42.1", "seq 100; exec cat");
    // Who attaches next gets all of it as history and picture.
    User::start(&home, &["attach", "-r", "42.1"]).see("\n100\n");
    let mut user = User::start(&home, &["attach", "--status", "42.1"]);
    let shown = user.see_that("has the line of ours", |s| s.contains("for help"));
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!((lines[0], lines[21]), ("79", "100"), "{shown}");
}

#[test]
fn programs_learn_how_the_writers_terminal_looks() {
    let home = Home::new();
    let ask = "stty raw -echo; echo ready; head -c 1 > /dev/null; printf '\\033]11;?\\007\\033[14t'";
    let _session = home.session("42.1", &format!("{ask}; head -c 36 | tr '\\033\\007' '<>'; exec cat"));
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.look_light();
    user.see("ready");
    user.type_(b"x");
    user.see("<]11;rgb:fafa/f0f0/e6e6><[4;360;640t");
    // The answers were not taken for typing.
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);
    user.assert_sane();
}

#[test]
fn whatever_the_client_dies_of_and_shows_the_terminal_is_sane() {
    let home = Home::new();
    let modes =
        "\\033[?1;6;1000;1002;1003;1004;1006;2004h\\033=\\033[>5u\\033[>4;2m\\033[5;10r\\033[4h\\033[?7;25l\\033[4 q";
    let _one = home.session("42.1", &format!("printf '{modes}'; echo ready; exec cat"));
    let _two = home.session("43.1", &format!("printf '\\033[?1049h{modes}'; echo ready; exec cat"));
    for session in ["42.1", "43.1"] {
        for (keys, shows) in [
            (&b""[..], "ready"),
            (b"\x02", "ready"),
            (b"\x02?", "any key goes back"),
            (b"\x02x", "(y/n)"),
            (b"\x02:att", ": att"),
            (b"\x02w", "q goes back"),
            (b"\x02[", "q back"),
            (b"\x02[/x", "search back: x"),
            (b"\x02s", "for help"),
        ] {
            for (signal, status) in [(libc::SIGTERM, 143), (libc::SIGHUP, 129)] {
                let mut user = User::start(&home, &["attach", session]);
                user.see("ready");
                user.type_(keys);
                user.see(shows);
                user.is_heard();
                user.signal(signal);
                assert_eq!(code(&mut user), status, "{shows}");
                user.assert_sane();
                user.assert_plain();
            }
        }
    }
}

/// Of a program that was left neither the next one's picture has anything nor the shell.
#[test]
fn what_programs_leave_behind_is_taken_back() {
    for status in [&[][..], &["--status"]] {
        let home = Home::new();
        let leaves = "\\033]12;#fab283\\007\\033]4;1;#010203\\007\\033[?2027h\\033[?1007l\\033]2;theirs\\007";
        let _one = home.session("42.1", &format!("printf '{leaves}'; echo one; exec cat"));
        let _two = home.session("43.1", "echo two; exec cat");
        let mut user = User::start(&home, &[&["attach", "42.1"], status].concat());
        user.see("one");
        assert_eq!(user.title(), "theirs");
        user.type_(b"\x02n");
        user.see_that("shows the other", |s| s.contains("two") && !s.contains("one"));
        assert_eq!(user.title(), "");
        user.was_told("\x1b[?2027l");
        user.type_(b"\x02p");
        user.see_that("shows the first", |s| s.contains("one") && !s.contains("two"));
        user.type_(b"\x02d");
        assert_eq!(code(&mut user), 0);
        user.assert_sane();
        user.assert_plain();
        user.was_told("\x1b[?1007;1042r");
    }
}

#[test]
fn what_is_pasted_into_a_list_is_nobodys() {
    let home = Home::new();
    let _one = home.session("42.1", CAT);
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    for (open, shows) in [(&b"\x02w"[..], "q goes back"), (b"\x02[", "q back"), (b"\x02:", ": ")] {
        user.type_(open);
        user.see(shows);
        assert!(user.marks_pastes());
        user.type_(b"\x1b[200~attach x\rq pasted\r\x1b[201~");
        user.type_(if open == b"\x02:" { b"\x03" } else { b"q" });
        user.see_that("is as before", |s| !s.contains(shows));
        assert!(!user.marks_pastes());
    }
    user.type_(b"typed\r");
    assert!(!user.see("typed").contains("pasted"));
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);
}

/// Keys that come faster than the terminal shows what they do.
#[test]
fn many_keys_at_once_are_painted_at_once() {
    let home = Home::new();
    let _one = home.session("42.1", "seq 100; exec cat");
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("100");
    user.type_(b"\x02[");
    user.see("q back");
    let before = user.told.len();
    user.type_(&b"k".repeat(2000));
    user.see("line 1 of 100");
    let told = user.told.len() - before;
    assert!(told < 500_000, "{told}");
    user.type_(b"\x02d");
}

#[test]
fn the_prefix_is_the_prefix_whatever_lies_over_the_picture() {
    let home = Home::new();
    let _one = home.session("42.1", CAT);
    for keys in [&b"\x02?"[..], b"\x02:nonsense\r", b"\x02x", b"\x02w", b"\x02[", b"\x02:", b"\x02w\x02[\x02?"] {
        let mut user = User::start(&home, &["attach", "42.1"]);
        user.see("ready");
        user.type_(keys);
        user.type_(b"\x02");
        user.type_(b"d");
        assert_eq!(code(&mut user), 0, "{}", keys.escape_ascii());
        assert!(user.shown().ends_with("[detached 42.1]\n"), "{}", user.shown());
        user.assert_sane();
        user.assert_plain();
    }
    let mut user = User::start(&home, &["attach", "42.1"]);
    user.see("ready");
    // No order: what was there stays. The prefix twice is a key.
    user.type_(b"\x02?\x02\xc3\xa4");
    user.see("any key goes back");
    user.type_(b"\x02\x02");
    user.see_that("is as before", |s| !s.contains("any key goes back"));
    user.type_(b"typed\r");
    assert!(user.see("typed").ends_with("ready\ntyped\n"), "{}", user.shown());
}

#[test]
fn who_only_watches_ends_nothing() {
    let home = Home::new();
    let _one = home.session("42.1", CAT);
    let mut user = User::start(&home, &["attach", "-r", "42.1"]);
    user.see("ready");
    for keys in [&b"\x02x"[..], b"\x02D", b"\x02:end\r"] {
        user.type_(keys);
        user.see("is only watched from here");
        user.type_(b" ");
        user.see_that("is as before", |s| !s.contains("only watched"));
    }
    user.type_(b"\x02?");
    let help = user.see("any key goes back");
    assert!(!help.contains("end the session") && !help.contains("detach all others"), "{help}");
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);
}
