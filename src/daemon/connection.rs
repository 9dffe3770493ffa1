//! One client's connection: hello, then frames. Nothing a client sends, or does not
//! send, can hold up anybody else.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::callers::Caller;
use super::places::Place;
use super::{Daemon, Leave, handlers};
use crate::id::SessionName;
use crate::paths::KeeperFile;
use crate::protocol::control::{Ask, Tell};
use crate::protocol::hello::{BUILD, MAJOR, MINOR, Role};
use crate::protocol::{Fault, FaultCode, Frame, Hello, Kind, Reply, Request, codec, frame};

/// A client says hello within this.
const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// A frame that has begun is whole within this.
const FRAME_LIMIT: Duration = Duration::from_secs(10);
/// Room made for a frame before its bytes have come.
const SMALL_FRAME: usize = 16 * 1024;
/// Read at once: most clients' hello and request together.
const READ_BUFFER: usize = 4 * 1024;
/// A client takes a reply within this.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// Serves one client until it leaves.
pub(crate) async fn serve(daemon: &Arc<Daemon>, stream: UnixStream, caller: Caller, place: Place) {
    if let Err(error) = Connection::new(stream, caller).run(daemon, place).await {
        tracing::debug!(%error, "a client's connection ended");
    }
}

/// Says that there is no room, once the client has said hello.
pub(crate) async fn refuse(stream: UnixStream, fault: Fault) {
    let mut connection = Connection::new(stream, Caller::Owner);
    match connection.hello().await {
        Ok(client) if client.major == MAJOR => drop(connection.reply(&Reply::Fault(fault)).await),
        Ok(_) => drop(connection.refusal(&fault.message).await),
        Err(_) => {}
    }
}

/// A connection to a client; replies go out on it.
pub(crate) struct Connection {
    stream: BufReader<UnixStream>,
    /// Our hello, until it goes out with the first answer: a client that has asked already
    /// is woken once, not twice.
    unsent: Vec<u8>,
    /// Who is at the other end.
    pub caller: Caller,
}

/// Waits for a client that may as well say nothing more.
async fn unless_given_away<T>(place: &Place, said: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // What has been said is heard first.
        biased;
        said = said => Some(said),
        () = place.given_away() => None,
    }
}

impl Connection {
    fn new(stream: UnixStream, caller: Caller) -> Self {
        Connection { stream: BufReader::with_capacity(READ_BUFFER, stream), unsent: Vec::new(), caller }
    }

    async fn run(mut self, daemon: &Arc<Daemon>, mut place: Place) -> io::Result<()> {
        let Some(hello) = unless_given_away(&place, self.hello()).await else { return Ok(()) };
        let client = hello?;
        loop {
            let Some(frame) = unless_given_away(&place, self.read_frame()).await else { return Ok(()) };
            let Some(frame) = frame? else { return Ok(()) };
            // Between the frame's last byte and here somebody else may have got it.
            if !place.work() {
                return Ok(());
            }
            match frame.kind {
                Kind::Control => self.control(daemon, &frame.payload).await?,
                Kind::Request if client.major != MAJOR => {
                    let why = format!(
                        "this daemon is autodevd {BUILD} and speaks protocol {MAJOR}.{MINOR}; the client is {} and speaks {}.{}: 'autodev daemon restart' starts the installed version, agents run on",
                        client.build, client.major, client.minor
                    );
                    return self.refusal(&why).await;
                }
                Kind::Request => match codec::decode::<Request>(&frame.payload) {
                    Ok(request) => handlers::handle(daemon, request, &mut self).await?,
                    Err(error) => {
                        let fault = Fault::new(FaultCode::UnknownMessage, format!("the request was {error}"));
                        return self.reply(&Reply::Fault(fault)).await;
                    }
                },
                Kind::Reply | Kind::Refusal => return self.refusal("a client sends only requests").await,
            }
            place.rest();
        }
    }

    async fn hello(&mut self) -> io::Result<Hello> {
        let read = async {
            let mut fixed = [0; Hello::FIXED];
            self.stream.read_exact(&mut fixed).await?;
            let (mut hello, length) = Hello::decode_fixed(fixed).map_err(invalid)?;
            let mut build = vec![0; length];
            self.stream.read_exact(&mut build).await?;
            hello.build = String::from_utf8_lossy(&build).into_owned();
            Ok::<_, io::Error>(hello)
        };
        let hello = timeout(HELLO_LIMIT, read).await.map_err(|_| late("hello"))??;
        self.unsent = Hello::mine(Role::Daemon).encode();
        if self.stream.buffer().is_empty() {
            self.greet().await?;
        }
        Ok(hello)
    }

    /// Sends our hello if that has not been done yet: before something that takes long.
    pub async fn greet(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() { Ok(()) } else { self.write(&[]).await }
    }

    /// The next frame; `None` when the client has left between frames.
    async fn read_frame(&mut self) -> io::Result<Option<Frame>> {
        let mut header = [0; frame::HEADER];
        // Between frames a client may be silent as long as it likes.
        if self.stream.read(&mut header[..1]).await? == 0 {
            return Ok(None);
        }
        let rest = async {
            self.stream.read_exact(&mut header[1..]).await?;
            let (kind, length) = Frame::header(header).map_err(invalid)?;
            // Grows as bytes arrive: an announced length alone costs next to nothing.
            let mut payload = Vec::with_capacity(length.min(SMALL_FRAME));
            (&mut self.stream).take(length as u64).read_to_end(&mut payload).await?;
            if payload.len() < length {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            Ok(Frame { kind, payload })
        };
        let frame = timeout(FRAME_LIMIT, rest).await.map_err(|_| late("the rest of a frame"))??;
        Ok(Some(frame))
    }

    /// Sends a reply. One too large for a frame becomes a fault.
    pub async fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        let frame = codec::frame(Kind::Reply, reply).or_else(|error| {
            let fault = Fault::new(FaultCode::Limit, format!("the answer {error}")).hint("ask for fewer at a time");
            codec::frame(Kind::Reply, &Reply::Fault(fault))
        });
        let bytes = frame.map_err(invalid)?.encode().map_err(invalid)?;
        self.write(&bytes).await
    }

    async fn refusal(&mut self, why: &str) -> io::Result<()> {
        let frame = Frame { kind: Kind::Refusal, payload: why.as_bytes().to_vec() };
        self.write(&frame.encode().map_err(invalid)?).await
    }

    async fn tell(&mut self, tell: &Tell) -> io::Result<()> {
        let frame = Frame { kind: Kind::Control, payload: tell.encode() };
        self.write(&frame.encode().map_err(invalid)?).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.unsent);
        timeout(WRITE_LIMIT, self.stream.write_all(&bytes)).await.map_err(|_| late("the client to read"))?
    }

    /// Waits until the client has gone, for streams that have nothing to say meanwhile.
    pub async fn client_left(&mut self) {
        let mut byte = [0];
        // A client that sends while it waits for a stream has broken the protocol; that
        // ends it as well.
        drop(self.stream.read(&mut byte).await);
    }

    async fn control(&mut self, daemon: &Arc<Daemon>, payload: &[u8]) -> io::Result<()> {
        match Ask::decode(payload) {
            Some(Ask::Ping) => {
                let pong = Tell::Pong { pid: std::process::id(), since: daemon.since.0, build: BUILD.to_owned() };
                self.tell(&pong).await
            }
            Some(ask @ (Ask::Stop { .. } | Ask::Restart | Ask::Resolve { .. })) if self.caller != Caller::Owner => {
                let what = match ask {
                    Ask::Stop { .. } => "daemon stop",
                    Ask::Restart => "daemon restart",
                    _ => "sessions",
                };
                let fault = self.caller.refusal(what);
                daemon.note_refused(self.caller, what);
                self.tell(&Tell::Refused { reason: fault.message }).await
            }
            Some(Ask::Stop { kill_sessions }) => {
                self.tell(&Tell::Agreed).await?;
                self.leave(daemon, if kill_sessions { Leave::StopAll } else { Leave::Stop }).await
            }
            Some(Ask::Restart) => {
                self.tell(&Tell::Agreed).await?;
                self.leave(daemon, Leave::Restart).await
            }
            Some(Ask::Resolve { name }) => {
                let socket = name.parse::<SessionName>().ok().and_then(|name| keeper_socket(daemon, &name));
                let tell = match socket {
                    Some(path) => Tell::Socket { path },
                    None => Tell::Refused { reason: format!("there is no live session '{name}'") },
                };
                self.tell(&tell).await
            }
            None => self.tell(&Tell::Refused { reason: "this daemon does not know such a request".into() }).await,
        }
    }

    /// The connection stays open until the daemon has left: its end tells the client.
    async fn leave(&mut self, daemon: &Arc<Daemon>, how: Leave) -> io::Result<()> {
        daemon.leave(how);
        self.client_left().await;
        Ok(())
    }
}

fn keeper_socket(daemon: &Daemon, name: &SessionName) -> Option<String> {
    let text = std::fs::read(daemon.paths.live_session(name).keeper()).ok()?;
    let keeper: KeeperFile = serde_json::from_slice(&text).ok()?;
    Some(keeper.socket.to_string_lossy().into_owned())
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("waited too long for {what}"))
}
