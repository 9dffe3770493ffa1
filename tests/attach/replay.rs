//! `autodev replay`: a recording with its timing.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use autodev::process::PidFd;
use autodev::recording::input::Typist;

use super::support::{Home, User};

const HOUR: u32 = 3_600_000;

/// Something, an hour later something else, and then the end.
fn recorded(home: &Home) {
    let mut writer = home.recording("42.1");
    writer.input(0, Typist::Prompt, b"say two things", 5);
    writer.output(100, b"one\x1b[6n\r\n");
    writer.input(200, Typist::Viewer, b"n", 0);
    writer.input(300, Typist::Viewer, b"ow\r", 0);
    writer.hidden(2_000, Typist::Viewer, 6);
    writer.input(60_000, Typist::Send, b"\x03", 0);
    writer.output(HOUR, b"two\r\n");
    writer.output(HOUR + 500, b"three\r\n");
    writer.finish();
}

#[test]
fn keys_stop_step_and_end_it() {
    let home = Home::new();
    recorded(&home);
    let mut user = User::start(&home, &["replay", "42", "--idle-limit", "0"]);
    user.see("one");
    assert!(user.is_raw());
    // Nothing comes for an hour, but for who asks for it.
    user.type_(b" +-.");
    let shown = user.see("two");
    assert!(!shown.contains("three"), "{shown}");
    user.type_(b"\x1b[C");
    user.see("three");
    user.type_(b"q");
    assert!(user.ended().success());
    let shown = user.shown();
    assert!(shown.contains("[left the replay of 42.1 at 1h]"), "{shown}");
    user.assert_sane();
    assert!(!user.told.windows(4).any(|w| w == b"\x1b[6n"), "a question to the terminal");
}

#[test]
fn it_goes_to_its_end_and_long_times_are_shortened() {
    let home = Home::new();
    recorded(&home);
    let mut user = User::start(&home, &["replay", "42", "--speed", "1000"]);
    assert!(user.ended().success());
    let shown = user.shown();
    assert!(shown.contains("three\n") && shown.ends_with("[end of the replay of 42.1 at 1h]\n"), "{shown}");
    user.assert_sane();
    // From the middle on, with what is on the screen then.
    let mut user = User::start(&home, &["replay", "42", "--from", "+30m", "--idle-limit", "0"]);
    user.see("one");
    user.type_(b" .");
    user.see("two");
    user.type_(b"\x03");
    assert!(user.ended().success());
    user.assert_sane();
}

#[test]
fn a_terminal_that_is_too_small_shows_a_part() {
    let home = Home::new();
    let mut writer = home.recording("42.1");
    // A little down the screen: leaving scrolls two lines away.
    writer.output(1, b"\r\n\r\n\r\n0123456789abcdefghijklmnopqrstuvwxyz");
    writer.output(HOUR, b"\r\nnext");
    writer.finish();
    let mut user = User::start_at(&home, &["replay", "42", "--idle-limit", "0"], (20, 8));
    assert!(!user.see("0123456789abcdefghij").contains('k'));
    user.resize(60, 20);
    user.signal(libc::SIGWINCH);
    user.see("0123456789abcdefghijklmnopqrstuvwxyz");
    // To the last of it, and that is the end.
    user.type_(b".");
    user.see("next");
    assert!(user.ended().success());
    assert!(String::from_utf8_lossy(&user.told).contains("40x10"), "the size is said");
    user.assert_sane();
}

#[test]
fn without_a_terminal_the_bytes_are_written() {
    let home = Home::new();
    recorded(&home);
    let output = home.run(&["replay", "42", "--speed", "1000"]);
    assert!(output.status.success());
    assert_eq!(output.stdout, b"one\r\ntwo\r\nthree\r\n");

    // It waits for what comes next, and an interrupt ends that.
    let mut child = home.autodev(&["replay", "42", "--idle-limit", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "one\r\n");
    PidFd::open(child.id()).unwrap().signal(libc::SIGINT).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("", Some(130)));
}

#[test]
fn who_typed_what() {
    let home = Home::new();
    recorded(&home);
    let output = home.run(&["replay", "42", "--input"]);
    let expected = "2026-11-22 12:00:00\tprompt\tsay two things [5 bytes more]\n\
                    2026-11-22 12:00:00\tviewer\tnow^M\n\
                    2026-11-22 12:00:02\tviewer\t[6 bytes not shown]\n\
                    2026-11-22 12:01:00\tsend\t^C\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let output = home.run(&["replay", "42", "--input", "--json", "--from", "+2s"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!((list[0]["hidden"].as_u64(), list[0]["at"].as_str()), (Some(6), Some("2026-11-22T12:00:02.000Z")));
    assert_eq!((list[1]["source"].as_str(), list[1]["text"].as_str()), (Some("send"), Some("\u{3}")));
}

#[test]
fn nonsense_is_refused() {
    let home = Home::new();
    recorded(&home);
    for (code, arguments) in [
        (2, &["42", "--speed", "0"][..]),
        (2, &["42", "--idle-limit", "soon"]),
        (2, &["42", "--json"]),
        (2, &["42", "--input", "--speed", "2"]),
        (4, &["42", "--from", "+2h"]),
        (3, &["43"]),
    ] {
        let output = home.run(&[&["replay"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    }
}
