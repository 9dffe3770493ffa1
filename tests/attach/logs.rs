//! `autodev logs`: what a session has printed, and prints.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use super::support::Home;

fn logs(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(&[&["logs", "42"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const COLOURS: &str = "printf 'one\\n\\033[31mtwo\\033[m\\n 10%%\\r 90%%\\r100%%\\nlast\\n'; sleep 0";

#[test]
fn plain_raw_and_the_last_lines() {
    let home = Home::new();
    let mut session = home.session("42.1", COLOURS);
    session.ended();
    assert_eq!(logs(&home, &[]), "one\ntwo\n100%\nlast\n");
    assert_eq!(logs(&home, &["-n", "2"]), "100%\nlast\n");
    assert_eq!(logs(&home, &["-n", "0"]), "");
    assert_eq!(logs(&home, &["-n", "100"]), "one\ntwo\n100%\nlast\n");
    assert_eq!(logs(&home, &["-f"]), "one\ntwo\n100%\nlast\n");
    let raw = "one\r\n\x1b[31mtwo\x1b[m\r\n 10%\r 90%\r100%\r\nlast\r\n";
    assert_eq!(logs(&home, &["--raw"]), raw);
    assert_eq!(logs(&home, &["--raw", "-n", "1"]), "last\r\n");
    assert_eq!(logs(&home, &["--raw", "-f"]), raw);
    // The keeper is gone, the daemon has not settled it: the files are there.
    drop(session);
    assert_eq!(logs(&home, &[]), "one\ntwo\n100%\nlast\n");
    assert_eq!(logs(&home, &["-f", "-n", "1"]), "last\n");
}

#[test]
fn following_sees_what_was_and_what_comes_to_the_end() {
    let home = Home::new();
    let script = "stty -echo; seq 3; read go; seq 4 2000; printf 'no newline'";
    let _session = home.session("42.1", script);
    for (arguments, first) in [(&["-f"][..], "1"), (&["-f", "--raw"], "1"), (&["-f", "-n", "2"], "2")] {
        let mut command = home.autodev(&[&["logs", "42"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Everything before the program waits is printed while it waits.
        let begin: Vec<String> = lines.by_ref().map(Result::unwrap).take_while(|l| l.trim_end() != "3").collect();
        assert_eq!(begin.first().map(|l| l.trim_end()), Some(first), "{arguments:?}");
        if arguments.len() < 2 {
            child.kill().unwrap();
            child.wait().unwrap();
            continue;
        }
        if arguments.contains(&"-n") {
            assert!(home.run(&["send", "42", "go", "--enter"]).status.success());
            let rest: Vec<String> = lines.map(Result::unwrap).collect();
            assert_eq!(rest.len(), 1998);
            assert_eq!((rest[0].as_str(), rest[1996].as_str(), rest[1997].as_str()), ("4", "2000", "no newline"));
            assert!(child.wait().unwrap().success());
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

#[test]
fn a_follower_that_does_not_read_misses_nothing() {
    let home = Home::new();
    // More than pipe, socket and keeper hold together: it is cut off and reads the files.
    let script = "read go; seq -f '%010g of a long line that fills the buffers' 130000";
    let mut session = home.session("42.1", script);
    let mut follower = home.autodev(&["logs", "-f", "--raw", "42"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = follower.stdout.take().unwrap();
    assert!(home.run(&["send", "42", "go", "--enter"]).status.success());
    session.ended();
    let mut all = Vec::new();
    out.read_to_end(&mut all).unwrap();
    assert!(follower.wait().unwrap().success());
    let lines: Vec<&[u8]> = all.split(|b| *b == b'\n').filter(|l| l.ends_with(b"buffers\r")).collect();
    assert_eq!(lines.len(), 130_000);
    for (number, line) in lines.iter().enumerate() {
        assert!(line.starts_with(format!("{:010}", number + 1).as_bytes()), "line {number}");
    }
}

/// What a program asks its terminal must not be asked of the terminal that shows the log.
#[test]
fn raw_output_at_a_terminal_asks_nothing() {
    let home = Home::new();
    let mut session = home.session("42.1", "printf 'before\\033[c\\033[6nafter\\n'");
    session.ended();
    assert!(logs(&home, &["--raw"]).contains("before\x1b[c\x1b[6nafter"));
    let mut user = super::support::User::start(&home, &["logs", "--raw", "42"]);
    user.see("beforeafter");
    assert!(user.ended().success());
    user.assert_sane();
}

#[test]
fn logs_of_nothing_say_so() {
    let home = Home::new();
    let output = home.run(&["logs", "42"]);
    assert_eq!(output.status.code(), Some(3));
}
