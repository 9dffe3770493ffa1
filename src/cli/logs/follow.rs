//! What comes: waiting for a session to begin, and its keeper's word of what it prints.

use std::io::{self, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::Context;
use super::super::recorded::Recorded;
use crate::client::keeper_link::Link;
use crate::client::{find, unexpected};
use crate::id::{AttemptId, TaskId};
use crate::protocol::keeper::{FromKeeper, ToKeeper};
use crate::protocol::{Fault, FaultCode, Reply, Request};

/// How long a keeper may take to have everything before in the files.
const FOLLOW_LIMIT: Duration = Duration::from_secs(30);

/// Begins to follow the session, if it lives: the link, and how many bytes are recorded.
pub(super) fn follow(ctx: &Context, recorded: &Recorded<'_>) -> Result<Option<(Link, u64)>, Fault> {
    let session = recorded.session();
    if !recorded.is_live() {
        return Ok(None);
    }
    let mut link = match find::connect(&ctx.paths, session) {
        // Another has its name.
        Ok((_, hello)) if recorded.uid().is_some_and(|uid| uid != hello.uid) => return Ok(None),
        Ok((link, _)) => link,
        // It has ended this moment.
        Err(fault) if fault.code == FaultCode::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let offset = link.ask(&ToKeeper::Follow, FOLLOW_LIMIT, |message| match message {
        FromKeeper::Following { offset } => Some(offset),
        _ => None,
    });
    let offset = offset.map_err(|error| {
        Fault::new(FaultCode::Unreachable, format!("session {session} cannot be followed: {error}"))
    })?;
    Ok(Some((link, offset)))
}

/// The keeper's next word; `None` when nobody reads what is printed any more.
///
/// # Errors
/// When the keeper hangs up, or the system's own.
pub(super) fn receive(link: &mut Link) -> io::Result<Option<FromKeeper>> {
    loop {
        if let Some(message) = link.take()? {
            return Ok(Some(message));
        }
        let out = stdout();
        // Of a reader that has gone away poll tells without being asked.
        let mut fds = [PollFd::new(link.as_fd(), PollFlags::POLLIN), PollFd::new(out.as_fd(), PollFlags::empty())];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [readable, unread] = fds.map(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
        if readable && link.fill()? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if unread && !readable {
            return Ok(None);
        }
    }
}

/// Waits until a task that has not started has begun to print, or will not. `found` is
/// what there is now, and the answer when there will be nothing else.
pub(super) fn wait_for_start<'a>(
    ctx: &'a Context,
    target: &str,
    mut found: Result<Recorded<'a>, Fault>,
) -> Result<Recorded<'a>, Fault> {
    let waits = |found: &Result<Recorded<'_>, Fault>| match found {
        Ok(recorded) => !recorded.has_begun(),
        Err(fault) => matches!(fault.code, FaultCode::NotFound | FaultCode::Conflict),
    };
    let attempt = target.parse::<AttemptId>().map(|attempt| attempt.task);
    let Ok(task) = attempt.or_else(|_| target.parse::<TaskId>()) else { return found };
    let mut told = false;
    while waits(&found) {
        let mut client = match ctx.client() {
            Ok(client) => client,
            // Nobody will start it; what there is may still be read.
            Err(fault) => return found.map_err(|_| fault),
        };
        // From before we look: what happens meanwhile is in the stream.
        let after = match client.call(&Request::Status)? {
            Reply::Status(status) => status.last_event,
            other => return Err(unexpected(&other)),
        };
        found = Recorded::find(ctx, target);
        let state = match client.call(&Request::Show(task))? {
            Reply::Task(detail) => detail.task.state,
            other => return Err(unexpected(&other)),
        };
        if state.is_final() || !waits(&found) {
            return found;
        }
        if !told && !state.is_active() {
            ctx.output.note(&format!("waiting for task {task} to start; 'autodev why {task}' says why it does not"));
            told = true;
        }
        let mut reply = client.call_or_reconnect(&Request::Watch { after: Some(after) })?;
        while let Some(Reply::Event(event)) = &reply {
            if event.task == Some(task) {
                break;
            }
            reply = client.next_reply()?;
        }
        found = Recorded::find(ctx, target);
    }
    found
}
