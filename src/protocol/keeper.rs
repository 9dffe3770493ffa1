//! The keeper's wire, hand-encoded and append-only: old keepers meet new daemons and new
//! clients. Message types and their bytes never change; a message may get more fields at
//! its end, which older readers ignore; unknown types are skipped by their length.
//!
//! Frame: u32 LE length of what follows, u8 type, payload. Numbers are little endian; a
//! text or byte field is a u32 length and its bytes, except where it is the last field
//! and takes the rest.

use crate::id::Uid;

/// The version this code speaks. Raised when messages or fields are added.
pub const VERSION: u16 = 1;
/// Longest frame after its length field, in bytes.
pub const MAX_FRAME: usize = 1024 * 1024;
/// Most output bytes in one frame, so that keys never wait long behind output.
pub const MAX_OUTPUT: usize = 64 * 1024;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// The daemon: gives orders. There is one; a newer generation replaces an older.
    Controller = 1,
    /// A client: attaches, asks for the screen, sends keys.
    Client = 2,
}

/// How hard a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum How {
    /// Interrupt, then terminate, then kill.
    Gently = 1,
    /// Kill.
    Now = 2,
}

/// How a client attaches.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Attach {
    /// Only watches; its size does not count.
    pub read_only: bool,
    /// Detaches every other client first.
    pub takeover: bool,
    /// Send lines that have scrolled off before the picture, at most this many.
    pub history_lines: u32,
    /// Columns of its terminal; 0 when not a terminal.
    pub columns: u16,
    /// Rows of its terminal.
    pub rows: u16,
}

/// To a keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToKeeper {
    /// First on each connection. A controller's generation must be at least the highest
    /// the keeper has seen, and becomes it.
    Hello {
        /// [`VERSION`].
        version: u16,
        /// What the connection is for.
        role: Role,
        /// The daemon's generation; 0 for clients.
        generation: u64,
    },
    /// Start the program. A second Go, or a Go after a Stop, does nothing.
    Go {
        /// The daemon's generation.
        generation: u64,
        /// Rising number of the order.
        order: u64,
    },
    /// End the session's whole tree. Before the program was started this latches: a later
    /// Go is refused.
    Stop {
        /// The daemon's generation.
        generation: u64,
        /// Rising number of the order.
        order: u64,
        /// How hard.
        how: How,
    },
    /// Freeze the tree, or let it run on.
    Freeze {
        /// The daemon's generation.
        generation: u64,
        /// Rising number of the order.
        order: u64,
        /// Freeze or thaw.
        frozen: bool,
    },
    /// The exit is in the daemon's database: leave.
    Acknowledge {
        /// The daemon's generation.
        generation: u64,
        /// Rising number of the order.
        order: u64,
    },
    /// Attach this client.
    Attach(Attach),
    /// Keys of an attached client, as its terminal sent them.
    Input(Vec<u8>),
    /// The client's terminal has a new size.
    Resize {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Send the picture again (the client's terminal was garbled or it skipped output).
    Repaint,
    /// What does the screen show? Answered by `Screen`.
    Screen {
        /// With colours and attributes as escape sequences.
        ansi: bool,
    },
    /// Type for a client that is not attached. Answered by `Done` once it is written to
    /// the terminal.
    Send {
        /// As a paste, where the program asked for pastes to be marked.
        paste: bool,
        /// Enter after it, as a write of its own once the text was echoed.
        enter: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Detach every attached client. Answered by `Done`.
    DetachAll,
    /// Send output from now on exactly as it is recorded, without a picture. Answered by
    /// `Following`.
    Follow,
    /// How is the session? Answered by `Status`.
    Status,
    /// Variables added to the environment of each step, from a controller, before Go.
    /// Secrets: never written down.
    Environment(Vec<(String, String)>),
}

/// From a keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromKeeper {
    /// First on each connection, after the other side's; unasked on the connection the
    /// keeper was born with, where it means that the keeper is ready.
    Hello(KeeperHello),
    /// The program runs.
    Started {
        /// Its process id.
        pid: u32,
        /// Its start time, clock ticks since boot (field 22 of /proc/PID/stat).
        start: u64,
    },
    /// The program has ended: the exit record as JSON.
    Exited(Vec<u8>),
    /// Output of the program.
    Output {
        /// Bytes the program had written before these.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Paints the whole screen, with all modes; output follows from `offset`.
    Picture {
        /// Bytes the program had written when it was made.
        offset: u64,
        /// Escape sequences for the client's terminal.
        bytes: Vec<u8>,
    },
    /// The screen as text.
    Screen {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
        /// UTF-8, a line each.
        text: Vec<u8>,
    },
    /// How the session is; to controllers also whenever it changes.
    Status(KeeperStatus),
    /// It was not done: why, for a person.
    Refused {
        /// The kind.
        code: RefusedCode,
        /// For a person.
        reason: String,
    },
    /// It is done.
    Done,
    /// Output between these offsets was not sent; it is in the recording.
    Skipped {
        /// First byte left out.
        from: u64,
        /// First byte after the gap.
        to: u64,
    },
    /// This client is no longer attached.
    Detached {
        /// Why, for a person.
        reason: String,
    },
    /// Output follows from this offset.
    Following {
        /// Bytes written so far; all of them are in the recording's files.
        offset: u64,
    },
}

/// Who the keeper is and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeeperHello {
    /// Its [`VERSION`].
    pub version: u16,
    /// Its process id.
    pub pid: u32,
    /// Its start time, clock ticks since boot.
    pub start: u64,
    /// The highest generation it has seen.
    pub generation: u64,
    /// How far it has come.
    pub phase: Phase,
    /// The program's process id, 0 before and after.
    pub child: u32,
    /// The session's identity.
    pub uid: Uid,
    /// Its program's version, for people.
    pub build: String,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The program was not started; Go may come.
    NotStarted = 1,
    /// The program was started.
    Started = 2,
    /// The program has ended; `Exited` follows.
    Exited = 3,
}

/// How a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct KeeperStatus {
    /// Columns of the screen.
    pub columns: u16,
    /// Rows of the screen.
    pub rows: u16,
    /// Attached clients that may type.
    pub writers: u32,
    /// Attached clients that only watch.
    pub watchers: u32,
    /// Bytes the program has written.
    pub bytes: u64,
    /// Bytes that could not be recorded.
    pub lost: u64,
    /// The tree is frozen.
    pub frozen: bool,
}

/// Why a keeper refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RefusedCode {
    /// The order carries a generation lower than one seen; the text begins with the
    /// highest, in decimal.
    Generation = 1,
    /// It was stopped before the program was started.
    Latched = 2,
    /// Not possible now.
    State = 3,
    /// Another client types; `--takeover` or `-r` helps.
    Busy = 4,
    /// The message makes no sense on this connection.
    Protocol = 5,
    /// Too many clients or bytes.
    Limit = 6,
}

/// Bytes that are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Longer than allowed, or without a type.
    #[error("a keeper's frame of {0} bytes; 1 to {MAX_FRAME} are allowed")]
    Length(usize),
    /// Fields missing or senseless.
    #[error("a damaged keeper's message of type {0}")]
    Damaged(u8),
}

/// A whole frame at the beginning of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<'a> {
    /// The message's type.
    pub kind: u8,
    /// Its payload.
    pub payload: &'a [u8],
    /// Bytes the frame takes in all.
    pub length: usize,
}

/// The first frame of `buffer`; `None` while it is not whole.
///
/// # Errors
/// [`BadMessage::Length`] as soon as the length is known to be wrong.
pub fn split(buffer: &[u8]) -> Result<Option<Whole<'_>>, BadMessage> {
    let Some(head) = buffer.get(..4) else { return Ok(None) };
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if length == 0 || length > MAX_FRAME {
        return Err(BadMessage::Length(length));
    }
    Ok(buffer.get(4..4 + length).map(|body| Whole { kind: body[0], payload: &body[1..], length: 4 + length }))
}

impl ToKeeper {
    /// The message as a frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            ToKeeper::Hello { version, role, generation } => {
                Out::new(1).u16(*version).u8(*role as u8).u64(*generation).done()
            }
            ToKeeper::Go { generation, order } => Out::new(2).u64(*generation).u64(*order).done(),
            ToKeeper::Stop { generation, order, how } => Out::new(3).u64(*generation).u64(*order).u8(*how as u8).done(),
            ToKeeper::Freeze { generation, order, frozen } => {
                Out::new(4).u64(*generation).u64(*order).u8(u8::from(*frozen)).done()
            }
            ToKeeper::Acknowledge { generation, order } => Out::new(5).u64(*generation).u64(*order).done(),
            ToKeeper::Attach(a) => Out::new(6)
                .u8(u8::from(a.read_only) | u8::from(a.takeover) << 1)
                .u32(a.history_lines)
                .u16(a.columns)
                .u16(a.rows)
                .done(),
            ToKeeper::Input(bytes) => Out::new(7).rest(bytes).done(),
            ToKeeper::Resize { columns, rows } => Out::new(8).u16(*columns).u16(*rows).done(),
            ToKeeper::Repaint => Out::new(9).done(),
            ToKeeper::Screen { ansi } => Out::new(10).u8(u8::from(*ansi)).done(),
            ToKeeper::Send { paste, enter, bytes } => {
                Out::new(11).u8(u8::from(*paste) | u8::from(*enter) << 1).bytes(bytes).done()
            }
            ToKeeper::DetachAll => Out::new(12).done(),
            ToKeeper::Follow => Out::new(13).done(),
            ToKeeper::Status => Out::new(14).done(),
            ToKeeper::Environment(variables) => variables
                .iter()
                .fold(Out::new(15), |out, (name, value)| out.bytes(name.as_bytes()).bytes(value.as_bytes()))
                .done(),
        }
    }

    /// Reads a message; `None` for a type not known here, which is skipped.
    ///
    /// # Errors
    /// [`BadMessage::Damaged`].
    pub fn decode(kind: u8, payload: &[u8]) -> Result<Option<ToKeeper>, BadMessage> {
        let mut r = In(payload);
        let message = (|| {
            Some(match kind {
                1 => ToKeeper::Hello { version: r.u16()?, role: role(r.u8()?)?, generation: r.u64()? },
                2 => ToKeeper::Go { generation: r.u64()?, order: r.u64()? },
                3 => ToKeeper::Stop {
                    generation: r.u64()?,
                    order: r.u64()?,
                    how: if r.u8()? == How::Now as u8 { How::Now } else { How::Gently },
                },
                4 => ToKeeper::Freeze { generation: r.u64()?, order: r.u64()?, frozen: r.u8()? != 0 },
                5 => ToKeeper::Acknowledge { generation: r.u64()?, order: r.u64()? },
                6 => {
                    let flags = r.u8()?;
                    ToKeeper::Attach(Attach {
                        read_only: flags & 1 != 0,
                        takeover: flags & 2 != 0,
                        history_lines: r.u32()?,
                        columns: r.u16()?,
                        rows: r.u16()?,
                    })
                }
                7 => ToKeeper::Input(r.rest()),
                8 => ToKeeper::Resize { columns: r.u16()?, rows: r.u16()? },
                9 => ToKeeper::Repaint,
                10 => ToKeeper::Screen { ansi: r.u8()? != 0 },
                11 => {
                    let flags = r.u8()?;
                    ToKeeper::Send { paste: flags & 1 != 0, enter: flags & 2 != 0, bytes: r.bytes()? }
                }
                12 => ToKeeper::DetachAll,
                13 => ToKeeper::Follow,
                14 => ToKeeper::Status,
                15 => {
                    let mut variables = Vec::new();
                    while !r.0.is_empty() {
                        variables.push((r.text()?, r.text()?));
                    }
                    ToKeeper::Environment(variables)
                }
                _ => return None,
            })
        })();
        known(message, kind, 1..=15)
    }
}

impl FromKeeper {
    /// The message as a frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            FromKeeper::Hello(h) => Out::new(64)
                .u16(h.version)
                .u32(h.pid)
                .u64(h.start)
                .u64(h.generation)
                .u8(h.phase as u8)
                .u32(h.child)
                .array(&h.uid.bytes())
                .bytes(h.build.as_bytes())
                .done(),
            FromKeeper::Started { pid, start } => Out::new(65).u32(*pid).u64(*start).done(),
            FromKeeper::Exited(record) => Out::new(66).bytes(record).done(),
            FromKeeper::Output { offset, bytes } => output(*offset, bytes),
            FromKeeper::Picture { offset, bytes } => Out::new(68).u64(*offset).rest(bytes).done(),
            FromKeeper::Screen { columns, rows, text } => Out::new(69).u16(*columns).u16(*rows).bytes(text).done(),
            FromKeeper::Status(s) => Out::new(70)
                .u16(s.columns)
                .u16(s.rows)
                .u32(s.writers)
                .u32(s.watchers)
                .u64(s.bytes)
                .u64(s.lost)
                .u8(u8::from(s.frozen))
                .done(),
            FromKeeper::Refused { code, reason } => Out::new(71).u8(*code as u8).bytes(reason.as_bytes()).done(),
            FromKeeper::Done => Out::new(72).done(),
            FromKeeper::Skipped { from, to } => Out::new(73).u64(*from).u64(*to).done(),
            FromKeeper::Detached { reason } => Out::new(74).bytes(reason.as_bytes()).done(),
            FromKeeper::Following { offset } => Out::new(75).u64(*offset).done(),
        }
    }

    /// Reads a message; `None` for a type not known here, which is skipped.
    ///
    /// # Errors
    /// [`BadMessage::Damaged`].
    pub fn decode(kind: u8, payload: &[u8]) -> Result<Option<FromKeeper>, BadMessage> {
        let mut r = In(payload);
        let message = (|| {
            Some(match kind {
                64 => FromKeeper::Hello(KeeperHello {
                    version: r.u16()?,
                    pid: r.u32()?,
                    start: r.u64()?,
                    generation: r.u64()?,
                    phase: phase(r.u8()?)?,
                    child: r.u32()?,
                    uid: Uid::from_bytes(r.array()?),
                    build: r.text()?,
                }),
                65 => FromKeeper::Started { pid: r.u32()?, start: r.u64()? },
                66 => FromKeeper::Exited(r.bytes()?),
                67 => FromKeeper::Output { offset: r.u64()?, bytes: r.rest() },
                68 => FromKeeper::Picture { offset: r.u64()?, bytes: r.rest() },
                69 => FromKeeper::Screen { columns: r.u16()?, rows: r.u16()?, text: r.bytes()? },
                70 => FromKeeper::Status(KeeperStatus {
                    columns: r.u16()?,
                    rows: r.u16()?,
                    writers: r.u32()?,
                    watchers: r.u32()?,
                    bytes: r.u64()?,
                    lost: r.u64()?,
                    frozen: r.u8()? != 0,
                }),
                71 => FromKeeper::Refused { code: refused(r.u8()?), reason: r.text()? },
                72 => FromKeeper::Done,
                73 => FromKeeper::Skipped { from: r.u64()?, to: r.u64()? },
                74 => FromKeeper::Detached { reason: r.text()? },
                75 => FromKeeper::Following { offset: r.u64()? },
                _ => return None,
            })
        })();
        known(message, kind, 64..=75)
    }
}

/// An [`FromKeeper::Output`] frame without copying the bytes into a message first.
pub fn output(offset: u64, bytes: &[u8]) -> Vec<u8> {
    Out::new(67).u64(offset).rest(bytes).done()
}

fn known<T>(message: Option<T>, kind: u8, kinds: std::ops::RangeInclusive<u8>) -> Result<Option<T>, BadMessage> {
    match message {
        None if kinds.contains(&kind) => Err(BadMessage::Damaged(kind)),
        message => Ok(message),
    }
}

fn role(byte: u8) -> Option<Role> {
    [Role::Controller, Role::Client].into_iter().find(|r| *r as u8 == byte)
}

fn phase(byte: u8) -> Option<Phase> {
    [Phase::NotStarted, Phase::Started, Phase::Exited].into_iter().find(|p| *p as u8 == byte)
}

/// Codes of newer keepers read as the most general one.
fn refused(byte: u8) -> RefusedCode {
    [
        RefusedCode::Generation,
        RefusedCode::Latched,
        RefusedCode::State,
        RefusedCode::Busy,
        RefusedCode::Protocol,
        RefusedCode::Limit,
    ]
    .into_iter()
    .find(|c| *c as u8 == byte)
    .unwrap_or(RefusedCode::State)
}

/// Builds a frame.
struct Out(Vec<u8>);

impl Out {
    fn new(kind: u8) -> Self {
        Out(vec![0, 0, 0, 0, kind])
    }

    fn array(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u8(self, value: u8) -> Self {
        self.array(&[value])
    }

    fn u16(self, value: u16) -> Self {
        self.array(&value.to_le_bytes())
    }

    fn u32(self, value: u32) -> Self {
        self.array(&value.to_le_bytes())
    }

    fn u64(self, value: u64) -> Self {
        self.array(&value.to_le_bytes())
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).array(bytes)
    }

    fn rest(self, bytes: &[u8]) -> Self {
        self.array(bytes)
    }

    fn done(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        self.0
    }
}

/// Takes fields off a payload; `None` when there are too few bytes.
struct In<'a>(&'a [u8]);

impl In<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_at_checked(N)?;
        self.0 = tail;
        head.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.u32()? as usize;
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head.to_vec())
    }

    fn text(&mut self) -> Option<String> {
        self.bytes().map(|b| String::from_utf8_lossy(&b).into_owned())
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> KeeperHello {
        KeeperHello {
            version: 1,
            pid: 7,
            start: 8,
            generation: 9,
            phase: Phase::Started,
            child: 10,
            uid: Uid::from_bytes([1; 16]),
            build: "0.1.0".into(),
        }
    }

    fn to_keeper() -> Vec<ToKeeper> {
        vec![
            ToKeeper::Hello { version: 1, role: Role::Controller, generation: 3 },
            ToKeeper::Go { generation: 3, order: 1 },
            ToKeeper::Stop { generation: 3, order: 2, how: How::Gently },
            ToKeeper::Freeze { generation: 3, order: 3, frozen: true },
            ToKeeper::Acknowledge { generation: 3, order: 4 },
            ToKeeper::Attach(Attach { read_only: true, takeover: true, history_lines: 500, columns: 80, rows: 24 }),
            ToKeeper::Input(b"ls\r".to_vec()),
            ToKeeper::Resize { columns: 120, rows: 40 },
            ToKeeper::Repaint,
            ToKeeper::Screen { ansi: true },
            ToKeeper::Send { paste: true, enter: true, bytes: b"yes".to_vec() },
            ToKeeper::DetachAll,
            ToKeeper::Follow,
            ToKeeper::Status,
            ToKeeper::Environment(vec![("A_KEY".into(), "secret".into())]),
        ]
    }

    fn from_keeper() -> Vec<FromKeeper> {
        vec![
            FromKeeper::Hello(hello()),
            FromKeeper::Started { pid: 10, start: 11 },
            FromKeeper::Exited(b"{}".to_vec()),
            FromKeeper::Output { offset: 5, bytes: b"hi".to_vec() },
            FromKeeper::Picture { offset: 5, bytes: b"\x1b[m".to_vec() },
            FromKeeper::Screen { columns: 80, rows: 24, text: b"hi\n".to_vec() },
            FromKeeper::Status(KeeperStatus {
                columns: 80,
                rows: 24,
                writers: 1,
                watchers: 2,
                bytes: 3,
                lost: 4,
                frozen: true,
            }),
            FromKeeper::Refused { code: RefusedCode::Busy, reason: "no".into() },
            FromKeeper::Done,
            FromKeeper::Skipped { from: 1, to: 2 },
            FromKeeper::Detached { reason: "taken over".into() },
            FromKeeper::Following { offset: 9 },
        ]
    }

    #[test]
    fn messages_survive_the_wire() {
        for (index, message) in to_keeper().into_iter().enumerate() {
            let bytes = message.encode();
            let Whole { kind, payload, length: used } = split(&bytes).unwrap().unwrap();
            assert_eq!((usize::from(kind), used), (index + 1, bytes.len()));
            assert_eq!(ToKeeper::decode(kind, payload).unwrap(), Some(message));
        }
        for (index, message) in from_keeper().into_iter().enumerate() {
            let bytes = message.encode();
            let Whole { kind, payload, length: used } = split(&bytes).unwrap().unwrap();
            assert_eq!((usize::from(kind), used), (index + 64, bytes.len()));
            assert_eq!(FromKeeper::decode(kind, payload).unwrap(), Some(message));
        }
    }

    /// A cut message is damaged, never another message; added fields are ignored.
    #[test]
    fn cut_and_longer_messages() {
        for message in to_keeper() {
            let bytes = message.encode();
            let (kind, payload) = (bytes[4], &bytes[5..]);
            for end in 0..payload.len() {
                // Keys are whatever arrived; an environment may be empty.
                if kind != 7 && (kind != 15 || end > 0) {
                    assert_eq!(ToKeeper::decode(kind, &payload[..end]), Err(BadMessage::Damaged(kind)));
                }
            }
            // A list that takes the rest of its frame cannot grow another field.
            if kind != 15 {
                let longer = [payload, b"new field"].concat();
                assert!(matches!(ToKeeper::decode(kind, &longer), Ok(Some(_))));
            }
        }
        assert_eq!(ToKeeper::decode(200, b"whatever"), Ok(None));
        assert_eq!(FromKeeper::decode(200, b"whatever"), Ok(None));
    }

    #[test]
    fn hostile_lengths_are_refused_at_once() {
        assert_eq!(split(&[0, 0, 0, 0]), Err(BadMessage::Length(0)));
        assert_eq!(split(&[255, 255, 255, 255]), Err(BadMessage::Length(u32::MAX as usize)));
        assert_eq!(split(&[1, 0]), Ok(None));
        assert_eq!(split(&[2, 0, 0, 0, 9]), Ok(None));
    }

    /// These bytes are what keepers that already run understand.
    #[test]
    fn golden_bytes() {
        assert_eq!(
            ToKeeper::Go { generation: 3, order: 1 }.encode(),
            b"\x11\0\0\0\x02\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"
        );
        assert_eq!(ToKeeper::Resize { columns: 120, rows: 40 }.encode(), b"\x05\0\0\0\x08\x78\0\x28\0");
        assert_eq!(FromKeeper::Done.encode(), b"\x01\0\0\0\x48");
        assert_eq!(output(5, b"hi"), b"\x0b\0\0\0\x43\x05\0\0\0\0\0\0\0hi");
    }
}
