//! What the verbs have in common that a task's own program uses.

use crate::door;
use crate::id::TaskId;
use crate::protocol::{Fault, FaultCode, Request};

use super::Context;

/// The variable that names a program's own task.
const OWN_TASK: &str = "AUTODEV_TASK_ID";

/// The task that is named, or else the one whose program we are.
///
/// # Errors
/// `Usage` when it is neither.
pub fn task(named: Option<TaskId>) -> Result<TaskId, Fault> {
    let own = || std::env::var(OWN_TASK).ok().and_then(|text| text.parse().ok());
    named.or_else(own).ok_or_else(|| {
        Fault::usage("no task is named").hint("--task 42 names one; inside a session it is the session's own")
    })
}

/// Refuses what is for people to a program inside a session, and has the daemon write that
/// down, if one runs. `what` is the verb; `request` is one that the daemon refuses as well.
///
/// # Errors
/// `Permission` inside a session.
pub fn only_people(ctx: &Context, what: &str, request: &Request) -> Result<(), Fault> {
    let Some(why) = door::inside_session() else { return Ok(()) };
    if let Some(mut client) = ctx.running_client() {
        // It is refused as well, or does no harm.
        drop(client.call(request));
    }
    Err(Fault::new(
        FaultCode::Permission,
        format!("a program inside a session does not give orders: '{what}' is refused ({why})"),
    )
    .hint("use a shell of your own"))
}
