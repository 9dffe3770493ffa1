//! Making a session's directory and its keeper.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

use crate::crash;
use crate::paths::SessionDir;
use crate::protocol::launch::LaunchSpec;

/// A keeper that has been started; it has not said Ready yet.
#[derive(Debug)]
pub struct Launched {
    /// The keeper's process, to be reaped when it ends.
    pub child: Child,
    /// The connection it was born with.
    pub control: UnixStream,
}

/// Writes the session's directory and starts its keeper from the very binary that runs
/// now: a path could lead to another version, or to none, after an upgrade.
///
/// `files` go into the directory (0600), by name. Nothing here is synced: before the
/// keeper's `started` mark the attempt can be made again.
///
/// # Errors
/// When the directory exists already or anything cannot be made; what was made is
/// removed again.
pub fn launch(dir: &SessionDir, spec: &LaunchSpec, files: &[(String, Vec<u8>)]) -> io::Result<Launched> {
    DirBuilder::new().mode(0o700).create(dir.path())?;
    let result = write_files(dir, spec, files).and_then(|()| {
        crash::point("directory-made");
        start(dir)
    });
    if result.is_err() {
        // Nothing runs in it, and it was ours alone.
        drop(fs::remove_dir_all(dir.path()));
    }
    result
}

fn write_files(dir: &SessionDir, spec: &LaunchSpec, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    let launch = serde_json::to_vec_pretty(spec)?;
    private_file(&dir.launch(), &launch)?;
    for (name, content) in files {
        private_file(&dir.path().join(name), content)?;
    }
    Ok(())
}

fn private_file(path: &std::path::Path, content: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content)
}

fn start(dir: &SessionDir) -> io::Result<Launched> {
    let (ours, theirs) = UnixStream::pair()?;
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(dir.log())?;
    // Without hooks between fork and exec the standard library uses posix_spawn, which
    // costs the same however large the daemon is. The keeper needs nothing of our
    // environment and must not carry its secrets.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("autodevd")
        .arg("keeper")
        .arg(dir.path())
        .args(["--control-fd", "0"])
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log));
    crash::pass_on(&mut command);
    let child = shielded(|| command.spawn())?;
    crash::point("keeper-spawned");
    Ok(Launched { child, control: ours })
}

/// Makes a process that a terminal's signals do not reach: it inherits what this thread
/// blocks. What a person types at a daemon in the foreground is not meant for a keeper,
/// which is in the daemon's session until it makes its own. (As leader of a process group
/// from the start it could not.)
fn shielded<T>(make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let typed: SigSet = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGHUP].into_iter().collect();
    let before = typed.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let made = make();
    before.thread_set_mask()?;
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_does_not_reach_who_is_being_born() {
        let mut sleeper = Command::new("sleep");
        let mut child = shielded(|| sleeper.arg("1000").spawn()).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGHUP] {
            assert_ne!(blocked & 1 << (signal - 1), 0, "{signal}");
        }
        assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGINT), "only for the child");
    }
}
