//! The daemon, and the keeper that holds one session.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

use autodev::daemon::options::Autodevd;
use autodev::daemon::{self, Options, offline};
use autodev::keeper;
use autodev::paths::Paths;
use autodev::protocol::fault::FaultCode;
use autodev::protocol::ready::Ready;
use autodev::socket::private_directory;
use clap::Parser;
use nix::sys::signal::{SIGCHLD, SigHandler, signal};
use nix::sys::stat::{Mode, umask};

// Parsed, and perhaps forked, before any thread or runtime exists.
fn main() -> ExitCode {
    // Whoever started us may have left it ignored; then no child's end would be heard of.
    // SAFETY: the default runs no handler of ours.
    if let Err(error) = unsafe { signal(SIGCHLD, SigHandler::SigDfl) } {
        drop(writeln!(io::stderr(), "autodevd: {error}"));
        return ExitCode::FAILURE;
    }
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "keeper") {
        // Started by the daemon for each session: no time is spent on a parser.
        return keeper::run(&arguments.collect::<Vec<_>>());
    }
    let line = Autodevd::parse();
    if let Some(job) = &line.job {
        return offline::run(job);
    }
    if line.daemonize {
        return daemonize(line);
    }
    daemon::run(Options {
        ready: line.ready_fd.map(owned),
        lock: line.lock_fd.map(owned),
        listener: line.listen_fd.map(owned),
        log: line.log,
    })
}

fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: whoever wrote the number on our command line gave us the descriptor with
    // it, and nothing has been opened yet that could have the same number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The old way into the background, for systems without a service manager. The parent
/// stays until the daemon says that it is ready, and passes on why it is not.
fn daemonize(line: Autodevd) -> ExitCode {
    match fork(line) {
        Ok(status) => status,
        Err(error) => {
            drop(writeln!(io::stderr(), "autodevd: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn fork(line: Autodevd) -> anyhow::Result<ExitCode> {
    let paths = Paths::from_env()?;
    private_directory(&paths.state)?;
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(paths.daemon_log())?;
    let (reader, writer) = io::pipe()?;
    // The daemon makes its own stricter, and passes on to programs what it was started with.
    let mask = umask(Mode::empty());
    umask(mask);
    let background =
        daemonize::Daemonize::new().working_directory("/").umask(mask.bits()).stdout(log.try_clone()?).stderr(log);
    match background.execute() {
        daemonize::Outcome::Parent(parent) => {
            parent?;
            drop(writer);
            let mut line = String::new();
            BufReader::new(reader).read_line(&mut line)?;
            let said: Ready = serde_json::from_str(&line).unwrap_or_default();
            if said.ready {
                return Ok(ExitCode::SUCCESS);
            }
            let why = said.error.unwrap_or_else(|| format!("it died; see {}", paths.daemon_log().display()));
            drop(writeln!(io::stderr(), "autodevd: {why}"));
            Ok(if said.code == Some(FaultCode::Conflict) {
                ExitCode::from(daemon::EXIT_HELD)
            } else {
                ExitCode::FAILURE
            })
        }
        daemonize::Outcome::Child(child) => {
            child?;
            drop(reader);
            Ok(daemon::run(Options { ready: Some(OwnedFd::from(writer)), log: line.log, ..Options::default() }))
        }
    }
}
