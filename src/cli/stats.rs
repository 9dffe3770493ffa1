//! `autodev stats`: how often, how well and how fast.

use std::time::Duration;

use super::select::past;
use super::table::{self, Column, Table, plain};
use super::{Context, Status};
use crate::client::unexpected;
use crate::clock::{Timestamp, short};
use crate::protocol::request::StatsBy;
use crate::protocol::view::{DatabaseView, Spread, StatsGroup, StatsView};
use crate::protocol::{Fault, Reply, Request};

/// What is looked at where nothing is said: long enough to show habits.
const SINCE: &str = "7d";
/// Heights of a plot's columns.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Arguments of `autodev stats`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Tasks that have ended since then: 2h, 30d, yesterday, 2026-11-22
    #[arg(long, value_name = "TIME", default_value = SINCE)]
    since: String,
    /// Take the figures apart
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Print comma-separated values, a line for all and one for each part
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Say how large the database is instead
    #[arg(long, conflicts_with_all = ["since", "by", "csv"])]
    database: bool,
}

/// What figures are taken apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// Provider
    Provider,
    /// Model asked for
    Model,
    /// Role
    Role,
    /// Day on which the task ended
    Day,
}

const EXAMPLES: &str = "\
Success is how many of a hundred tasks have passed, of those that were not cancelled.
Waiting is the time from the submit until the first attempt; running is that of all
attempts together, without pauses. AN HOUR counts from the first task on. p95 is what 95
of 100 tasks stay below. CPU is the processor time of all tasks together, MEMORY the most
that one of them has used at once.

Examples:
  autodev stats
  autodev stats --since 30d --by provider
  autodev stats --since 24h --json | jq '.errors[] | {outcome, attempts}'
  autodev stats --by day --csv > days.csv
  autodev stats --database";

/// Runs the verb.
///
/// # Errors
/// `Usage` for a time that is none.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    if args.database {
        return match ctx.client()?.call(&Request::Database)? {
            Reply::Database(view) => database(ctx, &view),
            other => Err(unexpected(&other)),
        };
    }
    let since = past(Some(&args.since))?.unwrap_or(Timestamp(0));
    let by = args.by.map(|by| match by {
        By::Provider => StatsBy::Provider,
        By::Model => StatsBy::Model,
        By::Role => StatsBy::Role,
        By::Day => StatsBy::Day,
    });
    let view = match ctx.client()?.call(&Request::Stats { since, by })? {
        Reply::Stats(view) => view,
        other => return Err(unexpected(&other)),
    };
    let out = &ctx.output;
    if out.is_json() {
        out.json(&view)?;
    } else if args.csv {
        out.text(&csv(&view))?;
    } else if out.is_quiet() {
        out.line(&view.all.tasks.to_string())?;
    } else {
        out.text(&sheet(&view))?;
        out.text(&groups(ctx, &view))?;
        out.text(&errors(&view))?;
    }
    Ok(Status::OK)
}

fn ms(ms: u64) -> String {
    short(Duration::from_millis(ms))
}

fn spread(spread: &Spread) -> String {
    let Spread { p50_ms, p95_ms, p99_ms, max_ms } = *spread;
    format!("p50 {}, p95 {}, p99 {}, at most {}", ms(p50_ms), ms(p95_ms), ms(p99_ms), ms(max_ms))
}

fn success(group: &StatsGroup) -> String {
    group.success_percent().map_or_else(|| "-".into(), |percent| format!("{percent}%"))
}

fn sheet(view: &StatsView) -> String {
    let all = &view.all;
    let length = view.until.since(view.since);
    let mut ends = vec![
        (all.passed, "passed"),
        (all.failed, "failed"),
        (all.error, "error"),
        (all.timeout, "timeout"),
        (all.cancelled, "cancelled"),
    ];
    ends.retain(|(count, _)| *count > 0);
    let ends: Vec<String> = ends.into_iter().map(|(count, name)| format!("{count} {name}")).collect();
    let mut lines = vec![
        ("since", format!("{} ({})", view.since.local(), short(length))),
        ("tasks", if ends.is_empty() { "none has ended".into() } else { ends.join(", ") }),
    ];
    if all.tasks > 0 {
        let plural = if all.attempts == 1 { "" } else { "s" };
        lines.push(("success", format!("{}, with {} attempt{plural}", success(all), all.attempts)));
        lines.push(("waiting", spread(&all.waiting)));
        lines.push(("running", spread(&all.running)));
        if all.peak_memory_bytes > 0 {
            lines.push((
                "used",
                format!("{} of processor time, at most {} at once", ms(all.cpu_ms), table::size(all.peak_memory_bytes)),
            ));
        }
        let rate = per_hour(all, view);
        lines.push(("an hour", format!("{rate:.1} tasks")));
        let parts = u32::try_from(view.parts.len()).unwrap_or(1).max(1);
        let each = short(view.until.since(view.since) / parts);
        lines.push(("ended", format!("{}  each column is {each}", plot(view.parts.iter().map(|part| part.tasks)))));
        lines.push(("passed", plot(view.parts.iter().map(|part| part.passed)).trim_end().to_owned()));
    }
    lines.into_iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect()
}

/// How many of these have ended in an hour.
fn per_hour(group: &StatsGroup, view: &StatsView) -> f64 {
    // Of less than a minute no rate can be told.
    let hours = view.until.since(view.first).as_secs_f64().max(60.0) / 3600.0;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let tasks = group.tasks as f64;
    tasks / hours
}

/// A row of columns, the highest for the largest; nothing is a blank.
fn plot(values: impl Iterator<Item = u64> + Clone) -> String {
    let most = values.clone().max().unwrap_or(0).max(1);
    let bar = |value: u64| match usize::try_from((value * 8).div_ceil(most)) {
        Ok(0) | Err(_) => ' ',
        Ok(height) => BARS[height.min(BARS.len()) - 1],
    };
    values.map(bar).collect()
}

fn groups(ctx: &Context, view: &StatsView) -> String {
    if view.groups.is_empty() {
        return String::new();
    }
    let columns = [
        Column::new("NAME"),
        Column::new("TASKS").right(),
        Column::new("PASSED").right(),
        Column::new("SUCCESS").right(),
        Column::new("ATTEMPTS").right(),
        Column::new("AN HOUR").right(),
        Column::new("WAIT P50").right(),
        Column::new("P95").right(),
        Column::new("RUN P50").right(),
        Column::new("P95").right(),
        Column::new("P99").right(),
        Column::new("CPU").right(),
        Column::new("MEMORY").right(),
    ];
    let mut table = Table::new(&columns);
    for group in &view.groups {
        table.row(vec![
            group.name.as_str().into(),
            group.tasks.into(),
            group.passed.into(),
            success(group).into(),
            group.attempts.into(),
            format!("{:.1}", per_hour(group, view)).into(),
            ms(group.waiting.p50_ms).into(),
            ms(group.waiting.p95_ms).into(),
            ms(group.running.p50_ms).into(),
            ms(group.running.p95_ms).into(),
            ms(group.running.p99_ms).into(),
            ms(group.cpu_ms).into(),
            table::size(group.peak_memory_bytes).into(),
        ]);
    }
    format!("\n{}", table.render(&ctx.output))
}

fn errors(view: &StatsView) -> String {
    let mut text = String::new();
    for error in &view.errors {
        let said = error.last_error.as_deref().map(|said| format!(": {}", plain(said))).unwrap_or_default();
        let when = error.last_at.local();
        text += &format!("{:>5} x {:<14} last {} at {when}{said}\n", error.attempts, error.outcome.name(), error.last);
    }
    if text.is_empty() { text } else { format!("\nattempts that did not succeed\n{text}") }
}

fn csv(view: &StatsView) -> String {
    let mut text = String::from(
        "name,tasks,attempts,passed,failed,error,cancelled,timeout,waiting_p50_ms,waiting_p95_ms,waiting_p99_ms,\
         waiting_max_ms,running_p50_ms,running_p95_ms,running_p99_ms,running_max_ms,cpu_ms,peak_memory_bytes,per_hour\n",
    );
    for group in std::iter::once(&view.all).chain(&view.groups) {
        let name = if group.name.contains([',', '"', '\n']) {
            format!("\"{}\"", group.name.replace('"', "\"\""))
        } else {
            group.name.clone()
        };
        let (waiting, running) = (&group.waiting, &group.running);
        let figures = [
            group.tasks,
            group.attempts,
            group.passed,
            group.failed,
            group.error,
            group.cancelled,
            group.timeout,
            waiting.p50_ms,
            waiting.p95_ms,
            waiting.p99_ms,
            waiting.max_ms,
            running.p50_ms,
            running.p95_ms,
            running.p99_ms,
            running.max_ms,
            group.cpu_ms,
            group.peak_memory_bytes,
        ];
        let figures: Vec<String> = figures.iter().map(u64::to_string).collect();
        text += &format!("{name},{},{:.3}\n", figures.join(","), per_hour(group, view));
    }
    text
}

fn database(ctx: &Context, view: &DatabaseView) -> Result<Status, Fault> {
    let out = &ctx.output;
    if out.is_json() {
        out.json(view)?;
        return Ok(Status::OK);
    }
    if out.is_quiet() {
        out.line(&view.bytes.to_string())?;
        return Ok(Status::OK);
    }
    let backup = view.last_backup.as_ref().map_or_else(
        || "none yet".to_owned(),
        |backup| format!("{} ago, {}", short(Timestamp::now().since(backup.made_at)), backup.path),
    );
    let size = table::size;
    let lines = [
        ("file", view.path.clone()),
        ("size", format!("{}, of which {} are free", size(view.bytes), size(view.free_bytes))),
        ("log", size(view.wal_bytes)),
        ("tasks", view.tasks.to_string()),
        ("sessions", view.sessions.to_string()),
        ("said", format!("{} notes, questions and files kept", view.said)),
        ("entries", format!("{}, the last with hash {}", view.events, view.head)),
        ("search", format!("{} entries are not indexed yet", view.unindexed)),
        ("backup", backup),
    ];
    out.text(&lines.into_iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect::<String>())?;
    Ok(Status::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_show_the_largest_and_the_smallest() {
        assert_eq!(plot([0, 1, 8, 4].into_iter()), " ▁█▄");
        assert_eq!(plot([0, 0].into_iter()), "  ");
        assert_eq!(plot([1, 1_000_000].into_iter()), "▁█");
    }

    #[test]
    fn values_with_commas_stay_one() {
        let group = StatsGroup { name: "a, \"b\"".into(), tasks: 2, ..StatsGroup::default() };
        let view = StatsView {
            since: Timestamp(0),
            until: Timestamp(1),
            first: Timestamp(0),
            all: StatsGroup::default(),
            groups: vec![group],
            parts: Vec::new(),
            errors: Vec::new(),
        };
        let text = csv(&view);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with(",0,") && lines[2].starts_with("\"a, \"\"b\"\"\",2,"), "{text}");
        assert_eq!(lines[0].split(',').count(), 19);
    }
}
