//! Where a key is to be had: never the key itself. Read when it is needed, and dropped
//! afterwards.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::process::PidFd;
use crate::socket;
use crate::unit;

/// Largest key, in bytes.
const MAX_KEY: u64 = 64 * 1024;
/// A command that takes longer waits for somebody to type a password.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// The daemon's environment: looks up the value of a variable.
pub type Keys<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A key's whereabouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A variable of the daemon's environment.
    Variable(String),
    /// The content of a file, `~` for the home directory.
    File(String),
    /// The first line that a shell's command prints.
    Command(String),
}

impl Reference {
    /// Reads `env:NAME`, `file:PATH` or `cmd:COMMAND`.
    ///
    /// # Errors
    /// What is wrong with it, in words. Never its text: it may be a key by mistake.
    pub fn parse(text: &str) -> Result<Reference, String> {
        match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Reference::Variable(name.to_owned())),
            Some(("file", path)) if path.starts_with('/') || path.starts_with("~/") => {
                Ok(Reference::File(path.to_owned()))
            }
            Some(("cmd", command)) if !command.trim().is_empty() && !command.contains('\0') => {
                Ok(Reference::Command(command.to_owned()))
            }
            _ => {
                Err("is not a reference to a key: write env:NAME, file:/PATH or cmd:COMMAND, never the key itself"
                    .into())
            }
        }
    }

    /// Gets the key.
    ///
    /// # Errors
    /// Why it cannot be had, in words without a key in them.
    pub fn resolve(&self, keys: Keys<'_>) -> Result<String, String> {
        let key = match self {
            Reference::Variable(name) => keys(name).ok_or_else(|| format!("the daemon's environment has no {name}"))?,
            Reference::File(path) => {
                let path = match path.strip_prefix("~/") {
                    Some(rest) => format!("{}/{rest}", keys("HOME").ok_or("the daemon has no HOME")?),
                    None => path.clone(),
                };
                read(&path).map_err(|error| format!("{path}: {error}"))?
            }
            Reference::Command(command) => {
                let said = run(command).map_err(|error| format!("the command for it: {error}"))?;
                said.lines().next().unwrap_or_default().to_owned()
            }
        };
        let key = key.trim_end_matches(['\n', '\r']).to_owned();
        match key.is_empty() || key.contains('\0') {
            true => Err("it is empty, or no text".into()),
            false => Ok(key),
        }
    }
}

/// Whether a text can be the name of a variable.
pub fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn read(path: &str) -> io::Result<String> {
    // A pipe would wait for somebody to write.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.len() > MAX_KEY {
        return Err(io::Error::other(format!("it is no regular file of at most {MAX_KEY} bytes")));
    }
    text(file)
}

fn text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_KEY).read_to_string(&mut text)?;
    Ok(text)
}

/// Runs a command for its output, with nothing to read and nobody to ask.
fn run(command: &str) -> io::Result<String> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    for name in unit::SAID {
        shell.env_remove(name);
    }
    let mut child = shell.spawn()?;
    let deadline = Instant::now() + COMMAND_LIMIT;
    let output = child.stdout.take();
    let handle = PidFd::open(child.id());
    let ended = handle
        .as_ref()
        .map_or(Ok(true), |handle| socket::readable(handle, deadline.saturating_duration_since(Instant::now())));
    if !matches!(ended, Ok(true)) {
        // The whole group: what the shell has started waits as well.
        if let Ok(group) = i32::try_from(child.id()) {
            // SAFETY: an integer; the child is not reaped yet, so the group is its own.
            unsafe { libc::killpg(group, libc::SIGKILL) };
        }
        drop(child.wait());
        return Err(io::Error::other(format!("it took longer than {} seconds", COMMAND_LIMIT.as_secs())));
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(status.to_string()));
    }
    // What it has printed is in the pipe, which holds as much as a key may be long. Something
    // that it has left running may hold the other end open for ever.
    let Some(mut output) = output else { return Ok(String::new()) };
    fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut said = Vec::new();
    match Read::by_ref(&mut output).take(MAX_KEY).read_to_end(&mut said) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
        _ => {}
    }
    String::from_utf8(said).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kill(pid: &str) {
        let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    #[test]
    fn keys_are_where_they_are_said_to_be() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("key"), "from a file\n").unwrap();
        let keys = |name: &str| match name {
            "HOME" => Some(home.path().display().to_string()),
            "HERE" => Some("from here".to_owned()),
            _ => None,
        };
        let get = |text: &str| Reference::parse(text).unwrap().resolve(&keys);
        assert_eq!(get("env:HERE").as_deref(), Ok("from here"));
        assert_eq!(get("file:~/key").as_deref(), Ok("from a file"));
        assert_eq!(get("cmd:printf 'from a command\\nand more'").as_deref(), Ok("from a command"));
        assert_eq!(get("cmd:sleep 1000 & echo $!").map(|pid| kill(&pid)), Ok(()));
        for (text, why) in [
            ("env:NOWHERE", "has no NOWHERE"),
            ("file:~/nothing", "No such file"),
            ("file:/dev/zero", "no regular file"),
            ("cmd:exit 3", "exit status: 3"),
            ("cmd:true", "empty"),
        ] {
            assert!(get(text).unwrap_err().contains(why), "{text}: {:?}", get(text));
        }
        for bad in ["sk-the-key-itself", "env:", "env:a b", "file:relative", "cmd: ", "keyring:x"] {
            let why = Reference::parse(bad).unwrap_err();
            assert!(!why.contains("the-key-itself") && why.contains("env:NAME"), "{why}");
        }
    }
}
