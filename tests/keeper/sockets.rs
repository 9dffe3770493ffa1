//! Who connects, with what, and where.

use std::time::{Duration, Instant};

use autodev::protocol::keeper::{FromKeeper, Phase, RefusedCode, Role, ToKeeper, VERSION};

use super::support::{Home, LONG, Link, sized, status};

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

/// Without a descriptor left it goes on with whom it knows, says so once, and lets others
/// in as soon as there is room.
#[test]
fn a_keeper_without_descriptors_waits_for_some() {
    let session = Home::script("echo ready; exec sleep 1000").run();
    let mut known = session.client();
    let limit = |descriptors: libc::rlim_t| {
        let limit = libc::rlimit { rlim_cur: descriptors, rlim_max: 1024 };
        let keeper = libc::pid_t::try_from(session.keeper.id()).unwrap();
        // SAFETY: reads one limit, which outlives the call.
        let set = unsafe { libc::prlimit(keeper, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    };
    // Fewer than it has, and more than it waits for: poll(2) refuses to wait for more.
    limit(8);
    let mut late = session.connect();
    late.send(&ToKeeper::Hello { version: VERSION, role: Role::Client, generation: 0 });
    let log = || std::fs::read_to_string(session.home.dir().log()).unwrap();
    let begin = Instant::now();
    while !log().contains("cannot be accepted") {
        status(&mut known);
        assert!(begin.elapsed() < LONG);
    }
    for _ in 0..200 {
        status(&mut known);
    }
    assert_eq!(log().matches("cannot be accepted").count(), 1, "{}", log());
    limit(1024);
    assert_eq!(late.hello().phase, Phase::Started);
}
