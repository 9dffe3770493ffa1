//! The figures over HTTP, where the settings want it: on a loopback address, or a socket of
//! this machine. `/metrics`, and `/health`: 200 while the daemon does its work, else 503.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Daemon, metrics};
use crate::config::MetricsAddress;
use crate::socket;

/// Who reads figures comes every few seconds, alone; more at once are closed.
const CONNECTIONS: usize = 8;
/// A request's head has arrived within this.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// The whole of it is over within this: Prometheus waits for ten seconds.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);
/// Before an address that cannot be bound is tried again: another program may let go of it.
const BIND_PAUSE: Duration = Duration::from_secs(30);
/// OpenMetrics, which Prometheus reads.
const FIGURES: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the figures until the daemon leaves, wherever the settings want it at the time.
///
/// # Errors
/// None: nothing else depends on it.
pub(super) async fn run(daemon: Arc<Daemon>) -> io::Result<()> {
    loop {
        let address = daemon.settings.metrics();
        tokio::select! {
            () = serve(&daemon, address.clone()) => {}
            () = another(&daemon, &address) => {}
            () = daemon.is_leaving() => return Ok(()),
        }
    }
}

/// Waits until the settings want another address.
async fn another(daemon: &Daemon, address: &Option<MetricsAddress>) {
    loop {
        let changed = daemon.settings.changed();
        tokio::pin!(changed);
        // From here on no change is missed.
        changed.as_mut().enable();
        if daemon.settings.metrics() != *address {
            return;
        }
        changed.await;
    }
}

/// Serves at one address, for ever; over when it cannot be bound, after a pause.
async fn serve(daemon: &Arc<Daemon>, address: Option<MetricsAddress>) {
    let served = match address {
        None => std::future::pending().await,
        Some(MetricsAddress::Tcp(address)) => at_port(daemon, address).await,
        Some(MetricsAddress::Unix(path)) => at_socket(daemon, path).await,
    };
    if let Err(error) = served {
        tracing::error!(%error, "the figures are not served");
        tokio::time::sleep(BIND_PAUSE).await;
    }
}

async fn at_port(daemon: &Arc<Daemon>, address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await.map_err(|error| named(error, &address.to_string()))?;
    tracing::info!(%address, "serves its figures");
    let mut crowd = Crowd::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => crowd.admit(daemon, stream, Door::Port),
            Err(error) => crowd.wait(&error).await,
        }
    }
}

async fn at_socket(daemon: &Arc<Daemon>, path: PathBuf) -> io::Result<()> {
    let bind = || {
        let listener = socket::bind_free(&path)?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    };
    let listener = bind().map_err(|error| named(error, &path.display().to_string()))?;
    tracing::info!(socket = %path.display(), "serves its figures");
    let _bound = Bound::of(path);
    let mut crowd = Crowd::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => crowd.admit(daemon, stream, Door::Socket),
            Err(error) => crowd.wait(&error).await,
        }
    }
}

/// A socket's file, removed with the listener unless it has become another's.
struct Bound {
    path: PathBuf,
    file: Option<(u64, u64)>,
}

impl Bound {
    fn of(path: PathBuf) -> Bound {
        Bound { file: identity(&path), path }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.file.is_some() && identity(&self.path) == self.file {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn named(error: io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Where somebody has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// A socket's file: only the user can open it.
    Socket,
    /// A port of this machine: everybody on it can.
    Port,
}

/// Those who are connected; they end with the listener.
struct Crowd {
    places: Arc<Semaphore>,
    served: JoinSet<()>,
}

impl Default for Crowd {
    fn default() -> Self {
        Crowd { places: Arc::new(Semaphore::new(CONNECTIONS)), served: JoinSet::new() }
    }
}

impl Crowd {
    fn admit(
        &mut self,
        daemon: &Arc<Daemon>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        door: Door,
    ) {
        while self.served.try_join_next().is_some() {}
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let served = connection(Arc::clone(daemon), stream, door, place);
            self.served.spawn(async move { drop(timeout(EXCHANGE_LIMIT, served).await) });
        }
    }

    async fn wait(&self, error: &io::Error) {
        tracing::warn!(%error, "a reader of figures cannot be accepted");
        tokio::time::sleep(HEAD_LIMIT).await;
    }
}

async fn connection(
    daemon: Arc<Daemon>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    door: Door,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(|request| {
        let daemon = Arc::clone(&daemon);
        async move { Ok::<_, Infallible>(answer(&daemon, &request, door).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).keep_alive(false);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a reader of figures has failed");
    }
}

/// Whether a request at a port means this machine. A page in the user's browser can have a
/// name of its own lead to a loopback address, and then read what is served there.
fn is_meant(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // Whatever the port: it may be that of a tunnel.
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit())).map_or(host, |it| it.0);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn answer(daemon: &Arc<Daemon>, request: &Request<Incoming>, door: Door) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        _ if door == Door::Port && !is_meant(request) => {
            (StatusCode::FORBIDDEN, "text/plain", "only for this machine, by localhost or a loopback address\n".into())
        }
        (&Method::GET | &Method::HEAD, "/metrics") => match metrics::text(daemon).await {
            Ok(text) => (StatusCode::OK, FIGURES, text),
            Err(fault) => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", fault.message),
        },
        (&Method::GET | &Method::HEAD, "/health") => match metrics::troubles(daemon).await {
            Ok(troubles) if troubles.is_empty() => (StatusCode::OK, "text/plain", "well\n".into()),
            Ok(troubles) => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", troubles.join("\n") + "\n"),
            Err(fault) => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", fault.message + "\n"),
        },
        (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, "text/plain", "/metrics or /health\n".into()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
