//! Who may connect: the owner, not too many at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use super::Daemon;
use super::connection;
use crate::protocol::{Fault, FaultCode};
use crate::socket;

/// With no file descriptor left, this long passes before the next accept: the kernel
/// keeps the connection waiting and gives no event when one becomes free.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the daemon leaves. SIGUSR1 binds the socket anew: the
/// runtime directory may have vanished under it.
pub(crate) async fn run(daemon: Arc<Daemon>, listener: std::os::unix::net::UnixListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut listener = UnixListener::from_std(listener)?;
    let mut rebind = signal(SignalKind::user_defined1())?;
    let mut leaving = daemon.leaving.subscribe();
    let places = Arc::new(Semaphore::new(daemon.settings.connections()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = rebind.recv() => {
                match bind(&daemon) {
                    Ok(again) => listener = again,
                    Err(error) => tracing::error!(%error, "the socket cannot be bound anew"),
                }
                continue;
            }
            _ = leaving.changed() => return Ok(()),
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(NO_DESCRIPTOR_PAUSE).await;
                continue;
            }
        };
        match socket::peer(&stream) {
            Ok(peer) if peer.is_owner => {}
            Ok(peer) => {
                tracing::warn!(uid = peer.uid, pid = peer.pid, "refused a connection of another user");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection without credentials");
                continue;
            }
        }
        let place = Arc::clone(&places).try_acquire_owned();
        let daemon = Arc::clone(&daemon);
        tokio::spawn(async move {
            match place {
                Ok(_place) => connection::serve(&daemon, stream).await,
                Err(_) => {
                    let fault = Fault::new(FaultCode::Limit, "the daemon has too many connections");
                    let hint = "close some clients, or raise daemon.connections and restart the daemon";
                    connection::refuse(stream, fault.hint(hint)).await;
                }
            }
        });
    }
}

fn bind(daemon: &Daemon) -> io::Result<UnixListener> {
    let path = daemon.socket_path();
    socket::private_directory(&daemon.paths.runtime)?;
    let listener = socket::bind(&path)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}
