//! What the processes of sessions use now: asked when somebody looks, never sampled.

use std::collections::HashMap;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use crate::process;

/// What the processes below one keeper use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of the processes that live now.
    pub cpu: Duration,
    /// Resident memory in bytes; shared pages count for each process.
    pub memory: u64,
    /// How many processes.
    pub processes: u32,
}

/// Looks at all processes once and sums them up for each keeper. Blocking.
pub fn of_keepers(keepers: &[u32]) -> HashMap<u32, Usage> {
    let ticks = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100)).unwrap_or(100).max(1);
    let page = process::page_size();
    let family = process::Family::look().unwrap_or_default();
    let mut result = HashMap::new();
    for keeper in keepers {
        let mut usage = Usage::default();
        for (_, stat) in family.below(*keeper) {
            usage.cpu += Duration::from_millis(stat.cpu_ticks * 1000 / ticks);
            usage.memory += stat.resident_pages * page;
            usage.processes += 1;
        }
        result.insert(*keeper, usage);
    }
    result
}

/// Where a process is now.
pub fn current_directory(pid: u32) -> Option<String> {
    let target = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    Some(target.to_string_lossy().into_owned())
}
