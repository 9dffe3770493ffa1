//! From the command that starts a session until its program says that it runs.

use std::time::{SystemTime, UNIX_EPOCH};

use super::holders;
use super::program::Stage;
use super::shared::disk;
use super::table::{self, Hold, quantile};
use super::tied::LIMIT;

const TIMES: usize = 100;

pub fn run() {
    let holders = holders::all();
    let mut stage = Stage::new();
    let program = stage.now();
    let mut times = vec![Vec::new(); holders.len()];
    for _ in 0..TIMES {
        for (holder, times) in holders.iter().zip(&mut times) {
            let begun = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos();
            holders::open(holder.as_ref(), &program);
            let said: u128 = stage.line(LIMIT).expect("said").parse().expect("a number");
            times.push(said.saturating_sub(begun) as f64 / 1e6);
        }
    }
    let names: Vec<_> = holders.iter().map(|holder| holder.name()).collect();
    table::head("ms", &names);
    for (quantity, part) in [("p50", 0.5), ("p99", 0.99)] {
        let figures: Vec<_> = times.iter().map(|times| Some(quantile(times, part))).collect();
        table::row(&format!("until the program runs, {quantity}"), &figures);
    }
    println!("  of that two flushes of this disk, p50 each {:.2} ms", disk::flush(stage.directory()));
    table::hold("ours, p50", quantile(&times[0], 0.5), "ms", Hold::AtMost(10.0));
}
