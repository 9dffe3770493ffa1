//! The user's terminal while something else owns it: raw, and put back exactly once on
//! every way out.
//!
//! What is needed to put it back lies in one place of the process, so that the end of
//! the guard and a panic's message find it, whichever comes first. Signals are no way
//! out of their own: the attach loop reads them ([`super::signals`]) and returns.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, MutexGuard, Once};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// How long leaving may wait for a terminal that takes nothing.
const WRITE_LIMIT: Duration = Duration::from_secs(2);
/// How long leaving waits for what the terminal still has to say, when it is near.
const DRAIN_LIMIT: Duration = Duration::from_millis(100);
/// The same over a network: an answer that comes later would be typed into the shell.
const DRAIN_LIMIT_FAR: Duration = Duration::from_secs(1);
/// Size of a terminal that does not know its own.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// Asks the terminal who it is. Its answer comes after everything typed or reported
/// before the question was read.
const BARRIER: &[u8] = b"\x1b[c";
/// To the lowest line, wherever that is, and one further.
const BELOW: &[u8] = b"\x1b[9999;1H\r\n";

/// What puts the terminal back. Taken out by whoever does it.
static SAVED: Mutex<Option<Saved>> = Mutex::new(None);

#[derive(Debug)]
struct Saved {
    input: File,
    output: File,
    before: Termios,
    leave: Vec<u8>,
    /// The terminal was asked [`BARRIER`] and more, and has not answered yet.
    asked: bool,
}

/// The terminal in raw mode.
#[derive(Debug)]
pub struct Terminal {
    input: File,
    output: File,
}

impl Terminal {
    /// Takes standard input and output. `leave` is written before anything else when the
    /// terminal is given back.
    ///
    /// # Errors
    /// When they are not a terminal, or it is taken already.
    pub fn enter(leave: Vec<u8>) -> io::Result<Terminal> {
        Terminal::enter_on(io::stdin().as_fd(), io::stdout().as_fd(), leave)
    }

    /// As [`Terminal::enter`] with the terminal's two ends given.
    fn enter_on(input: BorrowedFd<'_>, output: BorrowedFd<'_>, leave: Vec<u8>) -> io::Result<Terminal> {
        let before = tcgetattr(input)?;
        let (input, output) = (reopen(input)?, reopen(output)?);
        let mut saved = saved();
        if saved.is_some() {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "the terminal is taken already"));
        }
        restore_before_panic_messages();
        let ends = (input.try_clone()?, output.try_clone()?);
        raw(&input, &before)?;
        *saved = Some(Saved { input: ends.0, output: ends.1, before, leave, asked: false });
        Ok(Terminal { input, output })
    }

    /// Gives the terminal back and prints `message` in the row `below`, from 0, which is
    /// blank with all that follow; without one below the lowest row. What the terminal still
    /// had to say (key releases, mouse moves) is read and dropped: the shell would take it
    /// for typing.
    pub fn finish(self, message: &str, below: Option<u16>) {
        if let Some(saved) = saved().take() {
            saved.put_back(message, below, true);
        }
    }

    /// Gives the terminal back until [`Terminal::resume`].
    ///
    /// # Errors
    /// The system's own.
    pub fn suspend(&self) -> io::Result<()> {
        if let Some(saved) = saved().as_ref() {
            saved.put_back("", None, false);
        }
        Ok(())
    }

    /// Takes the terminal again; with what settings it was left for us does not matter.
    ///
    /// # Errors
    /// The system's own.
    pub fn resume(&self) -> io::Result<()> {
        match saved().as_ref() {
            Some(saved) => raw(&self.input, &saved.before),
            None => Ok(()),
        }
    }

    /// Whether questions to the terminal are under way, the last of which is who it is: what
    /// it answers must not be left to the shell.
    pub fn asked(&self, asked: bool) {
        if let Some(saved) = saved().as_mut() {
            saved.asked = asked;
        }
    }

    /// What is written before anything else when the terminal is given back, from now on.
    pub fn leave_with(&self, leave: Vec<u8>) {
        if let Some(saved) = saved().as_mut() {
            saved.leave = leave;
        }
    }

    /// What is typed.
    pub fn input(&self) -> &File {
        &self.input
    }

    /// What is shown. May take only a part of what is written.
    pub fn output(&self) -> &File {
        &self.output
    }

    /// Columns and rows now.
    pub fn size(&self) -> (u16, u16) {
        size(self.output.as_fd())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

impl Saved {
    fn put_back(&self, message: &str, below: Option<u16>, drain: bool) {
        let mut last = self.leave.clone();
        match below {
            Some(row) => last.extend_from_slice(format!("\x1b[{};1H\x1b[J", row + 1).as_bytes()),
            None => last.extend_from_slice(BELOW),
        }
        if !message.is_empty() {
            last.extend_from_slice(message.as_bytes());
            last.extend_from_slice(b"\r\n");
        }
        if drain {
            last.extend_from_slice(BARRIER);
        }
        // A terminal that is gone cannot be told, and there is nobody to tell about it.
        let told = write_within(&self.output, &last, WRITE_LIMIT).is_ok();
        let answers = usize::from(drain && told) + usize::from(self.asked);
        if answers > 0 {
            let far = std::env::var_os("SSH_CONNECTION").is_some();
            drain_input(&self.input, answers, if far { DRAIN_LIMIT_FAR } else { DRAIN_LIMIT });
        }
        let _ = tcsetattr(&self.input, SetArg::TCSANOW, &self.before);
    }
}

fn saved() -> MutexGuard<'static, Option<Saved>> {
    // A panic elsewhere leaves it as it was: still what has to be put back.
    SAVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Puts the terminal back if that was not done yet.
fn restore() {
    if let Some(saved) = saved().take() {
        saved.put_back("", None, false);
    }
}

/// A panic's message is printed before anything is dropped: without this it would go to
/// a raw terminal, perhaps to an alternate screen that vanishes.
fn restore_before_panic_messages() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let message = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Not `lock`: the panic may have come while we held it.
            if let Some(saved) = SAVED.try_lock().ok().and_then(|mut saved| saved.take()) {
                saved.put_back("", None, false);
            }
            message(panic);
        }));
    });
}

fn raw(input: &File, before: &Termios) -> io::Result<()> {
    let mut raw = before.clone();
    cfmakeraw(&mut raw);
    raw.control_chars[libc::VMIN] = 1;
    raw.control_chars[libc::VTIME] = 0;
    Ok(tcsetattr(input, SetArg::TCSANOW, &raw)?)
}

/// The same terminal opened anew, not blocking: the flag belongs to the opened file, and
/// the one we were given is the shell's too. A terminal we may use but not open (after
/// `su`) is used as it is.
fn reopen(fd: BorrowedFd<'_>) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .or_else(|_| Ok(File::from(fd.try_clone_to_owned()?)))
}

/// Columns and rows of a terminal.
pub fn size(fd: BorrowedFd<'_>) -> (u16, u16) {
    window(fd).filter(|(_, rows)| *rows > 0).unwrap_or(DEFAULT_SIZE)
}

/// Columns and rows as the terminal says them, if it is one and knows its columns; rows
/// may be 0.
pub fn window(fd: BorrowedFd<'_>) -> Option<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize, which outlives the call.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (answer == 0 && size.ws_col > 0).then_some((size.ws_col, size.ws_row))
}

/// Writes all of `bytes`, waiting for the terminal no longer than `limit`.
///
/// # Errors
/// `TimedOut`; otherwise the system's own.
pub fn write_within(mut output: &File, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(output, PollFlags::POLLOUT, deadline)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait(file: &File, event: PollFlags, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut fds = [PollFd::new(file.as_fd(), event)];
    match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads and drops input up to so many answers to [`BARRIER`].
fn drain_input(mut input: &File, mut answers: usize, limit: Duration) {
    let deadline = Instant::now() + limit;
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while wait(input, PollFlags::POLLIN, deadline).is_ok() {
        match input.read(&mut buffer) {
            Ok(read) if read > 0 => {
                seen.extend_from_slice(&buffer[..read]);
                while let Some(end) = identity(&seen) {
                    seen.drain(..end);
                    answers -= 1;
                    if answers == 0 {
                        return;
                    }
                }
                // Only the tail can be the beginning of an answer.
                let tail = seen.len().saturating_sub(64);
                seen.drain(..tail);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            _ => return,
        }
    }
}

/// Where the first `CSI ? … c`, a terminal's answer to who it is, ends in these bytes.
fn identity(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(bytes, b"\x1b[?").find_map(|at| {
        let rest = &bytes[at + 3..];
        let last = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b';'))?;
        (rest[last] == b'c').then_some(at + 3 + last + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::{OpenptyResult, openpty};
    use nix::sys::termios::LocalFlags;

    /// There is one guard in a process.
    static ONE: Mutex<()> = Mutex::new(());

    fn one() -> MutexGuard<'static, ()> {
        ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What came out of the terminal so far.
    fn shown(master: &impl AsFd) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while crate::socket::readable(master, Duration::from_millis(20)).unwrap() {
            let read = nix::unistd::read(master, &mut buffer).unwrap();
            all.extend_from_slice(&buffer[..read]);
        }
        all
    }

    fn is_raw(slave: &impl AsFd) -> bool {
        !tcgetattr(slave).unwrap().local_flags.contains(LocalFlags::ICANON)
    }

    #[test]
    fn the_terminal_is_put_back_once() {
        let _one = one();
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let terminal = Terminal::enter_on(slave.as_fd(), slave.as_fd(), b"LEAVE".to_vec()).unwrap();
        assert!(is_raw(&slave));
        assert!(Terminal::enter_on(slave.as_fd(), slave.as_fd(), Vec::new()).is_err());
        drop(terminal);
        restore();
        let after = tcgetattr(&slave).unwrap();
        assert_eq!(libc::termios::from(after), libc::termios::from(before));
        assert_eq!(shown(&master), [b"LEAVE", BELOW].concat());
    }

    #[test]
    fn late_answers_are_dropped_and_the_message_is_shown() {
        let _one = one();
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        let terminal = Terminal::enter_on(slave.as_fd(), slave.as_fd(), b"LEAVE".to_vec()).unwrap();
        // A key's release, the answer to the question that will be asked, and then typing.
        nix::unistd::write(&master, b"\x1b[100;1:3u\x1b[?62;22c").unwrap();
        terminal.finish("[detached 42.1]", None);
        assert_eq!(shown(&master), b"LEAVE\x1b[9999;1H\r\n[detached 42.1]\r\n\x1b[c");
        nix::unistd::write(&master, b"ls\n").unwrap();
        let mut buffer = [0; 64];
        let read = nix::unistd::read(&slave, &mut buffer).unwrap();
        assert_eq!(&buffer[..read], b"ls\n");
    }

    #[test]
    fn a_panic_puts_it_back_before_its_message() {
        let _one = one();
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        let terminal = Terminal::enter_on(slave.as_fd(), slave.as_fd(), b"LEAVE".to_vec()).unwrap();
        let mut was_raw = true;
        std::thread::scope(|scope| {
            let panicking = scope.spawn(|| panic!("expected by this test"));
            assert!(panicking.join().is_err());
            was_raw = is_raw(&slave);
        });
        assert!(!was_raw);
        drop(terminal);
        assert_eq!(shown(&master), [b"LEAVE", BELOW].concat());
    }

    #[test]
    fn a_terminal_that_takes_nothing_does_not_hold_us() {
        let OpenptyResult { master: _master, slave } = openpty(None, None).unwrap();
        let output = reopen(slave.as_fd()).unwrap();
        let error = write_within(&output, &vec![b'x'; 1 << 20], Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // The one we were given still blocks.
        let flags = nix::fcntl::fcntl(&slave, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        assert_eq!(flags & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn identities_are_told_from_other_answers() {
        assert_eq!(identity(b"\x1b[?62;22cx"), Some(9));
        assert_eq!(identity(b"x\x1b[?1u\x1b[?6c"), Some(11));
        for other in [b"\x1b[?62;22".as_slice(), b"\x1b[?2026;2$y c", b"\x1b[24;80Rc"] {
            assert_eq!(identity(other), None);
        }
    }
}
