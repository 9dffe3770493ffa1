//! The bytes of the messages, encoded by hand.
//!
//! Frame: u32 LE length of what follows, u8 type, payload. Numbers are little endian; a
//! text or byte field is a u32 length and its bytes, except where it is the last field
//! and takes the rest.

use super::{Attach, FromKeeper, How, KeeperHello, KeeperStatus, Looks, Phase, RefusedCode, Role, ToKeeper, Usage};
use crate::id::Uid;

/// Longest frame after its length field, in bytes.
pub const MAX_FRAME: usize = 1024 * 1024;

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
                .u8(u8::from(a.read_only) | u8::from(a.takeover) << 1 | u8::from(a.pictures) << 2)
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
            ToKeeper::Looks(l) => Out::new(16)
                .array(&l.foreground)
                .array(&l.background)
                .array(&l.cursor)
                .u16(l.cell.0)
                .u16(l.cell.1)
                .done(),
            ToKeeper::Below => Out::new(17).done(),
            ToKeeper::Blot(values) => values.iter().fold(Out::new(18), |out, value| out.bytes(value.as_bytes())).done(),
            ToKeeper::Redact(text) => Out::new(19).bytes(text).done(),
            ToKeeper::Measure => Out::new(20).done(),
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
                        pictures: flags & 4 != 0,
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
                16 => ToKeeper::Looks(Looks {
                    foreground: r.array()?,
                    background: r.array()?,
                    cursor: r.array()?,
                    cell: (r.u16()?, r.u16()?),
                }),
                17 => ToKeeper::Below,
                18 => {
                    let mut values = Vec::new();
                    while !r.0.is_empty() {
                        values.push(r.text()?);
                    }
                    ToKeeper::Blot(values)
                }
                19 => ToKeeper::Redact(r.bytes()?),
                20 => ToKeeper::Measure,
                _ => return None,
            })
        })();
        known(message, kind, 1..=20)
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
                .u8(u8::from(s.rang))
                .u64(s.quiet_ms)
                .bytes(s.title.as_bytes())
                .u64(s.ran_ms.unwrap_or(u64::MAX))
                .done(),
            FromKeeper::Refused { code, reason } => Out::new(71).u8(*code as u8).bytes(reason.as_bytes()).done(),
            FromKeeper::Done => Out::new(72).done(),
            FromKeeper::Skipped { from, to } => Out::new(73).u64(*from).u64(*to).done(),
            FromKeeper::Detached { reason } => Out::new(74).bytes(reason.as_bytes()).done(),
            FromKeeper::Following { offset } => Out::new(75).u64(*offset).done(),
            FromKeeper::Below { row } => Out::new(76).u16(*row).done(),
            FromKeeper::Intruder { pid, what } => Out::new(77).u32(*pid).bytes(what.as_bytes()).done(),
            FromKeeper::Redacted(text) => Out::new(78).bytes(text).done(),
            FromKeeper::Usage(u) => Out::new(79)
                .u64(u.cpu_ms)
                .u64(u.memory_bytes)
                .u32(u.processes)
                .u64(u.peak_memory_bytes)
                .u32(u.peak_processes)
                .done(),
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
                    // Since version 2.
                    rang: r.u8().is_some_and(|rang| rang != 0),
                    quiet_ms: r.u64().unwrap_or_default(),
                    title: r.text().unwrap_or_default(),
                    // Since version 3.
                    ran_ms: r.u64().filter(|ran| *ran != u64::MAX),
                }),
                71 => FromKeeper::Refused { code: refused(r.u8()?), reason: r.text()? },
                72 => FromKeeper::Done,
                73 => FromKeeper::Skipped { from: r.u64()?, to: r.u64()? },
                74 => FromKeeper::Detached { reason: r.text()? },
                75 => FromKeeper::Following { offset: r.u64()? },
                76 => FromKeeper::Below { row: r.u16()? },
                77 => FromKeeper::Intruder { pid: r.u32()?, what: r.text()? },
                78 => FromKeeper::Redacted(r.bytes()?),
                79 => FromKeeper::Usage(Usage {
                    cpu_ms: r.u64()?,
                    memory_bytes: r.u64()?,
                    processes: r.u32()?,
                    peak_memory_bytes: r.u64()?,
                    peak_processes: r.u32()?,
                }),
                _ => return None,
            })
        })();
        known(message, kind, 64..=79)
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
        RefusedCode::Agent,
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
