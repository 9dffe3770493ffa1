//! `autodev redis`: how it stands with the copy in Redis.

use clap::Subcommand;

use super::table::plain;
use super::{Context, Status, exit};
use crate::client::unexpected;
use crate::clock::{Timestamp, short};
use crate::protocol::request::RedisAsk;
use crate::protocol::view::{RedisDifference, RedisReport, RedisState, RedisView};
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev redis`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
With the setting redis.url the state of every task is copied to Redis as it changes, for
dashboards and scripts. Nothing waits for Redis, and autodev itself never reads the copy:
Redis may be down, flushed or replaced at any time. 'man 7 autodev-redis' says what is in
the copy.

Examples:
  autodev config set redis.url redis+unix:///run/user/1000/redis.sock
  autodev redis status
  What begins with what in Redis?
    autodev redis status --json | jq -r .keys";

#[derive(Clone, Copy, Debug, Subcommand)]
enum What {
    /// Say how it stands with the copy: exit status 0 if it follows or is not wanted, else 1
    Status,
    /// Build the copy anew, and wait for it; it is never needed, for it is done by itself
    Rebuild,
    /// Compare all of the copy with the database, and print what differs: exit status 1 if
    /// anything does
    Verify,
}

/// Runs the verb.
///
/// # Errors
/// `Conflict` without a copy; while Redis is down.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let ask = match args.what {
        What::Status => RedisAsk::Status,
        What::Rebuild => RedisAsk::Rebuild,
        What::Verify => RedisAsk::Verify,
    };
    let mut client = ctx.client()?;
    let reply = match args.what {
        What::Status => client.call(&Request::Redis(ask))?,
        // All of a large copy takes as long as it takes.
        What::Rebuild | What::Verify => client.call_within(&Request::Redis(ask), None)?,
    };
    match reply {
        Reply::Redis(view) => show(ctx, &view),
        Reply::RedisReport(report) => tell(ctx, &report),
        other => Err(unexpected(&other)),
    }
}

fn show(ctx: &Context, view: &RedisView) -> Result<Status, Fault> {
    let out = &ctx.output;
    if out.is_json() {
        out.json(view)?;
    } else if out.is_quiet() {
        out.line(view.state.name())?;
    } else {
        out.text(&sheet(view, Timestamp::now()))?;
    }
    let good = matches!(view.state, RedisState::Off | RedisState::Following);
    Ok(if good { Status::OK } else { exit::FAILED })
}

/// How it stands, in a line.
pub(super) fn line(view: &RedisView) -> String {
    match (view.state, view.behind) {
        (RedisState::Following, 0) => "follows".into(),
        (RedisState::Following, behind) => {
            let length = view.behind_for.map(|length| format!(", by {}", short(length.0))).unwrap_or_default();
            format!("follows, {behind} entries behind{length}")
        }
        (RedisState::Down, behind) => {
            let why = plain(view.error.as_deref().unwrap_or("it is not connected"));
            format!("down, {behind} entries behind: {why}")
        }
        (RedisState::Rebuilding, behind) => format!("rebuilding, {behind} entries behind"),
        (RedisState::Off, _) => view.state.name().to_owned(),
    }
}

fn sheet(view: &RedisView, now: Timestamp) -> String {
    let since = |at: Timestamp| format!(", since {}", short(now.since(at)));
    let state = format!("{}{}", line(view), view.since.map(since).unwrap_or_default());
    let mut lines = vec![("state", state)];
    lines.extend(view.url.as_ref().map(|url| ("server", url.clone())));
    lines.extend(view.server.as_ref().map(|version| ("version", version.clone())));
    lines.extend(view.keys.as_ref().map(|keys| ("keys", format!("{keys}:..."))));
    lines.extend(view.seq.map(|seq| ("entry", seq.to_string())));
    if view.rebuilds > 0 {
        let why = view.rebuilt_because.as_deref().unwrap_or_default();
        let times = if view.rebuilds == 1 { "once".to_owned() } else { format!("{} times, last", view.rebuilds) };
        lines.push(("rebuilt", format!("{times} because {why}")));
    }
    if view.quarrel {
        let why = "it is built anew again and again: another daemon, of a copy of this state directory, or somebody \
                   else writes the same keys; give one of them another redis.prefix";
        lines.push(("warning", why.into()));
    }
    lines.extend(view.warnings.iter().map(|warning| ("warning", warning.clone())));
    lines.into_iter().map(|(name, value)| format!("{name:<9} {}\n", plain(&value))).collect()
}

fn tell(ctx: &Context, report: &RedisReport) -> Result<Status, Fault> {
    let out = &ctx.output;
    if out.is_json() {
        out.json(report)?;
    } else if !out.is_quiet() {
        let mut text: String = report.first.iter().map(difference).collect();
        if report.differences > report.first.len() as u64 {
            text.push_str(&format!("and {} more\n", report.differences - report.first.len() as u64));
        }
        text.push_str(&format!(
            "{} difference{} in {} tasks and {} entries, up to entry {}\n",
            report.differences,
            if report.differences == 1 { "" } else { "s" },
            report.tasks,
            report.events,
            report.seq
        ));
        out.text(&text)?;
        if report.differences > 0 {
            out.note("'autodev redis rebuild' builds the copy anew");
        }
    }
    Ok(if report.differences == 0 { Status::OK } else { exit::FAILED })
}

fn difference(one: &RedisDifference) -> String {
    let field = one.field.as_ref().map(|field| format!(" {field}")).unwrap_or_default();
    let value = |value: &Option<String>| value.as_ref().map_or_else(|| "nothing".into(), |value| format!("'{value}'"));
    plain(&format!("{}{field}: {} instead of {}", one.key, value(&one.found), value(&one.expected))) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_fits_the_state() {
        let mut view = RedisView { state: RedisState::Following, ..RedisView::default() };
        assert_eq!(line(&view), "follows");
        view.behind = 3;
        assert_eq!(line(&view), "follows, 3 entries behind");
        (view.state, view.error) = (RedisState::Down, Some("refused".into()));
        assert_eq!(line(&view), "down, 3 entries behind: refused");
        let one =
            RedisDifference { key: "k".into(), field: Some("state".into()), expected: None, found: Some("x".into()) };
        assert_eq!(difference(&one), "k state: 'x' instead of nothing\n");
    }
}
