//! The client against daemons made of a thread and a script of answers.

use super::*;
use crate::lock::FileLock;
use crate::paths::LockFile;
use crate::process::ProcessId;
use crate::protocol::Frame;
use crate::protocol::hello::Role;
use crate::socket;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::{self, JoinHandle};

struct Instance {
    _dir: tempfile::TempDir,
    paths: Paths,
    lock: FileLock,
}

/// An instance whose lock we hold, and whose lock file names a socket.
fn instance() -> Instance {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let paths = Paths { config: dir.path().join("config"), runtime: state.join("run"), state };
    socket::private_directory(&paths.runtime).unwrap();
    let lock = FileLock::take(&paths.daemon_lock()).unwrap().unwrap();
    let process = ProcessId::current().unwrap();
    let file = LockFile { v: 1, process, socket: paths.daemon_socket(), generation: 1 };
    let mut written = lock.file();
    written.write_all(&serde_json::to_vec(&file).unwrap()).unwrap();
    Instance { _dir: dir, paths, lock }
}

fn hello(major: u16, minor: u16) -> Vec<u8> {
    Hello { major, minor, role: Role::Daemon, build: "test".into() }.encode()
}

fn answer(reply: &Reply) -> Vec<u8> {
    codec::frame(Kind::Reply, reply).unwrap().encode().unwrap()
}

/// Accepts once for each part of the script and gives the connection to it.
fn daemon(instance: &Instance, script: Vec<fn(UnixStream)>) -> JoinHandle<()> {
    let listener: UnixListener = socket::bind(&instance.paths.daemon_socket()).unwrap();
    thread::spawn(move || {
        for part in script {
            part(listener.accept().unwrap().0);
        }
    })
}

fn request(stream: &mut UnixStream) -> Request {
    let frame = Frame::read(stream).unwrap();
    assert_eq!(frame.kind, Kind::Request);
    codec::decode(&frame.payload).unwrap()
}

#[test]
fn hello_goes_with_the_first_request_only() {
    let instance = instance();
    let daemon = daemon(
        &instance,
        vec![|mut stream| {
            // One write: both are there at once.
            let mut first = [0; 4096];
            let n = std::io::Read::read(&mut stream, &mut first).unwrap();
            let mut bytes = &first[..n];
            assert_eq!(Hello::read(&mut bytes).unwrap(), Hello::mine(Role::Client));
            assert_eq!(codec::decode::<Request>(&Frame::read(&mut bytes).unwrap().payload).unwrap(), Request::Status);
            stream.write_all(&hello(hello::MAJOR, hello::MINOR)).unwrap();
            stream.write_all(&answer(&Reply::Done)).unwrap();
            assert_eq!(request(&mut stream), Request::Providers);
            stream.write_all(&answer(&Reply::Fault(Fault::not_found("gone")))).unwrap();
        }],
    );
    let mut client = Client::connect(&instance.paths, Start::Never).unwrap();
    assert_eq!(client.call(&Request::Status).unwrap(), Reply::Done);
    assert_eq!(client.call(&Request::Providers).unwrap_err().code, FaultCode::NotFound);
    // A holder of the lock would be waited for.
    drop(instance.lock);
    assert_eq!(client.call(&Request::Providers).unwrap_err().code, FaultCode::Unreachable);
    daemon.join().unwrap();
}

#[test]
fn what_has_no_answer_is_repeated_after_a_loss() {
    let instance = instance();
    let daemon = daemon(
        &instance,
        vec![
            |mut stream| {
                Hello::read(&mut stream).unwrap();
                assert_eq!(request(&mut stream), Request::Status);
                stream.write_all(&hello(hello::MAJOR, hello::MINOR)).unwrap();
                stream.write_all(&answer(&Reply::Done)).unwrap();
                assert_eq!(request(&mut stream), Request::Providers);
                // Gone without an answer.
            },
            |mut stream| {
                Hello::read(&mut stream).unwrap();
                stream.write_all(&hello(hello::MAJOR, hello::MINOR)).unwrap();
                assert_eq!(request(&mut stream), Request::Providers);
                stream.write_all(&answer(&Reply::Providers(Vec::new()))).unwrap();
                assert_eq!(request(&mut stream), Request::Verify);
                stream.write_all(&answer(&Reply::Done)).unwrap();
            },
        ],
    );
    let mut client = Client::connect(&instance.paths, Start::Never).unwrap();
    let mut replies = Vec::new();
    let requests = [Request::Status, Request::Providers, Request::Verify];
    client
        .pipeline(requests, |reply| {
            replies.push(reply);
            Ok(())
        })
        .unwrap();
    assert_eq!(replies, [Reply::Done, Reply::Providers(Vec::new()), Reply::Done]);
    daemon.join().unwrap();
}

#[test]
fn a_request_that_ends_the_daemon_is_not_repeated_for_ever() {
    let instance = instance();
    let die: fn(UnixStream) = |mut stream| {
        Hello::read(&mut stream).unwrap();
        request(&mut stream);
    };
    let daemon = daemon(&instance, vec![die; MAX_LOSSES as usize]);
    let mut client = Client::connect(&instance.paths, Start::Never).unwrap();
    assert_eq!(client.call_surely(Request::Status).unwrap_err().code, FaultCode::Unknown);
    daemon.join().unwrap();
}

#[test]
fn a_refusal_and_nonsense_are_told() {
    let instance = instance();
    let daemon = daemon(
        &instance,
        vec![
            |mut stream| {
                stream.write_all(&hello(hello::MAJOR, hello::MINOR)).unwrap();
                let refusal = Frame { kind: Kind::Refusal, payload: b"agents do not command".to_vec() };
                refusal.write(&mut stream).unwrap();
                drop(std::io::Read::read(&mut stream, &mut [0; 4096]));
            },
            |mut stream| {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
                drop(std::io::Read::read(&mut stream, &mut [0; 4096]));
            },
        ],
    );
    for (code, text) in [(FaultCode::Permission, "agents do not command"), (FaultCode::Unreachable, "protocol")] {
        let fault = Client::connect(&instance.paths, Start::Never).unwrap().call(&Request::Status).unwrap_err();
        assert!(fault.code == code && fault.message.contains(text), "{fault:?}");
    }
    daemon.join().unwrap();
}

#[test]
fn a_daemon_of_another_major_is_named_and_still_controlled() {
    let instance = instance();
    let other: fn(UnixStream) = |mut stream| {
        Hello::read(&mut stream).unwrap();
        stream.write_all(&hello(hello::MAJOR + 1, 0)).unwrap();
        let frame = Frame::read(&mut stream).unwrap();
        if frame.kind == Kind::Control {
            assert_eq!(Ask::decode(&frame.payload), Some(Ask::Ping));
            let pong = Tell::Pong { pid: 1, since: 2, build: "9".into() };
            Frame { kind: Kind::Control, payload: pong.encode() }.write(&mut stream).unwrap();
        }
    };
    let daemon = daemon(&instance, vec![other, other]);
    let connect = || Client::connect(&instance.paths, Start::Never).unwrap();
    let fault = connect().call(&Request::Status).unwrap_err();
    assert_eq!(fault.code, FaultCode::Unreachable);
    assert!(fault.hint.unwrap().contains("newer"), "{}", fault.message);
    assert!(matches!(connect().control(&Ask::Ping), Ok(Tell::Pong { pid: 1, .. })));
    daemon.join().unwrap();
}

#[test]
fn an_older_daemon_is_restarted_once_and_asked_again() {
    let instance = instance();
    let daemon = daemon(
        &instance,
        vec![
            |mut stream| {
                Hello::read(&mut stream).unwrap();
                request(&mut stream);
                stream.write_all(&hello(hello::MAJOR - 1, 7)).unwrap();
            },
            |mut stream| {
                Hello::read(&mut stream).unwrap();
                stream.write_all(&hello(hello::MAJOR - 1, 7)).unwrap();
                assert_eq!(Ask::decode(&Frame::read(&mut stream).unwrap().payload), Some(Ask::Restart));
                Frame { kind: Kind::Control, payload: Tell::Agreed.encode() }.write(&mut stream).unwrap();
            },
            |mut stream| {
                Hello::read(&mut stream).unwrap();
                assert_eq!(request(&mut stream), Request::Status);
                stream.write_all(&hello(hello::MAJOR, hello::MINOR)).unwrap();
                stream.write_all(&answer(&Reply::Done)).unwrap();
            },
        ],
    );
    if door::inside_session().is_some() {
        return;
    }
    let mut client = Client::connect(&instance.paths, Start::IfNeeded).unwrap();
    assert_eq!(client.call(&Request::Status).unwrap(), Reply::Done);
    daemon.join().unwrap();
}

#[test]
fn answers_have_a_time_limit_and_streams_go_on() {
    let instance = instance();
    let daemon = daemon(
        &instance,
        vec![|mut stream| {
            Hello::read(&mut stream).unwrap();
            request(&mut stream);
            // No answer; the end of the client is waited for.
            drop(std::io::Read::read(&mut stream, &mut [0; 1]));
        }],
    );
    let mut client = Client::connect(&instance.paths, Start::Never).unwrap();
    let fault = client.call_within(&Request::Status, Some(Duration::from_millis(20))).unwrap_err();
    assert_eq!(fault.code, FaultCode::Unreachable);
    drop(client);
    daemon.join().unwrap();
}

#[test]
fn a_held_lock_without_a_socket_is_waited_for() {
    let instance = instance();
    let paths = instance.paths.clone();
    // As after a logout: the whole runtime directory is gone.
    std::fs::remove_dir_all(&paths.runtime).unwrap();
    let client = thread::spawn(move || Client::connect(&paths, Start::Never).map(drop));
    let listener = {
        socket::private_directory(&instance.paths.runtime).unwrap();
        socket::bind(&instance.paths.daemon_socket()).unwrap()
    };
    client.join().unwrap().unwrap();
    drop(listener);
}

#[test]
fn without_a_holder_nothing_is_waited_for() {
    let instance = instance();
    let paths = instance.paths.clone();
    drop(instance.lock);
    let fault = Client::connect(&paths, Start::Never).unwrap_err();
    assert_eq!((fault.code, fault.message.as_str()), (FaultCode::Unreachable, "no daemon runs"));
    assert!(Client::connect_quickly(&paths, Duration::from_millis(100)).is_none());
}
