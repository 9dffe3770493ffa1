//! The price of durability on the disk the benches run on.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// How many milliseconds it takes to flush 4 KiB, the middle of many times.
pub fn flush(dir: &Path) -> f64 {
    let mut file = File::create(dir.join("flush")).expect("a file");
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            file.write_all(&[b'x'; 4096]).expect("written");
            let begun = Instant::now();
            file.sync_data().expect("flushed");
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
