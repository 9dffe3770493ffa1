//! Clients that do not keep to the protocol: they are refused, and nobody else notices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use autodev::protocol::control::{Ask, Tell};
use autodev::protocol::hello::{MAJOR, Role};
use autodev::protocol::{Frame, Hello, Kind, Reply, Request, codec};
use autodev::socket;
use common::{DEADLINE, Instance};

fn connect(instance: &Instance) -> UnixStream {
    let lock = std::fs::read(instance.state().join("daemon.lock")).unwrap();
    let lock: autodev::paths::LockFile = serde_json::from_slice(&lock).unwrap();
    let stream = socket::connect(Path::new(&lock.socket), DEADLINE).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn greet(stream: &mut UnixStream, major: u16) -> Hello {
    let hello = Hello { major, ..Hello::mine(Role::Client) };
    stream.write_all(&hello.encode()).unwrap();
    Hello::read(stream).unwrap()
}

/// What the daemon says before it hangs up.
fn rest(mut stream: UnixStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is an end as well: bytes of ours were left unread.
    drop(stream.read_to_end(&mut said));
    said
}

#[test]
fn garbage_is_hung_up_on_and_others_are_served() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    for bytes in
        [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".as_slice(), &[0; 64], &[255; 64], b"ADV\0\x01\0\0\0\x07\0"]
    {
        let mut stream = connect(&instance);
        drop(stream.write_all(bytes));
        assert!(rest(stream).is_empty());
    }
    instance.ok(&["--no-start", "status"]);
}

#[test]
fn frames_that_lie_about_themselves_cost_nothing() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    for header in [[0, 0, 0, 0, 1], [255, 255, 255, 255, 1], [2, 0, 0, 0, 77]] {
        let mut stream = connect(&instance);
        greet(&mut stream, MAJOR);
        stream.write_all(&header).unwrap();
        assert!(rest(stream).is_empty());
    }
    // An announced length is not memory: many half frames at once.
    let mut half = Vec::new();
    for _ in 0..50 {
        let mut stream = connect(&instance);
        greet(&mut stream, MAJOR);
        stream.write_all(&[0, 0, 31, 0, 1, 9, 9]).unwrap();
        half.push(stream);
    }
    instance.ok(&["--no-start", "status"]);
    let resident = resident(instance.daemon_pid());
    assert!(resident < 100 * 1024, "{resident} KiB for 50 half frames");
}

/// Every prefix of every message, and messages with a byte changed, are refused or
/// answered; none of them hurts.
#[test]
fn cut_and_changed_requests() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    let requests = [
        Request::Status,
        Request::Show(autodev::id::TaskId(1)),
        Request::Session { target: "1".into() },
        Request::Sessions { all: true, before: None, limit: 7 },
    ];
    for request in requests {
        let whole = codec::encode(&request).unwrap();
        let cut = (0..whole.len()).map(|end| whole[..end].to_vec());
        let changed = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            bytes
        });
        let longer = std::iter::once([whole.as_slice(), &[0]].concat());
        for payload in cut.chain(changed).chain(longer) {
            let mut stream = connect(&instance);
            greet(&mut stream, MAJOR);
            Frame { kind: Kind::Request, payload }.write(&mut stream).unwrap();
            let frame = Frame::read(&mut stream).unwrap();
            assert_eq!(frame.kind, Kind::Reply);
            codec::decode::<Reply>(&frame.payload).unwrap();
        }
    }
}

#[test]
fn another_protocol_version_is_refused_kindly_but_can_ask_for_a_restart() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    let mut stream = connect(&instance);
    assert_eq!(greet(&mut stream, MAJOR + 1).major, MAJOR);
    let ask = |stream: &mut UnixStream, ask: &Ask| {
        Frame { kind: Kind::Control, payload: ask.encode() }.write(stream).unwrap();
        Tell::decode(&Frame::read(stream).unwrap().payload).unwrap()
    };
    assert!(matches!(ask(&mut stream, &Ask::Ping), Tell::Pong { pid, .. } if pid == instance.daemon_pid()));
    assert!(matches!(ask(&mut stream, &Ask::Resolve { name: "42.1".into() }), Tell::Refused { .. }));
    Frame { kind: Kind::Request, payload: vec![1, 2, 3] }.write(&mut stream).unwrap();
    let frame = Frame::read(&mut stream).unwrap();
    assert_eq!(frame.kind, Kind::Refusal);
    let text = String::from_utf8(frame.payload).unwrap();
    assert!(text.contains("autodev daemon restart"), "{text}");

    let mut stream = connect(&instance);
    greet(&mut stream, MAJOR + 1);
    assert_eq!(ask(&mut stream, &Ask::Restart), Tell::Agreed);
    assert!(rest(stream).is_empty());
    instance.ok(&["status"]);
}

#[test]
fn too_many_connections_are_told_so() {
    let instance = Instance::configured("[daemon]\nconnections = 8\n");
    instance.ok(&["daemon", "start"]);
    instance.submit(&["--hold"], "true");
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(&instance);
        greet(&mut stream, MAJOR);
        let watch = Request::Watch { after: Some(0) };
        let asked = codec::frame(Kind::Request, &watch).unwrap().encode().unwrap();
        stream.write_all(&asked).unwrap();
        // It is being served: nobody may have its place.
        stream.read_exact(&mut [0]).unwrap();
        open.push(stream);
    }
    let error = instance.fails(1, &["--no-start", "status"]);
    assert!(error.contains("too many connections"), "{error}");
    open.clear();
    instance.ok(&["--no-start", "status"]);
}

/// Clients that say nothing, greet and say nothing, or stop in the middle, of the daemon and
/// of a keeper: who asks for something is served all the same, and it costs no memory.
#[test]
fn a_thousand_idle_connections_keep_nobody_out() {
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let instance = Instance::new();
    let begun = instance.fifo("begun");
    let task = instance.submit(&[], &format!("echo > {}; read line; echo it was $line", begun.path()));
    begun.read();
    let keeper = std::fs::read(instance.live("1.1").join("keeper.json")).unwrap();
    let keeper: autodev::paths::KeeperFile = serde_json::from_slice(&keeper).unwrap();
    let before = [resident(instance.daemon_pid()), resident(keeper.process.pid)];
    let mut open = Vec::new();
    for says in 0..1000 {
        let mut stream = connect(&instance);
        match says % 3 {
            0 => {}
            1 => drop(greet(&mut stream, MAJOR)),
            _ => {
                greet(&mut stream, MAJOR);
                stream.write_all(&[0, 0, 31, 0, 1, 9, 9]).unwrap();
            }
        }
        open.push(stream);
        if says % 3 == 0 {
            open.push(socket::connect(&keeper.socket, DEADLINE).unwrap());
        }
        if says % 250 == 249 {
            instance.ok(&["--no-start", "status"]);
            assert!(instance.ok(&["screen", "1"]).trim().is_empty());
        }
    }
    let after = [resident(instance.daemon_pid()), resident(keeper.process.pid)];
    for (before, after) in before.iter().zip(after) {
        assert!(after < before + 8 * 1024, "{before} KiB, then {after} KiB");
    }
    instance.ok(&["send", "1", "--enter", "still here"]);
    assert_eq!(instance.wait(task), "passed");
    assert!(instance.ok(&["logs", "1"]).contains("it was still here"));
}

/// Memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    resident.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The command line sends references only; the daemon takes nothing else from anybody.
#[test]
fn secrets_are_not_taken_from_other_clients_either() {
    let instance = Instance::new();
    instance.submit(&["--hold"], "true");
    let mut stream = connect(&instance);
    let hello = greet(&mut stream, MAJOR);
    assert_eq!(hello.role, Role::Daemon);
    let open = autodev::protocol::request::Open {
        name: None,
        provider: None,
        command: vec!["true".into()],
        model: None,
        full_access: false,
        dir: instance.work().to_str().unwrap().into(),
        environment: vec![("API_TOKEN".to_owned(), "hunter2".to_owned())],
        size: None,
    };
    let bytes = codec::frame(Kind::Request, &Request::Open(Box::new(open))).unwrap().encode().unwrap();
    stream.write_all(&bytes).unwrap();
    let reply = Frame::read(&mut stream).unwrap();
    let Reply::Fault(fault) = codec::decode(&reply.payload).unwrap() else { panic!("it was taken") };
    assert!(fault.message.contains("API_TOKEN") && !fault.message.contains("hunter2"), "{}", fault.message);
    assert_eq!(instance.json(&["sessions"]).as_array().map(Vec::len), Some(0));
}
