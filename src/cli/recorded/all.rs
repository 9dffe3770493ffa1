//! All recordings there are, the newest session first.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::super::Context;
use super::{End, Recorded, read_json, unreadable};
use crate::client::{find, unexpected};
use crate::paths::SessionDir;
use crate::protocol::exit::ExitRecord;
use crate::protocol::launch::LaunchSpec;
use crate::protocol::request::ListQuery;
use crate::protocol::{Fault, FaultCode, Reply, Request};
use crate::recording::Source;

/// Gives each recording to `work` until that breaks off. One that cannot be read is said and
/// left out: then the answer is `false`. Without a daemon the directories of sessions are
/// looked through.
///
/// # Errors
/// What `work` says; when the daemon refuses.
pub fn each<'a>(
    ctx: &'a Context,
    mut work: impl FnMut(Recorded<'a>) -> Result<ControlFlow<()>, Fault>,
) -> Result<bool, Fault> {
    let mut client = match ctx.client() {
        Ok(client) => client,
        Err(fault) if fault.code == FaultCode::Unreachable => {
            ctx.output.note(&format!("{}: only sessions with a directory of their own are looked at", fault.message));
            return without_daemon(ctx, work);
        }
        Err(fault) => return Err(fault),
    };
    let mut before = None;
    let mut whole = true;
    loop {
        let request = Request::Sessions { all: true, before, limit: ListQuery::MAX_LIMIT };
        let page = match client.call(&request)? {
            Reply::Sessions(page) => page,
            other => return Err(unexpected(&other)),
        };
        let Some(oldest) = page.first() else { return Ok(whole) };
        before = Some(oldest.session_id);
        let last = page.len() < ListQuery::MAX_LIMIT as usize;
        for view in page.into_iter().rev() {
            let (name, uid) = (view.name.clone(), view.session_id);
            let recorded = match Recorded::of(ctx, view) {
                Ok(None) => continue,
                Ok(Some(mut recorded)) => recorded.trim().map(|()| recorded),
                // Moved since the list was made.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Recorded::find(ctx, &uid.to_string()),
                Err(error) => Err(unreadable(&name, &error)),
            };
            if look_at(ctx, recorded, &mut work, &mut whole)?.is_break() {
                return Ok(whole);
            }
        }
        if last {
            return Ok(whole);
        }
    }
}

fn without_daemon<'a>(
    ctx: &'a Context,
    mut work: impl FnMut(Recorded<'a>) -> Result<ControlFlow<()>, Fault>,
) -> Result<bool, Fault> {
    let live = find::unsettled(&ctx.paths)?.into_iter().map(|name| ctx.paths.live_session(&name).0);
    // Days, and the sessions of a day.
    let done = below(&ctx.paths.done_sessions()).into_iter().flat_map(|day| below(&day));
    let mut found: Vec<(LaunchSpec, SessionDir, Option<std::time::SystemTime>)> = Vec::new();
    for directory in live.chain(done) {
        let dir = SessionDir(directory);
        if let Some(spec) = read_json::<LaunchSpec>(&dir.launch()) {
            let made = fs::metadata(dir.launch()).and_then(|file| file.modified()).ok();
            found.push((spec, dir, made));
        }
    }
    // Written once, when the session was made.
    found.sort_by_key(|(_, _, made)| std::cmp::Reverse(*made));
    let mut whole = true;
    for (LaunchSpec { session, uid, .. }, dir, _) in found {
        let recorded = match Recorded::open(ctx, session.clone(), Some(uid), Source::Directory(dir.0.clone())) {
            Ok(mut recorded) => {
                recorded.end = read_json::<ExitRecord>(&dir.exit()).map(End::from).unwrap_or_default();
                recorded.trim().map(|()| recorded)
            }
            Err(error) => Err(unreadable(&session, &error)),
        };
        if look_at(ctx, recorded, &mut work, &mut whole)?.is_break() {
            break;
        }
    }
    Ok(whole)
}

/// Gives a recording to `work`, or says why not.
fn look_at<'a>(
    ctx: &'a Context,
    recorded: Result<Recorded<'a>, Fault>,
    work: &mut impl FnMut(Recorded<'a>) -> Result<ControlFlow<()>, Fault>,
    whole: &mut bool,
) -> Result<ControlFlow<()>, Fault> {
    match recorded {
        Ok(recorded) => work(recorded),
        Err(fault) => {
            *whole = false;
            ctx.output.note(&format!("left out: {}", fault.message));
            Ok(ControlFlow::Continue(()))
        }
    }
}

fn below(directory: &PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
