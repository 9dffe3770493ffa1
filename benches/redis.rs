//! Measures the copy in Redis, on a real server of the measurement's own.
//!
//! `cargo bench --bench redis [-- NAME…]` runs all measurements or those named; `-- list`
//! names them. It needs the server of `make redis`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that cannot go on has failed"
)]

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[allow(dead_code, reason = "written for more than this")]
mod shared;

use autodev::client::{Client, Start};
use autodev::protocol::Request;
use autodev::protocol::request::Submit;
use autodev::task::{Mode, OnInterrupt, TaskSpec};
use shared::asked::{self, Measurement};
use shared::instance::Instance;
use shared::{disk, programs};

const MEASUREMENTS: [Measurement; 3] = [
    ("copy", "100 000 tasks: reading one from outside, building the copy, comparing it", copy),
    ("lag", "from the commit of a change until a reader of the stream has it, 1 000 changes a second", lag),
    ("dead", "a durable submit, whole command: without Redis, with it, with one that is dead", dead),
];

fn main() {
    asked::run(&MEASUREMENTS, || programs::install(&[]));
}

struct Server {
    directory: tempfile::TempDir,
    child: Child,
}

impl Server {
    fn start() -> Server {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let unpacked = root.join("target/redis/redis-server");
        let program = if unpacked.exists() { unpacked } else { PathBuf::from("redis-server") };
        let socket = directory.path().join("s");
        let child = Command::new(program)
            .arg(root.join("config/redis.conf"))
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server; 'make redis' gets one");
        let server = Server { directory, child };
        while !socket.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        server
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.directory.path().join("s").display())
    }

    fn connect(&self) -> redis::Connection {
        let address = format!("unix://{}", self.directory.path().join("s").display());
        redis::Client::open(address).unwrap().get_connection().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the names of the instance's keys begin with, once the copy follows.
fn follows(instance: &Instance) -> String {
    loop {
        let output = instance.command(&["redis", "status", "--json"]).stdout(Stdio::piped()).output().unwrap();
        let view: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        if view["state"] == "following" && view["behind"] == 0 {
            return view["keys"].as_str().unwrap().to_owned();
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn show(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let p99 = times[(times.len() * 99 / 100).min(times.len() - 1)];
    println!("{name:44} p50 {:8.3} ms  p99 {:8.3} ms", ms(times[times.len() / 2]), ms(p99));
}

fn batch(instance: &Instance, tasks: usize) {
    let file = instance.home().join("batch.jsonl");
    let mut out = std::io::BufWriter::new(File::create(&file).unwrap());
    for n in 0..tasks {
        writeln!(out, r#"{{"title":"task {n}","provider":"shell","command":["true"],"hold":true}}"#).unwrap();
    }
    out.flush().unwrap();
    instance.ok(&["submit", "-q", "--batch", file.to_str().unwrap()]);
}

fn copy() {
    const TASKS: usize = 100_000;
    let server = Server::start();
    let instance = Instance::new(1);
    batch(&instance, TASKS);
    instance.ok(&["config", "set", "redis.url", &server.url()]);
    let keys = follows(&instance);
    let mut client = server.connect();
    let mut times = Vec::new();
    for n in 0..10_000usize {
        let task = format!("{keys}:task:{}", n * 7919 % TASKS + 1);
        let begun = Instant::now();
        let state: String = redis::cmd("HGET").arg(task).arg("state").query(&mut client).unwrap();
        times.push(begun.elapsed());
        assert_eq!(state, "held");
    }
    show("a task's state, from outside", times);
    for (name, verb) in [("building the copy", "rebuild"), ("comparing all of it", "verify")] {
        let begun = Instant::now();
        instance.ok(&["redis", verb]);
        println!("{name:44} {:.2} s", begun.elapsed().as_secs_f64());
    }
}

fn lag() {
    /// Changes a second, and for how long.
    const RATE: u32 = 1_000;
    const LENGTH: Duration = Duration::from_secs(20);
    let server = Server::start();
    let instance = Instance::new(1);
    instance.ok(&["config", "set", "redis.url", &server.url()]);
    let stream = format!("{}:events", follows(&instance));
    let below = |name: &str| instance.home().join(name);
    let paths = autodev::paths::Paths { config: below("config"), state: below("state"), runtime: below("state/run") };
    let over = AtomicBool::new(false);
    let mut lags = Vec::new();
    let mut done = 0u32;
    let begun = Instant::now();
    thread::scope(|scope| {
        let reading = scope.spawn(|| read(&server, &stream, &over));
        // Each of several clients waits for its commit before it sends the next.
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let paths = &paths;
                scope.spawn(move || {
                    let mut connection = Client::connect(paths, Start::Never).unwrap();
                    let mut sent = 0;
                    for n in 0.. {
                        let at = begun + Duration::from_secs(1) / RATE * (n * 8 + client);
                        if at.duration_since(begun) > LENGTH {
                            break;
                        }
                        thread::sleep(at.saturating_duration_since(Instant::now()));
                        connection.call(&change(n * 8 + client)).unwrap();
                        sent += 1;
                    }
                    sent
                })
            })
            .collect();
        done = clients.into_iter().map(|client| client.join().unwrap()).sum();
        let spent = begun.elapsed();
        println!("{:44} {:.0} a second", "changes", f64::from(done) / spent.as_secs_f64());
        follows(&instance);
        over.store(true, Ordering::Release);
        lags = reading.join().unwrap();
    });
    println!("{:44} {} of {done}", "of these seen", lags.len());
    show("from commit to the reader", lags);
}

/// A task to store that nobody runs.
fn change(n: u32) -> Request {
    let spec = TaskSpec {
        title: format!("task {n}"),
        description: String::new(),
        command: vec!["true".into()],
        role: None,
        provider: "shell".into(),
        model: None,
        mode: Mode::Cli,
        dir: "/tmp".into(),
        full_access: false,
        priority: 0,
        after: Vec::new(),
        begin: None,
        hold: true,
        retries: 0,
        on_interrupt: OnInterrupt::Resume,
        max_restarts: 3,
        timeout: None,
        labels: Vec::new(),
        environment: BTreeMap::new(),
        size: None,
    };
    Request::Submit(Box::new(Submit { key: format!("lag-{n}"), spec }))
}

/// How late each entry comes: its own time is that of its transaction.
fn read(server: &Server, stream: &str, over: &AtomicBool) -> Vec<Duration> {
    type Streams = Option<Vec<(String, Vec<(String, HashMap<String, String>)>)>>;
    let mut client = server.connect();
    let (mut last, mut lags) = ("$".to_owned(), Vec::new());
    while !over.load(Ordering::Acquire) {
        let mut ask = redis::cmd("XREAD");
        ask.arg(&["COUNT", "1000", "BLOCK", "500", "STREAMS", stream, last.as_str()]);
        let found: Streams = ask.query(&mut client).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        for (id, fields) in found.into_iter().flatten().flat_map(|(_, entries)| entries) {
            let at: jiff::Timestamp = fields["at"].parse().unwrap();
            let at = Duration::from_millis(u64::try_from(at.as_millisecond()).unwrap());
            lags.push(now.saturating_sub(at));
            last = id;
        }
    }
    lags
}

fn dead() {
    const RUNS: usize = 300;
    let server = Server::start();
    println!("{:44} {:.3} ms", "a flush of 4 KiB here", disk::flush(server.directory.path()));
    let gone = server.directory.path().join("gone");
    // Accepts and never answers.
    let silent = server.directory.path().join("silent");
    let listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    for (name, url) in [
        ("without Redis", String::new()),
        ("with it", server.url()),
        ("not there", format!("redis+unix://{}", gone.display())),
        ("silent", format!("redis+unix://{}", silent.display())),
    ] {
        let instance = Instance::new(1);
        if !url.is_empty() {
            instance.ok(&["config", "set", "redis.url", &url]);
        }
        let mut times = Vec::new();
        for run in 0..RUNS + RUNS / 10 {
            let mut command = instance.command(&["submit", "-q", "--hold", "--provider", "shell", "--", "true"]);
            let begun = Instant::now();
            assert!(command.status().unwrap().success());
            if run >= RUNS / 10 {
                times.push(begun.elapsed());
            }
        }
        show(&format!("submit, {name}"), times);
    }
    drop(listener);
    drop(fs::remove_file(silent));
}
