//! Measures the main job against floors and peers on the machine it runs on.
//!
//! `cargo bench --bench spine [-- NAME…]` runs all measurements or those named; `-- list`
//! names them. Figures are medians of whole processes; compare the ratios, not the
//! absolute times. Everything runs in a temporary instance.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

mod shared;

use shared::asked::{self, Measurement};
use shared::instance::Instance;
use shared::process::kib;
use shared::{disk, programs};

const MEASUREMENTS: [Measurement; 9] = [
    ("submit", "a durable submit, whole command, against spawn and spawn + fsync", submit),
    ("parallel", "durable submits of 8 processes at once, and a batch of 10 000", parallel),
    ("listing", "status, show, list of 50 with 100 000 tasks queued", listing),
    ("million", "the same with 1 000 000, and a start of the daemon with them", million),
    ("beside", "another submit while a batch of 100 000 is stored", beside),
    ("start", "from submit to the program running in its terminal", start),
    ("throughput", "finished trivial tasks a second with 8 slots", throughput),
    ("memory", "memory of the daemon with 100 000 queued and of a keeper", memory),
    ("idle", "wake-ups with 10 sessions and nobody typing", idle),
];

fn main() {
    asked::run(&MEASUREMENTS, || programs::install(&["empty", "fsync", "now"]));
}

fn program(name: &str) -> Command {
    Command::new(programs::path(name))
}

impl Instance {
    /// Stores `tasks` tasks of a line each; returns how long that took.
    fn batch(&self, tasks: usize, options: &str, command: &str) -> Duration {
        let file = self.home().join("batch.jsonl");
        let mut out = std::io::BufWriter::new(File::create(&file).expect("a batch"));
        for n in 0..tasks {
            writeln!(out, r#"{{"title":"task {n}","provider":"shell","command":["{command}"]{options}}}"#)
                .expect("a line");
        }
        out.flush().expect("a batch");
        let begun = Instant::now();
        self.ok(&["submit", "-q", "--batch", file.to_str().expect("a path")]);
        begun.elapsed()
    }
}

/// Times of whole processes, sorted, of each command. They take turns, so that what the
/// machine does besides meets all of them.
fn time<const N: usize>(runs: usize, commands: [&dyn Fn() -> Command; N]) -> [Vec<Duration>; N] {
    let mut times = [const { Vec::new() }; N];
    let before = runs / 10;
    for run in 0..before + runs {
        for (command, times) in commands.iter().zip(&mut times) {
            let mut command = command();
            // "There are more tasks" is not what is measured.
            command.stderr(Stdio::null());
            let begun = Instant::now();
            assert!(command.status().expect("started").success());
            if run >= before {
                times.push(begun.elapsed());
            }
        }
    }
    times.iter_mut().for_each(|times| times.sort());
    times
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(times: &[Duration]) -> f64 {
    ms(times[times.len() / 2])
}

fn report(name: &str, times: &[Duration], floor: Option<(&str, f64)>) -> f64 {
    let p50 = median(times);
    let p99 = ms(times[(times.len() * 99 / 100).min(times.len() - 1)]);
    let ratio = floor.map_or(String::new(), |(of, floor)| format!("  = {:.2} x {of}", p50 / floor));
    println!("{name:44} p50 {p50:8.2} ms  p99 {p99:8.2} ms{ratio}");
    p50
}

fn submit() {
    let instance = Instance::new(1);
    let file = instance.home().join("floor");
    let prompt = "p".repeat(4096);
    let [empty, synced, short, long] = time(
        300,
        [
            &|| program("empty"),
            &|| {
                let mut command = program("fsync");
                command.arg(&file);
                command
            },
            &|| instance.command(&["submit", "-q", "--hold", "--provider", "shell", "--", "true"]),
            &|| instance.command(&["submit", "-q", "--hold", "--provider", "shell", "--", "true", &prompt]),
        ],
    );
    let empty = report("empty program", &empty, None);
    let synced = report("program that writes and flushes 4 KiB", &synced, Some(("empty", empty)));
    report("autodev submit", &short, Some(("fsync", synced)));
    report("autodev submit, 4 KB prompt", &long, Some(("fsync", synced)));
}

fn parallel() {
    let instance = Instance::new(1);
    const EACH: usize = 250;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let args = ["submit", "-q", "--hold", "--provider", "shell", "--", "true"];
                    assert!(instance.command(&args).status().expect("autodev").success());
                }
            });
        }
    });
    println!("{:44} {:8.0} /s", "8 processes", 8.0 * EACH as f64 / begun.elapsed().as_secs_f64());
    let took = instance.batch(10_000, r#","hold":true"#, "true");
    println!("{:44} {:8.0} /s", "batch of 10 000", 10_000.0 / took.as_secs_f64());
}

fn listing() {
    let instance = Instance::new(1);
    ask(&instance, "empty queue");
    instance.ok(&["pause"]);
    instance.batch(100_000, "", "true");
    ask(&instance, "100 000 queued");
}

fn ask(instance: &Instance, with: &str) {
    if instance.ok(&["list", "--all", "-q", "--limit", "1"]).is_empty() {
        instance.ok(&["submit", "--hold", "--provider", "shell", "--", "true"]);
    }
    let verbs: [&[&str]; 3] = [&["status", "-q"], &["show", "1"], &["list", "--limit", "50"]];
    let [first, second, third] = verbs.map(|args| move || instance.command(args));
    let [empty, times @ ..] = time(200, [&|| program("empty"), &first, &second, &third]);
    let empty = report("empty program", &empty, None);
    for (args, times) in verbs.iter().zip(&times) {
        report(&format!("{} ({with})", args.join(" ")), times, Some(("empty", empty)));
    }
    let args = ["submit", "-q", "--hold", "--provider", "shell", "--", "true"];
    let [times] = time(200, [&|| instance.command(&args)]);
    report(&format!("submit ({with})"), &times, None);
}

fn million() {
    let instance = Instance::new(20);
    for _ in 0..20 {
        instance.ok(&["open", "--detach", "--", "sleep", "100000"]);
    }
    instance.ok(&["pause"]);
    for _ in 0..10 {
        instance.batch(100_000, "", "true");
    }
    ask(&instance, "1 000 000 queued");
    let mut times: Vec<_> = (0..5)
        .map(|_| {
            instance.ok(&["daemon", "stop"]);
            let begun = Instant::now();
            instance.ok(&["daemon", "start"]);
            begun.elapsed()
        })
        .collect();
    times.sort();
    report("daemon start to ready, 20 live sessions", &times, None);
}

fn beside() {
    let instance = Instance::new(1);
    let done = AtomicBool::new(false);
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let took = instance.batch(100_000, r#","hold":true"#, "true");
            println!("{:44} {:8.0} /s", "batch of 100 000", 100_000.0 / took.as_secs_f64());
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let begun = Instant::now();
            instance.ok(&["submit", "-q", "--hold", "--provider", "shell", "--", "true"]);
            times.push(begun.elapsed());
        }
    });
    times.sort();
    report("another submit meanwhile", &times, None);
}

fn start() {
    let instance = Instance::new(4);
    let fifo = instance.home().join("said");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let now = programs::path("now");
    let program = [now.to_str().expect("path"), fifo.to_str().expect("path")];
    let ours = until_it_runs(&fifo, || {
        instance.command(&[&["submit", "-q", "--provider", "shell", "--"], program.as_slice()].concat())
    });
    report("submit until the program runs", &ours, None);
    if let Some(_server) = Tmux::start() {
        let theirs = until_it_runs(&fifo, || {
            let mut command = Tmux::command("new-session");
            command.arg("-d").arg(program.join(" "));
            command
        });
        report("tmux new-session until the program runs", &theirs, None);
    }
    println!("{:44} p50 {:8.2} ms", "fdatasync of this disk", disk::flush(instance.home()));
}

/// How long it takes from each command to the moment that the program it starts says.
fn until_it_runs(fifo: &Path, mut command: impl FnMut() -> Command) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos();
        assert!(command().status().expect("started").success());
        let said: u128 = fs::read_to_string(fifo).expect("said").trim().parse().expect("a number");
        times.push(Duration::from_nanos(u64::try_from(said - begun).expect("short")));
    }
    times.sort();
    times
}

/// A tmux server of our own, where tmux is installed.
struct Tmux;

impl Tmux {
    fn start() -> Option<Self> {
        let mut first = Tmux::command("new-session");
        // Keeps the server there between the others.
        first.args(["-d", "sleep 1000"]);
        first.status().is_ok_and(|status| status.success()).then_some(Tmux)
    }

    fn command(verb: &str) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", "autodev-bench", "-f", "/dev/null", verb]);
        command
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        drop(Tmux::command("kill-server").status());
    }
}

fn throughput() {
    let instance = Instance::new(8);
    instance.ok(&["pause"]);
    const TASKS: usize = 3_000;
    instance.batch(TASKS, "", "true");
    let begun = Instant::now();
    instance.ok(&["resume"]);
    instance.ok(&["wait", &format!("1-{TASKS}")]);
    println!("{:44} {:8.0} /s", "finished tasks, each with its session", TASKS as f64 / begun.elapsed().as_secs_f64());
}

fn memory() {
    let instance = Instance::new(1);
    instance.ok(&["pause"]);
    instance.batch(100_000, "", "true");
    let args = ["open", "--detach", "--json", "--", "sleep", "100000"];
    let session: serde_json::Value = serde_json::from_str(&instance.ok(&args)).expect("json");
    let keeper = u32::try_from(session["keeper_pid"].as_u64().expect("a keeper")).expect("a pid");
    println!("{:44} {:8} KiB resident", "daemon, 100 000 queued", kib(instance.daemon(), "status", &["VmRSS"]));
    println!("{:44} {:8} KiB private", "daemon", kib(instance.daemon(), "smaps_rollup", &["Private_"]));
    println!("{:44} {:8} KiB private", "keeper, empty screen", kib(keeper, "smaps_rollup", &["Private_"]));
}

fn idle() {
    let instance = Instance::new(1);
    let mut keepers = Vec::new();
    for _ in 0..10 {
        let args = ["open", "--detach", "--json", "--", "sleep", "100000"];
        let session: serde_json::Value = serde_json::from_str(&instance.ok(&args)).expect("json");
        keepers.push(u32::try_from(session["keeper_pid"].as_u64().expect("a keeper")).expect("a pid"));
    }
    const WATCHED: Duration = Duration::from_secs(20);
    // Threads of the last request die away first.
    std::thread::sleep(WATCHED);
    let before = (switches(&[instance.daemon()]), switches(&keepers));
    std::thread::sleep(WATCHED);
    let after = (switches(&[instance.daemon()]), switches(&keepers));
    println!("{:44} {:8.2} /s", "daemon", (after.0 - before.0) as f64 / WATCHED.as_secs_f64());
    println!("{:44} {:8.2} /s", "all keepers together", (after.1 - before.1) as f64 / WATCHED.as_secs_f64());
}

fn switches(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
            .flat_map(|text| {
                text.lines()
                    .filter(|l| l.contains("ctxt_switches"))
                    .filter_map(|l| l.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
                    .collect::<Vec<_>>()
            })
            .sum::<u64>()
    };
    pids.iter().map(of).sum()
}
