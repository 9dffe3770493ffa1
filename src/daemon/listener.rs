//! Who may connect: the owner, not too many at once.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::Signal;
use tokio::sync::Semaphore;

use super::Daemon;
use super::callers::Caller;
use super::places::Places;
use super::{connection, lock_file};
use crate::door::{self, Who};
use crate::paths::Paths;
use crate::protocol::{Fault, FaultCode};
use crate::socket;
use crate::systemd::Passed;

/// With no file descriptor left, this long passes before the next accept: the kernel
/// keeps the connection waiting and gives no event when one becomes free.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// Connections that are told why there is no place for them; more are closed at once, so
/// that no client can use up the descriptors that the sessions need.
const REFUSALS: usize = 16;
/// Connections of programs inside sessions: some for each that may wait for an answer.
const AGENTS: usize = 128;

/// Binds the daemon's socket in the runtime directory, or in the state directory when
/// that cannot be had: it is gone after the last logout.
pub(crate) fn bind(paths: &Paths) -> io::Result<(UnixListener, PathBuf)> {
    let there = |directory: &Path| {
        socket::private_directory(directory)?;
        let path = paths.daemon_socket_in(directory);
        let listener = socket::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok((UnixListener::from_std(listener)?, path))
    };
    there(&paths.runtime).or_else(|error: io::Error| {
        let spare = paths.spare_runtime();
        tracing::warn!(directory = %paths.runtime.display(), %error, spare = %spare.display(), "no socket can be bound there");
        there(&spare).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", spare.display())))
    })
}

/// Takes the socket that the service manager has bound.
pub(crate) fn take(paths: &Paths, passed: Passed) -> io::Result<(UnixListener, PathBuf)> {
    // Its directory is as private as one of ours would be.
    if let Some(directory) = passed.path.parent() {
        socket::private_directory(directory)?;
    }
    // Sessions bind theirs here.
    socket::private_directory(&paths.runtime)?;
    Ok((UnixListener::from_std(passed.listener)?, passed.path))
}

/// Accepts connections until the daemon leaves. `rebind` (SIGUSR1) binds the socket anew:
/// the runtime directory may have vanished under it.
pub(crate) async fn run(daemon: Arc<Daemon>, mut listener: UnixListener, mut rebind: Signal) -> io::Result<()> {
    let door = Door {
        places: Places::new(daemon.settings.connections()),
        agents: Places::new(AGENTS),
        refusals: Arc::new(Semaphore::new(REFUSALS)),
        daemon,
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = rebind.recv() => {
                match bind_anew(&door.daemon) {
                    Ok(again) => door.admit_waiting(std::mem::replace(&mut listener, again)),
                    Err(error) => tracing::error!(%error, "the socket cannot be bound anew"),
                }
                continue;
            }
            () = door.daemon.is_leaving() => {
                // Those who wait for an answer were woken as well. They are told before the
                // daemon goes on to end: it waits for us.
                tokio::task::yield_now().await;
                return Ok(());
            }
        };
        match accepted {
            Ok((stream, _)) => door.admit(stream),
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(NO_DESCRIPTOR_PAUSE).await;
            }
        }
    }
}

/// Who gets in, and how many at a time.
struct Door {
    daemon: Arc<Daemon>,
    places: Places,
    /// Those of programs inside sessions are others: they must not keep the user out.
    agents: Places,
    refusals: Arc<Semaphore>,
}

impl Door {
    fn admit(&self, stream: UnixStream) {
        let caller = match door::who(&stream) {
            Ok(Who::Owner) => Caller::Owner,
            Ok(Who::Inside(inside)) => self.daemon.caller(inside),
            Ok(Who::Stranger(peer)) => {
                tracing::warn!(uid = peer.uid, pid = peer.pid, "refused a connection of another user");
                return;
            }
            Ok(Who::Gone) => return,
            Err(error) => {
                tracing::warn!(%error, "it cannot be said who has connected: refused");
                return;
            }
        };
        let places = if caller == Caller::Owner { &self.places } else { &self.agents };
        let place = places.take();
        let refusal = Arc::clone(&self.refusals);
        let daemon = Arc::clone(&self.daemon);
        tokio::spawn(async move {
            match place {
                Some(place) => connection::serve(&daemon, stream, caller, place).await,
                None => {
                    let Ok(_refusal) = refusal.try_acquire() else { return };
                    let fault = Fault::new(FaultCode::Limit, "the daemon has too many connections");
                    let hint = "close some clients, or raise daemon.connections and restart the daemon";
                    connection::refuse(stream, fault.hint(hint)).await;
                }
            }
        });
    }

    /// Lets those in who came to a socket that is given up: another client may have asked
    /// for a new one while the old one served.
    fn admit_waiting(&self, listener: UnixListener) {
        let admit = |stream: std::os::unix::net::UnixStream| {
            stream.set_nonblocking(true)?;
            self.admit(UnixStream::from_std(stream)?);
            Ok(())
        };
        let waiting = listener.into_std().and_then(|listener| {
            // It does not block: it ends when nobody is left.
            listener.incoming().map_while(Result::ok).try_for_each(admit)
        });
        if let Err(error) = waiting {
            tracing::warn!(%error, "clients at the socket before are lost");
        }
    }
}

fn bind_anew(daemon: &Daemon) -> io::Result<UnixListener> {
    let (listener, path) = bind(&daemon.paths)?;
    tracing::info!(socket = %path.display(), "bound anew");
    lock_file::write(&daemon.lock, &path, daemon.store.generation())?;
    *daemon.socket.lock().unwrap_or_else(PoisonError::into_inner) = path;
    Ok(listener)
}
