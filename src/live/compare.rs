//! Compares all that is in the copy with the database, in steps between which the copy
//! follows. What has changed in between is looked at again.

use std::collections::{BTreeMap, HashMap, HashSet};

use redis::RedisResult;

use super::CHUNK;
use super::copy::{Copy, Part};
use super::fields;
use super::link::Trouble;
use crate::id::TaskId;
use crate::protocol::view::{RedisDifference, RedisReport};
use crate::store::{Mark, TaskRow};
use crate::task::Status;

/// Keys or members that are looked at in one step.
const SCAN: u32 = 1_000;
/// How often a task is looked at again that changes all the time.
const AGAIN: u32 = 100;

/// What is compared next.
#[derive(Clone, Debug)]
enum Next {
    /// Rows and their places in the sets, above this number.
    Rows(TaskId),
    /// Those that had changed.
    Changed(u32),
    /// The stream, after this entry; `None` from its beginning.
    Stream(Option<i64>),
    /// Keys of tasks, from this cursor.
    Keys(u64),
    /// Members of a state's set, from this cursor.
    Members(usize, u64),
    /// The place in the history.
    Place,
    /// Nothing.
    Nothing,
}

/// A comparison under way.
#[derive(Debug)]
pub(super) struct Comparison {
    next: Next,
    changed: Vec<TaskId>,
    report: RedisReport,
}

impl Default for Comparison {
    fn default() -> Self {
        Comparison { next: Next::Rows(TaskId(0)), changed: Vec::new(), report: RedisReport::default() }
    }
}

type Scores = Vec<Option<f64>>;
/// Somebody else may have put any bytes there.
type Hash = HashMap<Vec<u8>, Vec<u8>>;

fn text_of(hash: Hash) -> HashMap<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    hash.into_iter().map(|(name, value)| (text(name), text(value))).collect()
}

impl Comparison {
    /// What was found, of a copy that is at this place.
    pub fn report(self, at: &Mark) -> RedisReport {
        RedisReport { seq: at.seq, ..self.report }
    }

    /// Compares some more of the copy, which is at this place: `true` when there is more.
    pub async fn step(&mut self, copy: &mut Copy, at: &Mark) -> Result<bool, Trouble> {
        self.next = match self.next.clone() {
            Next::Rows(above) => {
                let rows = copy.store.task_rows_above(above, CHUNK).await?;
                self.rows(copy, &rows, at).await?;
                rows.last().map_or(Next::Changed(0), |last| Next::Rows(last.id))
            }
            Next::Changed(round) if self.changed.is_empty() || round == AGAIN => Next::Stream(None),
            Next::Changed(round) => {
                let some = self.changed.split_off(self.changed.len().saturating_sub(CHUNK as usize));
                let rows = copy.store.task_rows(some).await?;
                self.rows(copy, &rows, at).await?;
                Next::Changed(round + 1)
            }
            Next::Stream(after) => self.stream(copy, after, at).await?,
            Next::Keys(cursor) => self.keys(copy, cursor).await?,
            Next::Members(state, cursor) => self.members(copy, state, cursor, at).await?,
            Next::Place => {
                self.place(copy, at).await?;
                Next::Nothing
            }
            Next::Nothing => return Ok(false),
        };
        Ok(true)
    }

    fn differs(&mut self, key: String, field: Option<String>, expected: Option<String>, found: Option<String>) {
        self.report.differences += 1;
        if self.report.first.len() < RedisReport::MOST {
            self.report.first.push(RedisDifference { key, field, expected, found });
        }
    }

    /// Each row as its hash, and in the set of its state alone.
    async fn rows(&mut self, copy: &mut Copy, rows: &[TaskRow], at: &Mark) -> Result<(), Trouble> {
        if rows.is_empty() {
            return Ok(());
        }
        // A key may be of another kind, which is a difference and no error.
        let mut ask = redis::pipe();
        ask.ignore_errors();
        for row in rows {
            ask.cmd("HGETALL").arg(format!("{}:task:{}", copy.base, row.id));
        }
        let hashes: Vec<RedisResult<Hash>> = copy.link.ask_all(&ask).await?;
        let mut ask = redis::pipe();
        ask.ignore_errors();
        for state in Status::ALL {
            ask.cmd("ZMSCORE").arg(format!("{}:state:{}", copy.base, state.name()));
            for row in rows {
                ask.arg(row.id.0);
            }
        }
        let scores: Vec<RedisResult<Scores>> = copy.link.ask_all(&ask).await?;
        let scores: Vec<Scores> = scores.into_iter().map(Result::unwrap_or_default).collect();
        for (index, (row, found)) in rows.iter().zip(hashes).enumerate() {
            let found = text_of(found.unwrap_or_default());
            // The copy does not have its last change yet.
            if row.seq > at.seq {
                self.changed.push(row.id);
                continue;
            }
            self.report.tasks += 1;
            let key = format!("{}:task:{}", copy.base, row.id);
            let expected: BTreeMap<&str, String> = fields::of_task(row, copy.titles).into_iter().collect();
            for (name, value) in &expected {
                if found.get(*name) != Some(value) {
                    self.differs(key.clone(), Some((*name).into()), Some(value.clone()), found.get(*name).cloned());
                }
            }
            for (name, value) in found.iter().filter(|(name, _)| !expected.contains_key(name.as_str())) {
                self.differs(key.clone(), Some(name.clone()), None, Some(value.clone()));
            }
            for (state, scores) in Status::ALL.iter().zip(&scores) {
                #[expect(clippy::cast_precision_loss, reason = "a time in milliseconds has 41 bits")]
                let expected = (*state == row.state).then_some(row.created_at.0 as f64);
                let found = scores.get(index).copied().flatten();
                if found != expected {
                    let set = format!("{}:state:{}", copy.base, state.name());
                    let text = |score: Option<f64>| score.map(|score| score.to_string());
                    self.differs(set, Some(row.id.to_string()), text(expected), text(found));
                }
            }
        }
        Ok(())
    }

    /// Each entry of the stream, without a gap up to the last.
    async fn stream(&mut self, copy: &mut Copy, after: Option<i64>, at: &Mark) -> Result<Next, Trouble> {
        type Entry = (String, Hash);
        let key = format!("{}:events", copy.base);
        if at.seq == 0 || after.is_some_and(|after| after >= at.seq) {
            return Ok(Next::Keys(0));
        }
        let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}-0"));
        let mut ask = redis::cmd("XRANGE");
        ask.arg(&key).arg(from).arg("+").arg("COUNT").arg(CHUNK);
        let found: Vec<Entry> = copy.link.ask(&ask).await?;
        let number = |id: &str| id.split('-').next().and_then(|seq| seq.parse::<i64>().ok()).unwrap_or(0);
        let Some((first, _)) = found.first() else {
            self.differs(key, Some(at.seq.to_string()), Some("an entry".into()), None);
            return Ok(Next::Keys(0));
        };
        let after = after.unwrap_or(number(first) - 1);
        let expected = copy.store.entries(after, CHUNK).await?;
        let mut last = after;
        for (event, (id, found)) in expected.iter().zip(&found) {
            let fields: HashMap<String, String> =
                fields::of_event(event).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let found = text_of(found.clone());
            self.report.events += 1;
            if *id != format!("{}-0", event.seq) || fields != found {
                let text = |fields: &HashMap<String, String>| format!("{:?}", BTreeMap::from_iter(fields));
                self.differs(key.clone(), Some(id.clone()), Some(text(&fields)), Some(text(&found)));
            }
            last = event.seq;
        }
        for (id, _) in found.iter().skip(expected.len()) {
            self.differs(key.clone(), Some(id.clone()), None, Some("an entry".into()));
        }
        Ok(if last == after { Next::Keys(0) } else { Next::Stream(Some(last)) })
    }

    /// No key of ours that is nothing of the copy's.
    async fn keys(&mut self, copy: &mut Copy, cursor: u64) -> Result<Next, Trouble> {
        let mut ask = redis::cmd("SCAN");
        ask.arg(cursor).arg("MATCH").arg(format!("{}:*", copy.base)).arg("COUNT").arg(SCAN);
        let (next, keys): (u64, Vec<Vec<u8>>) = copy.link.ask(&ask).await?;
        let parts: Vec<Part> = keys.iter().map(|key| copy.part(key)).collect();
        let tasks = parts.iter().filter_map(|part| if let Part::Task(task) = part { Some(*task) } else { None });
        let known = copy.store.task_rows(tasks.collect()).await?;
        let known: HashSet<TaskId> = known.into_iter().map(|row| row.id).collect();
        for (key, part) in keys.iter().zip(parts) {
            let fits = match part {
                Part::Fixed | Part::State(_) => true,
                Part::Task(task) => known.contains(&task),
                Part::Building | Part::Nothing => false,
            };
            if !fits {
                self.differs(String::from_utf8_lossy(key).into_owned(), None, None, Some("a key".into()));
            }
        }
        Ok(if next == 0 { Next::Members(0, 0) } else { Next::Keys(next) })
    }

    /// No member of a set that does not belong there.
    async fn members(&mut self, copy: &mut Copy, index: usize, cursor: u64, at: &Mark) -> Result<Next, Trouble> {
        let Some(state) = Status::ALL.get(index) else { return Ok(Next::Place) };
        let key = format!("{}:state:{}", copy.base, state.name());
        let mut ask = redis::cmd("ZSCAN");
        ask.arg(&key).arg(cursor).arg("COUNT").arg(SCAN);
        let (next, members): (u64, Vec<(Vec<u8>, f64)>) = match copy.link.ask(&ask).await {
            Ok(found) => found,
            Err(Trouble::Copy(why)) => {
                self.differs(key, None, Some("a sorted set".into()), Some(why));
                return Ok(Next::Members(index + 1, 0));
            }
            Err(other) => return Err(other),
        };
        let members = members.into_iter().map(|(id, score)| (String::from_utf8_lossy(&id).into_owned(), score));
        let members: Vec<(String, f64)> = members.collect();
        let known = copy.store.task_rows(members.iter().filter_map(|(id, _)| id.parse().ok()).collect()).await?;
        let known: HashMap<String, TaskRow> = known.into_iter().map(|row| (row.id.to_string(), row)).collect();
        for (id, score) in members {
            let fits = known.get(&id).is_some_and(|row| row.state == *state || row.seq > at.seq);
            if !fits {
                self.differs(key.clone(), Some(id), None, Some(score.to_string()));
            }
        }
        Ok(if next == 0 { Next::Members(index + 1, 0) } else { Next::Members(index, next) })
    }

    async fn place(&mut self, copy: &mut Copy, at: &Mark) -> Result<(), Trouble> {
        let key = format!("{}:meta", copy.base);
        let found: Hash = copy.link.ask(redis::cmd("HGETALL").arg(&key)).await?;
        let found = text_of(found);
        for (name, value) in [
            ("epoch", Some(copy.epoch.clone())),
            ("seq", Some(at.seq.to_string())),
            ("hash", Some(at.hash.clone())),
            ("format", Some(copy.form())),
            ("server", Some(copy.run.clone())),
            ("rebuild", None),
        ] {
            if found.get(name) != value.as_ref() {
                self.differs(key.clone(), Some(name.into()), value, found.get(name).cloned());
            }
        }
        Ok(())
    }
}
