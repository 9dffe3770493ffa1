//! Starts a daemon and waits for its own word that it serves.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

use crate::config;
use crate::logging;
use crate::paths::Paths;
use crate::protocol::ready::Ready;
use crate::protocol::{Fault, FaultCode};
use crate::socket;
use crate::unit::{self, Unit};

/// Within this a daemon is found, asked to bind its socket anew, or started: as long as
/// the longest recovery may take.
pub(super) const FIND_LIMIT: Duration = Duration::from_secs(30);
/// The daemon's program.
const PROGRAM: &str = "autodevd";
/// Longest line a daemon may answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Has the service manager start the daemon, where the instance's socket unit is enabled:
/// one of our own beside it would be in its way. `false` where that is not so, or no
/// manager can be reached from here, as in a job of cron.
///
/// # Errors
/// When it does not start.
pub(super) fn by_manager(paths: &Paths, deadline: Instant) -> Result<bool, Fault> {
    let Some(unit) = Unit::of(paths).filter(Unit::is_enabled) else { return Ok(false) };
    let failed = |why: &dyn std::fmt::Display| {
        Fault::new(FaultCode::Unreachable, format!("systemd cannot start the daemon: {why}"))
            .hint("'autodev service logs' may say why")
    };
    let mut systemctl = Command::new("systemctl");
    systemctl.args(["--user", "--no-ask-password", "start", &unit.service()]);
    systemctl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let own = PathBuf::from(format!("/run/user/{}", nix::unistd::geteuid()));
    if env::var_os("XDG_RUNTIME_DIR").is_none() && own.is_dir() {
        systemctl.env("XDG_RUNTIME_DIR", own);
    }
    let Ok(mut child) = systemctl.spawn() else { return Ok(false) };
    // It says what is wrong when it ends; until then it waits for the daemon's own word.
    let said = match child.stderr.take() {
        Some(errors) => read_until(errors.into(), deadline, |_| false).map_err(|error| failed(&error))?,
        None => Some(String::new()),
    };
    let Some(said) = said else {
        drop(child.kill());
        drop(child.wait());
        let why = format!("it does not serve after {} s", FIND_LIMIT.as_secs());
        return Err(failed(&why).hint("it goes on by itself; 'autodev service logs' may say what it does"));
    };
    if child.wait().map_err(|error| failed(&error))?.success() {
        return Ok(true);
    }
    if said.contains("Failed to connect to") {
        return Ok(false);
    }
    Err(failed(&said.lines().next().unwrap_or("it does not say why").trim()))
}

/// Starts a daemon. It serves when this returns `None`; a fault that is returned is one to
/// try again after: another daemon holds the lock, which was quicker, or somebody has killed
/// this one.
pub(super) fn start(paths: &Paths, deadline: Instant) -> Result<Option<Fault>, Fault> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Fault::new(FaultCode::Unreachable, format!("the daemon cannot be started: {what}: {error}"))
    };
    if let Some(problem) = config::wrong_variable(paths) {
        return Err(Fault::usage(format!("no daemon is started with wrong settings: {problem}")));
    }
    socket::private_directory(&paths.state).map_err(|e| failed("its state directory", &e))?;
    let log = paths.daemon_log();
    let output = OpenOptions::new().create(true).append(true).mode(0o600).open(&log);
    let output = output.map_err(|e| failed(&log.display().to_string(), &e))?;
    let errors = output.try_clone().map_err(|e| failed("its log", &e))?;
    let (answer, ready) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| failed("a pipe", &e))?;

    let program = program();
    let mut command = Command::new(&program);
    command.arg("--ready-fd").arg(ready.as_raw_fd().to_string());
    command.current_dir("/").stdin(Stdio::null()).stdout(output).stderr(errors);
    // What a service manager has told whoever started us is not meant for the daemon.
    for name in unit::SAID {
        command.env_remove(name);
    }
    let inherited = ready.as_raw_fd();
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe { command.pre_exec(move || detach(inherited)) };
    let mut child = command.spawn().map_err(|error| {
        let fault = failed(&program.display().to_string(), &error);
        match error.kind() {
            io::ErrorKind::NotFound => fault.hint("install 'autodevd' beside 'autodev', or put it on the PATH"),
            _ => fault,
        }
    })?;
    drop(ready);

    // A whole line is an answer, even if something keeps the descriptor open.
    let is_line = |bytes: &[u8]| bytes.contains(&b'\n');
    let Some(line) = read_until(answer, deadline, is_line).map_err(|e| failed("its answer", &e))? else {
        return Err(Fault::new(
            FaultCode::Unreachable,
            format!("the daemon was started but does not serve after {} s", FIND_LIMIT.as_secs()),
        )
        .hint(format!("it goes on by itself; look into {}", log.display())));
    };
    let line = line.trim();
    if line.is_empty() {
        // It has closed the descriptor by ending, so this does not wait.
        let status = child.wait();
        let killed = status.as_ref().is_ok_and(|status| status.signal() == Some(libc::SIGKILL));
        let how = status.map_or_else(|e| e.to_string(), |status| status.to_string());
        let fault =
            Fault::new(FaultCode::Unreachable, format!("the daemon ended while it started ({how}){}", last(&log)))
                .hint(format!("its log is {}", log.display()));
        return if killed { Ok(Some(fault)) } else { Err(fault) };
    }
    let answer: Ready = serde_json::from_str(line).map_err(|e| failed("its answer is not understood", &e))?;
    if answer.ready {
        return Ok(None);
    }
    let why = answer.error.unwrap_or_else(|| "it does not say why".into());
    let code = answer.code.unwrap_or(FaultCode::Unreachable);
    let fault = Fault::new(code, format!("the daemon does not start: {why}"))
        .hint(answer.hint.unwrap_or_else(|| format!("its log is {}", log.display())));
    if code == FaultCode::Conflict { Ok(Some(fault)) } else { Err(fault) }
}

/// The daemon's program: beside our own, else wherever the PATH has it.
pub fn program() -> PathBuf {
    let beside = env::current_exe().ok().and_then(|own| Some(own.parent()?.join(PROGRAM)));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PROGRAM.into())
}

/// In the child: a session of its own, so that neither the terminal's end nor its keys
/// reach the daemon, and the descriptor of the answer kept open over exec.
fn detach(ready: RawFd) -> io::Result<()> {
    nix::unistd::setsid()?;
    // SAFETY: the parent holds this descriptor open until the child has been started.
    let ready = unsafe { std::os::fd::BorrowedFd::borrow_raw(ready) };
    fcntl(ready, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// All that is written to the pipe until it is closed or `is_whole`; `None` when that takes
/// too long.
fn read_until(pipe: OwnedFd, deadline: Instant, is_whole: impl Fn(&[u8]) -> bool) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut pipe = fs::File::from(pipe);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if !socket::readable(&pipe, left)? {
            return Ok(None);
        }
        let mut part = [0; 1024];
        match pipe.read(&mut part)? {
            0 => break,
            n => bytes.extend_from_slice(&part[..n]),
        }
        if is_whole(&bytes) || bytes.len() as u64 > MAX_ANSWER {
            break;
        }
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The last line of the log, to be shown with an error.
fn last(log: &Path) -> String {
    let Ok(text) = logging::tail(log, 4 * 1024) else { return String::new() };
    text.lines().rev().map(str::trim).find(|l| !l.is_empty()).map(|l| format!(": {l}")).unwrap_or_default()
}
