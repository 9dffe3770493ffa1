//! From a key typed at a client until its echo is there, alone and while another session of
//! the same holder prints all the time. The floor is a terminal with nobody in between.

use std::process::Command;
use std::time::{Duration, Instant};

use super::holders::{self, Holder};
use super::program::{Running, Stage};
use super::streams;
use super::table::{self, Hold, quantile};
use super::tied::{Drained, Tied};

const SIZE: (u16, u16) = (80, 24);
const KEYS: usize = 300;
/// Nobody types faster; what came before is over.
const PAUSE: Duration = Duration::from_millis(3);
/// No longer than this, even where keys take very long.
const MOST: Duration = Duration::from_secs(6);
/// Ended by hand long before.
const FLOOD_SECONDS: usize = 120;

pub fn run() {
    let holders = holders::some(&["ours", "tmux", "dtach"]);
    let mut stage = Stage::new();
    let file = stage.file("flood", &streams::text(1 << 20));
    for (what, flooded) in [("idle", false), ("beside a flood", true)] {
        let mut times = vec![Vec::new(); holders.len() + 1];
        for _ in 0..super::rounds() {
            let (floor, others) = times.split_first_mut().expect("the floor");
            let flood = flooded.then(|| Flood::of_bare(&mut stage, &file));
            let echo = stage.echo();
            let mut command = Command::new(&echo[0]);
            command.args(&echo[1..]);
            let client = Tied::start(SIZE, command);
            let running = stage.ready();
            type_keys(client, floor);
            drop((running, flood));
            for (holder, times) in holders.iter().zip(others) {
                let flood = flooded.then(|| Flood::of(&mut stage, holder.as_ref(), &file));
                let session = holders::open(holder.as_ref(), &stage.echo());
                let running = stage.ready();
                let mut client = Tied::start(SIZE, holder.attach(&session));
                client.settle();
                type_keys(client, times);
                drop((running, flood));
            }
        }
        let names: Vec<_> = std::iter::once("bare").chain(holders.iter().map(|holder| holder.name())).collect();
        table::head("µs", &names);
        for (quantity, part) in [("p50", 0.5), ("p99", 0.99)] {
            let figures: Vec<_> = times.iter().map(|times| quantile(times, part)).collect();
            table::row(&format!("{what}, {quantity}"), &figures.iter().copied().map(Some).collect::<Vec<_>>());
            if let Some(dtach) = names.iter().position(|name| *name == "dtach") {
                table::hold("ours", figures[1] / figures[dtach], "x dtach", Hold::AtMost(1.3));
            }
        }
    }
}

fn type_keys(mut client: Tied, times: &mut Vec<f64>) {
    // Letters that are in no sequence that moves a cursor.
    let deadline = Instant::now() + MOST;
    for key in b"vwyz".iter().cycle().take(KEYS) {
        if Instant::now() > deadline {
            break;
        }
        std::thread::sleep(PAUSE);
        let begun = Instant::now();
        client.write(&[*key]);
        client.wait_for(&[*key]);
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
}

/// A session that prints all the time.
struct Flood {
    _running: Running,
    _reader: Option<Drained>,
}

impl Flood {
    fn of(stage: &mut Stage, holder: &dyn Holder, file: &std::path::Path) -> Self {
        holders::open(holder, &stage.write(file, FLOOD_SECONDS));
        Flood::begin(stage, None)
    }

    fn of_bare(stage: &mut Stage, file: &std::path::Path) -> Self {
        let program = stage.write(file, FLOOD_SECONDS);
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]);
        let reader = Tied::start(SIZE, command).drain();
        Flood::begin(stage, Some(reader))
    }

    fn begin(stage: &mut Stage, reader: Option<Drained>) -> Self {
        let running = stage.ready();
        stage.go();
        Flood { _running: running, _reader: reader }
    }
}
