//! How it is in figures, for Prometheus: read when somebody asks.
//! man/autodev-metrics.7 lists the names; they stay.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::timeout;

use super::Daemon;
use super::handlers::{fault, figures};
use crate::clock::Timestamp;
use crate::process;
use crate::protocol::Fault;
use crate::protocol::hello::BUILD;
use crate::protocol::view::{DatabaseView, RedisState, SessionView, StatusView};

/// Nothing that the daemon does for others keeps a job from the writer longer than this.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

type Labels = Vec<(&'static str, String)>;
type Figure = Gauge<f64, AtomicU64>;

/// All figures as text.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn text(daemon: &Arc<Daemon>) -> Result<String, Fault> {
    let now = Timestamp::now();
    let status = figures::status(daemon).await?;
    let database = figures::database(daemon).await?;
    let sessions = figures::sessions(daemon).await?;
    let mut page = Page::default();
    page.daemon(&status, now);
    page.tasks(&status);
    {
        let mut totals = daemon.totals.lock().await;
        totals.catch_up(&daemon.store).await.map_err(fault)?;
        totals.register(&mut page.0);
    }
    page.sessions(&status, &sessions);
    page.storage(&status, &database, now);
    page.redis(&status);
    let mut out = String::new();
    text::encode(&mut out, &page.0).map_err(|error| Fault::internal(error.to_string()))?;
    Ok(out)
}

/// What keeps the daemon from doing its work; nothing where all is well.
///
/// # Errors
/// When the database cannot be read: then it is not well either.
pub(crate) async fn troubles(daemon: &Arc<Daemon>) -> Result<Vec<String>, Fault> {
    daemon.store.last_event().await.map_err(fault)?;
    let mut troubles = Vec::new();
    match timeout(WRITE_LIMIT, daemon.store.can_store()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => troubles.push(format!("nothing can be stored: {error}")),
        Err(_) => troubles.push(format!("nothing was stored for {} s", WRITE_LIMIT.as_secs())),
    }
    let place = |problem: String| format!("the settings are wrong: {}", problem.lines().next().unwrap_or_default());
    troubles.extend(daemon.settings.problem().map(place));
    if daemon.is_disk_low() {
        troubles.push("too little room is left on the disk of the state directory".into());
    }
    if daemon.rests_for().is_some() {
        troubles.push("the machine had no room for a session a moment ago".into());
    }
    Ok(troubles)
}

#[derive(Default)]
struct Page(Registry);

#[expect(clippy::cast_precision_loss, reason = "figures of this size are exact, or need not be")]
impl Page {
    fn one(&mut self, name: &str, help: &str, unit: Option<Unit>, value: f64) {
        let figure = Figure::default();
        figure.set(value);
        let name = format!("autodev_{name}");
        match unit {
            Some(unit) => self.0.register_with_unit(name, help, unit, figure),
            None => self.0.register(name, help, figure),
        }
    }

    fn each(&mut self, name: &str, help: &str, unit: Option<Unit>, values: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Figure>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        let name = format!("autodev_{name}");
        match unit {
            Some(unit) => self.0.register_with_unit(name, help, unit, family),
            None => self.0.register(name, help, family),
        }
    }

    fn daemon(&mut self, status: &StatusView, now: Timestamp) {
        self.each("build", "The daemon", None, [(vec![("version", BUILD.to_owned())], 1.0)]);
        let up = now.since(status.since).as_secs_f64();
        self.one("uptime", "How long the daemon runs", Some(Unit::Seconds), up);
        let memory = process::stat(std::process::id()).map_or(0, |stat| stat.resident_pages * process::page_size());
        self.one("daemon_memory", "Resident memory of the daemon", Some(Unit::Bytes), memory as f64);
        self.one("history_entries", "Number of the last entry of the history", None, status.last_event as f64);
        self.one(
            "config_ok",
            "1 unless the settings are wrong",
            None,
            f64::from(u8::from(status.config_error.is_none())),
        );
        self.one("queue_open", "1 unless nothing new is started", None, f64::from(u8::from(status.closed.is_none())));
    }

    fn tasks(&mut self, status: &StatusView) {
        let by_state =
            status.tasks.iter().map(|count| (vec![("state", count.state.name().to_owned())], count.tasks as f64));
        self.each("tasks", "Tasks by state", None, by_state);
        let by_reason =
            status.waiting.iter().map(|count| (vec![("reason", count.reason.to_string())], count.tasks as f64));
        self.each("tasks_waiting", "Queued tasks by reason", None, by_reason);
        self.one("slots", "Attempts that may run at once", None, f64::from(status.slots));
        self.one("slots_used", "Attempts under way", None, f64::from(status.slots_used));
        self.one("requests_open", "Questions that nobody has answered", None, status.requests as f64);
    }

    fn sessions(&mut self, status: &StatusView, sessions: &[SessionView]) {
        self.one("sessions", "Live sessions", None, f64::from(status.sessions));
        let labels =
            |session: &SessionView| vec![("session", session.name.to_string()), ("tool", session.tool.clone())];
        let cpu = sessions.iter().filter_map(|one| Some((labels(one), one.cpu_ms? as f64 / 1000.0)));
        self.each("session_cpu", "Processor time of a session's processes", Some(Unit::Seconds), cpu);
        let memory = sessions.iter().filter_map(|one| Some((labels(one), one.memory_bytes? as f64)));
        self.each("session_memory", "Resident memory of a session's processes", Some(Unit::Bytes), memory);
        let peak = sessions.iter().filter_map(|one| Some((labels(one), one.peak_memory_bytes? as f64)));
        self.each("session_memory_peak", "The most of it at a time", Some(Unit::Bytes), peak);
        let processes = sessions.iter().filter_map(|one| Some((labels(one), f64::from(one.processes?))));
        self.each("session_processes", "A session's processes", None, processes);
    }

    fn storage(&mut self, status: &StatusView, database: &DatabaseView, now: Timestamp) {
        if let Some(free) = status.disk_free {
            self.one("disk_free", "Free on the disk of the state directory", Some(Unit::Bytes), free as f64);
        }
        self.one("database_size", "The database", Some(Unit::Bytes), database.bytes as f64);
        self.one("database_log_size", "Its write-ahead log", Some(Unit::Bytes), database.wal_bytes as f64);
        self.one("search_behind_entries", "Entries that are not indexed yet", None, database.unindexed as f64);
        if let Some(backup) = &database.last_backup {
            let age = now.since(backup.made_at).as_secs_f64();
            self.one("backup_age", "Since the newest backup", Some(Unit::Seconds), age);
        }
    }

    fn redis(&mut self, status: &StatusView) {
        let redis = &status.redis;
        if redis.state == RedisState::Off {
            return;
        }
        let up = f64::from(u8::from(redis.state == RedisState::Following));
        self.one("redis_following", "1 while the copy in Redis follows", None, up);
        self.one("redis_behind_entries", "Entries that are not in the copy yet", None, redis.behind as f64);
        // Not known while nothing is there that can be relied on.
        let nothing = (redis.behind == 0).then_some(0.0);
        if let Some(behind) = redis.behind_for.map(|length| length.0.as_secs_f64()).or(nothing) {
            self.one("redis_behind", "Since the first of them", Some(Unit::Seconds), behind);
        }
        self.one("redis_rebuilds", "How often the copy was built anew by this daemon", None, redis.rebuilds as f64);
    }
}
