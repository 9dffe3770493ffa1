//! Listings of any length, page by page, in every form.

use super::table::{Cell, Column, Table};
use super::{Context, Output};
use crate::client::{Client, unexpected};
use crate::clock::{Timestamp, short};
use crate::protocol::reply::TaskPage;
use crate::protocol::request::{ListQuery, Listing};
use crate::protocol::view::TaskView;
use crate::protocol::{Fault, Reply, Request};

/// Which part of a listing.
#[derive(Clone, Debug)]
pub struct Window {
    /// Most tasks in all; `None` is all there are.
    pub limit: Option<u64>,
    /// Where an earlier part ended.
    pub cursor: Option<String>,
}

/// How far a listing has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// There is more, from here.
    pub next: Option<String>,
    /// Tasks shown.
    pub shown: u64,
    /// Something was not looked at, and no cursor leads to it.
    missed: bool,
}

impl Rest {
    /// Counts a page in; `true` when another is to be asked for. A page may be empty and
    /// still have a cursor: the daemon looks for a while only, and says where it stopped.
    fn count(&mut self, page: &TaskPage, searching: bool, limit: Option<u64>) -> bool {
        self.shown += page.tasks.len() as u64;
        self.next.clone_from(&page.next);
        // A search looks everywhere for each page; its cursor leads through what it found.
        self.missed |= page.incomplete && (searching || page.next.is_none());
        self.next.is_some() && limit.is_none_or(|limit| self.shown < limit)
    }
}

/// Asks for the listing and writes it in the output's form.
///
/// # Errors
/// The daemon's fault, or when it cannot be written.
pub fn write(ctx: &Context, client: &mut Client, query: ListQuery, window: Window) -> Result<Rest, Fault> {
    let out = &ctx.output;
    let listing = query.listing;
    let mut rest = Rest { next: window.cursor, ..Rest::default() };
    // At a terminal the columns are as wide as the longest cell of all.
    let mut table = Table::new(&columns(listing));
    loop {
        let limit = window.limit.map_or(u64::from(ListQuery::MAX_LIMIT), |limit| limit - rest.shown);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX).min(ListQuery::MAX_LIMIT);
        let asked = ListQuery { limit, cursor: rest.next.take(), ..query.clone() };
        let page = match client.call(&Request::List(asked))? {
            Reply::Tasks(page) => page,
            other => return Err(unexpected(&other)),
        };
        write_page(out, listing, &page.tasks, rest.shown == 0, &mut table)?;
        if !rest.count(&page, query.filter.search.is_some(), window.limit) {
            break;
        }
    }
    if rest.missed {
        out.note("the search was cut short: there may be more");
    }
    if out.is_json() {
        out.line(if rest.shown == 0 { "[]" } else { "]" })?;
    } else {
        out.text(&table.render(out))?;
    }
    Ok(rest)
}

fn write_page(out: &Output, listing: Listing, tasks: &[TaskView], first: bool, table: &mut Table) -> Result<(), Fault> {
    if out.is_json() {
        let mut text = String::new();
        for (n, task) in tasks.iter().enumerate() {
            text.push_str(if first && n == 0 { "[" } else { ",\n" });
            text.push_str(&as_json(task)?.to_string());
        }
        return out.text(&text);
    }
    if out.is_quiet() {
        return out.text(&tasks.iter().map(|t| format!("{}\n", t.id)).collect::<String>());
    }
    let now = Timestamp::now();
    for task in tasks {
        table.row(row(listing, task, now));
    }
    if out.terminal {
        return Ok(());
    }
    let text = table.render(out);
    *table = Table::new(&columns(listing));
    out.text(&text)
}

/// The task without the texts that only `autodev show` has: empty they would be untrue.
fn as_json(task: &TaskView) -> Result<serde_json::Value, Fault> {
    let mut value = serde_json::to_value(task).map_err(|e| Fault::internal(e.to_string()))?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("description");
        fields.remove("command");
    }
    Ok(value)
}

/// The columns of a listing.
pub fn columns(listing: Listing) -> Vec<Column> {
    let mut columns = vec![Column::new("ID").right(), Column::new("STATE")];
    columns.push(Column::new("PROVIDER"));
    columns.extend(match listing {
        Listing::Live | Listing::All => [Column::new("AGE").right(), Column::new("TIME").right().optional()],
        Listing::History => [Column::new("ENDED"), Column::new("TIME").right().optional()],
    });
    columns.push(Column::new("PRI").right().optional());
    columns.push(Column::new("TITLE").gives_way());
    columns.push(Column::new("LABELS").gives_way().optional());
    columns.push(Column::new("WHY").gives_way().optional());
    columns
}

fn row(listing: Listing, task: &TaskView, now: Timestamp) -> Vec<Cell> {
    let ran = task.started_at.map(|start| short(task.ended_at.unwrap_or(now).since(start)));
    let when = match (listing, task.ended_at) {
        (Listing::History, Some(ended)) => ended.local(),
        _ => short(now.since(task.created_at)),
    };
    vec![
        task.id.into(),
        Cell::styled(task.state.name(), super::output::style_of(task.state)),
        (&task.provider).into(),
        when.into(),
        ran.unwrap_or_default().into(),
        if task.priority == 0 { Cell::default() } else { task.priority.into() },
        (&task.title).into(),
        task.labels.join(",").into(),
        why(task).into(),
    ]
}

/// Why it is as it is: a reason to wait, an order to end, or what went wrong.
fn why(task: &TaskView) -> String {
    if let Some(reason) = &task.reason {
        return reason.detail.clone();
    }
    if let Some(stop) = task.stopping.filter(|_| !task.state.is_final()) {
        return format!("ending: {}", stop.name());
    }
    let error = task.last_error.clone().unwrap_or_default();
    match task.exit_code {
        Some(code) if task.state.is_final() && code != 0 && error.is_empty() => format!("exit status {code}"),
        _ if task.state == crate::task::Status::Passed => String::new(),
        _ => error,
    }
}

/// The note below a listing that has more.
pub fn more(ctx: &Context, rest: &Rest) {
    if let Some(cursor) = &rest.next
        && !ctx.output.is_quiet()
    {
        let shown = rest.shown;
        let s = if shown == 1 { "" } else { "s" };
        // Only with the same filters does it go on where it ended.
        ctx.output.note(&format!(
            "{shown} task{s} shown, there are more: the same command with --limit N, or with --cursor {cursor}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_page_with_a_cursor_is_not_the_end() {
        let page = |next: Option<&str>, incomplete| TaskPage { next: next.map(Into::into), incomplete, ..none() };
        let mut rest = Rest::default();
        assert!(rest.count(&page(Some("a.0.-7.0"), true), false, Some(2)), "it goes on behind what was looked at");
        assert_eq!((rest.next.as_deref(), rest.missed), (Some("a.0.-7.0"), false));
        assert!(!rest.count(&page(None, false), false, None));
        assert!(!rest.missed, "the rest was looked at later");
        assert!(!rest.count(&page(None, true), false, None) && rest.missed);
        let mut search = Rest::default();
        assert!(search.count(&page(Some("h.0.-7.0"), true), true, None));
        assert!(!search.count(&page(None, false), true, None) && search.missed, "the first page may lack some");
    }

    fn none() -> TaskPage {
        TaskPage { tasks: Vec::new(), next: None, incomplete: false }
    }
}
