//! `autodev send`, `screen` and `detach`: talking to a session from a script.

use super::support::{Home, Session};

fn screen(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(&[&["screen", "42"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for the session to print `text`, which `logs -f` sees without looking again and
/// again.
fn until(home: &Home, text: &str) {
    use std::io::{BufRead, BufReader};
    let mut logs = home.autodev(&["logs", "-f", "42"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(text)), "'{text}' was never printed");
    logs.kill().unwrap();
    logs.wait().unwrap();
}

fn reader(home: &Home) -> Session {
    let session = home.session("42.1", "stty -echo; echo ready; while read line; do echo \"<$line>\"; done");
    until(home, "ready");
    session
}

#[test]
fn text_and_enter_reach_the_program() {
    let home = Home::new();
    let _session = reader(&home);
    assert!(home.run(&["send", "42", "two", "words", "--enter"]).status.success());
    until(&home, "<two words>");
    assert_eq!(screen(&home, &[]), "ready\n<two words>\n");
    assert!(home.run(&["send", "42.1", "x", "--key", "BSpace", "--key", "y", "--key", "Enter"]).status.success());
    until(&home, "<y>");

    let json: serde_json::Value = serde_json::from_str(&screen(&home, &["--json"])).unwrap();
    assert_eq!((&json["session"], &json["columns"]), (&"42.1".into(), &80.into()));
    assert_eq!(json["text"], "ready\n<two words>\n<y>\n");
}

#[test]
fn a_file_is_pasted() {
    let home = Home::new();
    let _session = reader(&home);
    let file = home.path().join("text");
    std::fs::write(&file, "line one\nline two\n").unwrap();
    assert!(home.run(&["send", "42", "-f", file.to_str().unwrap()]).status.success());
    until(&home, "<line two>");
    assert_eq!(screen(&home, &[]), "ready\n<line one>\n<line two>\n");
}

#[test]
fn colours_are_kept_when_asked_for() {
    let home = Home::new();
    let _session = home.session("42.1", "printf '\\033[1;31mred\\033[m plain\\n'; read x");
    until(&home, "red");
    assert_eq!(screen(&home, &[]), "red plain\n");
    let ansi = screen(&home, &["--ansi"]);
    assert!(ansi.contains("\x1b[") && ansi.contains("red"), "{ansi:?}");
}

#[test]
fn mistakes_have_their_own_exit_status() {
    let home = Home::new();
    let session = reader(&home);
    let status = |arguments: &[&str]| {
        let output = home.run(arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = status(&["send", "42", "--key", "Entr"]);
    assert_eq!(code, 2);
    assert!(said.contains("did you mean Enter?"), "{said}");
    assert_eq!(status(&["send", "42"]).0, 2);
    // Without a daemon nobody knows of other sessions.
    assert_eq!(status(&["send", "43", "x"]).0, 3);
    assert_eq!(status(&["screen", "no-such"]).0, 3);
    let (code, said) = status(&["sessions"]);
    assert_eq!(code, 3);
    assert!(said.contains("42.1"), "{said}");
    drop(session);
    assert_eq!(status(&["send", "42", "x"]).0, 3);
}

#[test]
fn sending_can_wait_until_something_is_shown() {
    let home = Home::new();
    let script = "stty -echo; echo ready; while read line; do case $line in quiet) ;; bye) exit;; *) echo \"<$line>\";; esac; done";
    let _session = home.session("42.1", script);
    until(&home, "ready");
    for n in 0..20 {
        let sent = home.run(&["send", "42", &format!("line {n}"), "--enter", "--wait-change"]);
        assert!(sent.status.success());
        assert!(screen(&home, &[]).ends_with(&format!("<line {n}>\n")));
    }
    let quiet = home.run(&["send", "42", "quiet", "--enter", "--wait-change", "--timeout", "10ms"]);
    assert_eq!(quiet.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&quiet.stderr).contains("shows what it showed before"));
    assert!(home.run(&["send", "42", "bye", "--enter", "--wait-change"]).status.success());
}
