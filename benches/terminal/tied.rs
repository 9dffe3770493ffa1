//! A terminal that a program is tied to: the bench sits at the other side of it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Nothing that is waited for takes this long, unless it is broken.
pub const LIMIT: Duration = Duration::from_secs(60);
/// A client that is hung up on leaves within this.
const LEAVES: Duration = Duration::from_secs(5);

/// Columns and rows.
pub type Size = (u16, u16);

/// A terminal with a program on it; dropping it hangs up.
pub struct Tied {
    /// Gone when a thread reads it.
    master: Option<File>,
    child: Child,
}

impl Tied {
    /// Starts a command on a fresh terminal.
    pub fn start(size: Size, mut command: Command) -> Self {
        let window = Winsize { ws_col: size.0, ws_row: size.1, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(&window, None).expect("a terminal");
        for fd in [&pair.master, &pair.slave] {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("not for others");
        }
        let end = || pair.slave.try_clone().expect("another end");
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: only calls that are allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        Tied { child: command.spawn().expect("started"), master: Some(File::from(pair.master)) }
    }

    fn master(&self) -> &File {
        self.master.as_ref().expect("nobody else reads it")
    }

    /// Types.
    pub fn write(&mut self, bytes: &[u8]) {
        self.master().write_all(bytes).expect("typed");
    }

    /// Reads until `wanted` is found in what comes.
    pub fn wait_for(&mut self, wanted: &[u8]) {
        let deadline = Instant::now() + LIMIT;
        let mut bytes = vec![0; 64 * 1024];
        let mut kept = 0;
        loop {
            assert!(self.readable(deadline.saturating_duration_since(Instant::now())), "nothing is drawn");
            let read = self.master().read(&mut bytes[kept..]).expect("read");
            let filled = kept + read;
            if memchr::memmem::find(&bytes[..filled], wanted).is_some() {
                return;
            }
            // It may lie across two reads.
            kept = filled.min(wanted.len() - 1);
            bytes.copy_within(filled - kept..filled, 0);
        }
    }

    /// Reads what comes, which is something, until nothing does any more for a moment.
    pub fn settle(&mut self) {
        const QUIET: Duration = Duration::from_millis(100);
        let mut bytes = [0; 64 * 1024];
        let mut limit = LIMIT;
        while self.readable(limit) && self.master().read(&mut bytes).is_ok_and(|read| read > 0) {
            limit = QUIET;
        }
    }

    /// Reads as fast as possible from here on, and throws it away.
    pub fn drain(mut self) -> Drained {
        let mut master = self.master.take().expect("nobody else reads it");
        let reader = std::thread::spawn(move || {
            let mut bytes = vec![0; 64 * 1024];
            // Nobody has the terminal open any more when the program is gone.
            while master.read(&mut bytes).is_ok_and(|read| read > 0) {}
        });
        Drained { tied: Some(self), reader: Some(reader) }
    }

    fn readable(&self, limit: Duration) -> bool {
        autodev::socket::readable(self.master(), limit).expect("waited")
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGHUP);
        drop(self.master.take());
        let begun = Instant::now();
        while begun.elapsed() < LEAVES {
            if self.child.try_wait().expect("a child").is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A terminal whose other side reads all the time.
pub struct Drained {
    tied: Option<Tied>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Drained {
    fn drop(&mut self) {
        drop(self.tied.take());
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}
