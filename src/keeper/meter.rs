//! What the session's processes use. Looked at when somebody asks, and now and then while
//! the program writes: what is idle is left in peace.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

use crate::process::{self, Stat};
use crate::protocol::exit::Used;
use crate::protocol::keeper::Usage;

/// Between two looks that nobody has asked for; peaks that are shorter may be missed.
const PAUSE: Duration = Duration::from_secs(1);
/// Such looks take one part of so many of the time, however many processes there are.
const SHARE: u32 = 1_000;
/// A look ends after this, with what it has seen: the terminal is not read meanwhile. A
/// thousand processes take less.
const LIMIT: Duration = Duration::from_millis(20);

/// Knows the most that was used at a time.
#[derive(Debug, Default)]
pub struct Meter {
    /// When output is the occasion for the next look; `None` while nothing runs.
    next: Option<Instant>,
    /// The most processor time that was seen: a look that was cut short sees less.
    cpu_ms: u64,
    peak_memory: u64,
    peak_processes: u32,
}

impl Meter {
    /// The first program was started.
    pub fn begin(&mut self, now: Instant) {
        self.next.get_or_insert(now + PAUSE);
        self.peak_processes = self.peak_processes.max(1);
    }

    /// The program has written something.
    pub fn output(&mut self, now: Instant) {
        if self.next.is_some_and(|next| next <= now) {
            let begun = Instant::now();
            self.look();
            self.next = Some(now + PAUSE.max(begun.elapsed() * SHARE));
        }
    }

    /// Looks now.
    pub fn look(&mut self) -> Usage {
        let ticks = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100)).unwrap_or(100).max(1);
        let page = process::page_size();
        let (mut cpu_ticks, mut memory, mut processes) = (0, 0, 0);
        for stat in tree() {
            cpu_ticks += stat.cpu_ticks + stat.children_ticks;
            memory += stat.resident_pages * page;
            processes += u32::from(stat.lives());
        }
        let (ended, largest) = ended();
        self.peak_memory = self.peak_memory.max(memory).max(largest);
        self.peak_processes = self.peak_processes.max(processes);
        self.cpu_ms = self.cpu_ms.max(cpu_ticks * 1000 / ticks + ended);
        Usage {
            cpu_ms: self.cpu_ms,
            memory_bytes: memory,
            processes,
            peak_memory_bytes: self.peak_memory,
            peak_processes: self.peak_processes,
        }
    }

    /// What was used in all, when nothing runs any more and that has run for so long; `None`
    /// if nothing ever did.
    pub fn used(&self, ran: Duration) -> Option<Used> {
        self.next?;
        let (ended, largest) = ended();
        Some(Used {
            ran_ms: u64::try_from(ran.as_millis()).unwrap_or(u64::MAX),
            // Of some nobody has waited for: what was seen of them stays seen.
            cpu_ms: self.cpu_ms.max(ended),
            peak_memory_bytes: self.peak_memory.max(largest),
            peak_processes: self.peak_processes,
        })
    }
}

/// Of the processes that have ended and were waited for: the processor time in milliseconds,
/// and how large the largest was. What the system counts before a child becomes another
/// program is in it as well, a few MiB of our own.
fn ended() -> (u64, u64) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return (0, 0) };
    let ms = |time: nix::sys::time::TimeVal| u64::try_from(time.tv_sec() * 1000 + time.tv_usec() / 1000).unwrap_or(0);
    (ms(usage.user_time()) + ms(usage.system_time()), u64::try_from(usage.max_rss()).unwrap_or(0) * 1024)
}

/// Everything below this process, as it is now.
fn tree() -> Vec<Stat> {
    if !Path::new("/proc/thread-self/children").exists() {
        // A kernel made without CONFIG_PROC_CHILDREN: all of /proc is looked at, to its end.
        let all = process::descendants(std::process::id()).unwrap_or_default();
        return all.into_iter().map(|(_, stat)| stat).collect();
    }
    let begun = Instant::now();
    let over = || begun.elapsed() > LIMIT;
    let mut found = Vec::new();
    let mut open = vec![std::process::id()];
    while let Some(parent) = open.pop().filter(|_| !over()) {
        // Ended meanwhile, if it cannot be read.
        for child in children(parent, over).unwrap_or_default().into_iter().take_while(|_| !over()) {
            if let Ok(stat) = process::stat(child) {
                found.push(stat);
                open.push(child);
            }
        }
    }
    found
}

/// A process's children: whoever of its threads has made them. Not a look through all of
/// `/proc`, which costs what others run there.
fn children(parent: u32, is_over: impl Fn() -> bool) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{parent}/task"))?.flatten().take_while(|_| !is_over()) {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn what_runs_and_what_has_ended_is_counted() {
        let mut meter = Meter::default();
        assert_eq!(meter.used(PAUSE), None);
        let now = Instant::now();
        meter.begin(now);
        // Two processes, one below the other, and a third that ends and has worked.
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done & wait; sleep 1000 & echo; read line";
        let mut child = Command::new("sh");
        let mut child = child.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let usage = meter.look();
        // Other tests of this process have children, too.
        assert!(usage.processes >= 2 && usage.peak_processes >= usage.processes, "{usage:?}");
        assert!(usage.memory_bytes > 100_000 && usage.peak_memory_bytes >= usage.memory_bytes, "{usage:?}");
        assert!(usage.cpu_ms > 0, "{usage:?}");
        let (before, begun) = (ended().0, meter.next);
        // Too soon after the beginning.
        meter.output(now);
        assert_eq!(meter.next, begun);
        meter.output(now + PAUSE);
        assert!(meter.next > begun);
        for pid in children(child.id(), || false).unwrap() {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        drop(child.stdin.take());
        child.wait().unwrap();
        let used = meter.used(PAUSE).unwrap();
        assert_eq!(used.ran_ms, 1_000);
        assert!(used.cpu_ms > before && used.peak_memory_bytes >= usage.peak_memory_bytes, "{used:?}");
    }
}
