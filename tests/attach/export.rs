//! `autodev export`: a recording for other programs.

use std::os::unix::fs::PermissionsExt;

use autodev::recording::input::Typist;
use serde_json::{Value, json};

use super::support::Home;

fn export(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    let output = home.run(&[&["export", "42", "--cast"], arguments].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn recorded(home: &Home) {
    let mut writer = home.recording("42.1");
    writer.output(100, b"gr\xc3");
    writer.input(150, Typist::Viewer, b"ok\r", 0);
    writer.hidden(160, Typist::Viewer, 6);
    writer.output(1_250, b"\xbcn \xff\x1b[6n\x1b[3");
    writer.resize(2_000, 100, 30);
    writer.output(2_010, b"1mred\x1b[m\r\n");
    writer.input(3_000, Typist::Send, b"last", 0);
    writer.finish();
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_asciicast_of_what_was_seen() {
    let home = Home::new();
    recorded(&home);
    let (code, out, err) = export(&home, &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines_of = lines(&out);
    assert_eq!(
        lines_of[0],
        json!({
            "version": 2, "width": 40, "height": 10, "timestamp": 1_795_348_800, "title": "autodev 42.1",
            "env": { "TERM": "xterm-256color" },
        })
    );
    // Characters and sequences are whole, what is no text is replaced, questions are not there.
    assert_eq!(
        lines_of[1..],
        [
            json!([0.1, "o", "gr"]),
            json!([1.25, "o", "ün \u{fffd}"]),
            json!([2.0, "r", "100x30"]),
            json!([2.01, "o", "\u{1b}[31mred\u{1b}[m\r\n"]),
        ]
    );
    let (_, with_input, _) = export(&home, &["--input"]);
    let typed: Vec<Value> = lines(&with_input).into_iter().filter(|line| line[1] == "i").collect();
    assert_eq!(typed, [json!([0.15, "i", "ok\r"]), json!([3.0, "i", "last"])]);
    assert_eq!(lines(&with_input).len(), lines_of.len() + 2);
}

#[test]
fn a_file_that_is_there_stays() {
    let home = Home::new();
    recorded(&home);
    let path = home.path().join("session.cast");
    let file = path.to_str().unwrap();
    let (_, expected, _) = export(&home, &["-o", "-"]);
    assert_eq!(export(&home, &["-o", file]), (0, String::new(), String::new()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    std::fs::write(&path, "mine").unwrap();
    let (code, _, err) = export(&home, &["-o", file]);
    assert_eq!(code, 6);
    assert!(err.contains("is there already") && err.contains("--force"), "{err}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(export(&home, &["-o", file, "--force"]).0, 0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Nothing else is left.
    let others = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(others.filter(|name| name.to_string_lossy().contains("session.cast")).count(), 1);
    // A link stays one, a device is written to, a directory is not replaced.
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    std::fs::write(&path, "mine").unwrap();
    assert_eq!(export(&home, &["-o", link.to_str().unwrap(), "--force"]).0, 0);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    for force in [&[][..], &["--force"]] {
        let to = |path| export(&home, &[&["-o", path], force].concat());
        assert_eq!(to("/dev/stdout"), (0, expected.clone(), String::new()));
        let (code, _, err) = to(home.path().to_str().unwrap());
        assert!(code == 2 && err.contains("is a directory"), "{err}");
    }
    assert_eq!(export(&home, &["-o", "/does/not/exist.cast"]).0, 1);
    assert_eq!(home.run(&["export", "42"]).status.code(), Some(2), "what to export as must be said");
    assert_eq!(export(&home, &["--json"]).0, 2);
}
