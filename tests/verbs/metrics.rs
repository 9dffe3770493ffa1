//! `autodev metrics` and `autodev health`, and both over HTTP.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use crate::common::{DEADLINE, Instance, appears};

const MANUAL: &str = include_str!("../../man/autodev-metrics.7");

fn value(text: &str, figure: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {figure} in\n{text}")).parse().unwrap()
}

#[test]
fn figures_are_what_is_so_and_in_the_manual() {
    let instance = Instance::new();
    instance.wait(instance.submit(&[], "true"));
    instance.wait(instance.submit(&[], "exit 1"));
    instance.submit(&["--hold"], "true");
    let begun = instance.fifo("begun");
    instance.submit(&[], &format!("echo > {}; sleep 1000", begun.path()));
    begun.read();
    instance.ok(&["backup"]);
    let text = instance.ok(&["metrics"]);
    assert_eq!(value(&text, "autodev_tasks{state=\"passed\"}"), 1.0);
    assert_eq!(value(&text, "autodev_tasks{state=\"held\"}"), 1.0);
    assert_eq!(value(&text, "autodev_slots_used"), 1.0);
    assert_eq!(value(&text, "autodev_sessions"), 1.0);
    assert_eq!(value(&text, "autodev_tasks_ended_total{provider=\"shell\",state=\"passed\"}"), 1.0);
    assert_eq!(value(&text, "autodev_attempts_ended_total{outcome=\"agent-failed\",provider=\"shell\"}"), 1.0);
    assert_eq!(value(&text, "autodev_attempt_running_seconds_count"), 2.0);
    assert_eq!(value(&text, "autodev_task_waiting_seconds_bucket{le=\"43200.0\"}"), 3.0);
    // However often they are asked for.
    let again = instance.ok(&["metrics"]);
    assert_eq!(value(&again, "autodev_attempt_running_seconds_count"), 2.0);
    instance.ok(&["config", "set", "queue.slots", "1"]);
    instance.submit(&[], "true");
    assert_eq!(value(&instance.ok(&["metrics"]), "autodev_tasks_waiting{reason=\"Slots\"}"), 1.0);
    assert!(value(&text, "autodev_session_memory_bytes{session=\"4.1\",tool=\"shell\"}") > 100_000.0);
    assert!(value(&text, "autodev_daemon_memory_bytes") > 1_000_000.0);
    assert!(text.ends_with("# EOF\n"));
    // The manual names what there is, and nothing else.
    instance.ok(&["config", "set", "redis.url", "redis+unix:///nowhere"]);
    let text = instance.ok(&["metrics"]);
    let mut there: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .map(|name| ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name))
        .collect();
    // Nobody knows since when, before there was a copy.
    assert!(there.insert("autodev_redis_behind_seconds"));
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let named: BTreeSet<&str> = MANUAL.split(word).filter(|name| name.starts_with("autodev_")).collect();
    assert_eq!(there, named);
}

fn get(stream: impl Read + Write, path: &str) -> (u16, String) {
    asked_as("localhost", stream, path)
}

fn asked_as(host: &str, mut stream: impl Read + Write, path: &str) -> (u16, String) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// The daemon follows its settings by itself: nobody is told when it has.
fn until(instance: &Instance, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < DEADLINE, "{}", instance.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn they_are_served_where_the_settings_say() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    let socket = instance.home().join("figures");
    instance.ok(&["config", "set", "metrics.listen", &format!("unix:{}", socket.display())]);
    appears(&socket);
    let unix = |path: &str| get(UnixStream::connect(&socket).unwrap(), path);
    let (status, text) = unix("/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("autodev_uptime_seconds"), "{text}");
    assert_eq!(unix("/health"), (200, "well\n".into()));
    assert_eq!(unix("/other").0, 404);
    // Elsewhere, from now on, and no longer there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    instance.ok(&["config", "set", "metrics.listen", &port.to_string()]);
    until(&instance, || TcpStream::connect(port).is_ok());
    assert_eq!(get(TcpStream::connect(port).unwrap(), "/health").0, 200);
    assert!(UnixStream::connect(&socket).is_err() && !socket.exists());
    // Only as this machine: a page elsewhere may have its name lead here.
    let tcp = || TcpStream::connect(port).unwrap();
    for (host, status) in [("127.0.0.1", 200), ("[::1]", 200), ("autodev.example.org", 403), ("", 403)] {
        assert_eq!(asked_as(host, tcp(), "/health").0, status, "{host}");
        assert_eq!(asked_as(&format!("{host}:{}", port.port()), tcp(), "/health").0, status, "{host}");
        // Through a tunnel that begins at another port.
        assert_eq!(asked_as(&format!("{host}:9"), tcp(), "/health").0, status, "{host}");
    }
    // Where somebody else listens, and is too busy to be asked, the daemon does not wait.
    let busy = instance.home().join("busy");
    let theirs = UnixListener::bind(&busy).unwrap();
    assert_eq!(unsafe { libc::listen(theirs.as_raw_fd(), 0) }, 0);
    let _queued = UnixStream::connect(&busy).unwrap();
    instance.ok(&["config", "set", "metrics.listen", &format!("unix:{}", busy.display())]);
    until(&instance, || instance.log().contains("busy is served by another program"));
    instance.ok(&["status"]);
    instance.ok(&["config", "set", "metrics.listen", &port.to_string()]);
    until(&instance, || TcpStream::connect(port).is_ok());
    // What is wrong shows.
    instance.ok(&["config", "set", "daemon.disk_reserve", "65536 GiB"]);
    assert_eq!(get(TcpStream::connect(port).unwrap(), "/health").0, 503);
    let health = instance.run(&["health", "--json"]);
    assert_eq!(health.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&health.stdout).contains("disk"));
    instance.ok(&["config", "unset", "daemon.disk_reserve"]);
    assert_eq!(instance.ok(&["health"]), "well\n");
    instance.ok(&["daemon", "stop"]);
    instance.fails(3, &["health"]);
}

/// What lies where figures are to be served stays.
#[test]
fn nothing_is_replaced_by_a_socket() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    let file = instance.home().join("document");
    std::fs::write(&file, "precious").unwrap();
    let own = instance.json(&["status"])["socket"].as_str().unwrap().to_owned();
    for path in [file.to_str().unwrap(), &own] {
        instance.ok(&["config", "set", "metrics.listen", &format!("unix:{path}")]);
        until(&instance, || instance.log().contains(&format!("{path} is")));
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    instance.ok(&["config", "unset", "metrics.listen"]);
    instance.ok(&["status"]);
}
