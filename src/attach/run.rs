//! The loop: what is typed goes one way, what the program prints the other, and neither
//! waits for the other.

use std::io::{self, Read, Write};
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::keys::{ESCAPE_WAIT, Key, Keys, PASTE_PAUSE};
use super::queue::Queue;
use super::signals::Signals;
use super::terminal::{Terminal, write_within};
use super::{End, How, Options, notice, open};
use crate::client::find;
use crate::client::keeper_link::Link;
use crate::id::SessionName;
use crate::paths::Paths;
use crate::protocol::Fault;
use crate::protocol::keeper::{Attach, FromKeeper, ToKeeper};

/// Output taken from the keeper that the terminal has not taken yet. More only makes what
/// is seen older.
const MAX_UNSHOWN: usize = 256 * 1024;
/// Typed bytes the keeper has not taken yet. Beyond, typing waits in the terminal.
const MAX_UNSENT: usize = 256 * 1024;
/// Bytes of typing read at once.
const TYPED_SIZE: usize = 4096;
/// How long the last output and the last keys may take on leaving.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The loop goes on, or ends.
type Flow = ControlFlow<How>;

/// What of ours lies over the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    /// Nothing: output goes to the terminal.
    None,
    /// Something to read; any key takes it away.
    Notice,
    /// The question whether to end the session.
    End,
    /// Nothing any more, but the picture asked for has not come yet.
    Lifted,
}

/// A terminal tied to a session.
pub(super) struct Loop<'a> {
    paths: &'a Paths,
    options: Options,
    session: SessionName,
    link: Link,
    keys: Keys,
    screen: (u16, u16),
    signals: Signals,
    unshown: Queue,
    unsent: Queue,
    cover: Cover,
    /// Output was left out: the next picture makes what is not shown yet worthless.
    skipped: bool,
    end: End<'a>,
}

impl<'a> Loop<'a> {
    /// Attached by `link`, to be shown on a terminal of this size.
    pub(super) fn new(
        paths: &'a Paths,
        options: Options,
        session: SessionName,
        link: Link,
        screen: (u16, u16),
        signals: Signals,
        end: End<'a>,
    ) -> Self {
        let mut unshown = Queue::default();
        // What the terminal shows goes up into its own history instead of being painted over.
        unshown.push(&b"\n".repeat(usize::from(screen.1)));
        Loop {
            paths,
            keys: Keys::new(options.prefix),
            options,
            session,
            link,
            screen,
            signals,
            unshown,
            unsent: Queue::default(),
            cover: Cover::None,
            skipped: false,
            end,
        }
    }

    /// The session shown now.
    pub(super) fn session(&self) -> &SessionName {
        &self.session
    }

    /// Goes on until the user leaves or the program ends.
    pub(super) fn run(&mut self, terminal: &Terminal, first: Vec<FromKeeper>) -> How {
        for message in first {
            if let Break(how) = self.message(message) {
                return how;
            }
        }
        if self.link.set_nonblocking().is_err() {
            return How::Lost;
        }
        // What came together with the picture is here already and will not be announced.
        if let Break(how) = self.messages(true) {
            return how;
        }
        let mut last_typed = Instant::now();
        loop {
            if let Break(how) = self.turn(terminal, &mut last_typed) {
                return how;
            }
        }
    }

    /// Moves what can be moved, waits, takes what has come.
    fn turn(&mut self, terminal: &Terminal, last_typed: &mut Instant) -> Flow {
        if self.unshown.write(|bytes| terminal.output().write(bytes)).is_err() {
            return Break(How::Signal(libc::SIGHUP));
        }
        if self.unsent.write(|bytes| self.link.write(bytes)).is_err() {
            // It has hung up. Its last words are still to be read, which ends the loop.
            self.unsent.clear();
        }

        let wanted = |want: bool, event: PollFlags| if want { event } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(terminal.input().as_fd(), wanted(self.unsent.rest().len() < MAX_UNSENT, PollFlags::POLLIN)),
            PollFd::new(
                self.link.as_fd(),
                wanted(self.unshown.rest().len() < MAX_UNSHOWN, PollFlags::POLLIN)
                    | wanted(!self.unsent.rest().is_empty(), PollFlags::POLLOUT),
            ),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(terminal.output().as_fd(), wanted(!self.unshown.rest().is_empty(), PollFlags::POLLOUT)),
        ];
        let limit = if self.keys.waits() { Some(ESCAPE_WAIT.saturating_sub(last_typed.elapsed())) } else { None };
        let limit = limit.map_or(PollTimeout::NONE, |l| PollTimeout::try_from(l).unwrap_or(PollTimeout::ZERO));
        match poll(&mut fds, limit) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Continue(()),
            Err(_) => return Break(How::Signal(libc::SIGHUP)),
        }
        let [typed, sent, signal, shown] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));

        if signal.contains(PollFlags::POLLIN) {
            self.signals(terminal)?;
        }
        // A terminal that is gone shows here even when nothing is asked of it.
        if (typed | shown).intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
            return Break(How::Signal(libc::SIGHUP));
        }
        if typed.contains(PollFlags::POLLIN) {
            if last_typed.elapsed() > PASTE_PAUSE {
                self.keys.paused();
            }
            *last_typed = Instant::now();
            self.typed(terminal)?;
        } else if self.keys.waits() && last_typed.elapsed() >= ESCAPE_WAIT {
            let mut pass = Vec::new();
            let key = self.keys.give_up(&mut pass);
            self.pass(&pass);
            if let Some(key) = key {
                self.key(key)?;
            }
        }
        if sent.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.sent()?;
        }
        Continue(())
    }

    fn signals(&mut self, terminal: &Terminal) -> Flow {
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::SIGWINCH => self.resized(terminal),
                Signal::SIGTSTP => {
                    // As if it had its usual effect, with the terminal given back meanwhile.
                    if terminal.suspend().is_err() || nix::sys::signal::raise(Signal::SIGSTOP).is_err() {
                        return Break(How::Signal(libc::SIGHUP));
                    }
                }
                Signal::SIGCONT => {
                    if terminal.resume().is_err() {
                        return Break(How::Signal(libc::SIGHUP));
                    }
                    self.resized(terminal);
                    self.lift();
                }
                signal => return Break(How::Signal(signal as i32)),
            }
        }
        Continue(())
    }

    fn resized(&mut self, terminal: &Terminal) {
        self.screen = terminal.size();
        let (columns, rows) = self.screen;
        self.send(&ToKeeper::Resize { columns, rows });
        // The terminal has moved lines about in its own way.
        self.send(&ToKeeper::Repaint);
    }

    fn typed(&mut self, terminal: &Terminal) -> Flow {
        let mut buffer = [0; TYPED_SIZE];
        let mut typed = match terminal.input().read(&mut buffer) {
            Ok(0) => return Break(How::Signal(libc::SIGHUP)),
            Ok(read) => &buffer[..read],
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Continue(());
            }
            Err(_) => return Break(How::Signal(libc::SIGHUP)),
        };
        while !typed.is_empty() {
            let mut pass = Vec::with_capacity(typed.len());
            let (used, key) = self.keys.feed(typed, &mut pass);
            typed = &typed[used..];
            self.pass(&pass);
            if let Some(key) = key {
                self.key(key)?;
            }
        }
        Continue(())
    }

    /// Typed for the program.
    fn pass(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && !self.options.read_only {
            self.send(&ToKeeper::Input(bytes.to_vec()));
        }
    }

    /// A key of ours.
    fn key(&mut self, key: Key) -> Flow {
        match self.cover {
            Cover::Notice => self.lift(),
            Cover::End => {
                let outcome = if matches!(key, Key::Char('y' | 'Y')) { (self.end)(&self.session) } else { Ok(()) };
                match outcome {
                    Ok(()) => self.lift(),
                    Err(fault) => self.notice(&[fault.message]),
                }
            }
            Cover::None | Cover::Lifted => return self.command(key),
        }
        Continue(())
    }

    fn command(&mut self, key: Key) -> Flow {
        match key {
            Key::Char('d') => return Break(How::Detached(None)),
            Key::Char('n') => return self.switch_by(1),
            Key::Char('p') => return self.switch_by(-1),
            Key::Char('D') => {
                self.send(&ToKeeper::Attach(self.way(true)));
                self.cover = Cover::Lifted;
            }
            Key::Char('r') => self.lift(),
            Key::Char('x') => {
                self.notice(&[format!("end session {} and everything in it? (y/n)", self.session)]);
                self.cover = Cover::End;
            }
            Key::Char('?') => self.help(),
            Key::Escape => {}
            Key::Char(_) | Key::Other => self.bell(),
        }
        Continue(())
    }

    fn help(&mut self) {
        let prefix = self.options.prefix.name();
        self.notice(&[
            format!(" {}{}", self.session, if self.options.read_only { " (only watching)" } else { "" }),
            format!(" {prefix} d       detach; the session runs on"),
            format!(" {prefix} n, p    next, previous session"),
            format!(" {prefix} r       paint the screen anew"),
            format!(" {prefix} D       detach all others"),
            format!(" {prefix} x       end the session"),
            format!(" {prefix} {prefix}     send {prefix} to the program"),
            " any key goes back".to_owned(),
        ]);
    }

    fn bell(&mut self) {
        self.unshown.push(b"\x07");
    }

    /// Shows lines of ours; output does not go to the terminal meanwhile.
    fn notice(&mut self, lines: &[String]) {
        self.unshown.push(&notice::paint(lines, self.screen.0, self.screen.1));
        self.cover = Cover::Notice;
        self.keys.ask();
    }

    /// Takes our lines away, and paints anew.
    fn lift(&mut self) {
        self.cover = Cover::Lifted;
        self.send(&ToKeeper::Repaint);
    }

    fn switch_by(&mut self, steps: isize) -> Flow {
        match find::neighbour(self.paths, &self.session, steps, self.options.inside.as_ref()) {
            Ok(Some(next)) => return self.switch(next),
            Ok(None) => self.bell(),
            Err(fault) => self.notice(&[fault.message]),
        }
        Continue(())
    }

    /// How to attach once more.
    fn way(&self, takeover: bool) -> Attach {
        let (columns, rows) = self.screen;
        Attach { read_only: self.options.read_only, takeover, history_lines: 0, columns, rows }
    }

    /// Attaches to another session.
    fn switch(&mut self, to: SessionName) -> Flow {
        match open(self.paths, &to, self.way(false)).and_then(|(link, first)| {
            link.set_nonblocking().map_err(|e| Fault::internal(e.to_string()))?;
            Ok((link, first))
        }) {
            Ok((link, first)) => {
                // Typed for the old one; it takes it now or is stuck.
                drop(self.unsent.write(|bytes| self.link.write(bytes)));
                self.link = link;
                self.session = to;
                self.unsent.clear();
                self.cover = Cover::None;
                self.skipped = true;
                for message in first {
                    self.message(message)?;
                }
                self.messages(true)?;
            }
            Err(fault) => self.notice(&[fault.message]),
        }
        Continue(())
    }

    fn send(&mut self, message: &ToKeeper) {
        self.unsent.push(&message.encode());
    }

    /// Reads once from the keeper.
    fn sent(&mut self) -> Flow {
        let open = match self.link.fill() {
            Ok(read) => read > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.messages(open)
    }

    /// Takes what was read from the keeper.
    fn messages(&mut self, open: bool) -> Flow {
        loop {
            match self.link.take() {
                Ok(Some(message)) => self.message(message)?,
                Ok(None) if open => return Continue(()),
                _ => return Break(self.hung_up()),
            }
        }
    }

    fn hung_up(&self) -> How {
        match find::exit_record(self.paths, &self.session) {
            Some(record) => How::Exited(Box::new(record)),
            None => How::Lost,
        }
    }

    fn message(&mut self, message: FromKeeper) -> Flow {
        match message {
            FromKeeper::Output { bytes, .. } if self.cover == Cover::None => self.unshown.push(&bytes),
            FromKeeper::Picture { bytes, .. } if matches!(self.cover, Cover::None | Cover::Lifted) => {
                if std::mem::take(&mut self.skipped) {
                    self.unshown.clear();
                }
                self.cover = Cover::None;
                self.unshown.push(&bytes);
            }
            FromKeeper::Skipped { .. } => self.skipped = true,
            FromKeeper::Detached { reason } => return Break(How::Detached(Some(reason))),
            FromKeeper::Exited(record) => {
                return Break(match serde_json::from_slice(&record) {
                    Ok(record) => How::Exited(Box::new(record)),
                    Err(_) => self.hung_up(),
                });
            }
            // What was refused could not be shown without disturbing the picture; the
            // keeper's log has it. The rest is not for us.
            _ => {}
        }
        Continue(())
    }

    /// The last keys to the program and the last output to the user, before leaving.
    pub(super) fn flush(&mut self, terminal: &Terminal) {
        drop(write_within(terminal.output(), self.unshown.rest(), FLUSH_LIMIT));
        let deadline = Instant::now() + FLUSH_LIMIT;
        while let Ok(false) = self.unsent.write(|bytes| self.link.write(bytes)) {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(self.link.as_fd(), PollFlags::POLLOUT)];
            match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO)) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}
