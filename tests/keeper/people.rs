//! Attaching, watching, typing.

use std::time::Duration;

use autodev::protocol::keeper::{Attach, FromKeeper, RefusedCode, ToKeeper};

use super::support::{Home, sized, status};

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

/// The picture is not forgotten behind an answer to something else.
#[test]
fn a_picture_comes_also_when_something_else_is_asked_at_once() {
    let session = Home::script("echo ready; exec cat").run();
    let mut link = session.client();
    link.send(&ToKeeper::Attach(Attach { read_only: true, ..sized(80, 24) }));
    link.send(&ToKeeper::Status);
    link.wait(|message| matches!(message, FromKeeper::Picture { .. }).then_some(()));
}

/// A terminal larger than the session would break lines elsewhere.
#[test]
fn a_larger_watcher_gets_pictures_too() {
    let session = Home::script("echo ready; while read line; do echo got $line; done").run();
    let (mut writer, _) = session.attach(sized(80, 24));
    writer.see("ready");
    let (mut large, _) = session.attach(Attach { read_only: true, ..sized(100, 24) });
    let (mut same, _) = session.attach(Attach { read_only: true, ..sized(80, 24) });
    writer.send(&ToKeeper::Input(b"it\r".to_vec()));
    large.wait(|m| match m {
        FromKeeper::Picture { bytes, .. } => String::from_utf8_lossy(&bytes).contains("got it").then_some(()),
        FromKeeper::Output { .. } => panic!("bytes for another size"),
        _ => None,
    });
    same.wait(|m| matches!(m, FromKeeper::Output { .. }).then_some(()));
}

#[test]
fn a_keeper_says_how_its_session_is() {
    let session = Home::script("stty -echo; printf 'ready\\033]0;a title\\007\\a'; exec cat").run();
    let (mut writer, _) = session.attach(sized(80, 24));
    writer.see("ready");
    let mut other = session.client();
    let called = status(&mut other);
    assert!(called.rang);
    assert_eq!(called.title, "a title");
    // Somebody has come.
    writer.send(&ToKeeper::Input(b"yes\r".to_vec()));
    writer.see("yes");
    assert!(!status(&mut other).rang);
    other.send(&ToKeeper::Below);
    assert_eq!(other.wait(|m| if let FromKeeper::Below { row } = m { Some(row) } else { None }), 2);
}

/// The program prints all the time, so that the keeper finds out by writing that nobody is
/// there any more.
#[test]
fn what_was_typed_before_the_connection_ended_is_heard() {
    let script = "stty -echo -icanon; echo ready; yes & head -c 300 > typed; kill $!; echo all of it; cat > /dev/null";
    let session = Home::script(script).run();
    let (mut first, _) = session.attach(sized(80, 24));
    first.see("ready");
    for _ in 0..100 {
        first.send(&ToKeeper::Input(b"abc".to_vec()));
    }
    drop(first);
    let (mut second, _) = session.attach(Attach { read_only: true, ..sized(80, 24) });
    second.see("all of it");
    assert_eq!(std::fs::read(session.home.path().join("typed")).unwrap(), b"abc".repeat(100));
}

#[test]
fn frames_without_end_do_not_hold_pictures_up() {
    let frame = "printf '\\033[?2026l\\033[?2026h%s' frame";
    // One at a time, so that the keeper never sees the end of one alone.
    let session = Home::script(&format!("echo ready; while sleep 0.02; do {frame}; done")).run();
    let (mut first, _) = session.attach(sized(80, 24));
    first.see("frame");
    for _ in 0..5 {
        let (mut other, picture) = session.attach(Attach { read_only: true, ..sized(40, 10) });
        assert!(!picture.is_empty());
        other.wait(|message| matches!(message, FromKeeper::Picture { .. }).then_some(()));
    }
}

#[test]
fn who_gets_pictures_is_called_all_the_same() {
    let calls = "\\a\\a\\033]9;done\\033\\\\\\033]52;c;aGk=\\a\\033]777;preexec\\a";
    let session = Home::script(&format!("echo ready; read line; printf '{calls}'; echo after; read line")).run();
    let (mut first, _) = session.attach(sized(80, 24));
    first.see("ready");
    let (mut small, _) = session.attach(Attach { read_only: true, ..sized(40, 10) });
    first.send(&ToKeeper::Input(b"\r".to_vec()));
    let called = small.wait(|message| match message {
        FromKeeper::Output { bytes, .. } => Some(bytes),
        _ => None,
    });
    assert_eq!(called, b"\x07\x1b]9;done\x1b\\\x1b]52;c;aGk=\x07");
}
