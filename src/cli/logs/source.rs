//! Where a session's recorded output is, and reading it while it moves: a session that
//! ends is taken from the live directory to the done one, perhaps into a pack.

use std::io;
use std::path::PathBuf;

use super::super::Context;
use crate::client::{find, unexpected};
use crate::id::SessionName;
use crate::protocol::view::{RecordingView, SessionState, SessionView};
use crate::protocol::{Fault, FaultCode, Reply, Request};
use crate::recording::index::Mark;
use crate::recording::{Reader, Source};

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
                Ok(recorded) => return Ok(recorded),
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
            match Reader::open(&source) {
                Ok(reader) => return Ok(Ok(Recorded { ctx, session, reader, source, written: 0 })),
                // Moved this moment: the daemon knows where to.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        let view = ask(ctx, target)?;
        let session = view.name.clone();
        let source = view.recording.as_ref().map(source).ok_or_else(|| {
            let (yet, hint) = match (view.state, view.task) {
                (SessionState::Starting | SessionState::Running | SessionState::Paused, _) => {
                    (" yet", format!("follow it: autodev logs -f {session}"))
                }
                (_, Some(task)) => ("", format!("'autodev show {task}' says how it ended")),
                (_, None) => ("", "'autodev sessions --all' says how it ended".to_owned()),
            };
            Fault::conflict(format!("session {session} has printed nothing{yet}")).hint(hint)
        })?;
        let written = view.recording.map_or(0, |recording| recording.bytes);
        Ok(Reader::open(&source).map(|reader| Recorded { ctx, session, reader, source, written }))
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

    /// The recording as it was when last looked at.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Bytes the program wrote, recorded or not.
    pub fn written(&self) -> u64 {
        self.written.max(self.reader.end())
    }

    /// Rows of the largest screen the session had.
    pub fn rows(&self) -> u16 {
        let sizes = self.reader.entries().iter().filter_map(|entry| match entry.mark {
            Mark::Resize { rows, .. } => Some(rows),
            _ => None,
        });
        sizes.max().unwrap_or(DEFAULT_ROWS)
    }

    /// Looks for what was written since.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn refresh(&mut self) -> Result<(), Fault> {
        match self.reader.refresh() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.find_again(),
            Err(error) => Err(unreadable(&self.session, &error)),
            Ok(()) => Ok(()),
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
        if piece.is_none_or(|(offset, _)| offset > from) && from < self.reader.end() {
            // Not kept, or moved since we looked.
            self.refresh()?;
            piece = self.read_once(from, buffer)?;
        }
        Ok(piece
            .filter(|(offset, _)| *offset < to)
            .map(|(offset, length)| (offset, length.min(usize::try_from(to - offset).unwrap_or(usize::MAX)))))
    }

    fn read_once(&mut self, from: u64, buffer: &mut [u8]) -> Result<Option<(u64, usize)>, Fault> {
        let read = match self.reader.read(from, buffer) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.find_again()?;
                self.reader.read(from, buffer)
            }
            read => read,
        };
        match read {
            Ok(piece) => Ok(piece.map(|piece| (piece.offset, piece.length))),
            Err(error) => Err(unreadable(&self.session, &error)),
        }
    }

    /// Its directory is gone: looks where it has gone to.
    fn find_again(&mut self) -> Result<(), Fault> {
        match Self::find(self.ctx, self.session.as_str()) {
            Ok(found) => {
                (self.reader, self.source) = (found.reader, found.source);
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
