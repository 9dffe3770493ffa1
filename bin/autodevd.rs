//! The daemon and the keeper.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == "keeper" => autodev::keeper::run(rest),
        _ => ExitCode::from(2),
    }
}
