//! The keeper as a black box: the real binary, real terminals, its own wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helpers fail like the test")]

mod keeper_support;

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use autodev::lock::FileLock;
use autodev::process::{PidFd, ProcessId};
use autodev::protocol::exit::ExitReason;
use autodev::protocol::keeper::{Attach, FromKeeper, How, KeeperStatus, Phase, RefusedCode, Role, ToKeeper, VERSION};
use autodev::protocol::launch::{LaunchStep, Stdin};
use autodev::socket;
use autodev::task::Exit;
use sha2::{Digest, Sha256};

use keeper_support::{Home, LONG, Link, sized, wait};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn status(link: &mut Link) -> KeeperStatus {
    link.send(&ToKeeper::Status);
    link.wait(|m| match m {
        FromKeeper::Status(status) => Some(status),
        _ => None,
    })
}

// ---- a session's life ----

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
    let marker = home.spec.marker;
    let mut session = home.run();
    session.exit();
    let output = String::from_utf8(session.home.recorded()).unwrap();
    // Our own mask, which the keeper's does not replace.
    let umask = std::process::Command::new("sh").args(["-c", "umask"]).output().unwrap().stdout;
    let umask = String::from_utf8(umask).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    // `ls` has the directory open as 3.
    assert_eq!(lines[0], format!("0 1 2 3 {}", umask.trim()));
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

// ---- one keeper, one daemon ----

#[test]
fn a_second_keeper_finds_the_lock_held() {
    let session = Home::script("true").keep();
    let (mut second, mut control) = session.home.spawn();
    assert_eq!(wait(&mut second).code(), Some(75));
    assert_eq!(control.receive(), None);
    assert!(FileLock::is_held(&session.home.dir().lock()).unwrap());
    session.client();
}

#[test]
fn an_older_daemon_is_refused_and_told_the_generation() {
    let session = Home::script("echo no").keep();
    let mut newer = session.connect();
    newer.send(&ToKeeper::Hello { version: VERSION, role: Role::Controller, generation: 7 });
    assert_eq!(newer.hello().generation, 7);

    // The first one is let go.
    let mut old = session.control.stream.try_clone().map(Link::new).unwrap();
    old.ends();
    let mut old = session.connect();
    old.send(&ToKeeper::Hello { version: VERSION, role: Role::Controller, generation: 6 });
    let (code, reason) = old.refused();
    assert_eq!((code, reason.split(' ').next().unwrap().parse()), (RefusedCode::Generation, Ok(7)));
    // Said again with a higher one, it is listened to.
    old.send(&ToKeeper::Hello { version: VERSION, role: Role::Controller, generation: 8 });
    assert_eq!(old.hello().phase, Phase::NotStarted);
    old.send(&ToKeeper::Go { generation: 7, order: 1 });
    assert_eq!(old.refused().0, RefusedCode::Generation);
    // A client gives no orders at all.
    let mut client = session.client();
    client.send(&ToKeeper::Go { generation: 9, order: 1 });
    assert_eq!(client.refused().0, RefusedCode::Protocol);
    assert!(!session.home.dir().started().exists());
}

#[test]
fn a_stop_before_the_program_latches() {
    let mut session = Home::script("echo no").keep();
    session.stop(How::Gently);
    session.control.wait(|m| (m == FromKeeper::Done).then_some(()));
    let record = session.exit();
    assert_eq!((record.reason, record.started_at), (ExitReason::StoppedBeforeStart, None));
    session.go();
    assert_eq!(session.control.refused().0, RefusedCode::Latched);
    assert!(!session.home.dir().started().exists());
    assert!(session.acknowledge().success());
}

#[test]
fn orders_that_were_overtaken_are_refused() {
    let mut session = Home::script("true").keep();
    session.order = 4;
    session.stop(How::Gently);
    session.control.send(&ToKeeper::Go { generation: 1, order: 4 });
    let (code, reason) = session.control.refused();
    assert_eq!((code, reason.as_str()), (RefusedCode::State, "order 5 has come before it"));
}

#[test]
fn another_daemon_learns_an_exit_that_happened_meanwhile() {
    let mut session = Home::script("echo working; read line; exit 5").run();
    let (mut viewer, _) = session.attach(sized(80, 24));
    let lost = std::mem::replace(&mut session.control, Link::new(UnixStream::pair().unwrap().0));
    drop(lost);
    viewer.send(&ToKeeper::Input(b"\r".to_vec()));
    viewer.exit();
    let mut next = session.connect();
    next.send(&ToKeeper::Hello { version: VERSION, role: Role::Controller, generation: 2 });
    assert_eq!(next.hello().phase, Phase::Exited);
    session.control = next;
    assert_eq!(session.exit().exit.code, Some(5));
    session.control.send(&ToKeeper::Acknowledge { generation: 2, order: 1 });
    assert!(session.ended().success());
}

// ---- ends ----

/// Gone from the processes, or about to be: waits by handle.
fn gone(pid: u32) {
    if let Some(handle) = PidFd::open(pid) {
        assert!(socket::readable(&handle, LONG).unwrap(), "process {pid} lives on");
    }
}

/// Leaves the session, ignores all that can be ignored.
const STUBBORN: &str = "setsid sh -c 'trap \"\" INT TERM HUP; echo stub\"\"born; while :; do sleep 1000; done' & ";

#[test]
fn a_stop_now_ends_the_whole_tree() {
    let mut session = Home::script(&format!("{STUBBORN} setsid sleep 1000 & sleep 1000")).run();
    session.attach(sized(80, 24)).0.see("stubborn");
    assert!(session.home.processes().len() >= 3);
    session.stop(How::Now);
    let record = session.exit();
    assert_eq!((record.reason, record.exit.signal), (ExitReason::Stopped, Some(libc::SIGKILL)));
    assert_eq!(session.home.processes(), Vec::<u32>::new());
}

#[test]
fn a_gentle_stop_interrupts_first() {
    let mut session =
        Home::script("trap 'echo saved; exit 4' INT; while :; do sh -c 'echo ready; exec sleep 1000'; done").run();
    session.attach(sized(80, 24)).0.see("ready");
    session.stop(How::Gently);
    let record = session.exit();
    assert_eq!((record.reason, record.exit.code), (ExitReason::Stopped, Some(4)));
    assert!(session.home.recorded().ends_with(b"saved\r\n"));
}

#[test]
fn what_a_program_leaves_behind_is_ended_and_counted() {
    let mut session = Home::script(&format!("{STUBBORN} read line")).run();
    let (mut viewer, _) = session.attach(sized(80, 24));
    viewer.see("stubborn");
    viewer.send(&ToKeeper::Input(b"\r".to_vec()));
    let record = session.exit();
    assert_eq!((record.reason, record.exit.code), (ExitReason::Ended, Some(0)));
    assert!(record.leftovers >= 2, "{record:?}");
    assert_eq!(session.home.processes(), Vec::<u32>::new());
}

#[test]
fn a_shutdown_is_told_as_one_whoever_dies_first() {
    let mut session = Home::script("echo ready; exec sleep 1000").run();
    session.attach(sized(80, 24)).0.see("ready");
    session.signal(libc::SIGTERM);
    let record = session.exit();
    assert_eq!(record.reason, ExitReason::Shutdown);
    assert!(session.ended().success());

    // The program first: its end is held until the keeper's own signal comes.
    let mut session = Home::script("echo ready; exec sleep 1000").run();
    let (mut viewer, _) = session.attach(sized(80, 24));
    viewer.see("ready");
    let pid = status_child(&session);
    PidFd::open(pid).unwrap().signal(libc::SIGTERM).unwrap();
    gone(pid);
    session.signal(libc::SIGTERM);
    let record = session.exit();
    assert_eq!((record.reason, record.exit.signal), (ExitReason::Shutdown, Some(libc::SIGTERM)));

    // Before anything was started there is nothing to tell.
    let mut session = Home::script("true").keep();
    session.signal(libc::SIGTERM);
    assert!(session.ended().success());
    assert!(!session.home.dir().exit().exists() && !session.home.dir().started().exists());
}

fn status_child(session: &keeper_support::Session) -> u32 {
    let mut link = session.connect();
    link.send(&ToKeeper::Hello { version: VERSION, role: Role::Client, generation: 0 });
    link.hello().child
}

#[test]
fn a_killed_keeper_takes_its_program_along_and_frees_the_lock() {
    let mut session = Home::script("echo ready; exec sleep 1000").run();
    session.attach(sized(80, 24)).0.see("ready");
    let program = ProcessId::of(status_child(&session)).unwrap();
    let handle = program.open().unwrap();
    session.signal(libc::SIGKILL);
    session.ended();
    assert!(socket::readable(&handle, LONG).unwrap());
    assert!(!FileLock::is_held(&session.home.dir().lock()).unwrap());
    assert!(session.home.dir().started().exists() && !session.home.dir().exit().exists());
}

#[test]
fn a_frozen_tree_stands_still() {
    let mut session = Home::script("sleep 1000 & echo ready; read line; echo got $line; kill %1").run();
    let (mut viewer, _) = session.attach(sized(80, 24));
    viewer.see("ready");
    session.freeze(true);
    let states = |session: &keeper_support::Session| -> Vec<char> {
        session.home.processes().iter().map(|pid| autodev::process::stat(*pid).unwrap().state).collect()
    };
    assert_eq!(states(&session), ['T', 'T']);
    assert!(status(&mut viewer).frozen);
    viewer.send(&ToKeeper::Input(b"it\r".to_vec()));
    session.freeze(false);
    viewer.see("got it");
    assert_eq!(session.exit().reason, ExitReason::Ended);

    // A frozen tree can be stopped.
    let mut session = Home::script("echo ready; exec sleep 1000").run();
    session.attach(sized(80, 24)).0.see("ready");
    session.freeze(true);
    session.stop(How::Gently);
    assert_eq!(session.exit().exit.signal, Some(libc::SIGINT));
}

// ---- output ----

const MEGABYTES: usize = 10_000_000;

/// A file of bytes that a terminal does not change when told so.
fn large(home: &mut Home) -> Vec<u8> {
    let bytes: Vec<u8> =
        (0..MEGABYTES).map(|n| b"0123456789abcdefghijklmnopqrstuvwxyz\n"[(n + n / 4_099) % 37]).collect();
    home.file("large", &bytes, 0o644);
    home.spec.steps[0].argv = vec!["/bin/sh".into(), "-c".into(), "stty -opost; cat large".into()];
    bytes
}

#[test]
fn every_byte_is_recorded() {
    let mut home = Home::script("");
    let bytes = large(&mut home);
    let mut session = home.run();
    let record = session.exit();
    assert_eq!((record.recording_bytes, record.recording_lost), (MEGABYTES as u64, 0));
    assert_eq!(record.recording_sha256, sha256(&bytes));
    assert_eq!(sha256(&session.home.recorded()), record.recording_sha256);
}

#[test]
fn a_viewer_that_does_not_read_slows_nobody_and_gets_the_end() {
    let mut home = Home::script("");
    large(&mut home);
    home.spec.steps[0].argv[2].push_str("; printf 'the very end'");
    let mut session = home.keep();
    let (mut slow, _) = session.attach(sized(80, 24));
    session.go();
    let record = session.exit();
    assert_eq!((record.exit.code, record.recording_lost), (Some(0), 0));
    let mut pictures = 0;
    let mut bytes = 0;
    let mut last = Vec::new();
    let exit = loop {
        match slow.receive().unwrap() {
            FromKeeper::Picture { bytes, .. } => {
                pictures += 1;
                last = bytes;
            }
            FromKeeper::Output { bytes: part, .. } => {
                bytes += part.len();
                last.extend_from_slice(&part);
            }
            FromKeeper::Exited(record) => break record,
            _ => {}
        }
    };
    assert!(pictures >= 1 && bytes < MEGABYTES, "{pictures} pictures, {bytes} bytes");
    assert!(String::from_utf8_lossy(&last).contains("the very end"));
    assert_eq!(exit, std::fs::read(session.home.dir().exit()).unwrap());
}

#[test]
fn a_follower_gets_what_is_not_yet_in_the_files() {
    let mut session = Home::script("echo one; read line; echo two").run();
    let (mut writer, _) = session.attach(sized(80, 24));
    writer.see("one");
    let mut follower = session.client();
    follower.send(&ToKeeper::Follow);
    let offset = follower.wait(|m| match m {
        FromKeeper::Following { offset } => Some(offset),
        _ => None,
    });
    let mut seen = session.home.recorded();
    assert!(seen.len() as u64 >= offset, "not in the files when it was said");
    seen.truncate(offset as usize);
    writer.send(&ToKeeper::Input(b"\r".to_vec()));
    loop {
        match follower.receive().unwrap() {
            FromKeeper::Output { bytes, .. } => seen.extend_from_slice(&bytes),
            FromKeeper::Exited(_) => break,
            other => panic!("{other:?}"),
        }
    }
    session.exit();
    assert_eq!(seen, session.home.recorded());
    assert_eq!(seen, b"one\r\n\r\ntwo\r\n");

    // After the end everything is in the files.
    follower.send(&ToKeeper::Follow);
    assert_eq!(follower.receive(), Some(FromKeeper::Following { offset: seen.len() as u64 }));
    follower.exit();
}

#[test]
fn a_follower_that_falls_behind_is_told_what_it_missed() {
    let mut home = Home::script("");
    let bytes = large(&mut home);
    let mut session = home.keep();
    let mut follower = session.client();
    follower.send(&ToKeeper::Follow);
    assert_eq!(follower.receive(), Some(FromKeeper::Following { offset: 0 }));
    session.go();
    session.exit();
    let mut at = 0;
    let mut skipped = 0;
    loop {
        match follower.receive().unwrap() {
            FromKeeper::Output { offset, bytes: part } => {
                assert_eq!(offset, at);
                assert_eq!(part, bytes[at as usize..at as usize + part.len()]);
                at += part.len() as u64;
            }
            FromKeeper::Skipped { from, to } => {
                assert_eq!(from, at);
                skipped += to - from;
                at = to;
            }
            FromKeeper::Exited(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(at, MEGABYTES as u64);
    assert!(skipped > 0);
}

// ---- people ----

#[test]
fn a_picture_then_the_stream() {
    let session = Home::script("echo before; read line; echo after").run();
    session.attach(sized(80, 24)).0.see("before");
    let (mut second, picture) = session.attach(sized(80, 24));
    assert!(String::from_utf8_lossy(&picture).contains("before"));
    second.see("before");
    second.send(&ToKeeper::Input(b"\r".to_vec()));
    assert!(!second.see("after").contains("before"));
    second.exit();
}

#[test]
fn one_types_others_watch() {
    let session = Home::script("echo ready; while read line; do stty size; done").run();
    let (mut first, _) = session.attach(sized(100, 30));
    first.see("ready");
    let mut second = session.client();
    second.send(&ToKeeper::Attach(sized(120, 40)));
    let (code, reason) = second.refused();
    assert_eq!(code, RefusedCode::Busy);
    assert!(reason.contains("--takeover"));

    // A watcher sees all, types nothing, and its size does not count.
    let (mut watcher, _) = session.attach(Attach { read_only: true, ..sized(300, 90) });
    watcher.send(&ToKeeper::Input(b"\r".to_vec()));
    assert_eq!(watcher.refused().0, RefusedCode::State);
    first.send(&ToKeeper::Input(b"\r".to_vec()));
    first.see("30 100");
    watcher.see("30 100");
    let told = status(&mut watcher);
    assert_eq!((told.columns, told.rows, told.writers, told.watchers), (100, 30, 1, 1));

    first.send(&ToKeeper::Resize { columns: 90, rows: 20 });
    first.send(&ToKeeper::Input(b"\r".to_vec()));
    first.see("20 90");
    second.send(&ToKeeper::Attach(Attach { takeover: true, ..sized(60, 15) }));
    for lost in [&mut first, &mut watcher] {
        lost.wait(|m| matches!(m, FromKeeper::Detached { .. }).then_some(()));
    }
    first.send(&ToKeeper::Input(b"\r".to_vec()));
    assert_eq!(first.refused().0, RefusedCode::State);
    second.send(&ToKeeper::Input(b"\r".to_vec()));
    second.see("15 60");

    // The size stays when its terminal goes.
    drop(second);
    let (mut watcher, _) = session.attach(Attach { read_only: true, ..sized(300, 90) });
    let told = status(&mut watcher);
    assert_eq!((told.columns, told.rows, told.writers, told.watchers), (60, 15, 0, 1));
    let mut other = session.client();
    other.send(&ToKeeper::DetachAll);
    other.wait(|m| (m == FromKeeper::Done).then_some(()));
    watcher.wait(|m| matches!(m, FromKeeper::Detached { .. }).then_some(()));
}

#[test]
fn the_keeper_alone_answers_a_programs_questions() {
    let script = "stty raw -echo; printf 'ask\\033[5n'; head -c 4 | od -An -tx1; read line";
    let session = Home::script(script).run();
    let (mut first, _) = session.attach(sized(80, 24));
    let (mut watcher, _) = session.attach(Attach { read_only: true, ..sized(80, 24) });
    for viewer in [&mut first, &mut watcher] {
        // Once, whoever looks on.
        let seen = viewer.see("1b 5b 30 6e");
        assert!(!seen.contains("\x1b[5n"), "{seen:?}");
    }
    // The recording has what the program wrote.
    let mut follower = session.client();
    follower.send(&ToKeeper::Follow);
    follower.wait(|m| matches!(m, FromKeeper::Following { .. }).then_some(()));
    assert!(String::from_utf8_lossy(&session.home.recorded()).contains("ask\x1b[5n"));
}

#[test]
fn a_smaller_watcher_gets_pictures() {
    let session = Home::script("echo ready; while read line; do echo got $line; done").run();
    let (mut writer, _) = session.attach(sized(80, 24));
    writer.see("ready");
    let (mut small, _) = session.attach(Attach { read_only: true, ..sized(40, 10) });
    writer.send(&ToKeeper::Input(b"it\r".to_vec()));
    small.wait(|m| match m {
        FromKeeper::Picture { bytes, .. } => String::from_utf8_lossy(&bytes).contains("got it").then_some(()),
        FromKeeper::Output { .. } => panic!("bytes for another size"),
        _ => None,
    });
}

#[test]
fn text_is_sent_and_enter_comes_after_its_echo() {
    let session = Home::script("stty -echo -icanon min 1; printf 'ready\\033[?2004h'; exec cat -v").run();
    let (mut viewer, _) = session.attach(sized(80, 24));
    viewer.see("ready");
    let mut sender = session.client();
    sender.send(&ToKeeper::Send { paste: true, enter: true, bytes: b"two words".to_vec() });
    sender.wait(|m| (m == FromKeeper::Done).then_some(()));
    viewer.see("^[[200~two words^[[201~");
    viewer.see("\n");

    // Requests sent together are answered one after the other.
    sender.send(&ToKeeper::Send { paste: false, enter: true, bytes: b"once".to_vec() });
    sender.send(&ToKeeper::Send { paste: false, enter: false, bytes: b"more".to_vec() });
    sender.send(&ToKeeper::Status);
    let mut answers = Vec::new();
    sender.wait(|m| {
        answers.push(m);
        (answers.len() == 3).then_some(())
    });
    assert_eq!(answers[..2], [FromKeeper::Done, FromKeeper::Done]);
    viewer.see("once");
    viewer.see("more");

    // A line that the terminal would cut is refused.
    let session = Home::script("echo ready; exec cat").run();
    session.attach(sized(80, 24)).0.see("ready");
    let mut sender = session.client();
    sender.send(&ToKeeper::Send { paste: false, enter: true, bytes: vec![b'x'; 4_096] });
    assert_eq!(sender.refused().0, RefusedCode::State);
    sender.send(&ToKeeper::Send { paste: false, enter: true, bytes: vec![b'y'; 4_095] });
    sender.wait(|m| (m == FromKeeper::Done).then_some(()));
    sender.send(&ToKeeper::Screen { ansi: false });
    let text = sender.wait(|m| match m {
        FromKeeper::Screen { text, .. } => Some(text),
        _ => None,
    });
    assert!(String::from_utf8_lossy(&text).contains("yyyy"));
}

#[test]
fn a_program_that_does_not_read_holds_back_its_sender_only() {
    let session = Home::script("stty raw -echo; echo ready; exec sleep 1000").run();
    let (mut writer, _) = session.attach(sized(80, 24));
    writer.see("ready");
    // More than the keeper queues and the sockets hold.
    let flood = ToKeeper::Input(vec![b'x'; 60_000]).encode();
    writer.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut sent = 0;
    while let Ok(()) = std::io::Write::write_all(&mut writer.stream, &flood) {
        sent += flood.len();
        assert!(sent < 16 << 20, "the keeper takes everything");
    }
    assert!(sent > 1 << 20);
    let mut other = session.client();
    assert_eq!(status(&mut other).writers, 1);
}

// ---- sockets ----

#[test]
fn sigusr1_binds_anew_after_the_runtime_directory_is_gone() {
    let session = Home::script("echo ready; exec sleep 1000").run();
    let (mut viewer, _) = session.attach(sized(80, 24));
    std::fs::remove_dir_all(session.home.path().join("run")).unwrap();
    session.signal(libc::SIGUSR1);
    // The old connection lives, and its answer comes after the signal was taken.
    let deadline = Instant::now() + LONG;
    while !session.socket().exists() {
        status(&mut viewer);
        assert!(Instant::now() < deadline);
    }
    session.client();

    // A directory that cannot be made: the socket goes beside the session.
    std::fs::remove_dir_all(session.home.path().join("run")).unwrap();
    std::fs::write(session.home.path().join("run"), "in the way").unwrap();
    session.signal(libc::SIGUSR1);
    while !session.socket().starts_with(session.home.dir().path()) {
        status(&mut viewer);
        assert!(Instant::now() < deadline);
    }
    session.client();
}

#[test]
fn garbage_costs_only_its_own_connection() {
    use std::io::Write;
    let session = Home::script("echo ready; exec sleep 1000").run();
    let hello = ToKeeper::Hello { version: VERSION, role: Role::Client, generation: 0 }.encode();
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 64],
        &[255; 64],
        &ToKeeper::Status.encode(),
        &[5, 0, 0, 0, 8, 0, 0, 0],
        &[2, 0, 0, 0, 1, 0],
    ];
    for (index, bytes) in garbage.iter().enumerate() {
        let mut link = session.connect();
        if index == 4 {
            // Half a frame, then the end.
            link.stream.write_all(&hello).unwrap();
            link.stream.write_all(bytes).unwrap();
            link.stream.shutdown(std::net::Shutdown::Write).unwrap();
        } else {
            link.stream.write_all(bytes).unwrap();
        }
        link.ends();
    }
    // Types nobody knows are skipped, bytes one at a time are fine.
    let mut link = session.connect();
    for byte in [hello.as_slice(), &[3, 0, 0, 0, 99, 1, 2], &ToKeeper::Status.encode()].concat() {
        link.stream.write_all(&[byte]).unwrap();
    }
    link.wait(|m| matches!(m, FromKeeper::Status(_)).then_some(()));
}

#[test]
fn a_connection_that_says_nothing_is_closed_and_too_many_are_refused() {
    let session = Home::script("echo ready; exec sleep 1000").run();
    let begin = Instant::now();
    session.connect().ends();
    assert!(begin.elapsed() >= Duration::from_secs(5));

    let mut clients: Vec<Link> = (0..64).map(|_| session.client()).collect();
    let mut more = session.connect();
    more.send(&ToKeeper::Hello { version: VERSION, role: Role::Client, generation: 0 });
    assert_eq!(more.refused().0, RefusedCode::Limit);
    more.ends();
    // The daemon still gets in.
    let mut daemon = session.connect();
    daemon.send(&ToKeeper::Hello { version: VERSION, role: Role::Controller, generation: 2 });
    assert_eq!(daemon.hello().phase, Phase::Started);
    assert_eq!(status(&mut clients[63]).writers, 0);
}
