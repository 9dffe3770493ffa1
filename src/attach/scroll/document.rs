//! What there is to scroll through: a copy of the session's screen with its history, first
//! from the keeper's memory, then from the recording.

use std::io;
use std::time::{Duration, Instant};

use crate::client::find;
use crate::id::SessionName;
use crate::paths::Paths;
use crate::protocol::Fault;
use crate::protocol::keeper::{Attach, FromKeeper, PICTURE_PART, ToKeeper};
use crate::recording::{Event, Reader, Source, Step};
use crate::screen::{self, Rows, Screen};

/// How long the keeper may take to show what it has.
const PICTURE_LIMIT: Duration = Duration::from_secs(5);
/// Lines asked for; the keeper gives as many as it has and fit into a picture.
const HISTORY_LINES: u32 = 10_000;
/// Memory for lines: a hundred thousand of eighty columns.
const HISTORY_BYTES: u64 = 256 * 1024 * 1024;
/// Recorded bytes that are read back, the last of them: a second's work. 'autodev logs' has
/// the rest.
const RECORDING_BYTES: u64 = 64 * 1024 * 1024;
/// Read at once.
const CHUNK: usize = 64 * 1024;

/// What the keeper has in memory, and how many bytes the program had written by then.
///
/// # Errors
/// When the keeper does not answer.
pub(super) fn from_keeper(paths: &Paths, session: &SessionName) -> Result<(Rows, u64), Fault> {
    let (mut link, _) = find::connect(paths, session)?;
    let failed = |error: io::Error| Fault::internal(format!("session {session} cannot be looked at: {error}"));
    let attach = Attach { read_only: true, history_lines: HISTORY_LINES, ..Attach::default() };
    link.send(&ToKeeper::Attach(attach)).map_err(failed)?;
    link.send(&ToKeeper::Status).map_err(failed)?;
    let deadline = Instant::now() + PICTURE_LIMIT;
    let mut size = None;
    let mut picture: Option<(u64, Vec<u8>)> = None;
    let mut whole = false;
    loop {
        match link.receive(Some(deadline.saturating_duration_since(Instant::now()))).map_err(failed)? {
            FromKeeper::Status(status) => size = Some((status.columns, status.rows)),
            FromKeeper::Picture { offset, bytes } => {
                whole = bytes.len() < PICTURE_PART;
                picture = Some((offset, bytes));
            }
            FromKeeper::Output { bytes: part, .. } if !whole => {
                whole = part.len() < PICTURE_PART;
                picture.iter_mut().for_each(|(_, bytes)| bytes.extend_from_slice(&part));
            }
            _ => {}
        }
        if let (Some((columns, rows)), Some((offset, bytes)), true) = (size, &picture, whole) {
            let mut copy = Screen::new(columns, rows, HISTORY_BYTES);
            copy.feed(bytes, &mut Vec::new());
            return Ok((flat(copy), *offset));
        }
    }
}

/// The same from the recording, up to the byte `end` of what the program wrote.
///
/// # Errors
/// When the recording cannot be read.
pub(super) fn from_recording(paths: &Paths, session: &SessionName, end: u64, now: &Rows) -> io::Result<Rows> {
    let mut reader = Reader::open(&Source::Directory(paths.live_session(session).0))?;
    let from = end.saturating_sub(RECORDING_BYTES);
    let (columns, rows) = now.size();
    let mut copy = Screen::new(columns, rows, HISTORY_BYTES);
    let mut buffer = vec![0; CHUNK];
    let mut scratch = Vec::new();
    for Step { event, .. } in reader.timeline() {
        let (mut at, until) = match event {
            Event::Resize { columns, rows } => {
                copy.resize(columns, rows);
                continue;
            }
            Event::Output { offset, end: until } => (offset.max(from), until.min(end)),
        };
        while at < until {
            let room = usize::try_from(until - at).unwrap_or(CHUNK).min(CHUNK);
            let Some(piece) = reader.read(at, &mut buffer[..room])?.filter(|piece| piece.offset < until) else { break };
            copy.feed(&buffer[..piece.length], &mut scratch);
            // Nobody is there to be answered, or to be shown anything.
            drop(copy.take_answers());
            scratch.clear();
            at = piece.offset + piece.length as u64;
        }
    }
    copy.resize(columns, rows);
    Ok(flat(copy))
}

/// The alternate screen's lines below those of the primary one: all is to be seen.
fn flat(mut copy: Screen) -> Rows {
    if copy.is_alternate() {
        let lines = copy.lines(copy.size());
        let row = copy.below();
        let mut bytes = screen::leave();
        bytes.extend_from_slice(format!("\x1b[{row};1H").as_bytes());
        for line in lines {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(&line);
        }
        copy.feed(&bytes, &mut Vec::new());
    }
    copy.into_rows()
}
