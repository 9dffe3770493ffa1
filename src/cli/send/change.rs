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
    session: SessionName,
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
        let before = screen(&mut link, session)?;
        Ok(Change { session: session.clone(), link, before })
    }

    /// Waits until the screen is another; `false` when it is not within `limit`. The end of
    /// the program is a change.
    ///
    /// # Errors
    /// When the keeper does not answer.
    pub(super) fn wait(&mut self, limit: Duration) -> Result<bool, Fault> {
        let deadline = Instant::now() + limit;
        loop {
            if screen(&mut self.link, &self.session)? != self.before {
                return Ok(true);
            }
            // Only output changes it.
            loop {
                match self.link.receive(Some(deadline.saturating_duration_since(Instant::now()))) {
                    Ok(FromKeeper::Output { .. } | FromKeeper::Skipped { .. }) => break,
                    Ok(FromKeeper::Exited(_)) => return Ok(true),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(false),
                    Err(_) => return Ok(true),
                }
            }
        }
    }
}

fn screen(link: &mut Link, session: &SessionName) -> Result<Vec<u8>, Fault> {
    target::ask(link, session, &ToKeeper::Screen { ansi: true }, |answer| match answer {
        FromKeeper::Screen { text, .. } => Some(text),
        _ => None,
    })
}
