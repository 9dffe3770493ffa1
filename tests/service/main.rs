//! The daemon as a service: what it says to the service manager and takes from it, the
//! units, and all of it under a real one where one can be had.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../common/mod.rs"]
mod common;
mod manager;
mod spoken;
mod units;
