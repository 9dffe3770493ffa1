//! Sessions: stored, named, begun, ended, looked up.

use std::collections::BTreeMap;

use serde_json::json;

use crate::id::{SessionName, Uid};
use crate::protocol::exit::ExitRecord;
use crate::protocol::launch::LaunchSpec;
use crate::protocol::view::{SessionState, SessionView};
use crate::store::{
    FEW_ROWS, NewSession, RecordingMove, RecordingPlace, Store, StoreError, StoredSession, Unfinished, findings,
    sessions, show,
};
use crate::task::Actor;

impl Store {
    /// Stores a session without a task.
    ///
    /// # Errors
    /// `Conflict` when a live session has the name, `Usage` when it looks like a task's.
    pub async fn new_session(&self, session: NewSession) -> Result<StoredSession, StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::new_session(tx, &session)).await
    }

    /// A session found running whose row is missing: stored under its own name, or
    /// `unknown-N` if that is taken or is an attempt's.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn adopt_unknown(&self, spec: LaunchSpec) -> Result<StoredSession, StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::adopt_unknown(tx, &spec)).await
    }

    /// The session's program is about to be told to run.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it has ended or is a task's.
    pub async fn start_session(
        &self,
        session: Uid,
        argv: Vec<String>,
        keeper_pid: Option<u32>,
    ) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::start(tx, session, &argv, keeper_pid)).await
    }

    /// A session without a task has ended, or was lost (no record). Saying it again
    /// changes nothing.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it is a task's.
    pub async fn end_session(
        &self,
        session: Uid,
        state: SessionState,
        error: Option<String>,
        record: Option<ExitRecord>,
    ) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::end(tx, session, state, error.as_deref(), record.as_ref())).await
    }

    /// Recordings have moved.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn recordings_moved(&self, moved: Vec<RecordingMove>) -> Result<(), StoreError> {
        self.write(moved.len(), move |tx| sessions::recordings_moved(tx, &moved)).await
    }

    /// Where the recordings of these sessions are, of those that are known.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recording_places(&self, sessions: Vec<Uid>) -> Result<Vec<RecordingPlace>, StoreError> {
        self.read(move |r| Ok(findings::recording_places(&r.conn, &sessions)?)).await
    }

    /// Gives a session without a task another name.
    ///
    /// # Errors
    /// As [`Self::new_session`], and `NotFound`.
    pub async fn rename_session(&self, from: SessionName, to: SessionName) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::rename(tx, &from, &to)).await
    }

    /// The newest `limit` sessions that have not ended, or with `all` of all, older than
    /// `before`; oldest first.
    ///
    /// # Errors
    /// `NotFound` without a session `before`; when the database cannot be read.
    pub async fn sessions(&self, all: bool, before: Option<Uid>, limit: u32) -> Result<Vec<SessionView>, StoreError> {
        self.read(move |r| show::sessions(&r.conn, &r.live_sessions, all, before, limit)).await
    }

    /// By session name, by attempt, or the current or last session of a task number.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn session(&self, target: String) -> Result<SessionView, StoreError> {
        self.read(move |r| show::session(&r.conn, &r.live_sessions, &target)).await
    }

    /// A session by its identity, whatever it is called now.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn session_of(&self, session: Uid) -> Result<SessionView, StoreError> {
        self.read(move |r| show::session_of(&r.conn, &r.live_sessions, session)).await
    }

    /// Whether there is a session of this identity.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn has_session(&self, session: Uid) -> Result<bool, StoreError> {
        self.read(move |r| Ok(show::has_session(&r.conn, session)?)).await
    }

    /// Writes down what a start has done about the sessions it found, by how often.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn note_recovery(&self, did: BTreeMap<&'static str, u32>) -> Result<(), StoreError> {
        self.write(FEW_ROWS, move |tx| sessions::append(tx, "daemon_recovered", Actor::Daemon, json!(did))).await
    }

    /// Sessions and attempts whose end is not stored.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        self.read(|r| show::unfinished(&r.conn)).await
    }
}
