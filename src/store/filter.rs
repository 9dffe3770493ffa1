//! A filter, made ready to be asked about many tasks.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Failure;
use super::list::Candidate;
use crate::protocol::request::{Filter, Listing};
use crate::task::Status;

/// What is asked of each task.
#[derive(Debug)]
pub(super) struct Rules {
    /// In one of these; empty is any.
    pub states: Vec<Status>,
    /// In one of these lanes.
    lanes: Option<HashSet<i64>>,
    role: Option<String>,
    /// With all of these.
    pub labels: Vec<String>,
    /// Submitted, or in the history ended, at or after this…
    pub since: Option<i64>,
    /// …and before this.
    pub until: Option<i64>,
}

impl Rules {
    /// Looks up what the filter's words mean.
    pub(super) fn new(conn: &Connection, filter: &Filter) -> Result<Rules, Failure> {
        let lanes = if filter.provider.is_some() || filter.dir.is_some() {
            let mut statement = conn.prepare_cached(
                "SELECT id FROM lanes WHERE (?1 IS NULL OR provider = ?1) AND (?2 IS NULL OR dir = ?2)",
            )?;
            let found = statement.query_map(params![filter.provider, filter.dir], |row| row.get(0))?;
            Some(found.collect::<rusqlite::Result<_>>()?)
        } else {
            None
        };
        let mut states = filter.states.clone();
        states.sort_by_key(|s| s.name());
        states.dedup();
        Ok(Rules {
            states,
            lanes,
            role: filter.role.clone(),
            labels: filter.labels.clone(),
            since: filter.since.map(|t| t.0),
            until: filter.until.map(|t| t.0),
        })
    }

    /// Columns are needed that the indexes do not have.
    pub(super) fn needs_row(&self) -> bool {
        self.role.is_some() || self.since.is_some() || self.until.is_some()
    }

    /// Whether a task passes, times aside.
    pub(super) fn admit(&self, conn: &Connection, task: &Candidate) -> Result<bool, Failure> {
        let plain = (self.states.is_empty() || self.states.contains(&task.status))
            && self.lanes.as_ref().is_none_or(|l| l.contains(&task.lane))
            && (self.role.is_none() || self.role == task.role);
        if !plain {
            return Ok(false);
        }
        for label in &self.labels {
            let mut statement = conn.prepare_cached("SELECT 1 FROM labels WHERE label = ?1 AND task = ?2")?;
            if !statement.exists(params![label, task.id])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether it is in the span of time that the listing looks at.
    pub(super) fn within(&self, listing: Listing, task: &Candidate) -> bool {
        let at = if listing == Listing::History { task.ended_at } else { task.created_at };
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// The numbers of the tasks submitted in the span of time: from the first up to below
    /// the second. Numbers grow with time.
    pub(super) fn numbers(&self, conn: &Connection) -> Result<(i64, i64), Failure> {
        let first = self.since.map_or(Ok(i64::MIN), |since| first_since(conn, since))?;
        let end = self.until.map_or(Ok(i64::MAX), |until| first_since(conn, until))?;
        Ok((first, end))
    }
}

/// The lowest number of the tasks submitted at or after `at`, by halving.
fn first_since(conn: &Connection, at: i64) -> Result<i64, Failure> {
    let newest: Option<i64> = conn.prepare_cached("SELECT max(id) FROM tasks")?.query_row([], |row| row.get(0))?;
    let (mut low, mut high) = (1, newest.unwrap_or(0) + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let created: Option<i64> = conn
            .prepare_cached("SELECT created_at FROM tasks WHERE id >= ?1 ORDER BY id LIMIT 1")?
            .query_row([middle], |row| row.get(0))
            .optional()?;
        if created.is_some_and(|c| c < at) { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}
