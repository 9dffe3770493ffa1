//! Sessions as a user sees and uses them: the real binaries, real terminals, no daemon.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod covers;
mod export;
mod logs;
mod moments;
mod replay;
mod support;
mod talking;
mod viewing;
