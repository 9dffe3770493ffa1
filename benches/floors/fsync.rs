// The floor of a durable command: writes and flushes 4 KiB.
use std::io::Write;

fn main() {
    let path = std::env::args().nth(1).expect("a file");
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("opened");
    file.write_all(&[b'x'; 4096]).expect("written");
    file.sync_data().expect("flushed");
}
