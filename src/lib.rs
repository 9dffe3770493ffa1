//! autodev: the durable batch system for coding agents.
//!
//! Read ARCHITECTURE.md for the whole picture. Modules stand in the order of the
//! layers: each may use those above it in this list, never those below, and parts and
//! programs do not use one another (tests/layers.rs holds this).

// WORDS: small, used by all.
pub mod clock;
pub mod config;
pub mod crash;
pub mod door;
pub mod durable;
pub mod id;
pub mod lock;
pub mod logging;
pub mod paths;
pub mod place;
pub mod process;
pub mod reference;
pub mod secret;
pub mod socket;
pub mod unit;

// DOMAIN and POLICY: pure; no clock, file, socket, thread or async.
pub mod queue;
pub mod task;

// WIRE: bytes, no sockets.
pub mod protocol;

// PARTS: each does one thing with the outside world.
pub mod client;
pub mod live;
pub mod provider;
pub mod recording;
pub mod recovery;
pub mod screen;
pub mod session;
pub mod store;
pub mod systemd;

// PEOPLE: a user's terminal tied to a session, made of the parts.
pub mod attach;

// PROGRAMS.
pub mod cli;
pub mod daemon;
pub mod keeper;
