//! What of a provider is on this machine: where its program is and which version.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::table::Table;
use super::{Entry, Registry};
use crate::config::ProviderLimits;
use crate::process::PidFd;
use crate::protocol::view::ProviderView;
use crate::socket::readable;

/// How long a tool may take to print its version. The slowest known takes 4 seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of what a tool prints is read, in bytes.
const MAX_OUTPUT: usize = 16 * 1024;
/// Largest `package.json` that is read, in bytes.
const MAX_PACKAGE: u64 = 1024 * 1024;
/// Longest version that is shown, in characters.
const MAX_VERSION: usize = 40;

/// Versions that were asked for, by program and the time it was changed: asking starts
/// a process, which for some tools takes seconds.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<HashMap<(PathBuf, SystemTime), String>>);

impl Registry {
    /// Every provider as it is found on this machine, in the order of
    /// [`Registry::names`]. Starts the tools it has no version of yet, side by side, and
    /// waits at most five seconds for them.
    pub fn views(
        &self,
        environment: &BTreeMap<String, String>,
        settings: &BTreeMap<String, ProviderLimits>,
    ) -> Vec<ProviderView> {
        let (slots, _) = self.limits(settings);
        thread::scope(|scope| {
            let asked: Vec<_> =
                self.entries
                    .iter()
                    .map(|entry| {
                        let path = entry.program(environment);
                        let version =
                            entry.table.as_ref().ok().zip(path.clone()).map(|(table, path)| {
                                scope.spawn(move || self.probe.version(table, &path, environment))
                            });
                        (entry, path, version)
                    })
                    .collect();
            asked
                .into_iter()
                .map(|(entry, path, version)| {
                    let version = version.and_then(|thread| thread.join().ok().flatten());
                    view(entry, path, version, slots.get(&entry.name).copied().flatten())
                })
                .collect()
        })
    }
}

fn view(entry: &Entry, path: Option<PathBuf>, version: Option<String>, slots: Option<u32>) -> ProviderView {
    let table = entry.table.as_ref().ok();
    ProviderView {
        name: entry.name.clone(),
        title: entry.title().to_owned(),
        installed: path.is_some(),
        path: path.map(|path| path.display().to_string()),
        version,
        modes: table.map(Table::modes).unwrap_or_default(),
        source: entry.source.clone(),
        install: table.and_then(|table| table.install.clone()),
        problem: entry.problem().map(str::to_owned),
        slots,
    }
}

impl Cache {
    fn version(&self, table: &Table, program: &Path, environment: &BTreeMap<String, String>) -> Option<String> {
        let changed = fs::metadata(program).and_then(|found| found.modified()).ok()?;
        let key = (program.to_owned(), changed);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if known.is_some() {
            return known;
        }
        // No answer is not remembered: a busy machine may have been the reason.
        let version = from_package(table, program).or_else(|| ask(table, program, environment))?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, version.clone());
        Some(version)
    }
}

/// The version that the package says it has.
fn from_package(table: &Table, program: &Path) -> Option<String> {
    let file = program.canonicalize().ok()?.parent()?.join(table.version_file.as_ref()?);
    if !fs::metadata(&file).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(file).ok()?.take(MAX_PACKAGE).read_to_string(&mut text).ok()?;
    let package: serde_json::Value = serde_json::from_str(&text).ok()?;
    plain(package.get("version")?.as_str()?)
}

/// The version that the program prints.
fn ask(table: &Table, program: &Path, environment: &BTreeMap<String, String>) -> Option<String> {
    if table.version.is_empty() {
        return None;
    }
    let mut command = Command::new(program);
    command.args(&table.version).env_clear().envs(&table.environment).envs(environment);
    plain(&output(command, PATIENCE).ok()?)
}

/// What a command prints within `patience`. It gets nothing to read, and at the end of
/// the time it is killed with all it started in its process group.
fn output(mut command: Command, patience: Duration) -> io::Result<String> {
    let deadline = Instant::now() + patience;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn()?;
    let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let printed = match child.stdout.take() {
        Some(mut pipe) => read_until(&mut pipe, deadline),
        None => Ok(Vec::new()),
    };
    // It has closed its output; give it the rest of the time to end.
    let ended = PidFd::open(child.id()).is_none_or(|handle| readable(&handle, left(deadline)).unwrap_or(false));
    if !ended || printed.is_err() {
        // Already gone is as good.
        let _ = killpg(group, Signal::SIGKILL);
    }
    let status = child.wait()?;
    let printed = printed?;
    if !status.success() {
        return Err(io::Error::other(format!("ended with {status}")));
    }
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

fn read_until(pipe: &mut (impl Read + AsFd), deadline: Instant) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while all.len() < MAX_OUTPUT {
        if !readable(pipe, left(deadline))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match pipe.read(&mut buffer)? {
            0 => break,
            n => all.extend_from_slice(&buffer[..n]),
        }
    }
    Ok(all)
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// The number in what a tool prints, "codex-cli 0.169.0" or "2.1.330 (Claude Code)"; its
/// first line when there is none.
fn plain(printed: &str) -> Option<String> {
    let is_number = |word: &&str| {
        let word = word.strip_prefix('v').unwrap_or(word);
        word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.')
    };
    let line = printed.lines().map(str::trim).find(|line| !line.is_empty())?;
    let word = line.split_whitespace().find(is_number).unwrap_or(line);
    Some(word.chars().filter(|c| !c.is_control()).take(MAX_VERSION).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_print() {
        for (printed, version) in [
            ("2.1.330 (Claude Code)\n", "2.1.330"),
            ("codex-cli 0.169.0\n", "0.169.0"),
            ("\n v1.2-rc.1\n", "v1.2-rc.1"),
            ("nightly\nbuild", "nightly"),
            ("\u{1b}[31mred", "[31mred"),
        ] {
            assert_eq!(plain(printed).as_deref(), Some(version), "{printed:?}");
        }
        assert_eq!(plain(" \n"), None);
        assert_eq!(plain(&"x".repeat(500)).unwrap().len(), MAX_VERSION);
    }

    fn shell(line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]);
        command
    }

    #[test]
    fn a_tool_that_hangs_is_killed_with_its_children() {
        let limit = Duration::from_millis(200);
        let begun = Instant::now();
        // The child holds the pipe; the shell itself would have ended.
        assert!(output(shell("sleep 1000 & exit 0"), limit).is_err());
        // Output closed, process not.
        assert_eq!(output(shell("echo 1.0; exec >&-; exec sleep 1000"), limit).ok(), None);
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(output(shell("cat; echo 1.0"), Duration::from_secs(10)).unwrap(), "1.0\n");
        assert!(output(shell("echo 1.0; exit 1"), Duration::from_secs(10)).is_err());
        assert!(output(shell("yes"), Duration::from_secs(10)).is_err(), "killed by SIGPIPE");
    }
}
