//! One keeper, one daemon at a time.

use std::os::unix::net::UnixStream;

use autodev::lock::FileLock;
use autodev::protocol::exit::ExitReason;
use autodev::protocol::keeper::{FromKeeper, How, Phase, RefusedCode, Role, ToKeeper, VERSION};

use super::support::{Home, Link, sized, wait};

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
fn another_daemon_may_say_go() {
    let mut session = Home::script("echo hello").keep();
    session.control = Link::new(UnixStream::pair().unwrap().0);
    let mut next = session.connect();
    next.send(&ToKeeper::Hello { version: VERSION, role: Role::Controller, generation: 2 });
    assert_eq!(next.hello().phase, Phase::NotStarted);
    next.send(&ToKeeper::Go { generation: 2, order: 1 });
    session.control = next;
    assert_eq!(session.exit().exit.code, Some(0));
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
    // Who attaches late sees the last of it, and that it is over.
    let (mut late, picture) = session.attach(sized(80, 24));
    assert!(String::from_utf8_lossy(&picture).contains("working"));
    late.exit();
    session.control.send(&ToKeeper::Acknowledge { generation: 2, order: 1 });
    assert!(session.ended().success());
}

/// A daemon that has lost its connection counts from the beginning on the next.
#[test]
fn the_same_daemon_is_followed_again_after_it_was_away() {
    let mut session = Home::script("echo working; exec sleep 1000").run();
    session.freeze(true);
    session.freeze(false);
    let mut again = session.connect();
    again.send(&ToKeeper::Hello { version: VERSION, role: Role::Controller, generation: 1 });
    assert_eq!(again.hello().phase, Phase::Started);
    session.control = again;
    session.order = 0;
    session.stop(How::Now);
    assert_eq!(session.exit().reason, ExitReason::Stopped);
    session.order = 0;
    assert!(session.acknowledge().success());
}
