//! The threads that read, each with a read-only connection of its own.

use std::path::PathBuf;

use crossbeam_channel::Receiver;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::StoreError;
use super::failure::Failure;

/// A long question must not keep the short ones waiting; more than two cores' worth of
/// questions would only wait elsewhere.
pub(super) const THREADS: usize = 2;

/// A question.
pub(super) trait Question: Send {
    /// Asks and answers it.
    fn answer(self: Box<Self>, reader: &mut Reader);
}

/// A reading connection and what else is needed to answer.
#[derive(Debug)]
pub(super) struct Reader {
    pub conn: Connection,
    /// Where recordings lie until they are moved.
    pub live_sessions: PathBuf,
    /// The state directory.
    pub state: PathBuf,
}

/// A [`Question`] made of a closure.
pub(super) struct Ask<T, F> {
    pub work: F,
    pub reply: oneshot::Sender<Result<T, StoreError>>,
    /// A place in the queue, free again when this is dropped.
    pub _place: OwnedSemaphorePermit,
}

impl<T: Send, F: FnOnce(&mut Reader) -> Result<T, Failure> + Send> Question for Ask<T, F> {
    fn answer(self: Box<Self>, reader: &mut Reader) {
        let answer = snapshot(reader, self.work).map_err(Failure::of_read);
        // Whoever asked may have left.
        let _ = self.reply.send(answer);
    }
}

/// Everything one question reads is of the same moment.
fn snapshot<T>(reader: &mut Reader, work: impl FnOnce(&mut Reader) -> Result<T, Failure>) -> Result<T, Failure> {
    reader.conn.prepare_cached("BEGIN")?.execute([])?;
    let result = work(reader);
    reader.conn.prepare_cached("ROLLBACK")?.execute([])?;
    result
}

/// Answers until nobody is left to ask.
pub(super) fn run(mut reader: Reader, questions: &Receiver<Box<dyn Question>>) {
    for question in questions {
        question.answer(&mut reader);
    }
}
