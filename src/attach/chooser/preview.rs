//! What a session shows now, as a watcher sees it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::client::find;
use crate::client::keeper_link::Link;
use crate::id::SessionName;
use crate::paths::Paths;
use crate::protocol::Fault;
use crate::protocol::keeper::{Attach, FromKeeper, ToKeeper};
use crate::screen::Screen;

/// How long the keeper may take to be there.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);
/// Between two paintings: faster than one can read.
const PAINT_EVERY: Duration = Duration::from_millis(50);

/// A session being looked at.
#[derive(Debug)]
pub(super) struct Preview {
    link: Link,
    screen: Screen,
    scratch: Vec<u8>,
    /// It has changed since it was painted.
    changed: bool,
    painted: Option<Instant>,
}

impl Preview {
    /// Begins to look at a session of this size.
    ///
    /// # Errors
    /// When its keeper does not answer.
    pub(super) fn open(paths: &Paths, name: &SessionName, (columns, rows): (u16, u16)) -> Result<Preview, Fault> {
        let (mut link, _) = find::connect_within(paths, name, CONNECT_LIMIT)?;
        let failed = |error: io::Error| Fault::internal(format!("session {name} cannot be looked at: {error}"));
        // As large as the session itself.
        link.send(&ToKeeper::Attach(Attach { read_only: true, ..Attach::default() })).map_err(failed)?;
        link.set_nonblocking(true).map_err(failed)?;
        let screen = Screen::new(columns, rows, 0);
        Ok(Preview { link, screen, scratch: Vec::new(), changed: false, painted: None })
    }

    /// Readable when there is something to read.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// Reads what has come.
    ///
    /// # Errors
    /// When there will be no more.
    pub(super) fn read(&mut self) -> io::Result<()> {
        match self.link.fill() {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        while let Some(message) = self.link.take()? {
            match message {
                FromKeeper::Picture { bytes, .. } => {
                    self.show(&bytes);
                    // It may have come because the size is another.
                    self.link.send(&ToKeeper::Status)?;
                }
                FromKeeper::Output { bytes, .. } => self.show(&bytes),
                FromKeeper::Status(status) if (status.columns, status.rows) != self.screen.size() => {
                    self.screen = Screen::new(status.columns, status.rows, 0);
                    self.link.send(&ToKeeper::Repaint)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn show(&mut self, bytes: &[u8]) {
        self.screen.feed(bytes, &mut self.scratch);
        self.scratch.clear();
        self.changed = true;
    }

    /// When it is to be painted again, if it has changed.
    pub(super) fn paint_at(&self) -> Option<Instant> {
        self.changed.then(|| self.painted.map_or_else(Instant::now, |at| at + PAINT_EVERY))
    }

    /// There is no room to show it.
    pub(super) fn skip(&mut self) {
        self.changed = false;
    }

    /// Its lines, clipped to a size.
    pub(super) fn lines(&mut self, size: (u16, u16)) -> Vec<Vec<u8>> {
        self.changed = false;
        self.painted = Some(Instant::now());
        self.screen.lines(size)
    }
}
