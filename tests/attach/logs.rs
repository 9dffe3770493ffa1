//! `autodev logs`: what a session has printed, and prints.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use autodev::protocol::launch::RecordingLimits;
use autodev::recording::Writer;

use super::support::{Home, NOON};

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

/// What a program printed before the recording's limit is gone, and it is said.
#[test]
fn what_was_dropped_or_lost_is_said_once() {
    let home = Home::new();
    let path = home.dir("42.1").0;
    std::fs::create_dir_all(&path).unwrap();
    let limits = RecordingLimits { max_bytes: 16 << 10, segment_bytes: 8 << 10 };
    let mut writer = Writer::new(path.clone(), limits, NOON);
    for n in 0..4_000 {
        writer.output(1, format!("line {n:04}\r\n").as_bytes());
    }
    writer.gap(2, 500);
    writer.output(3, b"the end\r\n");
    writer.finish();
    for arguments in
        [&["logs", "42"][..], &["logs", "42", "--raw"], &["export", "42", "--cast"], &["logs", "42", "-g", "^"]]
    {
        let output = home.run(arguments);
        let err = String::from_utf8(output.stderr).unwrap();
        let dropped = output.stdout.windows(9).position(|text| text == b"line 3999").unwrap();
        assert!(dropped > 0 && !output.stdout.windows(9).any(|text| text == b"line 0000"));
        assert_eq!(
            (output.status.code(), err.matches(" bytes are not in the recording").count()),
            (Some(0), 2),
            "{err}"
        );
        assert!(err.contains("[500 bytes are not in the recording of session 42.1]"), "{err}");
    }
    let output = home.run(&["logs", "42", "-n", "1"]);
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"the end\n"[..], &b""[..]));

    // A file that is gone is no limit.
    std::fs::remove_file(autodev::recording::segment(&path, 6)).unwrap();
    let output = home.run(&["logs", "42"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// A line may be longer than all that can be rewritten of it.
#[test]
fn the_last_lines_are_whole_and_as_many_as_wanted() {
    let home = Home::new();
    let mut writer = home.recording("42.1");
    for n in 0..20 {
        let line = [format!("{n}:").as_bytes(), &vec![b'x'; 100_000], b"\r\n"].concat();
        writer.output(1, &line);
    }
    writer.output(1, &[b'z'; 300_000]);
    writer.finish();
    for wanted in [1, 2, 19, 21, 30] {
        let text = logs(&home, &["-n", &wanted.to_string()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), wanted.min(21), "{wanted}");
        assert!(lines.last().unwrap().len() == 300_000 && lines.last().unwrap().starts_with("zz"));
        for (n, line) in (21 - lines.len()..20).zip(&lines) {
            assert_eq!((line.len(), line.starts_with(&format!("{n}:x"))), (100_000 + n.to_string().len() + 1, true));
        }
    }
    assert_eq!(logs(&home, &["-n", "0"]), "");
}

#[test]
fn following_ends_when_nobody_reads_any_more() {
    let home = Home::new();
    let _session = home.session("42.1", "echo only; read go");
    let mut child = home.autodev(&["logs", "-f", "42"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "only\n");
    drop(out);
    // Although the program prints nothing more.
    assert_eq!(child.wait().unwrap().code(), Some(141));
}

/// A session may print zeros: a power cut is not the only one to leave them.
#[test]
fn zeros_that_the_program_printed_stay() {
    let home = Home::new();
    let mut session = home.session("42.1", "printf end; head -c 5000 /dev/zero");
    session.ended();
    drop(session);
    let whole = [&b"end"[..], &[0; 5_000]].concat();
    let printed = || home.run(&["logs", "--raw", "42"]).stdout;
    assert!(printed() == whole);
    // Also after the machine was started anew.
    let path = home.dir("42.1").exit();
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["boot_id"] = "another".into();
    std::fs::write(&path, record.to_string()).unwrap();
    assert!(printed() == whole);
    record["recording_sha256"] = "another".into();
    std::fs::write(&path, record.to_string()).unwrap();
    assert!(printed() == b"end");
}

#[test]
fn what_a_full_disk_has_not_taken_yet_is_said() {
    let home = Home::new();
    std::fs::create_dir_all(home.dir("42.1").path()).unwrap();
    std::os::unix::fs::symlink("/dev/full", home.dir("42.1").path().join("rec-000001.raw")).unwrap();
    let session = home.session("42.1", "stty -echo; echo lost; read go; echo kept; read go");
    let mut user = super::support::User::start(&home, &["attach", "42"]);
    user.see("lost");
    // Until it has seen that the disk is full.
    while session.dir.path().join("rec-000001.raw").is_symlink() {
        std::thread::yield_now();
    }
    let output = home.run(&["logs", "42"]);
    assert_eq!(output.stdout, b"");
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(err, "[6 bytes could not be recorded so far: is the disk full?]\n");
}

#[test]
fn logs_of_nothing_say_so() {
    let home = Home::new();
    let output = home.run(&["logs", "42"]);
    assert_eq!(output.status.code(), Some(3));
}
