//! Structured logs of the programs: one line an event, fields named, secrets never.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where a program's log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(w, "{}", crate::clock::Timestamp::now())
    }
}

/// Sends log events to standard error. `filter` is a `tracing` filter such as `info` or
/// `autodev=debug`; a senseless one counts as `info`.
pub fn start(filter: &str, form: Form) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    if form == Form::Text
        && is_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        // As AUTODEV_SESSION, AUTODEV_TASK and so on.
        let journal = journal.with_field_prefix(Some("AUTODEV".into())).with_syslog_identifier("autodevd".into());
        drop(tracing_subscriber::registry().with(filter).with(journal).try_init());
        return;
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(Clock)
        .with_writer(std::io::stderr)
        // It would be told on standard error, and that this fails as well ends the thread.
        .log_internal_errors(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let result = match form {
        Form::Text => builder.try_init(),
        Form::Json => builder.json().try_init(),
    };
    // A second start in one process (tests) keeps the first.
    drop(result);
}

/// Whether standard error is systemd's journal, which takes fields as they are
/// (systemd.exec(5), JOURNAL_STREAM).
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(found) = nix::sys::stat::fstat(io::stderr()) else { return false };
    stream == format!("{}:{}", found.st_dev, found.st_ino)
}

/// The last bytes of a log as text.
///
/// # Errors
/// When it cannot be read.
pub fn tail(log: &Path, bytes: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}
