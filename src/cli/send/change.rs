//! Waiting until a session's screen shows something else.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::super::{Context, target};
use crate::client::find;
use crate::client::keeper_link::Link;
use crate::id::SessionName;
use crate::protocol::Fault;
use crate::protocol::keeper::{FromKeeper, ToKeeper};

/// A session's screen at one moment, and a connection on which its output is told.
pub(super) struct Change {
    link: Link,
    before: Vec<u8>,
}

impl Change {
    /// Looks at the screen, and begins to listen.
    ///
    /// # Errors
    /// When the keeper does not answer.
    pub(super) fn from_now(ctx: &Context, session: &SessionName) -> Result<Change, Fault> {
        let (mut link, _) = find::connect(&ctx.paths, session)?;
        target::ask(&mut link, session, &ToKeeper::Follow, |answer| {
            matches!(answer, FromKeeper::Following { .. }).then_some(())
        })?;
        let before = target::ask(&mut link, session, &ToKeeper::Screen { ansi: true }, |answer| match answer {
            FromKeeper::Screen { text, .. } => Some(text),
            _ => None,
        })?;
        Ok(Change { link, before })
    }

    /// Waits until the screen is another; `false` when it is not within `limit`. The end of
    /// the program is a change.
    pub(super) fn wait(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        // It may have changed before we listen.
        let mut asked = self.link.send(&ToKeeper::Screen { ansi: true }).is_ok();
        loop {
            match self.link.receive(Some(deadline.saturating_duration_since(Instant::now()))) {
                Ok(FromKeeper::Screen { text, .. }) if text != self.before => return true,
                Ok(FromKeeper::Screen { .. }) => asked = false,
                // Only output changes it; an answer that comes after it knows it already.
                Ok(FromKeeper::Output { .. } | FromKeeper::Skipped { .. }) if !asked => {
                    asked = self.link.send(&ToKeeper::Screen { ansi: true }).is_ok();
                }
                Ok(FromKeeper::Exited(_)) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::TimedOut,
            }
        }
    }
}
