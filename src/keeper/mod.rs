//! The keeper: the small process that holds one session and outlives the daemon.
//!
//! It owns the terminal, its program and all that comes of it, the screen, the recording
//! and the viewers. One thread waits in `poll(2)` and never for a disk, a viewer or the
//! daemon; a second one writes the recording ([`recorder`]). It gives its socket to
//! whoever runs as the same user, takes orders from one daemon at a time, and leaves a
//! durable exit record behind before it tells anybody that the program has ended.
//!
//! The way of a session: [`birth`] (ready, nothing runs) → [`orders`] (go, stop,
//! acknowledge) → [`child`] (the program starts) → [`output`] (its bytes) and [`clients`]
//! (people and their keys) → [`ending`] (how it ends, whatever way) → gone.

mod birth;
mod child;
mod client;
mod clients;
mod ending;
mod event_loop;
mod meter;
mod orders;
mod output;
mod poller;
mod recorder;
mod signals;
mod stopwatch;
mod terminal;
mod tree;
mod typing;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::clock::Timestamp;
use crate::process;
use crate::protocol::exit::EXIT_NO_ROOM;

/// Exit status of a keeper that finds the session's lock held by another.
pub const EXIT_HELD: u8 = 75;

/// Buffers larger than this are given back to the system when they have emptied: many
/// keepers wait side by side.
const KEEP_BYTES: usize = 64 * 1024;

/// Runs a keeper to its end: `SESSION_DIRECTORY [--control-fd N]`. The descriptor is the
/// first controller's connection. What it has to say goes to standard error. Must be
/// called from a process's only thread.
pub fn run(arguments: &[OsString]) -> ExitCode {
    match birth::birth(arguments) {
        Ok(Some(birth)) => match event_loop::Keeper::new(birth).and_then(event_loop::Keeper::run) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed("the keeper ends", &error),
        },
        Ok(None) => {
            log("another keeper holds this session's lock");
            ExitCode::from(EXIT_HELD)
        }
        Err(error) => failed("the keeper cannot start", &error),
    }
}

fn failed(what: &str, error: &io::Error) -> ExitCode {
    log(&format!("{what}: {error}"));
    if process::is_no_room(error) { ExitCode::from(EXIT_NO_ROOM) } else { ExitCode::FAILURE }
}

/// The last of one kind of failure. What fails again and again says so once, until it fails
/// in another way: nobody reads the log while it fills the disk.
#[derive(Debug, Default)]
struct Complaint(String);

impl Complaint {
    fn log(&mut self, text: String) {
        if text != self.0 {
            log(&text);
            self.0 = text;
        }
    }
}

/// A line in the session's keeper.log. Nobody can be told that it could not be written.
fn log(text: &str) {
    drop(writeln!(std::io::stderr(), "{} {text}", Timestamp::now()));
}
