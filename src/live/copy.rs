//! The copy of one instance, over one connection: where it is, and bringing it further.

use std::fs;
use std::path::Path;

use redis::cmd;
use serde_json::json;

use super::link::{Link, Trouble};
use super::target::Target;
use super::{FORMAT, scripts};
use crate::clock::Timestamp;
use crate::id::TaskId;
use crate::protocol::view::EventView;
use crate::store::{Lineage, Mark, Store, TaskRow};
use crate::task::Status;

/// Hexadecimal digits that tell instances apart.
const INSTANCE: usize = 12;

/// Whether a change fits the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It did, and is in it.
    Good,
    /// The copy is not of this life of the database, or not whole.
    NoEpoch,
    /// The copy is somewhere else in the history.
    Gap,
}

/// What a key of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The place, or the stream: there is one of each.
    Fixed,
    /// A state's set.
    State(Status),
    /// A set that is being built.
    Building,
    /// A task.
    Task(TaskId),
    /// Nothing.
    Nothing,
}

/// The copy of this instance, over one connection.
pub(super) struct Copy {
    pub link: Link,
    pub store: Store,
    /// What the names of its keys begin with.
    pub base: String,
    pub epoch: String,
    /// The server's start, as it tells it.
    pub run: String,
    pub titles: bool,
    instances: String,
    instance: String,
}

impl Copy {
    pub fn new(target: &Target, lineage: &Lineage, run: String, link: Link, store: Store) -> Copy {
        let id: String = lineage.install.to_string().chars().filter(char::is_ascii_hexdigit).collect();
        // The end is random, the beginning is the time. Braces keep all of it in one slot of
        // a cluster.
        let instance = id[id.len().saturating_sub(INSTANCE)..].to_owned();
        Copy {
            base: format!("{}:{{{instance}}}", target.prefix),
            instances: format!("{}:instances", target.prefix),
            instance,
            epoch: lineage.epoch.to_string(),
            run,
            titles: target.titles,
            link,
            store,
        }
    }

    /// Says whose the keys are, for people; where that cannot be said it does not matter.
    pub async fn announce(&mut self, state: &Path) {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let state = state.to_string_lossy();
        let about = json!({ "host": host.trim(), "state_directory": state, "connected_at": Timestamp::now() });
        let said = self.link.ask(cmd("HSET").arg(&self.instances).arg(&self.instance).arg(about.to_string())).await;
        if let Err::<(), _>(trouble) = said {
            tracing::debug!(key = self.instances, ?trouble, "whose the copy in Redis is cannot be written there");
        }
    }

    /// The form of what is in it: one with titles is not one without.
    pub fn form(&self) -> String {
        if self.titles { format!("{FORMAT}, with titles") } else { FORMAT.to_string() }
    }

    /// What a key is for.
    pub fn part(&self, key: &[u8]) -> Part {
        let name = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(&self.base)?.strip_prefix(':'));
        let Some(name) = name else { return Part::Nothing };
        let state = |name: &str| Status::ALL.into_iter().find(|state| state.name() == name);
        match name.split_once(':') {
            None if matches!(name, "meta" | "events") => Part::Fixed,
            Some(("state", name)) => state(name).map_or(Part::Nothing, Part::State),
            Some(("building", name)) => state(name).map_or(Part::Nothing, |_| Part::Building),
            // As we write it: 007 is none of ours.
            Some(("task", id)) => match id.parse() {
                Ok(task) if TaskId::to_string(&task) == id => Part::Task(task),
                _ => Part::Nothing,
            },
            _ => Part::Nothing,
        }
    }

    /// How far the copy is; or why there is none of this history.
    pub async fn place(&mut self) -> Result<Result<Mark, String>, Trouble> {
        let mut ask = cmd("HMGET");
        ask.arg(format!("{}:meta", self.base)).arg(&["epoch", "seq", "hash", "format", "server"]);
        let known: Result<Vec<Option<String>>, Trouble> = self.link.ask(&ask).await;
        let known = match known {
            Ok(known) => known,
            Err(Trouble::Copy(why)) => return Ok(Err(why)),
            Err(other) => return Err(other),
        };
        let [Some(epoch), Some(seq), Some(hash), Some(format), run] = known.as_slice() else {
            return Ok(Err("there is none".into()));
        };
        if *epoch != self.epoch {
            return Ok(Err("it is of the database before a restore".into()));
        }
        if *format != self.form() {
            return Ok(Err(format!("its form is '{format}' and not '{}'", self.form())));
        }
        // A log of changes that was cut off within a transaction may bring a part of it back
        // with a later start (seen with Redis 7.0): only what one start of the server has seen
        // whole is to be relied on.
        if self.run.is_empty() {
            return Ok(Err("the server does not say when it was started (INFO)".into()));
        }
        if run.as_deref() != Some(self.run.as_str()) {
            return Ok(Err("the server was started anew since".into()));
        }
        let at = Mark { seq: seq.parse().unwrap_or(-1), hash: hash.clone() };
        match self.store.mark(at.seq).await? {
            Some(mark) if mark == at => Ok(Ok(at)),
            Some(_) => Ok(Err(format!("its entry {seq} is not this history's"))),
            None => {
                let head = self.store.head().await?.seq;
                tracing::error!(
                    copied = seq,
                    head,
                    "the copy in Redis knows more entries than the database: was an old state directory put back?"
                );
                Ok(Err(format!("it is at entry {seq}, and the history ends at {head}: an old one was put back")))
            }
        }
    }

    /// Brings it from one place to another, if it is at the first.
    pub async fn apply(
        &mut self,
        from: &Mark,
        to: &Mark,
        rows: &[TaskRow],
        events: &[EventView],
    ) -> Result<Fit, Trouble> {
        let call = scripts::apply(&self.base, &self.epoch, from, to, rows, events, self.titles);
        match self.link.run(call).await?.as_str() {
            "OK" => Ok(Fit::Good),
            "EPOCH" => Ok(Fit::NoEpoch),
            _ => Ok(Fit::Gap),
        }
    }
}
