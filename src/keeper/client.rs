//! One connection: bytes in, frames out, both bounded.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::KEEP_BYTES;
use crate::protocol::keeper::{self as wire, Attach, BadMessage, FromKeeper, Role, ToKeeper};
use crate::screen::Canvas;

/// Bytes that may wait for a client that does not read. A stream over it is dropped and
/// begun anew with a picture; requests are not read meanwhile.
pub const OUT_LIMIT: usize = 4 * 1024 * 1024;
/// A connection must say hello within this.
pub const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// A frame that has begun must go on within this.
pub const HALF_FRAME_LIMIT: Duration = Duration::from_secs(30);
/// Read at once.
pub const READ: usize = 16 * 1024;

/// A frame, shared by all who get it.
pub type Frame = Rc<Vec<u8>>;

/// A connection.
#[derive(Debug)]
pub struct Client {
    /// Never used again by another connection.
    pub id: u64,
    /// What it is for; not known before its hello.
    pub role: Option<Role>,
    /// It is a program inside a session.
    pub agent: Option<Agent>,
    /// Attached, with what.
    pub viewer: Option<Viewer>,
    /// Wants output as it comes, without pictures.
    pub follower: Option<Follower>,
    /// A request is being worked on; the next is not looked at before.
    pub busy: bool,
    /// Nothing more is read; gone when everything was written.
    pub closing: bool,
    /// Gone.
    pub dead: bool,
    stream: UnixStream,
    input: Vec<u8>,
    out: VecDeque<Queued>,
    out_bytes: usize,
    /// Bytes of the first queued frame already written.
    written: usize,
    /// The connection took no more and has not said since that it would.
    full: bool,
    /// Nobody reads what is sent any more; what was said before is still to be read.
    deaf: bool,
    since: Instant,
}

#[derive(Debug)]
struct Queued {
    frame: Frame,
    /// Part of a stream, which may be dropped.
    stream: bool,
}

/// A program inside a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its process.
    pub pid: u32,
    /// The session is this one.
    pub own: bool,
    /// The daemon knows that it has asked for what it may not.
    pub told: bool,
}

/// An attached client.
#[derive(Debug)]
pub struct Viewer {
    /// How it attached; the size is kept up to date.
    pub attach: Attach,
    /// It needs a picture before it can follow the stream.
    pub needs_picture: bool,
    /// What its terminal shows, when that is made of pictures alone.
    pub canvas: Canvas,
    /// Not painted again before this.
    pub not_before: Option<Instant>,
    /// Lines of history that come with the next picture.
    pub history_lines: u32,
}

impl Viewer {
    /// What its terminal shows is not what it was painted.
    pub fn paint_anew(&mut self) {
        self.needs_picture = true;
        self.canvas.spoil();
    }
}

/// A client that follows the output.
#[derive(Clone, Debug)]
pub enum Follower {
    /// Waits until everything before `from` is in the recording's files.
    Waiting {
        /// Where its stream begins.
        from: u64,
        /// Where it was cut off, if it was.
        skipped: Option<u64>,
        /// What came since.
        held: Vec<Frame>,
        /// Bytes of output held.
        length: usize,
    },
    /// Gets output as it comes.
    Streaming,
    /// Too slow; cut off at this offset until it has caught up.
    Cut(u64),
}

impl Client {
    /// A connection that has just been made; its hello is awaited.
    pub fn new(id: u64, stream: UnixStream, now: Instant) -> Client {
        Client {
            id,
            role: None,
            agent: None,
            viewer: None,
            follower: None,
            busy: false,
            closing: false,
            dead: false,
            stream,
            input: Vec::new(),
            out: VecDeque::new(),
            out_bytes: 0,
            written: 0,
            full: false,
            deaf: false,
            since: now,
        }
    }

    /// Reads what came, by way of `buffer`; notes the end of the connection.
    pub fn read(&mut self, buffer: &mut [u8], now: Instant) {
        match (&self.stream).read(buffer) {
            Ok(0) => self.dead = true,
            Ok(length) => {
                self.input.extend_from_slice(&buffer[..length]);
                self.since = now;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.dead = true,
        }
    }

    /// A whole frame waits to be looked at.
    pub fn has_frame(&self) -> bool {
        !matches!(wire::split(&self.input), Ok(None))
    }

    /// The type of the first whole frame.
    pub fn peek(&self) -> Option<u8> {
        wire::split(&self.input).ok().flatten().map(|whole| whole.kind)
    }

    /// Takes the next message; unknown types are skipped.
    ///
    /// # Errors
    /// Bytes that are no message.
    pub fn next(&mut self) -> Result<Option<ToKeeper>, BadMessage> {
        loop {
            let Some(whole) = wire::split(&self.input)? else {
                if self.input.is_empty() {
                    self.input.shrink_to(KEEP_BYTES);
                }
                return Ok(None);
            };
            let message = ToKeeper::decode(whole.kind, whole.payload);
            let length = whole.length;
            self.input.drain(..length);
            if let Some(message) = message? {
                return Ok(Some(message));
            }
        }
    }

    /// Queues a message.
    pub fn send(&mut self, message: &FromKeeper) {
        self.queue(Rc::new(message.encode()), false);
    }

    /// Queues part of a stream.
    pub fn stream(&mut self, frame: &Frame) {
        self.queue(Rc::clone(frame), true);
    }

    fn queue(&mut self, frame: Frame, stream: bool) {
        if !self.dead && !self.deaf {
            self.out_bytes += frame.len();
            self.out.push_back(Queued { frame, stream });
        }
    }

    /// Drops what is queued of its stream, but for a frame that has begun to be written.
    pub fn drop_stream(&mut self) {
        let mut begun = self.written > 0;
        self.out.retain(|queued| std::mem::take(&mut begun) || !queued.stream);
        self.out_bytes = self.out.iter().map(|queued| queued.frame.len()).sum();
    }

    /// Nobody reads what is sent.
    pub fn deafen(&mut self) {
        self.deaf = true;
        self.out.clear();
        (self.out_bytes, self.written) = (0, 0);
    }

    /// The connection takes more.
    pub fn has_room(&mut self) {
        self.full = false;
    }

    /// Something is to be done that the connection lets us do, as far as is known.
    pub fn can_write(&self) -> bool {
        (self.wants_write() || self.closing) && !self.full
    }

    /// Writes as much as the connection takes.
    pub fn write(&mut self) {
        while let Some(first) = self.out.front() {
            match (&self.stream).write(&first.frame[self.written..]) {
                Ok(written) => {
                    self.written += written;
                    if self.written == first.frame.len() {
                        self.out_bytes -= first.frame.len();
                        self.written = 0;
                        self.out.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.full = true;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.deafen(),
            }
        }
        if self.closing {
            self.dead = true;
        }
    }

    /// Frames wait to be written.
    pub fn wants_write(&self) -> bool {
        !self.out.is_empty()
    }

    /// More waits to be written than may.
    pub fn is_over_limit(&self) -> bool {
        self.out_bytes > OUT_LIMIT
    }

    /// Its requests may be read and worked on now.
    pub fn is_heard(&self) -> bool {
        !self.busy && !self.closing && !self.dead && !self.is_over_limit()
    }

    /// When it is closed for saying nothing, or half of something.
    pub fn deadline(&self) -> Option<Instant> {
        if self.closing {
            return Some(self.since + HELLO_LIMIT);
        }
        match self.role {
            None => Some(self.since + HELLO_LIMIT),
            Some(_) if !self.input.is_empty() && !self.has_frame() => Some(self.since + HALF_FRAME_LIMIT),
            Some(_) => None,
        }
    }

    /// Closes once everything was written; not much later in any case.
    pub fn close(&mut self, now: Instant) {
        self.closing = true;
        self.since = now;
        self.viewer = None;
        self.follower = None;
    }
}

impl AsRawFd for Client {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Client, UnixStream, Instant) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let now = Instant::now();
        (Client::new(1, ours, now), theirs, now)
    }

    #[test]
    fn silence_and_half_frames_have_their_time() {
        let (mut client, mut theirs, now) = pair();
        assert_eq!(client.deadline(), Some(now + HELLO_LIMIT));
        client.role = Some(Role::Client);
        assert_eq!(client.deadline(), None);
        let status = ToKeeper::Status.encode();
        let later = now + Duration::from_secs(7);
        theirs.write_all(&status[..3]).unwrap();
        client.read(&mut [0; 100], later);
        assert_eq!(client.deadline(), Some(later + HALF_FRAME_LIMIT));
        theirs.write_all(&status[3..]).unwrap();
        client.read(&mut [0; 100], later);
        // Whole: if it waits, it waits for us.
        assert_eq!((client.deadline(), client.peek()), (None, Some(status[4])));
        assert_eq!(client.next(), Ok(Some(ToKeeper::Status)));
        assert_eq!(client.deadline(), None);
    }

    #[test]
    fn a_dropped_stream_leaves_whole_frames() {
        let (mut client, mut theirs, _) = pair();
        let frame: Frame = Rc::new(wire::output(0, &[b'x'; 60_000]));
        while !client.is_over_limit() {
            client.stream(&frame);
        }
        client.write();
        assert!(client.written > 0, "the socket took whole frames only: choose another size");
        client.send(&FromKeeper::Done);
        client.drop_stream();
        assert!(!client.is_over_limit());
        // What was begun is ended, then comes what is no part of the stream.
        let mut got = Vec::new();
        let reader = std::thread::spawn(move || {
            theirs.read_to_end(&mut got).unwrap();
            got
        });
        client.stream.set_nonblocking(false).unwrap();
        client.write();
        drop(client);
        let got = reader.join().unwrap();
        let mut rest = got.as_slice();
        let mut kinds = Vec::new();
        while let Some(whole) = wire::split(rest).unwrap() {
            kinds.push(whole.kind);
            rest = &rest[whole.length..];
        }
        assert!(rest.is_empty());
        assert_eq!(kinds.last(), Some(&FromKeeper::Done.encode()[4]));
    }
}
