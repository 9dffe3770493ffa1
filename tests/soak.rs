//! Thirty sessions that people come to and go from every second, while other tasks come and
//! go: in the end daemon and keepers use no more than in the beginning.
//! `AUTODEV_SOAK_SECONDS` says how long; the default is quick.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "attach/support.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod support;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use autodev::paths::{KeeperFile, LockFile};
use support::{Home, LONG, User, code};

const SESSIONS: usize = 30;
/// How often everybody comes.
const EVERY: Duration = Duration::from_secs(1);
/// How often, and how far apart, somebody looks at a process that is to be at rest.
const LOOKS: usize = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// What a process may have more than before, in KiB: the allocator's slack.
const SLACK: u64 = 2 * 1024;
/// The same of the daemon, whose caches of the database fill with what has run.
const CACHES: u64 = 8 * 1024;
/// Prints some pages, then changes one line again and again.
const PROGRAM: &str = "seq 3000; n=0; while :; do n=$((n+1)); printf '\\rtick %s ' $n; sleep 0.3; done";

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    descriptors: usize,
    threads: usize,
    /// In KiB, without what it shares with files.
    memory: u64,
}

impl Used {
    fn by(pid: u32) -> Used {
        // Whoever may not look at its descriptors learns how many there are from Linux 6.2 on;
        // before it is 0, and only root looks at them.
        let known = fs::metadata(format!("/proc/{pid}/fd")).unwrap().len() as usize;
        let descriptors = if known > 0 { known } else { names(pid).len() };
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        let memory = memory.trim().trim_end_matches(" kB").parse().unwrap();
        Used { descriptors, threads, memory }
    }

    fn is_within(self, base: Used, slack: u64) -> bool {
        self.descriptors <= base.descriptors && self.threads <= base.threads && self.memory <= base.memory + slack
    }
}

/// What a process uses when it does nothing for anybody: the last visitor's connection may
/// be about to be closed, which nobody can wait for from outside, and would hide a leak.
fn at_rest(pid: u32) -> Used {
    let looks = (0..LOOKS).map(|_| {
        thread::sleep(BETWEEN_LOOKS);
        Used::by(pid)
    });
    looks.min_by_key(|used| used.descriptors).unwrap()
}

/// What the descriptors of a process are open on, as far as we may look.
fn names(pid: u32) -> Vec<String> {
    let all = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    all.filter_map(|fd| Some(fs::read_link(fd.path()).ok()?.to_string_lossy().into_owned())).collect()
}

fn lasts() -> Duration {
    let seconds = std::env::var("AUTODEV_SOAK_SECONDS").ok().and_then(|n| n.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

fn ok(home: &Home, arguments: &[&str]) -> String {
    let output = home.with_daemon(arguments).output().unwrap();
    assert!(output.status.success(), "autodev {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn submit(home: &Home, script: &str) -> String {
    ok(home, &["submit", "-q", "--provider", "shell", "--", "sh", "-c", script]).trim().to_owned()
}

/// Somebody comes, sees that it goes on, and leaves.
fn visit(home: &Home, task: &str) {
    let mut user = User::start(home, &["attach", task]);
    user.see("tick");
    user.type_(b"\x02d");
    assert_eq!(code(&mut user), 0);
}

/// Does something every second until the time is over; how often.
fn every_second(until: Instant, act: impl Fn()) -> usize {
    let mut next = Instant::now();
    for count in 0.. {
        if Instant::now() >= until {
            return count;
        }
        act();
        next = (next + EVERY).max(Instant::now());
        thread::sleep(next.min(until).saturating_duration_since(Instant::now()));
    }
    0
}

#[test]
fn nothing_grows() {
    let home = Home::new();
    fs::create_dir_all(home.path().join("config")).unwrap();
    fs::write(home.path().join("config/config.toml"), format!("[queue]\nslots = {}\n", SESSIONS + 2)).unwrap();
    let tasks: Vec<String> = (0..SESSIONS).map(|_| submit(&home, PROGRAM)).collect();
    let another = || {
        let task = submit(&home, "seq 1000");
        ok(&home, &["wait", "--timeout", "60s", &task]);
    };
    for _ in 0..3 {
        tasks.iter().for_each(|task| visit(&home, task));
        another();
    }
    // One more connection to the database than the usual ones: SQLite keeps its descriptor for
    // the next, since closing it would give up the locks of all. One is made every hour.
    ok(&home, &["backup"]);
    let lock = fs::read(home.path().join("state/daemon.lock")).unwrap();
    let lock: LockFile = serde_json::from_slice(&lock).unwrap();
    let keeper = |task: &String| {
        let file = fs::read(home.dir(&format!("{task}.1")).keeper()).unwrap();
        serde_json::from_slice::<KeeperFile>(&file).unwrap().process.pid
    };
    let all: Vec<u32> = std::iter::once(lock.process.pid).chain(tasks.iter().map(keeper)).collect();
    let base: Vec<Used> = all.iter().map(|pid| at_rest(*pid)).collect();
    let open = names(all[0]);
    let slack = |at: usize| if at == 0 { CACHES } else { SLACK };
    let is_within = |after: &[Used]| (0..all.len()).all(|at| after[at].is_within(base[at], slack(at)));

    let until = Instant::now() + lasts();
    let (visits, others) = thread::scope(|scope| {
        let visitors: Vec<_> =
            tasks.iter().map(|task| scope.spawn(|| every_second(until, || visit(&home, task)))).collect();
        let others = every_second(until, another);
        (visitors.into_iter().map(|visitor| visitor.join().unwrap()).sum::<usize>(), others)
    });

    // Who was hung up on says so to nobody: what they had goes within a moment.
    let deadline = Instant::now() + LONG;
    let after = loop {
        let after: Vec<Used> = all.iter().map(|pid| Used::by(*pid)).collect();
        if is_within(&after) || Instant::now() > deadline {
            break after;
        }
        thread::sleep(BETWEEN_LOOKS);
    };
    println!("{} s, {visits} visits, {others} other tasks", lasts().as_secs());
    println!("daemon: {:?}, then {:?}", base[0], after[0]);
    let most = |all: &[Used]| all[1..].iter().copied().max_by_key(|used| used.memory);
    println!("keepers, at most: {:?}, then {:?}", most(&base), most(&after));
    let mut new = names(all[0]);
    for name in &open {
        if let Some(at) = new.iter().position(|other| other == name) {
            new.swap_remove(at);
        }
    }
    assert!(is_within(&after), "{base:?}\nthen {after:?}\nnew in the daemon: {new:?}");
}
