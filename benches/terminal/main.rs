//! Measures terminals against bare ones and against tmux, screen and dtach.
//!
//! `cargo bench --bench terminal [-- NAME…]` runs all measurements or those named; `-- list`
//! names them. All take turns, so that what the machine does besides meets all of them:
//! compare the ratios, not the absolute figures. A peer that is not installed is left out.
//! Everything runs in a temporary instance and on sockets of its own.
//!
//! `AUTODEV_BENCH_ROUNDS` says how often (3), `AUTODEV_BENCH_STUCK` for how many seconds
//! `stuck` floods a viewer that reads nothing (5; 60 for the long way).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod create;
mod echo;
mod holders;
mod many;
mod memory;
mod output;
mod program;
mod reattach;
#[path = "../shared/mod.rs"]
mod shared;
mod streams;
mod stuck;
mod table;
mod tied;

use shared::asked::{self, Measurement};
use shared::programs;

const MEASUREMENTS: [Measurement; 7] = [
    ("output", "a program's output, detached and attached", output::run),
    ("echo", "from a key to its echo, idle and beside a flood", echo::run),
    ("reattach", "from attach until a screen full of colours is drawn", reattach::run),
    ("create", "from the command to the program running in its terminal", create::run),
    ("memory", "of the process that holds a session", memory::run),
    ("stuck", "a viewer that reads nothing", stuck::run),
    ("many", "100 sessions that print at once", many::run),
];

fn main() {
    asked::run(&MEASUREMENTS, || programs::install(&["write", "echo", "now"]));
}

/// How often everything is done; medians are taken.
fn rounds() -> usize {
    setting("AUTODEV_BENCH_ROUNDS", 3)
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}
