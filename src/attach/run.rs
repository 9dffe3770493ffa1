//! The loop: what is typed goes one way, what the program prints the other, and neither
//! waits for the other.

use std::io::{self, Read};
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::cover::Cover;
use super::display::Display;
use super::keys::{ESCAPE_WAIT, Keys, PASTE_PAUSE};
use super::queue::Queue;
use super::replies::Replies;
use super::signals::Signals;
use super::terminal::Terminal;
use super::{End, How, Options, bar};
use crate::client::keeper_link::Link;
use crate::clock::Timestamp;
use crate::id::SessionName;
use crate::paths::Paths;
use crate::place::Place;
use crate::protocol::keeper::{Attach, FromKeeper, KeeperStatus, ToKeeper};

/// Output taken from the keeper that the terminal has not taken yet. More only makes what
/// is seen older.
const MAX_UNSHOWN: usize = 256 * 1024;
/// Typed bytes the keeper has not taken yet. Beyond, typing waits in the terminal, and with
/// it the prefix: who pastes more than this into a program that does not read cannot leave.
const MAX_UNSENT: usize = 16 * 1024 * 1024;
/// Bytes of typing read at once.
const TYPED_SIZE: usize = 4096;
/// How long the last output and the last keys may take on leaving.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// How often the line of ours is painted anew: it shows the minute.
const BAR_EVERY: Duration = Duration::from_secs(15);
/// The loop goes on, or ends.
pub(super) type Flow = ControlFlow<How>;

/// A terminal tied to a session.
pub(super) struct Loop<'a> {
    pub(super) paths: &'a Paths,
    pub(super) options: Options,
    pub(super) session: SessionName,
    pub(super) link: Link,
    /// The session's directory: how it ended is there, also when that is read late.
    pub(super) place: Option<Place>,
    pub(super) keys: Keys,
    /// The terminal's size.
    pub(super) screen: (u16, u16),
    signals: Signals,
    pub(super) replies: Replies,
    pub(super) unshown: Display,
    pub(super) unsent: Queue,
    pub(super) cover: Cover,
    /// The prefix was typed while it was there.
    pub(super) after_prefix: bool,
    /// The session whose end was asked for from here.
    pub(super) ending: Option<SessionName>,
    /// It has changed since it was painted.
    pub(super) unpainted: bool,
    /// How the session is, for the line of ours.
    pub(super) status: KeeperStatus,
    /// When that line is painted again.
    bar_at: Option<Instant>,
    /// The row below all that is shown, as the keeper said last.
    pub(super) below: Option<u16>,
    /// It ended while the user looked at something else.
    pub(super) ended: Option<How>,
    pub(super) end: End<'a>,
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
        let mut unshown = Display::new(screen.1);
        let replies = if options.read_only {
            Replies::none()
        } else {
            let (questions, replies) = Replies::ask();
            unshown.push(questions);
            replies
        };
        Loop {
            place: Place::of(&paths.live_session(&session)).ok(),
            paths,
            keys: Keys::new(options.prefix),
            options,
            session,
            link,
            screen,
            signals,
            replies,
            unshown,
            unsent: Queue::default(),
            cover: Cover::None,
            after_prefix: false,
            ending: None,
            unpainted: false,
            status: KeeperStatus::default(),
            bar_at: None,
            below: None,
            ended: None,
            end,
        }
    }

    /// The session shown now.
    pub(super) fn session(&self) -> &SessionName {
        &self.session
    }

    /// Goes on until the user leaves or the program ends.
    pub(super) fn run(&mut self, terminal: &Terminal, first: Vec<FromKeeper>) -> How {
        terminal.asked(self.replies.are_due());
        for message in first {
            if let Break(how) = self.message(message) {
                return how;
            }
        }
        if self.link.set_nonblocking(true).is_err() {
            return How::Lost;
        }
        // What came together with the picture is here already and will not be announced.
        if let Break(how) = self.messages(true) {
            return how;
        }
        // It may have changed before its signal was waited for.
        if terminal.size() != self.screen {
            self.resized(terminal);
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
        // What covers the picture is painted when the terminal has taken what it was given: a
        // paste into it must not be painted key by key.
        let shown = self.unshown.write(terminal).and_then(|shown| {
            if !shown || !std::mem::take(&mut self.unpainted) {
                return Ok(shown);
            }
            self.paint_cover_now();
            self.unshown.write(terminal)
        });
        if shown.is_err() {
            return Break(How::Signal(libc::SIGHUP));
        }
        if self.unsent.write(|bytes| self.link.write(bytes)).is_err() {
            // It has hung up. Its last words are still to be read, which ends the loop.
            self.unsent.clear();
        }

        let wanted = |want: bool, event: PollFlags| if want { event } else { PollFlags::empty() };
        let preview = match &self.cover {
            Cover::Chooser(chooser) => chooser.fd(),
            _ => None,
        };
        // One that has hung up would be ready all the time.
        let link = if self.ended.is_some() { self.signals.as_fd() } else { self.link.as_fd() };
        let full = !self.unshown.rest().is_empty();
        let mut fds = [
            PollFd::new(terminal.input().as_fd(), wanted(self.unsent.rest().len() < MAX_UNSENT, PollFlags::POLLIN)),
            PollFd::new(
                link,
                wanted(self.unshown.rest().len() < MAX_UNSHOWN && self.ended.is_none(), PollFlags::POLLIN)
                    | wanted(!self.unsent.rest().is_empty(), PollFlags::POLLOUT),
            ),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(terminal.output().as_fd(), wanted(full, PollFlags::POLLOUT)),
            PollFd::new(preview.unwrap_or(self.signals.as_fd()), PollFlags::POLLIN),
        ];
        // Each takes its time of that from a key to its echo.
        let count = match (preview, full) {
            (Some(_), _) => fds.len(),
            (None, true) => fds.len() - 1,
            (None, false) => fds.len() - 2,
        };
        let limit =
            self.wait(*last_typed).map_or(PollTimeout::NONE, |l| PollTimeout::try_from(l).unwrap_or(PollTimeout::ZERO));
        match poll(&mut fds[..count], limit) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Continue(()),
            Err(_) => return Break(How::Signal(libc::SIGHUP)),
        }
        let [typed, sent, signal, shown, previewed] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));

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
        } else if self.holds_keys() && last_typed.elapsed() >= ESCAPE_WAIT {
            let typed = self.replies.give_up();
            self.keys_typed(&typed)?;
            let mut pass = Vec::new();
            let key = self.keys.give_up(&mut pass);
            self.pass(&pass);
            if let Some(key) = key {
                self.key(key)?;
            }
        }
        if let (Cover::Chooser(chooser), true) = (&mut self.cover, !previewed.is_empty()) {
            chooser.read();
        }
        self.repaint_cover();
        if self.ended.is_none() && sent.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.sent()?;
        }
        Continue(())
    }

    /// The beginning of something longer waits, or a lone Escape.
    fn holds_keys(&self) -> bool {
        self.keys.waits() || self.replies.waits()
    }

    /// How long nothing need be done unless something happens; for ever without an answer.
    fn wait(&self, last_typed: Instant) -> Option<Duration> {
        let preview = self.preview_at();
        let escape = self.holds_keys().then(|| last_typed + ESCAPE_WAIT);
        let next = [preview, escape, self.bar_at].into_iter().flatten().min();
        // Rounded up, so that it is over then.
        next.map(|at| at.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    /// When the list of sessions is painted again; not while the terminal does not take what
    /// it was given.
    fn preview_at(&self) -> Option<Instant> {
        match &self.cover {
            Cover::Chooser(chooser) if self.unshown.rest().is_empty() => chooser.paint_at(),
            _ => None,
        }
    }

    /// Paints anew what has changed in it by itself.
    fn repaint_cover(&mut self) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
        if due(self.preview_at()) {
            self.paint_cover();
        }
        if due(self.bar_at) {
            // Its answer paints it.
            self.bar_at = Some(Instant::now() + BAR_EVERY);
            self.send(&ToKeeper::Status);
        }
    }

    /// Paints the line of ours, if there is one, now and from time to time.
    pub(super) fn bar(&mut self) {
        if !self.options.status {
            self.bar_at = None;
            return;
        }
        if self.bar_at.is_none() {
            self.bar_at = Some(Instant::now());
        }
        if matches!(self.cover, Cover::None | Cover::Lifted) && self.screen.1 > 1 {
            let prefix = self.options.prefix.name();
            let (session, status) = (&self.session, &self.status);
            let painted = bar::paint(session, status, self.options.read_only, &prefix, Timestamp::now(), self.screen);
            self.unshown.push(&painted);
        }
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
                    self.unshown.take_again();
                    self.resized(terminal);
                    self.lift()?;
                }
                signal => return Break(How::Signal(signal as i32)),
            }
        }
        Continue(())
    }

    fn resized(&mut self, terminal: &Terminal) {
        self.screen = terminal.size();
        let Attach { columns, rows, .. } = self.way(false);
        self.send(&ToKeeper::Resize { columns, rows });
        // The terminal has moved lines about in its own way.
        self.send(&ToKeeper::Repaint);
        if let Cover::Scroll(scroll) = &mut self.cover {
            scroll.resize(self.screen);
        }
        self.paint_cover();
    }

    fn typed(&mut self, terminal: &Terminal) -> Flow {
        let mut buffer = [0; TYPED_SIZE];
        let typed = match terminal.input().read(&mut buffer) {
            Ok(0) => return Break(How::Signal(libc::SIGHUP)),
            Ok(read) => &buffer[..read],
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Continue(());
            }
            Err(_) => return Break(How::Signal(libc::SIGHUP)),
        };
        let (typed, looks) = self.replies.take(typed);
        terminal.asked(self.replies.are_due());
        if let Some(looks) = looks {
            self.send(&ToKeeper::Looks(looks));
        }
        self.keys_typed(&typed)
    }

    fn keys_typed(&mut self, mut typed: &[u8]) -> Flow {
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

    pub(super) fn send(&mut self, message: &ToKeeper) {
        self.unsent.push(&message.encode());
    }

    /// The last keys to the program and the last output to the user, before leaving.
    pub(super) fn flush(&mut self, terminal: &Terminal) {
        drop(self.unshown.flush(terminal, FLUSH_LIMIT));
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
