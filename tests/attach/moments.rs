//! `autodev screen` of moments that are over.

use super::support::Home;

fn screen(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    let output = home.run(&[&["screen", "42"], arguments].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn recorded(home: &Home) {
    let mut writer = home.recording("42.1");
    writer.output(500, b"one\r\n");
    writer.output(60_000, b"\x1b[31mtwo\x1b[m\r\n\x1b[6n");
    writer.resize(90_000, 60, 20);
    writer.output(120_000, b"\x1b[?1049h\x1b[Hfull");
    writer.finish();
}

#[test]
fn a_screen_as_it_was() {
    let home = Home::new();
    recorded(&home);
    let shown = |at: &str| {
        let (code, out, err) = screen(&home, &["--at", at]);
        assert_eq!((code, err.as_str()), (0, ""), "{at}");
        out
    };
    assert_eq!(shown("+0s"), "");
    assert_eq!(shown("+1s"), "one\n");
    for at in ["+1m", "12:01:00", "2026-11-22 12:01:00", "2026-11-22T12:01:30Z", "+119"] {
        assert_eq!(shown(at), "one\ntwo\n", "{at}");
    }
    assert_eq!(shown("12:02"), "full\n");
    let (_, json, _) = screen(&home, &["--at", "+100s", "--json"]);
    let view: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(view["at"], "2026-11-22T12:01:40.000Z");
    assert_eq!((view["columns"].as_u64(), view["rows"].as_u64()), (Some(60), Some(20)));
    assert_eq!((view["session"].as_str(), view["text"].as_str()), (Some("42.1"), Some("one\ntwo\n")));
    assert!(screen(&home, &["--at", "+60s", "--ansi"]).1.contains("\x1b["));

    // Without a moment it is the last.
    let (code, out, err) = screen(&home, &[]);
    assert_eq!((code, out.as_str()), (0, "full\n"));
    assert!(err.contains("session 42.1 has ended"), "{err}");
}

#[test]
fn moments_that_are_not_there() {
    let home = Home::new();
    recorded(&home);
    for at in ["+121s", "11:59:59", "12:02:01", "2026-11-21 12:00"] {
        let (code, out, err) = screen(&home, &["--at", at]);
        assert_eq!((code, out.as_str()), (4, ""), "{at}");
        assert!(err.contains("from 2026-11-22 12:00:00 to 2026-11-22 12:02:00, 2m long"), "{err}");
    }
    assert_eq!(screen(&home, &["--at", "soon"]).0, 2);
}

#[test]
fn a_living_session_has_moments_too() {
    let home = Home::new();
    let session = home.session("42.1", "echo early; read go; sleep 0.1; echo late; read go");
    let mut user = super::support::User::start(&home, &["attach", "42"]);
    user.see("early");
    user.type_(b"\r");
    user.see("late");
    let (code, out, _) = screen(&home, &["--at", "+0s"]);
    assert_eq!(code, 0);
    assert!(!out.contains("late"), "{out}");
    let (code, _, err) = screen(&home, &["--at", "+1h"]);
    assert_eq!(code, 4, "{err}");
    assert!(screen(&home, &[]).1.contains("late"));
    drop(session);
}

/// Segments that were compressed, one of them damaged: what is there is shown.
#[test]
fn a_damaged_recording_is_shown_as_far_as_it_goes() {
    let home = Home::new();
    let mut writer = home.recording("42.1");
    let line = "a line that is repeated\r\n".repeat(1_000);
    for n in 0..40 {
        writer.output(n, line.as_bytes());
    }
    writer.output(700, b"the end");
    while writer.compress() {}
    writer.finish();
    let segment = home.dir("42.1").path().join("rec-000002.raw.zst");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (code, out, err) = screen(&home, &[]);
    assert_eq!(code, 1);
    assert!(out.contains("the end"), "{out}");
    assert!(err.contains("rec-000002.raw.zst is damaged"), "{err}");
    let output = home.run(&["logs", "42", "-n", "1"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"the end\n"[..]));
    let output = home.run(&["logs", "42"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(err.matches("is damaged").count(), 1, "{err}");
    assert!(err.contains("bytes are not in the recording"), "{err}");
    assert!(output.stdout.ends_with(b"repeated\nthe end\n"));
}

#[test]
fn zeros_of_a_power_cut_are_left_out_and_it_is_said() {
    let home = Home::new();
    let mut writer = home.recording("42.1");
    writer.output(1, &[&b"done\r\n"[..], &[0; 4_000]].concat());
    writer.finish();
    let output = home.run(&["logs", "--raw", "42"]);
    assert_eq!(output.stdout, b"done\r\n");
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(err.matches("4000 zeros at its end").count(), 1, "{err}");
}
