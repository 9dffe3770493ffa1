//! Sessions without a task.

use std::path::Path;
use std::sync::Arc;

use tracing::Instrument;

use super::{aside, fault, sessions, submit};
use crate::daemon::Daemon;
use crate::daemon::attend::Attendant;
use crate::process;
use crate::protocol::request::Open;
use crate::protocol::view::SessionState;
use crate::protocol::{Fault, Reply};
use crate::store::NewSession;
use crate::task::Mode;
use crate::task::spec::DEFAULT_SIZE;

pub(super) async fn open(daemon: &Arc<Daemon>, open: Open) -> Result<Reply, Fault> {
    if let Some(problem) = daemon.settings.problem() {
        return Err(Fault::conflict(format!("nothing is started while the configuration is wrong: {problem}"))
            .hint("'autodev config check' shows what is wrong; mended, 'autodev daemon restart' reads it again"));
    }
    if let Some(provider) = &open.provider {
        daemon.settings.check_provider(provider)?;
    }
    submit::check_secrets(open.environment.iter().map(|(name, value)| (name, value)))?;
    if open.name.as_ref().is_some_and(|name| name.attempt().is_some()) {
        return Err(Fault::usage("names such as 42.1 belong to tasks: choose another name"));
    }
    let open = aside(daemon, move |_| {
        let dir = Path::new(&open.dir);
        if !dir.is_absolute() || !dir.is_dir() {
            return Err(Fault::usage(format!("'{}' is not a directory", open.dir)));
        }
        Ok(open)
    })
    .await?;
    let session = NewSession {
        name: open.name.clone(),
        tool: tool(&open),
        mode: Mode::Interactive,
        dir: open.dir.clone(),
        size: open.size.unwrap_or(DEFAULT_SIZE),
    };
    let stored = daemon.store.new_session(session).await.map_err(fault)?;
    // From here to the roster nothing is waited for: a daemon that leaves knows of all.
    if daemon.leaving.borrow().is_some() {
        let why = Fault::conflict("the daemon is leaving").hint("repeat it: another one is started");
        let ended = daemon.store.end_session(stored.uid, SessionState::Ended, Some(why.message.clone()), None);
        ended.await.map_err(fault)?;
        return Err(why);
    }
    let dir = daemon.paths.session_directory(&stored.name, stored.uid);
    let marker = process::marker(daemon.paths.instance_number(), stored.number);
    let mut attendant = Attendant::new(daemon, &stored.name, stored.uid, dir, marker);
    let (opener, opened) = tokio::sync::oneshot::channel();
    attendant.opener = Some(opener);
    let (owner, uid, name) = (Arc::clone(daemon), stored.uid, stored.name.clone());
    let span = attendant.span();
    tokio::spawn(attendant.launch(move || owner.settings.launch_open(&owner, &open, &stored)).instrument(span));
    // Once the program runs the client may attach. That it could not be started is the
    // answer to the one who asked for it: nobody looks for it in a list.
    if let Ok(Err(why)) = opened.await {
        return Err(Fault::conflict(format!("session {} could not be started: {why}", name)));
    }
    let session = daemon.store.session_of(uid).await.map_err(fault)?;
    sessions::view(daemon, session).await
}

fn tool(open: &Open) -> String {
    let program = open.command.first().map(|program| {
        let name = Path::new(program).file_name().map_or_else(|| program.clone(), |n| n.to_string_lossy().into_owned());
        name.to_lowercase()
    });
    open.provider.clone().or(program).unwrap_or_else(|| "shell".into())
}
