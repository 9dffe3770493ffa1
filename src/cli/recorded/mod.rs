//! Where a session's recorded output is, and reading it while it moves: a session that
//! ends is taken from the live directory to the done one, perhaps into a pack. What is
//! damaged is said on standard error, and the rest is read.

pub mod all;
pub mod moment;
pub mod playback;

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::Context;
use crate::client::{find, unexpected};
use crate::clock::Timestamp;
use crate::id::SessionName;
use crate::protocol::view::{RecordingView, SessionState, SessionView};
use crate::protocol::{Fault, FaultCode, Reply, Request};
use crate::recording::index::Mark;
use crate::recording::{Piece, Reader, Source};

/// How often a recording is looked for that is being moved: the place is stored first, and
/// then it goes there.
const LOOKS: u32 = 8;

/// Rows of a screen that never had another size.
const DEFAULT_ROWS: u16 = 40;

/// A session's recording.
#[derive(Debug)]
pub struct Recorded<'a> {
    ctx: &'a Context,
    session: SessionName,
    reader: Reader,
    /// Where it was found: not looked for there again.
    source: Source,
    /// Bytes the program wrote, where the daemon knows.
    written: u64,
    /// When its program ended, where that is known.
    ended_at: Option<Timestamp>,
    /// Zeros at the end that are left out, as was said.
    zeros: u64,
    /// Something could not be read, as was said.
    damaged: bool,
    /// Bytes that are not there, as a look at all there is has shown.
    hole: Range<u64>,
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
            let source = Source::Directory(ctx.paths.live_session(&session).0);
            let ended_at = find::exit_record(&ctx.paths, &session).map(|record| record.ended_at);
            match Recorded::open(ctx, session, source, 0, ended_at) {
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

    /// The recording of a session as the daemon knows it, if it has one.
    fn of(ctx: &Context, view: SessionView) -> io::Result<Option<Recorded<'_>>> {
        let Some(recording) = view.recording else { return Ok(None) };
        Recorded::open(ctx, view.name, source(&recording), recording.bytes, view.ended_at).map(Some)
    }

    fn open(
        ctx: &Context,
        session: SessionName,
        source: Source,
        written: u64,
        ended_at: Option<Timestamp>,
    ) -> io::Result<Recorded<'_>> {
        let reader = Reader::open(&source)?;
        Ok(Recorded { ctx, session, reader, source, written, ended_at, zeros: 0, damaged: false, hole: 0..0 })
    }

    /// Whose it is.
    pub fn session(&self) -> &SessionName {
        &self.session
    }

    /// Its keeper is there, or has been: a directory is made before the keeper is started.
    pub fn has_begun(&self) -> bool {
        let live = Source::Directory(self.ctx.paths.live_session(&self.session).0);
        self.source != live
            || find::is_live(&self.ctx.paths, &self.session)
            || find::exit_record(&self.ctx.paths, &self.session).is_some()
    }

    /// Its keeper lives: more may come.
    pub fn is_live(&self) -> bool {
        find::is_live(&self.ctx.paths, &self.session)
    }

    /// The recording as it was when last looked at.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Something could not be read.
    pub fn is_damaged(&self) -> bool {
        self.damaged
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
        let end = if self.is_live() { Some(Timestamp::now()) } else { self.ended_at };
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
        self.written.max(self.reader.end())
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
        if self.is_live() {
            return Ok(());
        }
        let zeros = match self.reading(Reader::leave_out_zeros) {
            Ok(zeros) => zeros,
            // Moved this moment: who reads it looks for it again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(unreadable(&self.session, &error)),
        };
        if zeros > self.zeros {
            let text = "zeros at its end, as a power cut leaves them, are left out";
            self.ctx.output.note(&format!("[the recording of session {}: {zeros} {text}]", self.session));
            self.zeros = zeros;
        }
        Ok(())
    }

    /// Reads; says what is damaged, once, and goes on without it.
    fn reading<T>(&mut self, mut read: impl FnMut(&mut Reader) -> io::Result<T>) -> io::Result<T> {
        loop {
            match read(&mut self.reader) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.ctx.output.note(&format!("[the recording of session {}: {error}]", self.session));
                    self.damaged = true;
                }
                done => return done,
            }
        }
    }

    /// Reads from `from` on, at most up to `to`: where the bytes begin and how many there
    /// are; `None` when there are no more. What lies between `from` and where they begin
    /// is not kept.
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
        Ok(piece
            .filter(|(offset, _)| *offset < to)
            .map(|(offset, length)| (offset, length.min(usize::try_from(to - offset).unwrap_or(usize::MAX)))))
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

    /// Its directory is gone: looks where it has gone to.
    fn find_again(&mut self) -> Result<(), Fault> {
        match Self::find(self.ctx, self.session.as_str()) {
            Ok(found) => {
                (self.reader, self.source, self.ended_at) = (found.reader, found.source, found.ended_at);
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
    let path = PathBuf::from(&view.path);
    match view.pack_offset {
        Some(offset) => Source::Pack { path, offset },
        None => Source::Directory(path),
    }
}

fn unreadable(session: &dyn std::fmt::Display, error: &io::Error) -> Fault {
    Fault::internal(format!("the recording of session {session} cannot be read: {error}"))
}
