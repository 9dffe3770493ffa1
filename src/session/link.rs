//! A connection to one keeper, as its controller.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::protocol::keeper::{self, BadMessage, FromKeeper, KeeperHello, RefusedCode, Role, ToKeeper};

/// A keeper answers its Hello within this, or counts as unresponsive.
pub const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// A keeper that was just made says Hello within this. One that fails closes its
/// connection, so this is only about one that hangs, or a machine that hardly gets on.
const BIRTH_LIMIT: Duration = Duration::from_secs(30);

/// The first version that blots secrets out of a text.
const REDACTS: u16 = 4;

/// Why a keeper cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection failed or ended.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It sends what is no message.
    #[error("{0}")]
    Garbage(#[from] BadMessage),
    /// It has seen this higher generation: we must go above it.
    #[error("the keeper has seen generation {0}")]
    Generation(u64),
    /// It did not answer in time.
    #[error("the keeper does not answer")]
    Silent,
    /// It said something else than Hello first.
    #[error("the keeper did not say Hello")]
    Rude,
}

/// A connection on which Hello has been said.
#[derive(Debug)]
pub struct Link {
    stream: UnixStream,
    buffer: Vec<u8>,
    generation: u64,
    order: u64,
}

impl Link {
    /// Takes over the connection that a new keeper was born with, and waits until it is
    /// ready.
    ///
    /// # Errors
    /// Any [`LinkError`]; an end of the stream means that the keeper has left.
    pub async fn born(
        stream: std::os::unix::net::UnixStream,
        generation: u64,
    ) -> Result<(Link, KeeperHello), LinkError> {
        stream.set_nonblocking(true)?;
        let stream = UnixStream::from_std(stream)?;
        Link { stream, buffer: Vec::new(), generation, order: 0 }.hello(BIRTH_LIMIT).await
    }

    /// Connects to a keeper that runs already, as its new controller.
    ///
    /// # Errors
    /// Any [`LinkError`].
    pub async fn connect(socket: &Path, generation: u64) -> Result<(Link, KeeperHello), LinkError> {
        let stream = stream(socket).await?;
        Link { stream, buffer: Vec::new(), generation, order: 0 }.hello(HELLO_LIMIT).await
    }

    /// A text without the secrets that the session's program was given. A keeper from before
    /// version 4 does not say, and neither does one that has none.
    ///
    /// # Errors
    /// Any [`LinkError`].
    pub async fn redacted(socket: &Path, text: &str) -> Result<String, LinkError> {
        let mut link = Link { stream: stream(socket).await?, buffer: Vec::new(), generation: 0, order: 0 };
        let asked = async {
            link.send(&ToKeeper::Hello { version: keeper::VERSION, role: Role::Client, generation: 0 }).await?;
            let FromKeeper::Hello(hello) = link.receive().await? else { return Err(LinkError::Rude) };
            if hello.version < REDACTS {
                return Ok(text.to_owned());
            }
            link.send(&ToKeeper::Redact(text.as_bytes().to_vec())).await?;
            loop {
                if let FromKeeper::Redacted(text) = link.receive().await? {
                    return Ok(String::from_utf8_lossy(&text).into_owned());
                }
            }
        };
        timeout(HELLO_LIMIT, asked).await.map_err(|_| LinkError::Silent)?
    }

    async fn hello(mut self, limit: Duration) -> Result<(Link, KeeperHello), LinkError> {
        self.send(&ToKeeper::Hello { version: keeper::VERSION, role: Role::Controller, generation: self.generation })
            .await?;
        let first = timeout(limit, self.receive()).await.map_err(|_| LinkError::Silent)??;
        match first {
            FromKeeper::Hello(hello) => Ok((self, hello)),
            FromKeeper::Refused { code: RefusedCode::Generation, reason } => {
                let seen: String = reason.chars().take_while(char::is_ascii_digit).collect();
                Err(seen.parse().map_or(LinkError::Rude, LinkError::Generation))
            }
            _ => Err(LinkError::Rude),
        }
    }

    /// The next order's generation and number.
    pub fn next_order(&mut self) -> (u64, u64) {
        self.order += 1;
        (self.generation, self.order)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`LinkError::Io`].
    pub async fn send(&mut self, message: &ToKeeper) -> Result<(), LinkError> {
        Ok(self.stream.write_all(&message.encode()).await?)
    }

    /// Waits for the next message that is known here. Safe to drop and call again.
    ///
    /// # Errors
    /// [`LinkError::Io`] with `UnexpectedEof` when the keeper has closed; garbage.
    pub async fn receive(&mut self) -> Result<FromKeeper, LinkError> {
        loop {
            while let Some(frame) = keeper::split(&self.buffer)? {
                let message = FromKeeper::decode(frame.kind, frame.payload)?;
                let length = frame.length;
                self.buffer.drain(..length);
                if let Some(message) = message {
                    return Ok(message);
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

async fn stream(socket: &Path) -> Result<UnixStream, LinkError> {
    let path = socket.to_owned();
    // The blocking connect knows long paths and full backlogs.
    let stream = tokio::task::spawn_blocking(move || crate::socket::connect(&path, HELLO_LIMIT))
        .await
        .map_err(io::Error::other)??;
    stream.set_nonblocking(true)?;
    Ok(UnixStream::from_std(stream)?)
}
