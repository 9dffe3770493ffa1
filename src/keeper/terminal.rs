//! The pseudo-terminal: its master side, and the input that waits for the program.

use std::collections::VecDeque;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{InputFlags, LocalFlags, SetArg, tcgetattr, tcsetattr};
use portable_pty::{MasterPty, PtySize};

use super::{KEEP_BYTES, log};

/// Input that may wait for a program that does not read. Senders are held back when it is
/// reached; the loop never is.
pub const INPUT_LIMIT: usize = 1024 * 1024;
/// The longest line a terminal in canonical mode takes, in bytes; it drops the rest.
pub const CANONICAL_LINE: usize = 4_095;

/// A terminal. Dropping it hangs up.
pub struct Terminal {
    /// Knows how to change the size.
    control: Box<dyn MasterPty + Send>,
    master: File,
    /// Stays open, so that the master never reports an end while programs come and go.
    slave: File,
    input: VecDeque<u8>,
    /// Width and height of a cell in pixels, as far as anybody knows; else 0.
    cell: (u16, u16),
    /// Of the process group that was in the foreground last.
    leader: Option<Leader>,
    /// Who we are.
    user: u32,
}

/// A process that leads a group.
struct Leader {
    group: i32,
    /// Its directory in /proc, which says whose it is now: that changes when it becomes
    /// another program.
    open: File,
}

impl Terminal {
    /// Opens one.
    ///
    /// # Errors
    /// The system's own.
    pub fn open(columns: u16, rows: u16) -> io::Result<Terminal> {
        let pair = portable_pty::native_pty_system().openpty(size(columns, rows, (0, 0))).map_err(io::Error::other)?;
        let control = pair.master;
        let (Some(fd), Some(name)) = (control.as_raw_fd(), control.tty_name()) else {
            return Err(nameless());
        };
        let slave = open_slave(&name)?;
        drop(pair.slave);
        // SAFETY: `control` keeps the descriptor open during the call.
        let master = File::from(unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?);
        let flags = OFlag::from_bits_truncate(fcntl(&master, FcntlArg::F_GETFL)?);
        fcntl(&master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let mut modes = tcgetattr(&slave)?;
        // Erasing a character in a line erases all its bytes.
        modes.input_flags |= InputFlags::IUTF8;
        tcsetattr(&slave, SetArg::TCSANOW, &modes)?;
        let user = nix::unistd::geteuid().as_raw();
        Ok(Terminal { control, master, slave, input: VecDeque::new(), cell: (0, 0), leader: None, user })
    }

    /// Opens the programs' side again after it was hung up; `false` when it cannot be.
    pub fn reopen(&mut self) -> bool {
        match self.control.tty_name().ok_or_else(nameless).and_then(|name| open_slave(&name)) {
            Ok(slave) => self.slave = slave,
            Err(error) => {
                log(&format!("the terminal was hung up and cannot be opened again: {error}"));
                return false;
            }
        }
        true
    }

    /// The side that programs get.
    pub fn slave(&self) -> &File {
        &self.slave
    }

    /// Gives it another size; the programs in its foreground are told.
    ///
    /// # Errors
    /// The system's own.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        self.control.resize(size(columns, rows, self.cell)).map_err(io::Error::other)
    }

    /// How large a cell is in the terminal of who types, from the next [`Terminal::resize`]
    /// on.
    pub fn set_cell(&mut self, cell: (u16, u16)) {
        self.cell = cell;
    }

    /// Reads what the program wrote; 0 when there is nothing now.
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        // All other errors mean that nobody has it open any more.
        (&self.master).read(buffer).unwrap_or(0)
    }

    /// Queues input for the program.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
    }

    /// Input is queued that the program has not taken.
    pub fn wants_write(&self) -> bool {
        !self.input.is_empty()
    }

    /// No more input should be queued now.
    pub fn is_full(&self) -> bool {
        self.input.len() >= INPUT_LIMIT
    }

    /// Hands over as much queued input as the terminal takes now.
    pub fn write(&mut self) {
        while !self.input.is_empty() {
            match (&self.master).write(self.input.as_slices().0) {
                Ok(0) => return,
                Ok(written) => drop(self.input.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
        self.input.shrink_to(KEEP_BYTES);
    }

    /// Forgets queued input: there is no program any more.
    pub fn discard_input(&mut self) {
        self.input = VecDeque::new();
    }

    /// The program reads whole lines that the terminal edits.
    pub fn is_canonical(&self) -> bool {
        tcgetattr(&self.master).is_ok_and(|modes| modes.local_flags.contains(LocalFlags::ICANON))
    }

    /// The program asks for a password, as far as one can tell: it reads a line that is not
    /// shown; or it shows nothing and is another user's, as `sudo` and `su` are, which may
    /// paint stars for themselves. Our own programs that paint for themselves read key by key.
    pub fn hides_input(&mut self) -> bool {
        let Ok(modes) = tcgetattr(&self.master) else { return false };
        let shown = modes.local_flags.contains(LocalFlags::ECHO);
        !shown && (modes.local_flags.contains(LocalFlags::ICANON) || self.is_in_anothers_hands())
    }

    /// The leader of the process group in the foreground is another user's.
    fn is_in_anothers_hands(&mut self) -> bool {
        let Some(group) = self.foreground() else { return false };
        let path = || format!("/proc/{group}");
        // Asked for each key: what stays the same is not looked for anew.
        if self.leader.as_ref().is_none_or(|leader| leader.group != group) {
            self.leader = File::open(path()).ok().map(|open| Leader { group, open });
        }
        let others = |found: io::Result<Metadata>| found.is_ok_and(|found| found.uid() != self.user);
        // Of one that has ended the system says that it is root's.
        self.leader.as_ref().is_some_and(|leader| others(leader.open.metadata())) && others(std::fs::metadata(path()))
    }

    /// The process group in the foreground.
    pub fn foreground(&self) -> Option<i32> {
        nix::unistd::tcgetpgrp(&self.master).ok().map(nix::unistd::Pid::as_raw).filter(|group| *group > 1)
    }
}

impl AsRawFd for Terminal {
    fn as_raw_fd(&self) -> RawFd {
        self.master.as_raw_fd()
    }
}

/// Without making it the keeper's controlling terminal: it is to be the program's.
fn open_slave(name: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name)
}

fn nameless() -> io::Error {
    io::Error::other("the system's terminal has no name")
}

fn size(columns: u16, rows: u16, cell: (u16, u16)) -> PtySize {
    PtySize {
        rows,
        cols: columns,
        pixel_width: columns.saturating_mul(cell.0),
        pixel_height: rows.saturating_mul(cell.1),
    }
}
