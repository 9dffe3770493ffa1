//! Pages of tasks. A page is found by walking an index from where the last one ended,
//! so its cost does not depend on how many tasks there are or how far one has paged.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::failure::Failure;
use super::filter::Rules;
use super::rows::{self, Circumstances, word};
use super::search;
use crate::id::TaskId;
use crate::protocol::fault::{Fault, FaultCode};
use crate::protocol::reply::TaskPage;
use crate::protocol::request::{Filter, ListQuery, Listing, Select};
use crate::queue::Limits;
use crate::task::Status;

/// A walk past tasks that the filter does not want, or a search, stops after this long
/// and gives what it has, with a cursor to go on from.
pub(super) const BUDGET: Duration = Duration::from_millis(200);
/// Rows walked between two looks at the clock.
const STRIDE: u32 = 256;

/// Where a task stands in a listing: places are compared as they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// In a live listing 0 for active tasks and 1 for waiting ones, else 0.
    class: i64,
    key: i64,
    tie: i64,
}

const START: Place = Place { class: i64::MIN, key: i64::MIN, tie: i64::MIN };

/// As much of a task as decides where it is listed, and whether.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub id: i64,
    pub status: Status,
    pub lane: i64,
    rank: i64,
    pub ended_at: i64,
    /// Read only when a filter asks for them.
    pub created_at: i64,
    pub role: Option<String>,
}

impl Candidate {
    /// Everything.
    const FULL: &str = "id, status, lane, rank, ended_at, created_at, role";

    /// What a listing needs; unless a filter needs the row itself, no more than is in the
    /// listing's index.
    fn columns(listing: Listing, rules: &Rules) -> &'static str {
        match listing {
            _ if rules.needs_row() => Self::FULL,
            Listing::Live => "id, status, lane, rank, NULL, 0, NULL",
            Listing::All => "id, status, lane, NULL, NULL, 0, NULL",
            Listing::History => "id, status, lane, NULL, ended_at, 0, NULL",
        }
    }

    fn of(row: &Row<'_>) -> rusqlite::Result<Candidate> {
        Ok(Candidate {
            id: row.get(0)?,
            status: word(row, 1)?,
            lane: row.get(2)?,
            rank: row.get::<_, Option<i64>>(3)?.unwrap_or(0),
            ended_at: row.get::<_, Option<i64>>(4)?.unwrap_or(0),
            created_at: row.get(5)?,
            role: row.get(6)?,
        })
    }

    /// Its place in a listing, if it is in it.
    fn place(&self, listing: Listing) -> Option<Place> {
        let place = |class, key, tie| Some(Place { class, key, tie });
        match listing {
            Listing::Live if self.status.is_active() => place(0, self.id, 0),
            Listing::Live if !self.status.is_final() => place(1, self.rank, self.id),
            Listing::All => place(0, -self.id, 0),
            Listing::History if self.status.is_final() => place(0, -self.ended_at, -self.id),
            Listing::Live | Listing::History => None,
        }
    }
}

/// A place as clients carry it around.
struct Cursor {
    listing: Listing,
    place: Place,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.listing {
            Listing::Live => 'l',
            Listing::All => 'a',
            Listing::History => 'h',
        };
        let Place { class, key, tie } = self.place;
        write!(f, "{letter}.{class}.{key}.{tie}")
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let listing = match parts.next() {
            Some("l") => Listing::Live,
            Some("a") => Listing::All,
            Some("h") => Listing::History,
            _ => return Err(()),
        };
        let mut number = || parts.next().and_then(|p| p.parse::<i64>().ok()).ok_or(());
        let place = Place { class: number()?, key: number()?, tie: number()? };
        // Beyond these no task stands, and negating them would overflow.
        let sane = matches!(place.class, 0 | 1) && place.key > i64::MIN && place.tie > i64::MIN;
        if sane && parts.next().is_none() { Ok(Cursor { listing, place }) } else { Err(()) }
    }
}

/// One page.
pub(super) fn page(conn: &mut Connection, query: &ListQuery, limits: &Limits) -> Result<TaskPage, Failure> {
    let from = match &query.cursor {
        None => START,
        Some(text) => match text.parse::<Cursor>() {
            Ok(cursor) if cursor.listing == query.listing => cursor.place,
            _ => {
                return Err(Fault::usage(format!("'{text}' is not the end of a page of this list"))
                    .hint("a list that has more ends with its cursor: repeat that command with it")
                    .into());
            }
        },
    };
    let limit = usize::try_from(query.limit.clamp(1, ListQuery::MAX_LIMIT)).unwrap_or(1);
    let found = match &query.filter.search {
        Some(words) => searched(conn, query, words, from, limit)?,
        None => {
            let mut page = Page { listing: query.listing, from, limit, ..Page::default() };
            let rules = Rules::new(conn, &query.filter)?;
            walk(conn, &rules, &mut page)?;
            page
        }
    };
    let circumstances = Circumstances::now(conn, limits)?;
    let tasks = found
        .tasks
        .iter()
        .map(|id| rows::task(conn, TaskId(*id), &circumstances, false))
        .collect::<Result<Vec<_>, _>>()?;
    let next = found.last.filter(|_| found.more).map(|place| Cursor { listing: query.listing, place }.to_string());
    Ok(TaskPage { tasks, next, incomplete: found.incomplete })
}

/// A page being filled.
struct Page {
    listing: Listing,
    from: Place,
    limit: usize,
    tasks: Vec<i64>,
    /// Of the last task taken or passed over.
    last: Option<Place>,
    more: bool,
    incomplete: bool,
}

impl Default for Page {
    fn default() -> Self {
        Page {
            listing: Listing::All,
            from: START,
            limit: usize::MAX,
            tasks: Vec::new(),
            last: None,
            more: false,
            incomplete: false,
        }
    }
}

impl Page {
    /// Takes what a walk brings, in its order: `false` when the page is full or the time
    /// is over.
    fn fill(
        &mut self,
        conn: &Connection,
        rules: &Rules,
        deadline: Option<Instant>,
        rows: &mut rusqlite::Rows<'_>,
    ) -> Result<bool, Failure> {
        let mut walked = 0u32;
        while let Some(row) = rows.next()? {
            let candidate = Candidate::of(row)?;
            let Some(place) = candidate.place(self.listing).filter(|p| *p > self.from) else { continue };
            // The other listings begin and end where their times do.
            let in_time = self.listing != Listing::Live || rules.within(Listing::Live, &candidate);
            if in_time && rules.admit(conn, &candidate)? {
                if self.tasks.len() == self.limit {
                    self.more = true;
                    return Ok(false);
                }
                self.tasks.push(candidate.id);
            }
            self.last = Some(place);
            walked = walked.wrapping_add(1);
            if walked.is_multiple_of(STRIDE) && deadline.is_some_and(|d| Instant::now() >= d) {
                (self.more, self.incomplete) = (true, true);
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn walk(conn: &Connection, rules: &Rules, page: &mut Page) -> Result<(), Failure> {
    let deadline = Some(Instant::now() + BUDGET);
    let columns = Candidate::columns(page.listing, rules);
    let from = page.from;
    let run = |page: &mut Page, sql: &str, values: &[Value]| -> Result<bool, Failure> {
        let mut statement = conn.prepare_cached(sql)?;
        let mut found = statement.query(params_from_iter(values))?;
        page.fill(conn, rules, deadline, &mut found)
    };
    match page.listing {
        Listing::Live => {
            if from.class < 1 {
                let sql = format!(
                    "SELECT {columns} FROM tasks INDEXED BY tasks_status
                      WHERE status IN ('starting', 'running', 'paused', 'completing') ORDER BY id"
                );
                if !run(page, &sql, &[])? {
                    return Ok(());
                }
            }
            let (rank, id) = if from.class == 1 { (from.key, from.tie) } else { (i64::MIN, i64::MIN) };
            let sql = format!(
                "SELECT {columns} FROM tasks INDEXED BY tasks_waiting
                  WHERE status IN ('queued', 'held') AND (rank, id) > (?1, ?2) ORDER BY rank, id"
            );
            run(page, &sql, &[rank.into(), id.into()])?;
        }
        Listing::All => {
            let below = if from == START { i64::MAX } else { -from.key };
            let (sql, values) = by_number(conn, rules, below)?;
            run(page, &sql, &values)?;
        }
        Listing::History => {
            let (at, id) = if from == START { (i64::MAX, i64::MAX) } else { (-from.key, -from.tie) };
            let since = rules.since.unwrap_or(i64::MIN);
            let (at, id) = match rules.until {
                Some(until) if until <= at => (until, i64::MIN),
                _ => (at, id),
            };
            let sql = format!(
                "SELECT {columns} FROM tasks INDEXED BY tasks_ended
                  WHERE ended_at IS NOT NULL AND ended_at >= ?3 AND (ended_at, id) < (?1, ?2)
                  ORDER BY ended_at DESC, id DESC"
            );
            run(page, &sql, &[at.into(), id.into(), since.into()])?;
        }
    }
    Ok(())
}

/// Tasks by number, newest first, below `below`: the query by the best index, and its
/// values.
fn by_number(conn: &Connection, rules: &Rules, below: i64) -> Result<(String, Vec<Value>), Failure> {
    let columns = Candidate::columns(Listing::All, rules);
    let (first, end) = rules.numbers(conn)?;
    let mut values = vec![Value::from(first), Value::from(end.min(below))];
    let sql = if let Some(label) = rules.labels.first() {
        values.push(label.clone().into());
        format!(
            "SELECT {columns} FROM labels CROSS JOIN tasks ON id = task
              WHERE label = ?3 AND task >= ?1 AND task < ?2 ORDER BY task DESC"
        )
    } else if rules.states.is_empty() {
        format!("SELECT {columns} FROM tasks WHERE id >= ?1 AND id < ?2 ORDER BY id DESC")
    } else {
        // SQLite merges these as they come; nothing is sorted.
        let arm = |status: &Status| {
            format!(
                "SELECT {columns} FROM tasks INDEXED BY tasks_status
                  WHERE status = '{}' AND id >= ?1 AND id < ?2",
                status.name()
            )
        };
        let arms: Vec<String> = rules.states.iter().map(arm).collect();
        format!("{} ORDER BY 1 DESC", arms.join(" UNION ALL "))
    };
    Ok((sql, values))
}

/// The page of a search: the hits are few enough to be put in order here.
fn searched(conn: &mut Connection, query: &ListQuery, words: &str, from: Place, limit: usize) -> Result<Page, Failure> {
    let hits = search::find(conn, words)?;
    let rules = Rules::new(conn, &query.filter)?;
    let mut places = Vec::new();
    for candidate in candidates(conn, &hits.tasks)? {
        let Some(place) = candidate.place(query.listing).filter(|p| *p > from) else { continue };
        if rules.admit(conn, &candidate)? && rules.within(query.listing, &candidate) {
            places.push((place, candidate.id));
        }
    }
    places.sort_unstable();
    let more = places.len() > limit;
    places.truncate(limit);
    Ok(Page {
        listing: query.listing,
        from,
        limit,
        last: places.last().map(|(place, _)| *place),
        tasks: places.into_iter().map(|(_, id)| id).collect(),
        more,
        incomplete: hits.incomplete,
    })
}

fn candidates(conn: &Connection, tasks: &[i64]) -> Result<Vec<Candidate>, Failure> {
    let mut statement = conn.prepare_cached(&format!("SELECT {} FROM tasks WHERE id = ?1", Candidate::FULL))?;
    let mut found = Vec::with_capacity(tasks.len());
    for id in tasks {
        found.extend(statement.query_map([id], Candidate::of)?.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(found)
}

/// The tasks a selection means, in order of number: with a filter beside numbers, those of
/// the numbered ones that it admits.
pub(super) fn select(conn: &mut Connection, select: &Select) -> Result<Vec<TaskId>, Failure> {
    let mut ids = Vec::new();
    for task in &select.tasks {
        if !conn.prepare_cached("SELECT 1 FROM tasks WHERE id = ?1")?.exists([task.0])? {
            return Err(rows::no_task(*task).into());
        }
        ids.push(task.0);
    }
    for (first, last) in &select.ranges {
        let mut statement = conn.prepare_cached("SELECT id FROM tasks WHERE id BETWEEN ?1 AND ?2")?;
        let found = statement.query_map([first.0, last.0], |row| row.get(0))?;
        let before = ids.len();
        ids.extend(found.collect::<rusqlite::Result<Vec<i64>>>()?);
        if ids.len() == before {
            return Err(rows::no_task_between(*first, *last).into());
        }
    }
    if let Some(filter) = &select.filter {
        let named = !select.tasks.is_empty() || !select.ranges.is_empty();
        ids = match (named, &filter.search) {
            (false, _) => matching(conn, filter)?,
            (true, None) => admitted(conn, filter, &ids)?,
            (true, Some(_)) => {
                let found: HashSet<i64> = matching(conn, filter)?.into_iter().collect();
                ids.retain(|id| found.contains(id));
                ids
            }
        };
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids.into_iter().map(TaskId).collect())
}

/// All tasks that a filter finds. Something is about to be done to them, so an answer
/// that may not be whole is none.
fn matching(conn: &mut Connection, filter: &Filter) -> Result<Vec<i64>, Failure> {
    if let Some(words) = &filter.search {
        let hits = search::find(conn, words)?;
        if hits.incomplete {
            return Err(Fault::new(FaultCode::Limit, format!("'{words}' finds too many tasks to do something to all"))
                .hint("search for more words, or name a state, label or range of numbers as well")
                .into());
        }
        return admitted(conn, filter, &hits.tasks);
    }
    let rules = Rules::new(conn, filter)?;
    let mut page = Page::default();
    let (sql, values) = by_number(conn, &rules, i64::MAX)?;
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    page.fill(conn, &rules, None, &mut found)?;
    Ok(page.tasks)
}

/// Those of these tasks that a filter admits, a search aside.
fn admitted(conn: &Connection, filter: &Filter, tasks: &[i64]) -> Result<Vec<i64>, Failure> {
    let rules = Rules::new(conn, filter)?;
    let mut ids = Vec::new();
    for candidate in candidates(conn, tasks)? {
        if rules.admit(conn, &candidate)? && rules.within(Listing::All, &candidate) {
            ids.push(candidate.id);
        }
    }
    Ok(ids)
}
