//! A viewer that joins sees what one who was there all the time sees: in terminals that are
//! not ours.
//!
//! A stream is cut in two. One terminal takes it whole; another, fresh, takes the picture of
//! the first part and then what viewers get of the rest. Both must end up alike, cell by
//! cell and mode by mode.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod cases;
mod join;
mod recordings;
mod state;
mod table;
mod tmux;
mod xterm;
