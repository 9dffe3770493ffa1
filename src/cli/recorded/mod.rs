//! Where a session's recorded output is, and reading it while it moves: a session that
//! ends is taken from the live directory to the done one, perhaps into a pack. What is
//! damaged is said on standard error, and the rest is read.

pub mod all;
pub mod moment;
pub mod playback;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::Context;
use crate::client::{find, unexpected};
use crate::clock::Timestamp;
use crate::id::{SessionName, Uid};
use crate::lock::FileLock;
use crate::paths::SessionDir;
use crate::process;
use crate::protocol::exit::ExitRecord;
use crate::protocol::keeper::{FromKeeper, ToKeeper};
use crate::protocol::launch::LaunchSpec;
use crate::protocol::view::{RecordingView, SessionState, SessionView};
use crate::protocol::{Fault, FaultCode, Reply, Request};
use crate::recording::index::Mark;
use crate::recording::{Piece, Reader, Source};

/// How often a recording is looked for that is being moved: the place is stored first, and
/// then it goes there.
const LOOKS: u32 = 8;

/// How long a keeper may take to say how its session is.
const STATUS_LIMIT: Duration = Duration::from_secs(1);

/// Rows of a screen that never had another size.
const DEFAULT_ROWS: u16 = 40;

/// A session's recording.
#[derive(Debug)]
pub struct Recorded<'a> {
    ctx: &'a Context,
    session: SessionName,
    /// The session's identity: another may have its name by now.
    uid: Option<Uid>,
    reader: Reader,
    /// Where it was found.
    source: Source,
    end: End,
    /// Zeros at the end that are left out, as was said.
    zeros: u64,
    /// Something could not be read, as was said.
    damaged: bool,
    /// Bytes that are not there, as a look at all there is has shown.
    hole: Range<u64>,
    /// Up to here it was said what is missing.
    told: u64,
    /// What is said later.
    held: Option<Vec<String>>,
}

/// How a session ended, as far as that is known.
#[derive(Debug, Default)]
struct End {
    at: Option<Timestamp>,
    /// Bytes the program wrote, recorded or not.
    written: u64,
    /// SHA-256 of what was recorded, in hexadecimal.
    sha256: Option<String>,
    /// The boot in which it ended: no power was cut since.
    boot_id: Option<String>,
}

impl From<ExitRecord> for End {
    fn from(record: ExitRecord) -> End {
        End {
            at: Some(record.ended_at),
            written: record.recording_bytes,
            sha256: Some(record.recording_sha256),
            boot_id: Some(record.boot_id),
        }
    }
}

impl Recorded<'_> {
    /// Finds the recording that `target` means: the last attempt of a task by its number.
    /// Without the daemon as long as the session's end is not settled.
    ///
    /// # Errors
    /// `NotFound` when there is no such session, `Conflict` when it has printed nothing
    /// because it has not begun.
    pub fn find<'a>(ctx: &'a Context, target: &str) -> Result<Recorded<'a>, Fault> {
        let mut left = LOOKS;
        loop {
            left -= 1;
            match Self::look(ctx, target)? {
                Ok(mut recorded) => {
                    recorded.trim()?;
                    return Ok(recorded);
                }
                Err(error) if left == 0 || error.kind() != io::ErrorKind::NotFound => {
                    return Err(unreadable(&target, &error));
                }
                // Moved this moment.
                Err(_) => {}
            }
        }
    }

    /// One look at where it should be; the inner error says that it cannot be read there.
    fn look<'a>(ctx: &'a Context, target: &str) -> Result<io::Result<Recorded<'a>>, Fault> {
        if let Some(session) = find::by_target(find::unsettled(&ctx.paths)?, target) {
            match Recorded::unsettled(ctx, session) {
                // Moved this moment: the daemon knows where to.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return Ok(opened),
            }
        }
        let view = ask(ctx, target)?;
        let (session, state, task) = (view.name.clone(), view.state, view.task);
        match Recorded::of(ctx, *view).transpose() {
            Some(opened) => Ok(opened),
            None => {
                let (yet, hint) = match (state, task) {
                    (SessionState::Starting | SessionState::Running | SessionState::Paused, _) => {
                        (" yet", format!("follow it: autodev logs -f {session}"))
                    }
                    (_, Some(task)) => ("", format!("'autodev show {task}' says how it ended")),
                    (_, None) => ("", "'autodev sessions --all' says how it ended".to_owned()),
                };
                Err(Fault::conflict(format!("session {session} has printed nothing{yet}")).hint(hint))
            }
        }
    }

    /// The recording of a session that has a directory among the live ones.
    fn unsettled(ctx: &Context, session: SessionName) -> io::Result<Recorded<'_>> {
        let dir = ctx.paths.live_session(&session);
        let mut recorded = Recorded::open(ctx, session, None, Source::Directory(dir.0.clone()))?;
        recorded.uid = read_json::<LaunchSpec>(&dir.launch()).map(|spec| spec.uid);
        recorded.end = read_json::<ExitRecord>(&dir.exit()).map(End::from).unwrap_or_default();
        // All this was the same session's.
        if recorded.reader.is_moved() { Err(io::ErrorKind::NotFound.into()) } else { Ok(recorded) }
    }

    /// The recording of a session as the daemon knows it, if it has one.
    fn of(ctx: &Context, view: SessionView) -> io::Result<Option<Recorded<'_>>> {
        let Some(recording) = view.recording else { return Ok(None) };
        let source = source(&recording);
        let mut recorded = Recorded::open(ctx, view.name, Some(view.session_id), source)?;
        recorded.end =
            End { at: view.ended_at, written: recording.bytes, sha256: recording.sha256, boot_id: recorded.boot_id() };
        Ok(Some(recorded))
    }

    fn open(ctx: &Context, session: SessionName, uid: Option<Uid>, source: Source) -> io::Result<Recorded<'_>> {
        let reader = Reader::open(&source)?;
        let (end, hole) = (End::default(), 0..0);
        Ok(Recorded { ctx, session, uid, reader, source, end, zeros: 0, damaged: false, hole, told: 0, held: None })
    }

    /// The session's own directory, where it has one.
    fn directory(&self) -> Option<SessionDir> {
        match &self.source {
            Source::Directory(path) => Some(SessionDir(path.clone())),
            Source::Pack { .. } => None,
        }
    }

    fn boot_id(&self) -> Option<String> {
        read_json::<ExitRecord>(&self.directory()?.exit()).map(|record| record.boot_id)
    }

    /// Whose it is.
    pub fn session(&self) -> &SessionName {
        &self.session
    }

    /// Its keeper is there, or has been: a directory is made before the keeper is started.
    pub fn has_begun(&self) -> bool {
        let live = Source::Directory(self.ctx.paths.live_session(&self.session).0);
        self.source != live || self.is_live() || self.end.at.is_some() || self.reader.is_moved()
    }

    /// Its keeper lives: more may come.
    pub fn is_live(&self) -> bool {
        // The path may be another's by now.
        self.directory().is_some_and(|dir| FileLock::is_held(&dir.lock()).unwrap_or(false)) && !self.reader.is_moved()
    }

    /// Its identity, where that is known.
    pub fn uid(&self) -> Option<Uid> {
        self.uid
    }

    /// The recording as it was when last looked at.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Something could not be read, or a file is not there.
    pub fn is_damaged(&self) -> bool {
        self.damaged || (self.reader.is_incomplete() && !self.is_live())
    }

    /// When recording began, and how many milliseconds it goes on: up to now while the
    /// session lives.
    ///
    /// # Errors
    /// When there is no timing.
    pub fn times(&self) -> Result<(Timestamp, u32), Fault> {
        let Some(began) = self.reader.began() else {
            return Err(Fault::internal(format!("the timing of session {} is not there", self.session)));
        };
        let end = if self.is_live() { Some(Timestamp::now()) } else { self.end.at };
        let length = end.map_or(0, |end| u32::try_from(end.since(began).as_millis()).unwrap_or(u32::MAX));
        Ok((began, length.max(self.reader.last_ms())))
    }

    /// Where the last `lines` lines begin.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tail(&mut self, lines: usize) -> Result<u64, Fault> {
        self.reading(|reader| reader.tail(lines)).map_err(|error| unreadable(&self.session, &error))
    }

    /// Bytes the program wrote, recorded or not.
    pub fn written(&self) -> u64 {
        self.end.written.max(self.reader.end())
    }

    /// Bytes that a living keeper could not record, and not note either: the disk is full.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn lost_unnoted(&mut self) -> Result<u64, Fault> {
        if !self.is_live() {
            return Ok(0);
        }
        // One that does not answer knows nothing that could be said.
        let Ok((mut link, hello)) = find::connect(&self.ctx.paths, &self.session) else { return Ok(0) };
        let lost = link.ask(&ToKeeper::Status, STATUS_LIMIT, |message| match message {
            FromKeeper::Status(status) => Some(status.lost),
            _ => None,
        });
        let Some(lost) = lost.ok().filter(|_| self.uid.is_none_or(|uid| uid == hello.uid)) else { return Ok(0) };
        self.refresh()?;
        let noted = self.reader.entries().iter().filter_map(|entry| match entry.mark {
            Mark::Gap { bytes } => Some(bytes),
            _ => None,
        });
        Ok(lost.saturating_sub(noted.sum()))
    }

    /// Rows of the largest screen the session had.
    pub fn rows(&self) -> u16 {
        self.sizes().map(|(_, rows)| rows).max().unwrap_or(DEFAULT_ROWS)
    }

    /// The screen's first size, where the timing is there.
    pub fn size(&self) -> Option<(u16, u16)> {
        self.sizes().next()
    }

    fn sizes(&self) -> impl Iterator<Item = (u16, u16)> {
        self.reader.entries().iter().filter_map(|entry| match entry.mark {
            Mark::Resize { columns, rows } => Some((columns, rows)),
            _ => None,
        })
    }

    /// Looks for what was written since.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn refresh(&mut self) -> Result<(), Fault> {
        match self.reader.refresh() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.find_again(),
            Err(error) => Err(unreadable(&self.session, &error)),
            Ok(()) => self.trim(),
        }
    }

    /// Leaves out what a power cut left at the end.
    fn trim(&mut self) -> Result<(), Fault> {
        if self.is_live() || (self.end.boot_id.is_some() && self.end.boot_id == process::boot_id().ok()) {
            return Ok(());
        }
        let trimmed = self.reading(|reader| {
            let zeros = reader.zeros_at_end()?;
            Ok(if zeros > 0 { Some((zeros, reader.sha256()?)) } else { None })
        });
        match trimmed {
            // The program has printed them.
            Ok(Some((_, sha256))) if self.end.sha256.as_ref() == Some(&sha256) => {}
            Ok(Some((zeros, _))) => {
                self.reader.leave_out(zeros);
                if zeros > self.zeros {
                    let text = "zeros at its end, as a power cut leaves them, are left out";
                    self.note(format!("[the recording of session {}: {zeros} {text}]", self.session));
                    self.zeros = zeros;
                }
            }
            Ok(None) => {}
            // Moved this moment: who reads it looks for it again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&self.session, &error)),
        }
        Ok(())
    }

    /// Reads; says what is damaged, once, and goes on without it.
    fn reading<T>(&mut self, mut read: impl FnMut(&mut Reader) -> io::Result<T>) -> io::Result<T> {
        loop {
            match read(&mut self.reader) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.note(format!("[the recording of session {}: {error}]", self.session));
                    self.damaged = true;
                }
                done => return done,
            }
        }
    }

    /// Reads from `from` on, at most up to `to`: where the bytes begin and how many there
    /// are; `None` when there are no more. What lies between `from` and where they begin
    /// is not kept: see [`Recorded::missing`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self, from: u64, to: u64, buffer: &mut [u8]) -> Result<Option<(u64, usize)>, Fault> {
        if from >= to {
            return Ok(None);
        }
        let mut piece = self.read_once(from, buffer)?;
        if piece.is_none_or(|(offset, _)| offset > from) && from < self.reader.end() && !self.hole.contains(&from) {
            // Not kept, or moved since we looked.
            self.refresh()?;
            piece = self.read_once(from, buffer)?;
            self.hole = from..piece.map_or(self.reader.end(), |(offset, _)| offset);
        }
        let Some((offset, length)) = piece.filter(|(offset, _)| *offset < to) else { return Ok(None) };
        Ok(Some((offset, length.min(usize::try_from(to - offset).unwrap_or(usize::MAX)))))
    }

    /// Says once that the bytes between these are not there.
    pub fn missing(&mut self, from: u64, to: u64) {
        let from = from.max(self.told);
        if to > from {
            self.told = to;
            self.note(format!("[{} bytes are not in the recording of session {}]", to - from, self.session));
        }
    }

    fn read_once(&mut self, from: u64, buffer: &mut [u8]) -> Result<Option<(u64, usize)>, Fault> {
        let read = match self.reading(|reader| reader.read(from, buffer)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.find_again()?;
                self.reading(|reader| reader.read(from, buffer))
            }
            read => read,
        };
        match read {
            Ok(piece) => Ok(piece.map(|Piece { offset, length }| (offset, length))),
            Err(error) => Err(unreadable(&self.session, &error)),
        }
    }

    /// Keeps what is to be said, for while the terminal shows something else.
    pub fn hold_notes(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Says what was kept.
    pub fn tell_notes(&mut self) {
        for text in self.held.take().unwrap_or_default() {
            self.ctx.output.note(&text);
        }
    }

    fn note(&mut self, text: String) {
        match &mut self.held {
            Some(held) => held.push(text),
            None => self.ctx.output.note(&text),
        }
    }

    /// Its directory is gone: looks where it has gone to.
    fn find_again(&mut self) -> Result<(), Fault> {
        let target = self.uid.map_or_else(|| self.session.to_string(), |uid| uid.to_string());
        match Self::find(self.ctx, &target) {
            Ok(found) => {
                (self.reader, self.source, self.end) = (found.reader, found.source, found.end);
                self.zeros = self.zeros.max(found.zeros);
                Ok(())
            }
            // There was nothing to keep.
            Err(fault) if fault.code == FaultCode::Conflict => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

fn ask(ctx: &Context, target: &str) -> Result<Box<SessionView>, Fault> {
    match ctx.client()?.call(&Request::Session { target: target.to_owned() })? {
        Reply::Session(view) => Ok(view),
        other => Err(unexpected(&other)),
    }
}

fn source(view: &RecordingView) -> Source {
    Source::new(PathBuf::from(&view.path), view.pack_offset)
}

fn read_json<T: DeserializeOwned>(path: &std::path::Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn unreadable(session: &dyn std::fmt::Display, error: &io::Error) -> Fault {
    Fault::internal(format!("the recording of session {session} cannot be read: {error}"))
}
