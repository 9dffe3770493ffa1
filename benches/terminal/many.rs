//! A hundred sessions that print at once: as fast together as one alone, each getting its
//! share, and the daemon not noticing.

use super::holders::{self, Ours};
use super::program::{Printed, Stage};
use super::shared::instance::Instance;
use super::streams;
use super::table::{self, Hold, median};
use super::tied::LIMIT;

const SESSIONS: usize = 100;
const EACH: usize = 4 << 20;
/// One alone prints for as long as is needed to tell.
const ALONE: usize = 64 << 20;

pub fn run() {
    let ours = Ours(Instance::new(1));
    let (mut alone, mut together, mut fair, mut daemon) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..super::rounds() {
        alone.push(print(&ours, 1, ALONE).speed);
        let before = cpu_seconds(ours.0.daemon());
        let all = print(&ours, SESSIONS, EACH);
        daemon.push(cpu_seconds(ours.0.daemon()) - before);
        together.push(all.speed);
        fair.push(all.unevenness);
    }
    table::head("", &["one", "hundred"]);
    table::row("MB/s in all", &[Some(median(&alone)), Some(median(&together))]);
    table::hold("hundred", median(&together) / median(&alone), "x one", Hold::AtLeast(0.9));
    println!("  slowest = {:.2} x fastest", median(&fair));
    println!("  daemon meanwhile, with the start of all: {:.2} s of processor time", median(&daemon));
}

struct All {
    speed: f64,
    /// How much longer the slowest took than the fastest.
    unevenness: f64,
}

fn print(ours: &Ours, sessions: usize, bytes: usize) -> All {
    let mut stage = Stage::new();
    let program = stage.write(&stage.file("text", &streams::text(bytes)), 0);
    let _running: Vec<_> = (0..sessions)
        .map(|_| {
            holders::open(ours, &program);
            stage.ready()
        })
        .collect();
    stage.go();
    let printed: Vec<Printed> = (0..sessions).map(|_| stage.printed(LIMIT).expect("printed")).collect();
    let begin = printed.iter().map(|p| p.begin).min().expect("one");
    let ends = || printed.iter().map(|p| p.end - begin);
    let (first, last) = (ends().min().expect("one"), ends().max().expect("one"));
    let bytes: u64 = printed.iter().map(|p| p.bytes).sum();
    All { speed: bytes as f64 * 1000.0 / last as f64, unevenness: last as f64 / first as f64 }
}

/// Processor time that a process has used.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks: u64 = fields.split_ascii_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks")).sum();
    ticks as f64 / 100.0
}
