//! From ready to acknowledged, and what keeps a program from starting.

use autodev::lock::FileLock;
use autodev::protocol::exit::ExitReason;
use autodev::protocol::keeper::{FromKeeper, Phase, ToKeeper};
use autodev::protocol::launch::{LaunchStep, Stdin};
use autodev::task::Exit;

use super::support::{Home, wait};

#[test]
fn ready_go_started_exited_acknowledged() {
    let mut session = Home::script("echo hello").keep();
    assert_eq!(session.hello.phase, Phase::NotStarted);
    assert_eq!((session.hello.pid, session.hello.uid), (session.keeper.id(), session.home.spec.uid));
    assert!(FileLock::is_held(&session.home.dir().lock()).unwrap());
    assert!(!session.home.dir().started().exists());
    let socket = session.socket();
    assert!(socket.starts_with(session.home.path().join("run")));

    session.go();
    let (pid, start) = session.control.wait(|m| match m {
        FromKeeper::Started { pid, start } => Some((pid, start)),
        _ => None,
    });
    assert!(pid > 0 && start > 0);
    assert!(session.home.dir().started().exists());
    let record = session.exit();
    assert_eq!((record.reason, record.exit), (ExitReason::Ended, Exit { code: Some(0), signal: None }));
    assert_eq!((record.uid, record.error, record.leftovers), (session.home.spec.uid, None, 0));
    assert_eq!((record.recording_bytes, record.recording_lost), (7, 0));
    assert_eq!(session.home.recorded(), b"hello\r\n");
    assert!(record.started_at.unwrap() <= record.ended_at);
    // A second Go changes nothing.
    session.go();
    session.exit();

    assert!(session.acknowledge().success());
    assert!(!socket.exists());
    assert!(!FileLock::is_held(&session.home.dir().lock()).unwrap());
    assert_eq!(std::fs::read_to_string(session.home.dir().log()).unwrap(), "");
}

#[test]
fn exit_codes_and_signals_are_told_as_they_were() {
    let mut session = Home::script("exit 7").run();
    assert_eq!(session.exit().exit, Exit { code: Some(7), signal: None });
    let mut session = Home::script("kill -SEGV $$").run();
    let record = session.exit();
    assert_eq!((record.reason, record.exit), (ExitReason::Ended, Exit { code: None, signal: Some(libc::SIGSEGV) }));
}

#[test]
fn steps_run_one_after_the_other_until_one_fails() {
    let step = |name: &str, script: &str, of: &Home| LaunchStep {
        name: name.into(),
        argv: vec!["sh".into(), "-c".into(), script.into()],
        ..of.spec.steps[0].clone()
    };
    let mut home = Home::script("");
    home.spec.steps = vec![step("setup", "echo one", &home), step("agent", "echo two; exit 3", &home)];
    let mut session = home.run();
    let record = session.exit();
    assert_eq!((record.exit.code, record.error), (Some(3), None));
    assert_eq!(session.home.recorded(), b"one\r\ntwo\r\n");

    let mut home = Home::script("");
    home.spec.steps = vec![step("setup", "exit 9", &home), step("agent", "echo never", &home)];
    let record = home.run().exit();
    assert_eq!((record.exit.code, record.error.as_deref()), (Some(9), Some("step 'setup' exited 9")));
}

#[test]
fn a_program_that_cannot_be_started_is_a_plain_sentence() {
    let failure = |home: Home| {
        let mut session = home.keep();
        session.go();
        let record = session.exit();
        assert_eq!((record.reason, record.exit), (ExitReason::LaunchFailed, Exit::default()));
        record.error.unwrap()
    };
    let expect = |home: Home, program: &str, cause: &str| {
        let error = failure(home);
        assert!(error.starts_with(&format!("cannot start '{program}': ")) && error.contains(cause), "{error}");
    };
    expect(Home::program(&["no-such-program"]), "no-such-program", "no such program on the PATH");
    expect(Home::program(&["/no/such"]), "/no/such", "/no/such does not exist");
    expect(Home::program(&["/usr"]), "/usr", "/usr is a directory");

    let at = |name: &str, text: &[u8], mode: u32| {
        let mut home = Home::script("");
        let path = home.file(name, text, mode);
        home.spec.steps[0].argv = vec![path.to_str().unwrap().to_owned()];
        (path.to_str().unwrap().to_owned(), home)
    };
    let (path, home) = at("plain", b"#!/bin/sh\n", 0o644);
    expect(home, &path, "is not executable");
    let (path, home) = at("script", b"#! /no/such/python3 -u\nprint()\n", 0o755);
    expect(home, &path, "needs the interpreter /no/such/python3, which does not exist");
    let (path, home) = at("nonsense", b"\x00\x01\x02nonsense", 0o755);
    expect(home, &path, "is neither a program for this machine nor a script");
    let mut home = Home::script("");
    home.file("on-path", b"#!/bin/sh\n", 0o644);
    let directory = home.path().to_str().unwrap().to_owned();
    home.spec.steps[0].environment.insert("PATH".into(), directory.clone());
    home.spec.steps[0].argv = vec!["on-path".into()];
    expect(home, "on-path", &format!("{directory}/on-path is not executable"));

    let mut home = Home::script("true");
    home.spec.steps[0].directory = home.path().join("gone");
    expect(home, "/bin/sh", "gone does not exist");
    expect(Home::program(&["/bin/echo", &"x".repeat(140_000)]), "/bin/echo", "too long");
    let mut home = Home::program(&["/bin/cat"]);
    home.spec.steps[0].stdin = Stdin::File("prompt".into());
    expect(home, "/bin/cat", "prompt: no such file");
    let mut home = Home::program(&["/bin/cat"]);
    home.spec.steps[0].stdin = Stdin::File("../secret".into());
    expect(home, "/bin/cat", "is not the name of a file");
}

/// No descriptor is left just when the program is to be started. It was not, and another
/// time it will be.
#[test]
fn a_machine_without_room_is_not_the_programs_fault() {
    let mut session = Home::script("true").keep();
    let pid = i32::try_from(session.keeper.id()).unwrap();
    let limit = |soft: u64| {
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: structures on this stack.
        unsafe {
            assert_eq!(libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut before), 0);
            let now = libc::rlimit { rlim_cur: soft, ..before };
            assert_eq!(libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const now, std::ptr::null_mut()), 0);
        }
        before.rlim_cur
    };
    let free = (0..).find(|fd| !std::path::Path::new(&format!("/proc/{pid}/fd/{fd}")).exists()).unwrap();
    let before = limit(free);
    session.go();
    // Answered when Go has been dealt with.
    session.control.send(&ToKeeper::Screen { ansi: false });
    session.control.wait(|m| matches!(m, FromKeeper::Screen { .. }).then_some(()));
    limit(before);
    let record = session.exit();
    assert_eq!((record.reason, record.started_at), (ExitReason::NoRoom, None));
    assert!(record.error.unwrap().contains("open files"));
    assert!(session.acknowledge().success());
}

#[test]
fn standard_input_is_the_terminal_nothing_or_a_file() {
    let script = "if test -t 0; then echo terminal; else cat; echo end; fi; test -t 1 && test -t 2 && tty < /dev/tty";
    let run = |stdin: Stdin| {
        let mut home = Home::script(script);
        std::fs::write(home.dir().path().join("prompt"), "do it\n").unwrap();
        home.spec.steps[0].stdin = stdin;
        let mut session = home.run();
        assert_eq!(session.exit().exit.code, Some(0));
        String::from_utf8(session.home.recorded()).unwrap()
    };
    assert!(run(Stdin::Terminal).starts_with("terminal\r\n/dev/"));
    assert!(run(Stdin::Null).starts_with("end\r\n/dev/"));
    assert!(run(Stdin::File("prompt".into())).starts_with("do it\r\nend\r\n/dev/"));
}

#[test]
fn the_program_gets_a_clean_place() {
    let script = "ls /proc/self/fd | tr '\\n' ' '; umask; grep -E '^Sig(Blk|Ign)' /proc/self/status; \
                  env | cut -d= -f1 | sort | tr '\\n' ' '; ulimit -Hq; ulimit -Sq; stty size; stty -a | grep -o iutf8";
    let mut home = Home::program(&["/bin/bash", "-c", script]);
    home.spec.columns = 101;
    home.spec.umask = 0o027;
    let marker = home.spec.marker;
    let mut session = home.run();
    session.exit();
    let output = String::from_utf8(session.home.recorded()).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    // `ls` has the directory open as 3.
    assert_eq!(lines[0], "0 1 2 3 0027");
    assert_eq!(lines[1], "SigBlk:\t0000000000000000");
    // 32 and 33 are the C library's own: programs can neither ignore nor reset them.
    let ignored = u64::from_str_radix(lines[2].strip_prefix("SigIgn:\t").unwrap(), 16).unwrap();
    assert_eq!(ignored & !(3 << 31), 0, "{ignored:x}");
    let marker = marker.to_string();
    assert_eq!(lines[3..], [&format!("LANG PATH PWD SHLVL _ {marker}"), marker.as_str(), "24 101", "iutf8"]);
}

#[test]
fn what_was_started_once_is_never_started_again() {
    let home = Home::script("echo again");
    std::fs::write(home.dir().started(), "").unwrap();
    let (mut keeper, mut control) = home.spawn();
    assert_eq!(control.receive(), None);
    assert_eq!(wait(&mut keeper).code(), Some(1));
    assert!(std::fs::read_to_string(home.dir().log()).unwrap().contains("started before"));
    assert!(!home.dir().exit().exists());
}
