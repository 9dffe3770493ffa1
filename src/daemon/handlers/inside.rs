//! What a task's own program may say and ask for, and what people answer.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::statfs::{FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC};
use sha2::{Digest, Sha256};
use tokio::sync::broadcast::error::RecvError;

use super::{aside, fault};
use crate::daemon::Daemon;
use crate::daemon::callers::{Agent, Caller};
use crate::daemon::connection::Connection;
use crate::durable;
use crate::id::{TaskId, Uid};
use crate::paths::KeeperFile;
use crate::process;
use crate::protocol::{Fault, FaultCode, Reply, Request};
use crate::session::link::Link;
use crate::store::NewOutput;

/// Longest note, question and answer, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Largest file that is kept with a task, in bytes.
const MAX_OUTPUT: u64 = 1024 * 1024 * 1024;
/// What is left free on the disk beside it.
const ROOM_LEFT: u64 = 64 * 1024 * 1024;
/// File systems whose files say what the reader is: read by us, they would say what we are.
const NOT_FILES: [FsType; 2] = [PROC_SUPER_MAGIC, SYSFS_MAGIC];
/// Longest name of such a file, in bytes.
const MAX_NAME: usize = 200;

/// Whether the caller may ask for this; a refusal is written down.
pub(super) async fn permit(daemon: &Arc<Daemon>, caller: Caller, request: &Request) -> Result<(), Fault> {
    let Err(refused) = caller.may(request) else { return Ok(()) };
    if daemon.settings.agents_may_submit()
        && let Some(own) = caller.own_task()
    {
        // Of its children it may know as much as of itself; what they may be is looked at
        // when they are stored.
        let child = match request {
            Request::Submit(_) => return Ok(()),
            Request::Show(task) | Request::Outputs(task) => Some(*task),
            Request::Events(query) => query.task,
            Request::Wait(wait) if wait.select.ranges.is_empty() && wait.select.filter.is_none() => {
                match wait.select.tasks.as_slice() {
                    [task] => Some(*task),
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(child) = child
            && daemon.store.parent_of(child).await.map_err(fault)? == Some(own)
        {
            return Ok(());
        }
    }
    daemon.note_refused(caller, request.name());
    Err(refused)
}

pub(super) async fn note(daemon: &Arc<Daemon>, caller: Caller, task: TaskId, text: String) -> Result<Reply, Fault> {
    check_text("note", &text)?;
    let text = redacted(daemon, caller, text).await?;
    daemon.store.note(task, caller.attempt(), text).await.map(|()| Reply::Done).map_err(fault)
}

pub(super) async fn ask(daemon: &Arc<Daemon>, caller: Caller, task: TaskId, question: String) -> Result<Reply, Fault> {
    check_text("question", &question)?;
    let question = redacted(daemon, caller, question).await?;
    let asked = daemon.store.ask(task, caller.attempt(), question).await.map_err(fault)?;
    Ok(Reply::Asked(vec![asked]))
}

pub(super) async fn answer(daemon: &Arc<Daemon>, request: i64, text: String) -> Result<Reply, Fault> {
    check_text("answer", &text)?;
    daemon.store.answer(request, text).await.map(|()| Reply::Done).map_err(fault)
}

/// What an agent says without the secrets that it was given: its keeper alone knows them.
async fn redacted(daemon: &Arc<Daemon>, caller: Caller, text: String) -> Result<String, Fault> {
    let Caller::Agent(Agent { session: Some(uid), attempt: Some(attempt), .. }) = caller else { return Ok(text) };
    let dir = daemon.paths.session_directory(&attempt.session(), uid);
    let failed = |error: String| {
        Fault::new(FaultCode::NotStored, format!("it is not kept: the session's keeper does not answer: {error}"))
    };
    let keeper: KeeperFile = tokio::fs::read(dir.keeper())
        .await
        .and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from))
        .map_err(|error| failed(error.to_string()))?;
    Link::redacted(&keeper.socket, &text).await.map_err(|error| failed(error.to_string()))
}

fn check_text(what: &str, text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err(Fault::usage(format!("the {what} is empty")));
    }
    if text.len() > MAX_TEXT {
        return Err(Fault::usage(format!("the {what} has {} bytes; the limit is {MAX_TEXT}", text.len())));
    }
    if text.contains('\0') {
        return Err(Fault::usage(format!("the {what} holds a NUL byte")));
    }
    Ok(())
}

/// Answers when the question is answered or its task has ended.
pub(super) async fn await_answer(daemon: &Arc<Daemon>, request: i64, connection: &mut Connection) -> io::Result<()> {
    connection.greet().await?;
    // Listened to before looking, so that an answer during the look is not missed.
    let mut feed = daemon.store.feed();
    loop {
        let asked = match daemon.store.request(request).await {
            Ok(asked) => asked,
            Err(error) => return connection.reply(&Reply::Fault(fault(error))).await,
        };
        if connection.caller != Caller::Owner && connection.caller.own_task() != Some(asked.task) {
            return connection.reply(&Reply::Fault(connection.caller.refusal("ask"))).await;
        }
        if asked.answer.is_some() || asked.over {
            return connection.reply(&Reply::Asked(vec![asked])).await;
        }
        loop {
            tokio::select! {
                event = feed.recv() => match event {
                    Ok(event) if event.task == Some(asked.task) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = daemon.is_stopping() => {
                    let fault = Fault::new(FaultCode::Unreachable, "the daemon was stopped");
                    return connection.reply(&Reply::Fault(fault)).await;
                }
                () = connection.client_left() => return Ok(()),
            }
        }
    }
}

/// Copies a file to where it stays, then writes it down.
pub(super) async fn add_output(
    daemon: &Arc<Daemon>,
    caller: Caller,
    task: TaskId,
    file: PathBuf,
    name: String,
) -> Result<Reply, Fault> {
    let bad = name.is_empty() || name.len() > MAX_NAME || name.contains('/') || name.chars().any(char::is_control);
    if bad || name == "." || name == ".." {
        return Err(Fault::usage(format!(
            "'{name}' cannot be the name of an output: 1 to {MAX_NAME} bytes, no '/', no control characters"
        )));
    }
    // It must exist before anything is copied for it.
    let found = daemon.store.show(task, daemon.limits()).await.map_err(fault)?;
    // We may read more than a program that is shut up in its directory.
    let within = (caller != Caller::Owner).then(|| PathBuf::from(found.task.dir));
    let name = redacted(daemon, caller, name).await?;
    let (output, copied) = aside(daemon, move |daemon| {
        let relative = format!("outputs/{task}/{}", Uid::new());
        let to = daemon.paths.state.join(&relative);
        let (bytes, sha256) = copy(&file, within.as_deref(), &to).map_err(|error| {
            let code = if process::is_no_room(&error) { FaultCode::NotStored } else { FaultCode::Conflict };
            Fault::new(code, format!("{} cannot be kept: {error}", file.display()))
        })?;
        Ok((NewOutput { task, name, path: relative, bytes, sha256 }, to))
    })
    .await?;
    let stored = daemon.store.add_output(daemon.paths.state.clone(), caller.attempt(), output).await;
    match stored {
        Ok(output) => Ok(Reply::Outputs(vec![output])),
        Err(error) => {
            // Nothing refers to it, unless that is not known.
            if !matches!(error, crate::store::StoreError::Unknown(_)) {
                drop(fs::remove_file(copied));
            }
            Err(fault(error))
        }
    }
}

/// Copies a regular file durably, which must lie `within` a directory, where one is said; its
/// size and hash.
fn copy(from: &Path, within: Option<&Path>, to: &Path) -> io::Result<(u64, String)> {
    if !from.is_absolute() {
        return Err(io::Error::other("its path is not absolute"));
    }
    // A pipe or device would never end, and opening some waits.
    let mut source = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(from)?;
    let found = source.metadata()?;
    let kind = nix::sys::statfs::fstatfs(&source)?.filesystem_type();
    if !found.is_file() || NOT_FILES.contains(&kind) {
        return Err(io::Error::other("it is not a regular file"));
    }
    if let Some(within) = within {
        // What has been opened, and not what the path means by now.
        let real = fs::read_link(format!("/proc/self/fd/{}", source.as_raw_fd()))?;
        if !real.starts_with(within.canonicalize()?) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("a program keeps files of its own directory {}", within.display()),
            ));
        }
    }
    if found.len() > MAX_OUTPUT {
        return Err(io::Error::other(format!("{} bytes are over the limit of {MAX_OUTPUT}", found.len())));
    }
    let directory = to.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    durable::directory(directory)?;
    if process::free_bytes(directory)? < found.len() + ROOM_LEFT {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "there is not enough room on the disk"));
    }
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let copied = (|| {
        let (mut bytes, mut sum) = (0u64, Sha256::new());
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let length = source.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            bytes += length as u64;
            if bytes > MAX_OUTPUT {
                return Err(io::Error::other(format!("it is over the limit of {MAX_OUTPUT} bytes")));
            }
            sum.update(&buffer[..length]);
            target.write_all(&buffer[..length])?;
        }
        target.sync_all()?;
        File::open(directory)?.sync_all()?;
        let hash = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((bytes, hash))
    })();
    if copied.is_err() {
        drop(fs::remove_file(to));
    }
    copied
}
