//! What the keeper says: output, pictures, how the session is and how it ended.

use std::fs;
use std::io;
use std::ops::ControlFlow::{Break, Continue};
use std::time::{Duration, Instant};

use super::How;
use super::cover::Cover;
use super::run::{Flow, Loop};
use crate::place::Place;
use crate::protocol::keeper::{FromKeeper, PICTURE_PART, ToKeeper};

/// How long the keeper may take to say where the cursor is left. One of an older version
/// says nothing.
const BELOW_LIMIT: Duration = Duration::from_millis(200);

impl Loop<'_> {
    /// Reads once from the keeper.
    pub(super) fn sent(&mut self) -> Flow {
        let open = match self.link.fill() {
            Ok(read) => read > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        self.messages(open)
    }

    /// Takes what was read from the keeper.
    pub(super) fn messages(&mut self, open: bool) -> Flow {
        loop {
            match self.link.take() {
                Ok(Some(message)) => self.message(message)?,
                Ok(None) if open => return Continue(()),
                _ => {
                    let how = self.hung_up();
                    return self.over(how);
                }
            }
        }
    }

    /// There will be nothing more. Who scrolls back goes on until he has seen enough.
    fn over(&mut self, how: How) -> Flow {
        if !matches!(self.cover, Cover::Scroll(_)) {
            if !matches!(self.cover, Cover::None) {
                self.last_picture();
            }
            return Break(how);
        }
        self.ended.get_or_insert(how);
        Continue(())
    }

    fn hung_up(&self) -> How {
        // It may have been a long time ago: who was suspended hears of it now.
        let record =
            self.place.as_ref().and_then(|place| serde_json::from_slice(&fs::read(place.dir.exit()).ok()?).ok());
        match record {
            Some(record) => How::Exited(Box::new(record)),
            None if self.place.as_ref().is_some_and(Place::is_gone) => How::Ended,
            None => How::Lost,
        }
    }

    pub(super) fn message(&mut self, message: FromKeeper) -> Flow {
        match message {
            FromKeeper::Output { bytes, .. } if matches!(self.cover, Cover::None) => {
                self.unshown.program(&bytes);
                // Who gets pictures only gets the rest of one in this way.
                if self.options.status && bytes.len() < PICTURE_PART {
                    self.bar();
                }
            }
            FromKeeper::Picture { bytes, .. } if matches!(self.cover, Cover::None | Cover::Lifted) => {
                self.cover = Cover::None;
                self.unshown.picture(&bytes);
                if bytes.len() < PICTURE_PART {
                    self.bar();
                }
            }
            FromKeeper::Status(status) => {
                self.status = status;
                self.bar();
            }
            FromKeeper::Below { row } => self.below = Some(row),
            FromKeeper::Detached { reason } => return Break(How::Detached(Some(reason))),
            FromKeeper::Exited(record) => {
                let how = match serde_json::from_slice(&record) {
                    Ok(record) => How::Exited(Box::new(record)),
                    Err(_) => self.hung_up(),
                };
                return self.over(how);
            }
            // What was refused could not be shown without disturbing the picture; the
            // keeper's log has it. The rest is not for us.
            _ => {}
        }
        Continue(())
    }

    /// The row below all that the terminal will show once it is given back; `None` when
    /// nobody says, or it is another's size that counts.
    pub(super) fn below(&mut self) -> Option<u16> {
        // Behind what the keeper has not taken, the question would wait as long.
        if self.below.is_none() && !self.options.read_only && self.unsent.rest().is_empty() {
            let deadline = Instant::now() + BELOW_LIMIT;
            let question = ToKeeper::Below.encode();
            let asked = self.link.write(&question).is_ok_and(|written| written == question.len());
            while asked && self.below.is_none() {
                match self.link.receive(Some(deadline.saturating_duration_since(Instant::now()))) {
                    Ok(FromKeeper::Below { row }) => self.below = Some(row),
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        self.below.filter(|row| !self.options.read_only && *row < self.screen.1)
    }
}
