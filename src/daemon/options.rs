//! The command line of `autodevd`.

use std::os::fd::RawFd;

use clap::Parser;

use super::offline::Job;

/// The autodev daemon: owns the queue, the history and the agents' sessions.
///
/// Without options it serves in the foreground and ends on SIGTERM or SIGINT; the agents
/// it has started run on and are met again by the next start. SIGHUP reads the
/// configuration again, SIGUSR1 binds the socket anew. 'autodev' starts it by itself
/// when it is needed.
#[derive(Debug, Parser)]
#[command(name = "autodevd", version)]
#[command(after_long_help = "\
Exit status:
  0   it was told to leave
  1   it could not start, or could not go on
  2   the command line makes no sense
  75  another daemon serves this instance already

Files:
  ~/.config/autodev/config.toml          settings; see 'autodev config'
  ~/.local/state/autodev/                database, sessions, recordings
  ~/.local/state/autodev/autodevd.log    its log, when it is in the background
  AUTODEV_HOME moves everything under one directory.

Examples:
  autodevd                  serve in the foreground
  autodevd --daemonize      serve in the background; returns when it is ready
  autodevd --log debug      say more")]
pub struct Autodevd {
    /// Leave the terminal and serve in the background; returns when it is ready
    #[arg(long)]
    pub daemonize: bool,
    /// Log filter, such as 'info' or 'autodev=debug'
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Say on this descriptor that it is ready, or why not: one line of JSON
    #[arg(long, value_name = "FD", hide = true)]
    pub ready_fd: Option<RawFd>,
    /// Something to do without serving.
    #[command(subcommand)]
    pub job: Option<Job>,
    /// This descriptor holds the instance's lock: given by a daemon that starts anew
    #[arg(long, value_name = "FD", hide = true)]
    pub lock_fd: Option<RawFd>,
    /// This descriptor is the service manager's socket: given in the same way
    #[arg(long, value_name = "FD", hide = true)]
    pub listen_fd: Option<RawFd>,
}
