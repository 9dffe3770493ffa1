//! A client whose terminal takes nothing, while the program prints for some seconds: neither
//! the program nor the keeper's memory must notice.

use std::time::{Duration, Instant};

use super::holders::{self, Holder, Ours};
use super::memory::private;
use super::program::Stage;
use super::shared::instance::Instance;
use super::streams;
use super::table::{self, Hold, median};
use super::tied::{LIMIT, Tied};

/// What may be queued for one client, in both directions, and what the screen takes.
const MOST_MIB: f64 = 24.0;

pub fn run() {
    let ours = Ours(Instance::new(1));
    let seconds = super::setting("AUTODEV_BENCH_STUCK", 5);
    let mut stage = Stage::new();
    let program = stage.write(&stage.file("text", &streams::text(4 << 20)), seconds);
    let mut figures = [const { Vec::new() }; 2];
    let mut memory = [0.0_f64; 2];
    for _ in 0..super::rounds() {
        for (stuck, (speeds, most)) in [false, true].into_iter().zip(figures.iter_mut().zip(&mut memory)) {
            let session = holders::open(&ours, &program);
            let _running = stage.ready();
            let _viewer = stuck.then(|| {
                let mut viewer = Tied::start((80, 24), ours.attach(&session));
                viewer.settle();
                viewer
            });
            stage.go();
            let keeper = ours.keeper(&session);
            let deadline = Instant::now() + Duration::from_secs(seconds as u64) + LIMIT;
            let printed = loop {
                *most = most.max(private(keeper));
                if let Some(printed) = stage.printed(Duration::from_millis(100)) {
                    break printed;
                }
                assert!(Instant::now() < deadline, "the program does not get on");
            };
            speeds.push(printed.speed());
        }
    }
    // In pairs: the machine itself is faster at one time than at another.
    let ratios: Vec<f64> = figures[1].iter().zip(&figures[0]).map(|(stuck, alone)| stuck / alone).collect();
    table::head("", &["nobody", "stuck"]);
    table::row("program, MB/s", &figures.map(|speeds| Some(median(&speeds))));
    table::row("keeper at most, MiB private", &memory.map(|kib| Some(kib / 1024.0)));
    table::hold("program with a stuck viewer", median(&ratios), "x without", Hold::AtLeast(0.95));
    table::hold("keeper with a stuck viewer", memory[1] / 1024.0, "MiB", Hold::AtMost(MOST_MIB));
}
