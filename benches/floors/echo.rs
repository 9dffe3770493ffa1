// A program that gives back each key at once, as an editor or a shell does.
use std::io::{Read, Write};
use std::process::Command;

unsafe extern "C" {
    fn alarm(seconds: u32) -> u32;
}

fn main() {
    // Whatever becomes of the bench.
    unsafe { alarm(300) };
    let said = std::env::args().nth(1).expect("a pipe");
    assert!(Command::new("stty").args(["raw", "-echo"]).status().expect("stty").success());
    let mut said = std::fs::OpenOptions::new().write(true).open(said).expect("opened");
    said.write_all(format!("ready {}\n", std::process::id()).as_bytes()).expect("said");
    let (mut keys, mut out) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut typed = [0; 64];
    while let Ok(length @ 1..) = keys.read(&mut typed) {
        out.write_all(&typed[..length]).expect("written");
        out.flush().expect("written");
    }
}
