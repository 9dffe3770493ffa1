//! Structured logs of the programs: one line an event, fields named, secrets never.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
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

/// Sends log events to standard error, which may go to the file `log`. `filter` is a
/// `tracing` filter such as `info` or `autodev=debug`; a senseless one counts as `info`.
pub fn start(filter: &str, form: Form, log: &Path) {
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
        .with_writer(writer(log))
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

/// Where lines go.
fn writer(log: &Path) -> BoxMakeWriter {
    match Bounded::of(log) {
        Some(bounded) => BoxMakeWriter::new(Arc::new(bounded)),
        None => BoxMakeWriter::new(io::stderr),
    }
}

/// A log that is a file is set aside when it is as long as this, in bytes, and the one that
/// was before it removed: a daemon may run for years.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Standard error, where it goes to this file: then the file does not grow without bound.
#[derive(Debug)]
struct Bounded {
    path: PathBuf,
    /// How much is in it.
    length: AtomicU64,
}

impl Bounded {
    /// `None` where standard error goes somewhere else.
    fn of(path: &Path) -> Option<Bounded> {
        let (file, standard) = (path.metadata().ok()?, nix::sys::stat::fstat(io::stderr()).ok()?);
        let same = (file.dev(), file.ino()) == (standard.st_dev, standard.st_ino);
        same.then(|| Bounded { path: path.to_owned(), length: AtomicU64::new(file.len()) })
    }

    /// Sets the file aside, and lets standard error and output go to a new one.
    fn begin_anew(&self) -> io::Result<()> {
        let beside = |end: &str| {
            let mut name = self.path.clone().into_os_string();
            name.push(end);
            name
        };
        // First what may fail, so that there is always one of its name.
        let new = File::options().create(true).append(true).mode(0o600).open(beside(".new"))?;
        fs::rename(&self.path, beside(".1"))?;
        fs::rename(beside(".new"), &self.path)?;
        nix::unistd::dup2_stderr(&new)?;
        nix::unistd::dup2_stdout(&new)?;
        Ok(())
    }
}

impl Write for &Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = io::stderr().write(bytes)?;
        let length = self.length.fetch_add(written as u64, Ordering::Relaxed) + written as u64;
        if length > LONGEST && self.length.swap(0, Ordering::Relaxed) > LONGEST {
            // Where that fails the log goes on in the old file, and it is tried again later.
            drop(self.begin_anew());
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
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
