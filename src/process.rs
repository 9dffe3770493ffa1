//! Processes: who one is across the reuse of ids, whether it lives, its descendants, and
//! the marks by which those of a session are known.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::resource::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

/// The limits that are marks: below the system's default of 819 200 bytes, and such that
/// POSIX message queues still work inside a session.
const MARKS: Range<u64> = 400_000..800_000;

/// The name keepers give themselves (`/proc/PID/comm`, at most 15 bytes).
pub const KEEPER_COMM: &str = "autodev-keeper";

/// A process for ever: its id is reused, its id with start time and boot is not.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start: u64,
    /// The boot it belongs to.
    pub boot_id: String,
}

impl ProcessId {
    /// This process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn current() -> io::Result<Self> {
        let pid = std::process::id();
        let stat = stat(pid)?;
        Ok(ProcessId { pid, start: stat.start, boot_id: boot_id()? })
    }

    /// The process that has this id now, if there is one that has not ended.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid).ok().filter(Stat::lives)?;
        Some(ProcessId { pid, start: stat.start, boot_id: boot_id().ok()? })
    }

    /// Whether it still runs. A zombie does not.
    pub fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot_id)
            && stat(self.pid).is_ok_and(|stat| stat.start == self.start && stat.lives())
    }

    /// A handle on it, or `None` when it has ended. The start time is read again after
    /// the handle was opened, so the handle cannot be another process's.
    pub fn open(&self) -> Option<PidFd> {
        let handle = PidFd::open(self.pid)?;
        self.is_alive().then_some(handle)
    }
}

/// A handle on one process; becomes readable when it ends.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// A handle on whatever process has this id now.
    pub fn open(pid: u32) -> Option<PidFd> {
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::pid_t::try_from(pid).ok()?, 0) };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Some(PidFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends a signal; a process that has ended is not an error.
    ///
    /// # Errors
    /// When the system forbids it.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: a valid descriptor, no siginfo, no flags.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match result {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
                error => Err(error),
            },
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

/// What `/proc/PID/stat` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it calls itself, at most 15 bytes.
    pub name: String,
    /// One letter: R, S, D, Z…
    pub state: char,
    /// Parent's process id.
    pub parent: u32,
    /// Session id (of `setsid`, not ours).
    pub session: u32,
    /// User and system time used, in clock ticks.
    pub cpu_ticks: u64,
    /// The same of its children that have ended and that it has waited for, and of theirs.
    pub children_ticks: u64,
    /// Start time in clock ticks since boot.
    pub start: u64,
    /// Resident memory in pages.
    pub resident_pages: u64,
}

impl Stat {
    /// It has not ended.
    pub fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads `/proc/PID/stat`.
///
/// # Errors
/// When there is no such process.
pub fn stat(pid: u32) -> io::Result<Stat> {
    // A program's name is any bytes, and cut after fifteen of them.
    let text = match fs::read(format!("/proc/{pid}/stat")) {
        // It ended between the opening and the reading.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Err(io::ErrorKind::NotFound.into()),
        text => text?,
    };
    parse_stat(&String::from_utf8_lossy(&text))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is unreadable")))
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The second field is the program's name in parentheses and may hold anything.
    let (before, rest) = text.rsplit_once(") ")?;
    let (_, name) = before.split_once('(')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
    Some(Stat {
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: u32::try_from(number(4)?).ok()?,
        session: u32::try_from(number(6)?).ok()?,
        cpu_ticks: number(14)? + number(15)?,
        children_ticks: number(16)? + number(17)?,
        start: number(22)?,
        resident_pages: number(24)?,
    })
}

/// Whether an error says that the machine has no room now, for processes, descriptors,
/// memory or on the disk, and not that anything was asked for that cannot be.
pub fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, QuotaExceeded, ResourceBusy, StorageFull, WouldBlock};
    matches!(error.kind(), OutOfMemory | QuotaExceeded | ResourceBusy | StorageFull | WouldBlock)
        || matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EIO))
}

/// This boot's id.
///
/// # Errors
/// When `/proc` is not there.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Gives what was freed back to the system. The allocator would keep it for whoever wants
/// as much next, and many keepers wait side by side.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointer and may be called at any time, by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes of a page of memory, in which the kernel counts.
pub fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// Where a process is now.
pub fn current_directory(pid: u32) -> Option<String> {
    let target = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    Some(target.to_string_lossy().into_owned())
}

/// Bytes that an unprivileged process may still write where `path` lies.
///
/// # Errors
/// The system's own.
pub fn free_bytes(path: &std::path::Path) -> io::Result<u64> {
    let found = nix::sys::statvfs::statvfs(path)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// The calling thread gets the processor only when nobody else wants it. It cannot take that
/// back.
pub fn go_behind_others() {
    // SAFETY: it takes no pointer; on Linux 0 is the calling thread. Should it fail, the
    // thread is as urgent as the others, no more.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
}

/// Nobody reads this process's memory afterwards or meanwhile: no core file, no debugger of
/// the same user. Gives the limits of core files as they were, for programs that are started.
///
/// # Errors
/// The system's own.
pub fn keep_memory_private() -> io::Result<(u64, u64)> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let core = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, 0, core.1)?;
    // SAFETY: it takes integers.
    nix::errno::Errno::result(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) })?;
    Ok(core)
}

/// Takes back what [`keep_memory_private`] did to the limits, for a program that replaces
/// this one.
pub fn allow_core_files((soft, hard): (u64, u64)) {
    // Lower than it was is no harm.
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, soft, hard);
}

/// The calling thread gets the disk only when nobody else wants it, where the disk's
/// scheduler knows such a thing.
pub fn leave_the_disk_to_others() {
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_IDLE: libc::c_int = 3 << 13;
    // SAFETY: three integers; on Linux 0 is the calling thread. Should it fail, the thread
    // is as urgent as the others, no more.
    unsafe {
        libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE);
    }
}

/// Takes an ended child off the system's hands; anybody else is left alone.
pub fn reap(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let flags = Some(nix::sys::wait::WaitPidFlag::WNOHANG);
        // Not ours, not ended, reaped already: all the same.
        let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), flags);
    }
}

/// The ids of all processes, as `/proc` lists them now.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn all() -> io::Result<Vec<u32>> {
    Ok(fs::read_dir("/proc")?.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
}

/// All processes by their parent: one look at `/proc`, for many questions.
#[derive(Clone, Debug, Default)]
pub struct Family(HashMap<u32, Vec<(u32, Stat)>>);

impl Family {
    /// Looks now.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn look() -> io::Result<Self> {
        let mut children: HashMap<u32, Vec<(u32, Stat)>> = HashMap::new();
        for pid in all()? {
            if let Ok(stat) = stat(pid) {
                children.entry(stat.parent).or_default().push((pid, stat));
            }
        }
        Ok(Family(children))
    }

    /// Everything below `root`, children before their own children; without `root` itself.
    pub fn below(&self, root: u32) -> Vec<&(u32, Stat)> {
        let mut found: Vec<&(u32, Stat)> = Vec::new();
        let mut open = vec![root];
        while let Some(parent) = open.pop() {
            for child in self.0.get(&parent).into_iter().flatten() {
                // A look takes a while and ids are reused in it. Each has one parent, so the only
                // way round in a circle is by the root.
                if child.0 != root {
                    open.push(child.0);
                    found.push(child);
                }
            }
        }
        found
    }
}

/// Everything below `root` in the tree of processes, children before their own children;
/// without `root` itself. A snapshot: look again until there is nothing left.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn descendants(root: u32) -> io::Result<Vec<(u32, Stat)>> {
    Ok(Family::look()?.below(root).into_iter().cloned().collect())
}

/// The marker of the session with this number: a hard limit for message queues that its
/// processes inherit for ever and cannot raise. `instance` keeps the sessions of two
/// instances of one user apart.
pub fn marker(instance: u64, session_number: u64) -> u64 {
    MARKS.start + instance.wrapping_add(session_number) % (MARKS.end - MARKS.start)
}

/// The mark of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It carries none.
    None,
    /// That of a session.
    Session(u64),
    /// It was a session's, and has been lowered: that anybody may, and nobody without the
    /// right to can raise it again. Whose it was, if a session's at all, cannot be said.
    Lowered,
}

/// The mark of a process. Only for who carries none himself: what is not below his own limit
/// is the user's.
///
/// # Errors
/// `NotFound` when there is no such process.
pub fn mark_of(pid: u32) -> io::Result<Mark> {
    Ok(match mark_limit(pid)? {
        Some(limit) if limit >= own_mark_limit() => Mark::None,
        Some(limit) if MARKS.contains(&limit) => Mark::Session(limit),
        Some(limit) if limit < MARKS.start => Mark::Lowered,
        _ => Mark::None,
    })
}

/// The mark of this process, as far as it can tell: by what the machine's first process has.
pub fn own_mark() -> Mark {
    let (own, first) = (own_mark_limit(), mark_limit(1).ok().flatten().unwrap_or(u64::MAX));
    match own {
        own if own >= first => Mark::None,
        own if MARKS.contains(&own) => Mark::Session(own),
        own if own < MARKS.start => Mark::Lowered,
        _ => Mark::None,
    }
}

/// Whether this process can mark what it starts: nobody may go above the limit he has.
pub fn can_mark() -> bool {
    own_mark_limit() >= MARKS.end
}

/// This process's own hard limit, of which marks are lower values.
fn own_mark_limit() -> u64 {
    getrlimit(Resource::RLIMIT_MSGQUEUE).map_or(u64::MAX, |(_, hard)| hard)
}

/// The limit that is a process's mark; `None` when it has no bound.
fn mark_limit(pid: u32) -> io::Result<Option<u64>> {
    let limits = match fs::read_to_string(format!("/proc/{pid}/limits")) {
        // It ended between the opening and the reading.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Err(io::ErrorKind::NotFound.into()),
        limits => limits?,
    };
    let line = limits.lines().find(|l| l.starts_with("Max msgqueue size"));
    Ok(line.and_then(|line| line.split_ascii_whitespace().rev().nth(1)?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 50 60 3 4 20 0 1 0 999 1000 77 18446744073709551615";
        let stat = parse_stat(text).unwrap();
        assert_eq!(stat.name, "a) b (c)");
        assert_eq!((stat.state, stat.parent, stat.session, stat.start, stat.resident_pages), ('S', 1, 7, 999, 77));
        assert_eq!((stat.cpu_ticks, stat.children_ticks), (110, 7));
        assert!(parse_stat("7 (x").is_none());
    }

    #[test]
    fn a_name_cut_in_the_middle_of_a_character_hides_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("test-日本語です");
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program).arg("1000").spawn().unwrap();
        let found = (stat(child.id()).unwrap().parent, ProcessId::of(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.0, std::process::id());
        assert!(found.1.is_some());
    }

    #[test]
    fn a_process_is_known_across_reuse_of_its_id() {
        let me = ProcessId::current().unwrap();
        assert!(me.is_alive());
        assert!(!ProcessId { start: me.start + 1, ..me.clone() }.is_alive());
        assert!(!ProcessId { boot_id: "other".into(), ..me.clone() }.is_alive());
        assert!(me.open().is_some());

        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = ProcessId::of(child.id());
        child.wait().unwrap();
        assert!(id.is_none_or(|id| !id.is_alive() && id.open().is_none()));
    }

    #[test]
    fn descendants_are_found() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 1000 & read x"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut found = Vec::new();
        while found.is_empty() {
            found = descendants(child.id()).unwrap();
        }
        let family = Family::look().unwrap();
        let mine: Vec<u32> = family.below(std::process::id()).iter().map(|(pid, _)| *pid).collect();
        assert!(mine.contains(&child.id()) && mine.contains(&found[0].0), "{mine:?}");
        assert_eq!(family.below(child.id()).len(), found.len(), "asked again, it says the same");
        let circle = Family(HashMap::from([(1, vec![(2, found[0].1.clone())]), (2, vec![(1, found[0].1.clone())])]));
        assert_eq!(circle.below(1).len(), 1);
        for (pid, _) in &found {
            PidFd::open(*pid).unwrap().signal(libc::SIGKILL).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
