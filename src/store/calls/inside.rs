//! What is said, asked and left while a task is worked on.

use std::path::PathBuf;

use crate::id::{AttemptId, TaskId, Uid};
use crate::protocol::reply::Submitted;
use crate::protocol::request::Submit;
use crate::protocol::view::{OutputView, RequestView};
use crate::store::{FEW_ROWS, NewOutput, Store, StoreError, inside, submit};

impl Store {
    /// A note about a task, of an attempt's program or of the user.
    ///
    /// # Errors
    /// `NotFound`; `Limit` when there are too many.
    pub async fn note(&self, task: TaskId, attempt: Option<AttemptId>, text: String) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| inside::note(tx, task, attempt, &text)).await
    }

    /// A question to a person.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when the task has ended; `Limit` when there are too many.
    pub async fn ask(
        &self,
        task: TaskId,
        attempt: Option<AttemptId>,
        question: String,
    ) -> Result<RequestView, StoreError> {
        self.write(FEW_ROWS, move |tx| inside::ask(tx, task, attempt, &question)).await
    }

    /// The answer to a question; the first one counts.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is answered or its task has ended.
    pub async fn answer(&self, request: i64, text: String) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| inside::answer(tx, request, &text)).await
    }

    /// A file kept with a task; it has been copied to where it stays.
    ///
    /// # Errors
    /// `NotFound`; `Limit` when there are too many.
    pub async fn add_output(
        &self,
        state: PathBuf,
        attempt: Option<AttemptId>,
        output: NewOutput,
    ) -> Result<OutputView, StoreError> {
        self.write(FEW_ROWS, move |tx| inside::add_output(tx, &state, attempt, &output)).await
    }

    /// That a program inside a session asked for something it may not.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn note_refused(
        &self,
        attempt: Option<AttemptId>,
        session: Option<Uid>,
        what: &'static str,
        pid: u32,
    ) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| inside::note_refused(tx, attempt, session, what, pid)).await
    }

    /// Stores a task that another one's program submits: it may do no more than that one.
    ///
    /// # Errors
    /// As [`Store::submit`]; `Permission` when it would do more.
    pub async fn submit_child(&self, submit: Submit, parent: AttemptId) -> Result<Submitted, StoreError> {
        self.write(FEW_ROWS, move |tx| submit::submit_child(tx, &submit, parent)).await
    }

    /// The task whose program has submitted this one.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn parent_of(&self, task: TaskId) -> Result<Option<TaskId>, StoreError> {
        self.read(move |r| submit::parent_of(&r.conn, task)).await
    }

    /// One question.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn request(&self, request: i64) -> Result<RequestView, StoreError> {
        self.read(move |r| inside::request(&r.conn, request)).await
    }

    /// How many questions nobody has answered.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_requests(&self) -> Result<u64, StoreError> {
        self.read(|r| inside::open_requests(&r.conn)).await
    }

    /// The newest questions, oldest first; without `all` those that somebody waits for.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn requests(&self, all: bool) -> Result<Vec<RequestView>, StoreError> {
        self.read(move |r| inside::requests(&r.conn, None, all)).await
    }

    /// The files kept with a task.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn outputs(&self, task: TaskId) -> Result<Vec<OutputView>, StoreError> {
        self.read(move |r| inside::outputs(&r.conn, &r.state, Some(task))).await
    }
}
