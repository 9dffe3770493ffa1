//! Lets system calls of a program and its children fail, or be their last: the kernel asks
//! us about each (seccomp user notification). No other program is needed for it, and none
//! is in the way.

use std::io;
use std::mem::{self, offset_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use autodev::socket::readable;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

/// System calls that change what is on the disk.
pub const DISK: [i64; 12] = [
    libc::SYS_pwrite64,
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_fallocate,
];
/// Those that write to what may be a file; counted are those to files of sessions.
pub const WRITES: [i64; 2] = [libc::SYS_write, libc::SYS_writev];
/// Those that make descriptors.
pub const DESCRIPTORS: [i64; 7] = [
    libc::SYS_openat,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_pipe2,
    libc::SYS_pidfd_open,
    libc::SYS_fcntl,
    libc::SYS_accept4,
];
/// Those that make processes and threads.
pub const PROCESSES: [i64; 4] = [libc::SYS_clone, libc::SYS_clone3, libc::SYS_fork, libc::SYS_vfork];

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails.
    Error(Errno),
    /// The process dies before it, as `kill -9` would have it.
    Kill,
}

/// Which one.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// Of the process itself, or of those that it has started.
    pub of: Of,
    /// Of these system calls…
    pub calls: &'static [i64],
    /// …the how manieth from now on, from 1.
    pub nth: u64,
    /// What happens to it.
    pub fault: Fault,
    /// And to all after it, as on a disk that stays full.
    pub stays: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Itself,
    Children,
}

#[derive(Debug, Default)]
struct State {
    aim: Option<Aim>,
    seen: u64,
    hit: bool,
}

/// The one who is asked.
pub struct Injector {
    state: Arc<Mutex<State>>,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Injector {
    /// Starts a program whose system calls we are asked about.
    pub fn spawn(mut command: Command) -> io::Result<(Child, Injector)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let filter = filter();
        let socket = theirs.as_raw_fd();
        // SAFETY: between fork and exec it makes system calls only, with memory made before.
        unsafe {
            command.pre_exec(move || {
                Errno::result(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
                let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
                let listener = Errno::result(libc::syscall(
                    libc::SYS_seccomp,
                    libc::SECCOMP_SET_MODE_FILTER,
                    libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
                    &raw const program,
                ))?;
                send(socket, listener as RawFd)
            })
        };
        // It waits for nobody until its first such call after this, which is after we have
        // the listener.
        let child = command.spawn()?;
        drop(theirs);
        let listener = receive(&ours)?;
        let state = Arc::new(Mutex::new(State::default()));
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let (theirs, ends, pid) = (Arc::clone(&state), Arc::clone(&stop), child.id());
        let thread = thread::spawn(move || answer_all(&listener, &ends, &theirs, pid));
        Ok((child, Injector { state, stop, thread: Some(thread) }))
    }

    /// Takes aim.
    pub fn aim(&self, aim: Aim) {
        *self.state.lock().unwrap() = State { aim: Some(aim), seen: 0, hit: false };
    }

    /// All goes well from now on; whether anything was hit.
    pub fn rest(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.aim = None;
        state.hit
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A filter that asks about all system calls that may ever be aimed at.
fn filter() -> Vec<libc::sock_filter> {
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let calls: Vec<i64> = DISK.iter().chain(&WRITES).chain(&DESCRIPTORS).chain(&PROCESSES).copied().collect();
    let number = offset_of!(libc::seccomp_data, nr) as u32;
    let mut program = vec![op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, number)];
    for (at, call) in calls.iter().enumerate() {
        // To the last instruction but over those between.
        let jump = (calls.len() - at) as u8;
        program.push(op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jump, 0, *call as u32));
    }
    program.push(op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    program.push(op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    program
}

/// Sends a descriptor, with nothing but system calls.
fn send(socket: RawFd, descriptor: RawFd) -> io::Result<()> {
    let mut byte = 0u8;
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: all of it outlives the call, and is as long as it says.
    unsafe {
        let mut room = [0u64; 8];
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = room.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(mem::size_of::<RawFd>() as u32) as usize;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(mem::size_of::<RawFd>() as u32) as usize;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(descriptor);
        Errno::result(libc::sendmsg(socket, &raw const message, 0))?;
    }
    Ok(())
}

fn receive(socket: &impl AsRawFd) -> io::Result<OwnedFd> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    let mut byte = [0];
    let mut parts = [io::IoSliceMut::new(&mut byte)];
    let mut room = nix::cmsg_space!(RawFd);
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control
            && let Some(descriptor) = descriptors.first()
        {
            // SAFETY: just received, and nobody else's.
            return Ok(unsafe { OwnedFd::from_raw_fd(*descriptor) });
        }
    }
    Err(io::Error::other("the filter's listener has not come"))
}

fn answer_all(listener: &OwnedFd, stop: &EventFd, state: &Mutex<State>, itself: u32) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    loop {
        let mut ready =
            [PollFd::new(listener.as_fd(), PollFlags::POLLIN), PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::NONE).is_err() {
            continue;
        }
        let hung_up = ready[0].revents().is_some_and(|r| r.contains(PollFlags::POLLHUP));
        if readable(stop, std::time::Duration::ZERO).unwrap_or(true) || hung_up {
            return;
        }
        answer(listener, state, itself);
    }
}

fn answer(listener: &OwnedFd, state: &Mutex<State>, itself: u32) {
    // SAFETY: plain numbers.
    let mut asked: libc::seccomp_notif = unsafe { mem::zeroed() };
    // SAFETY: a listener, and room for what it says.
    if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) } < 0 {
        // Whoever asked has died.
        return;
    }
    let fault = decide(&asked, &mut state.lock().unwrap(), itself);
    // SAFETY: as above.
    let mut said: libc::seccomp_notif_resp = unsafe { mem::zeroed() };
    said.id = asked.id;
    match fault {
        Some(Fault::Error(errno)) => said.error = -(errno as i32),
        Some(Fault::Kill) => {
            // SAFETY: two integers.
            unsafe { libc::kill(group_of(asked.pid).unwrap_or(asked.pid) as i32, libc::SIGKILL) };
            return;
        }
        None => said.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
    }
    // SAFETY: as above; that the other has died meanwhile is no failure.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut said) };
}

fn decide(asked: &libc::seccomp_notif, state: &mut State, itself: u32) -> Option<Fault> {
    let aim = state.aim?;
    let call = i64::from(asked.data.nr);
    if !aim.calls.contains(&call) {
        return None;
    }
    // Of all its uses only those that make a descriptor.
    let duplicates = [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC].map(|command| command as u64);
    if call == libc::SYS_fcntl && !duplicates.contains(&asked.data.args[1]) {
        return None;
    }
    if WRITES.contains(&call) {
        let file = std::fs::read_link(format!("/proc/{}/fd/{}", asked.pid, asked.data.args[0])).ok()?;
        if !file.to_string_lossy().contains("/sessions/live/") {
            return None;
        }
    }
    let of = if group_of(asked.pid)? == itself { Of::Itself } else { Of::Children };
    if of != aim.of {
        return None;
    }
    state.seen += 1;
    if state.seen == aim.nth || (aim.stays && state.seen > aim.nth) {
        state.hit = true;
        return Some(aim.fault);
    }
    None
}

/// The process that a thread belongs to.
fn group_of(thread: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}
