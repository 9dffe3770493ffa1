//! What the system says of a process.

use std::fs;

/// The sum of the fields of a file in /proc that begin so, which are in KiB.
pub fn kib(pid: u32, file: &str, fields: &[&str]) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the process lives");
    let lines = text.lines().filter(|line| fields.iter().any(|f| line.starts_with(f)));
    lines.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}
