//! Tasks: stored, changed, claimed, begun, ended.

use crate::id::{AttemptId, TaskId};
use crate::protocol::reply::{BatchStored, Submitted};
use crate::protocol::request::{Edit, Submit, SubmitChunk};
use crate::queue::Limits;
use crate::store::tx::Tx;
use crate::store::{
    Applied, AppliedEach, AttemptEnd, AttemptStart, Claim, FEW_ROWS, Store, StoreError, apply, batch, claim, edit,
    sessions, settings, submit,
};
use crate::task::{Actor, Event, TaskSpec};

/// Tasks that one job of [`Store::apply_all`] changes: others get in between.
const APPLY_CHUNK: usize = 100;

impl Store {
    /// Whether the writer does its work: it takes a job, begins a transaction and ends it.
    /// Nothing is written.
    ///
    /// # Errors
    /// Why not.
    pub async fn responds(&self) -> Result<(), StoreError> {
        self.write(0, |_| Ok(())).await
    }

    /// Whether something can be stored now: something is, durably.
    ///
    /// # Errors
    /// Why not, as on a full disk.
    pub async fn can_store(&self) -> Result<(), StoreError> {
        self.write(1, |tx| Ok(settings::try_out(tx)?)).await
    }

    /// Stores a task, or finds the one stored before under the same key.
    ///
    /// # Errors
    /// `Conflict` when the key was used for other content, `NotFound` when a task in
    /// `after` does not exist.
    pub async fn submit(&self, submit: Submit) -> Result<Submitted, StoreError> {
        self.write(FEW_ROWS, move |tx| submit::submit(tx, &submit)).await
    }

    /// Stores a chunk of a batch, or finds it stored. With the last chunk the tasks become
    /// claimable, some hundred at a time.
    ///
    /// # Errors
    /// `Conflict` when the key or the chunk's place was used for other content, or chunks
    /// before it are missing; `Usage` when a task waits for one that does not stand before
    /// it.
    pub async fn submit_chunk(&self, chunk: SubmitChunk) -> Result<BatchStored, StoreError> {
        self.write(chunk.tasks.len(), move |tx| batch::store(tx, &chunk)).await
    }

    /// Stores a new task like one that has ended.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it has not ended or the key was used for something
    /// else.
    pub async fn resubmit(&self, task: TaskId, key: String) -> Result<Submitted, StoreError> {
        self.write(FEW_ROWS, move |tx| submit::resubmit(tx, task, &key)).await
    }

    /// Changes a task that waits.
    ///
    /// # Errors
    /// `NotFound` for the task or one it is to wait for, `Conflict` when it does not wait
    /// or would wait for itself.
    pub async fn edit(&self, edit: Edit) -> Result<Applied, StoreError> {
        self.write(FEW_ROWS, move |tx| edit::edit(tx, &edit)).await
    }

    /// The task as an edit would leave it.
    ///
    /// # Errors
    /// As [`Self::edit`].
    pub async fn edited(&self, edit: Edit) -> Result<TaskSpec, StoreError> {
        let try_it = move |tx: &mut Tx<'_>| {
            tx.trial(|tx| {
                edit::edit(tx, &edit)?;
                submit::spec(tx, edit.task)
            })
        };
        self.write(FEW_ROWS, try_it).await
    }

    /// Gives a task that has not ended another place in the queue.
    ///
    /// # Errors
    /// `NotFound`; [`StoreError::Refused`] when it has ended.
    pub async fn set_priority(&self, task: TaskId, priority: i32) -> Result<Applied, StoreError> {
        self.write(FEW_ROWS, move |tx| edit::set_priority(tx, task, priority)).await
    }

    /// One event on one task, decided by `task::step`.
    ///
    /// # Errors
    /// `NotFound`; [`StoreError::Refused`] when the event cannot happen to it.
    pub async fn apply(&self, task: TaskId, event: Event, actor: Actor) -> Result<Applied, StoreError> {
        self.write(FEW_ROWS, move |tx| apply::apply(tx, task, &event, actor)).await
    }

    /// The same event on many tasks, in chunks between which others get in; `then` is done
    /// about each as soon as its chunk is stored.
    pub async fn apply_all(
        &self,
        tasks: Vec<TaskId>,
        event: Event,
        actor: Actor,
        then: impl Fn(TaskId, &Result<Applied, StoreError>),
    ) -> AppliedEach {
        let mut results = Vec::with_capacity(tasks.len());
        for chunk in tasks.chunks(APPLY_CHUNK) {
            let (part, event) = (chunk.to_vec(), event.clone());
            let done = match self.write(part.len(), move |tx| apply::apply_each(tx, &part, &event, actor)).await {
                Ok(done) => done,
                Err(error) => chunk.iter().map(|task| (*task, Err(error.clone()))).collect(),
            };
            done.iter().for_each(|(task, result)| then(*task, result));
            results.extend(done);
        }
        results
    }

    /// Claims up to `most` tasks that `queue::admit` lets start, in the order of the queue,
    /// in one transaction: attempt and session rows, `Claimed` events.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn claim(&self, limits: Limits, most: usize) -> Result<Vec<Claim>, StoreError> {
        self.write(most.max(FEW_ROWS), move |tx| claim::claim(tx, &limits, most)).await
    }

    /// `Started`, and what is started.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the attempt is not the current one, or an order to end
    /// it is out.
    pub async fn start_attempt(&self, attempt: AttemptId, start: AttemptStart) -> Result<Applied, StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::start_attempt(tx, attempt, &start)).await
    }

    /// `Ended` and, as nothing has to be collected, `Settled`, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the attempt is not the current one or has ended.
    pub async fn end_attempt(&self, attempt: AttemptId, end: AttemptEnd) -> Result<Applied, StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::end_attempt(tx, attempt, end)).await
    }
}
