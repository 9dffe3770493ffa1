//! The keeper as a black box: the real binary, real terminals, its own wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helpers fail like the test")]

mod ending;
mod life;
mod orders;
mod output;
mod people;
mod sockets;
mod support;
mod typed;
