//! A real Redis server of a test's own, with the configuration that the project ships.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Connection, FromRedisValue};

use crate::common::DEADLINE;

/// The server's program: the machine's, or the one that `make redis` has unpacked.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/redis"));
    let found = places.into_iter().map(|place| place.join("redis-server")).find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("AUTODEV_REQUIRE_REDIS").is_none(), "there is no redis-server");
        eprintln!("skipped: there is no redis-server; 'make redis' gets one");
    }
    found
}

pub struct Server {
    program: PathBuf,
    directory: tempfile::TempDir,
    more: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// A server that runs, with `more` on its command line; `None` on a machine without.
    pub fn start(more: &[&str]) -> Option<Server> {
        let mut server = Server::stopped(more)?;
        server.run();
        Some(server)
    }

    /// The same, not started yet.
    pub fn stopped(more: &[&str]) -> Option<Server> {
        let directory = tempfile::Builder::new().prefix("autodev-redis-").tempdir().unwrap();
        let more = more.iter().map(|word| (*word).to_owned()).collect();
        Some(Server { program: program()?, directory, more, child: None })
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.directory().join("s")
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Starts it, and waits until it has read its files.
    pub fn run(&mut self) {
        self.run_with(&[]);
    }

    /// The same from its snapshot, where there is no log of changes any more.
    pub fn run_from_snapshot(&mut self) {
        // With a log it would begin an empty one.
        self.run_with(&["--appendonly", "no"]);
        let () = self.ask(&["CONFIG", "SET", "appendonly", "yes"]);
    }

    fn run_with(&mut self, last: &[&str]) {
        assert!(self.child.is_none());
        // Its end by SIGKILL leaves it.
        drop(fs::remove_file(self.socket()));
        let log = File::options().create(true).append(true).open(self.directory().join("log")).unwrap();
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/redis.conf");
        let mut command = Command::new(&self.program);
        command.arg(config).arg("--unixsocket").arg(self.socket()).arg("--dir").arg(self.directory());
        // What grows within seconds is not worth a flush.
        command.args(["--appendfsync", "no"]).args(&self.more).args(last);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).current_dir(self.directory());
        self.child = Some(command.spawn().unwrap());
        let began = Instant::now();
        while self.connect().is_none_or(|mut redis| redis::cmd("DBSIZE").query::<i64>(&mut redis).is_err()) {
            let log = fs::read_to_string(self.directory().join("log")).unwrap();
            assert!(began.elapsed() < DEADLINE, "redis-server does not start:\n{log}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// It stays no replica, however often it is started.
    pub fn alone(mut self) -> Server {
        self.more.clear();
        self
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends it as its administrator would.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).unwrap();
        child.wait().unwrap();
    }

    fn connect(&self) -> Option<Connection> {
        let address = format!("unix://{}", self.socket().display());
        redis::Client::open(address).unwrap().get_connection_with_timeout(DEADLINE).ok()
    }

    /// Asks it something.
    #[track_caller]
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query(&mut self.connect().unwrap()).unwrap()
    }

    pub fn client(&self) -> Connection {
        self.connect().unwrap()
    }

    /// Cuts off the end of the log of changes, if there is one yet; the server must not run.
    pub fn cut_log(&self, bytes: u64) -> bool {
        let files = fs::read_dir(self.directory().join("appendonlydir")).into_iter().flatten().flatten();
        let log = files.map(|file| file.path()).find(|path| path.to_string_lossy().ends_with(".incr.aof"));
        let Some(log) = log else { return false };
        let log = File::options().write(true).open(log).unwrap();
        log.set_len(log.metadata().unwrap().len().saturating_sub(bytes)).unwrap();
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
