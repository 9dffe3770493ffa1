//! The daemon's beginning and end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::stat::{Mode, umask};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::admission::Switch;
use super::archive::Archiver;
use super::redis_copy::RedisCopy;
use super::scopes::Scopes;
use super::settings::Settings;
use super::totals::Totals;
use super::{Daemon, Leave, backups, exporter, listener, lock_file, recover, scheduler};
use crate::clock::Timestamp;
use crate::config;
use crate::door;
use crate::lock::FileLock;
use crate::logging;
use crate::paths::{Paths, network_file_system};
use crate::process;
use crate::protocol::FaultCode;
use crate::protocol::hello::BUILD;
use crate::protocol::keeper::How;
use crate::protocol::ready::Ready;
use crate::protocol::reply::Reloaded;
use crate::session::{Order, Roster};
use crate::socket;
use crate::store::Store;
use crate::systemd;
use crate::task::{Actor, Event};

/// Another daemon serves this instance: nothing to do. (EX_TEMPFAIL; a unit lists it in
/// RestartPreventExitStatus.)
pub const EXIT_HELD: u8 = 75;
/// With `daemon stop --kill-sessions`, sessions end within this.
const KILL_ALL_LIMIT: Duration = Duration::from_secs(30);

/// What blocks a thread longer than this when the daemon leaves, as a failing disk does, is
/// left behind, as it would be by a crash.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// How the daemon is started.
#[derive(Debug, Default)]
pub struct Options {
    /// Where to say that we are ready, or why not: one line of JSON, then it is closed.
    pub ready: Option<OwnedFd>,
    /// The instance's lock, as the daemon left it that this process was before.
    pub lock: Option<OwnedFd>,
    /// The service manager's socket, as the same daemon has left it.
    pub listener: Option<OwnedFd>,
    /// Log filter, over the configured one.
    pub log: Option<String>,
}

/// Why the daemon does not start.
#[derive(Debug)]
struct Failure {
    code: u8,
    why: String,
}

fn failure(why: impl std::fmt::Display) -> Failure {
    Failure { code: 1, why: why.to_string() }
}

/// Runs the daemon until it is told to leave.
pub fn run(options: Options) -> ExitCode {
    let mut ready = options.ready.map(File::from);
    match serve(options.log.as_deref(), options.lock, options.listener, &mut ready) {
        Ok(Some(left)) => restart(options.log.as_deref(), &left),
        Ok(None) => ExitCode::SUCCESS,
        Err(Failure { code, why }) => {
            let kind = if code == EXIT_HELD { FaultCode::Conflict } else { FaultCode::Internal };
            say(&mut ready, &Ready { error: Some(why.clone()), code: Some(kind), ..Ready::default() });
            // The log may not be running yet.
            drop(writeln!(io::stderr(), "autodevd: {why}"));
            ExitCode::from(code)
        }
    }
}

fn say(ready: &mut Option<File>, what: &Ready) {
    // Dropping it closes it: the other side sees the end even if it missed the line.
    if let Some(mut out) = ready.take()
        && let Ok(mut line) = serde_json::to_vec(what)
    {
        line.push(b'\n');
        drop(out.write_all(&line));
    }
}

/// What a daemon that starts anew leaves to itself, by descriptor.
struct Left {
    lock: RawFd,
    listener: Option<RawFd>,
}

/// Serves until it is told to leave. To start anew it leaves what must not be let go of.
fn serve(
    log: Option<&str>,
    lock: Option<OwnedFd>,
    listener: Option<OwnedFd>,
    ready: &mut Option<File>,
) -> Result<Option<Left>, Failure> {
    // Before anything else is opened.
    let passed = match listener {
        Some(listener) => systemd::Passed::of(listener).map(Some),
        None => systemd::passed(),
    };
    let passed = passed.map_err(failure)?;
    if let Some(why) = door::inside_session() {
        return Err(failure(format!(
            "a daemon is never started inside a session: {why}; start it from a shell of your own"
        )));
    }
    let before = umask(Mode::from_bits_truncate(0o077));
    let core = process::keep_memory_private().map_err(failure)?;
    let paths = Paths::from_env().map_err(failure)?;
    // One that starts anew in its place looks after sessions, whatever was wrong with it.
    if lock.is_none()
        && let Some(problem) = config::wrong_variable(&paths)
    {
        return Err(failure(format!("not started with wrong settings: {problem}")));
    }
    let settings = Settings::load(&paths);
    let (filter, form) = settings.log();
    logging::start(log.unwrap_or(&filter), form, &paths.daemon_log());
    for directory in [&paths.state, &paths.live_sessions(), &paths.done_sessions()] {
        socket::private_directory(directory).map_err(failure)?;
    }
    if let Some(kind) = network_file_system(&paths.state).map_err(failure)? {
        return Err(failure(format!(
            "{} lies on a network file system ({kind}), where locks cannot be trusted: set AUTODEV_HOME to a local directory",
            paths.state.display()
        )));
    }
    let inherited = lock.and_then(|lock| FileLock::inherit(lock, &paths.daemon_lock()).ok().flatten());
    let taken = inherited.map_or_else(|| FileLock::take(&paths.daemon_lock()), |lock| Ok(Some(lock)));
    let Some(lock) = taken.map_err(failure)? else {
        if let Some(passed) = &passed {
            passed.send_away();
        }
        return Err(Failure { code: EXIT_HELD, why: lock_file::held(&paths) });
    };
    settings.keep(&paths);
    let store = Store::open(&paths, lock_file::last_generation(&lock)).map_err(failure)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failure)?;
    let (daemon, leave, passed) = runtime.block_on(async {
        // Before anybody can know us by the lock file: who finds no socket sends one.
        let signals = Signals::take().map_err(failure)?;
        let kept = passed.as_ref().map(|passed| passed.listener.try_clone()).transpose().map_err(failure)?;
        let (listener, path) = match passed {
            Some(passed) => listener::take(&paths, passed).map_err(failure)?,
            None => listener::bind(&paths).map_err(failure)?,
        };
        lock_file::write(&lock, &path, store.generation()).map_err(failure)?;
        let daemon = assemble(paths, settings, store, path, lock, before.bits(), core).await?;
        let leave = live(&daemon, listener, signals, ready).await;
        daemon.store.close().await;
        Ok::<_, Failure>((daemon, leave, kept))
    })?;
    // Ends what still looks after a client or a session.
    runtime.shutdown_timeout(LEAVE_LIMIT);
    // The socket goes before the lock: whoever takes the lock next binds its own.
    // The service manager's stays: it is for whoever comes next.
    let of_manager = passed.as_ref().and_then(|passed| passed.local_addr().ok());
    let socket = daemon.socket_path();
    if of_manager.is_none_or(|address| address.as_pathname() != Some(&socket)) {
        drop(fs::remove_file(socket));
    }
    Ok(match leave? {
        Leave::Failed => return Err(failure("it cannot do its work any more; its log says why")),
        Leave::Restart => {
            // As it was found, for who comes next to find it.
            umask(before);
            process::allow_core_files(core);
            let listener = passed.map(|passed| bequeath(passed.into())).transpose().map_err(failure)?;
            Some(Left { lock: daemon.lock.bequeath().map_err(failure)?, listener })
        }
        Leave::Stop | Leave::StopAll => None,
    })
}

/// Leaves a descriptor to the program that this process becomes next.
fn bequeath(descriptor: OwnedFd) -> io::Result<RawFd> {
    fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(descriptor.into_raw_fd())
}

/// What the system tells us.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    rebind: Signal,
}

impl Signals {
    fn take() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
            rebind: signal(SignalKind::user_defined1())?,
        })
    }
}

async fn assemble(
    paths: Paths,
    settings: Settings,
    store: Store,
    socket: PathBuf,
    lock: FileLock,
    umask: u32,
    core: (u64, u64),
) -> Result<Arc<Daemon>, Failure> {
    let admission = Switch::load(&store).await.map_err(failure)?;
    let archiver = Archiver::start(&paths, &store);
    let totals = Totals::after(store.last_event().await.map_err(failure)?);
    Ok(Arc::new(Daemon {
        roster: Roster::default(),
        admission,
        archiver,
        since: Timestamp::now(),
        lock,
        umask,
        core,
        socket: Mutex::new(socket),
        reschedule: Notify::new(),
        rests_until: Mutex::new(None),
        refusals: Mutex::default(),
        redis: RedisCopy::default(),
        scopes: Scopes::default(),
        totals: tokio::sync::Mutex::new(totals),
        backing_up: tokio::sync::Mutex::new(()),
        session_left: Notify::new(),
        leaving: watch::Sender::new(None),
        paths,
        settings,
        store,
    }))
}

async fn live(
    daemon: &Arc<Daemon>,
    listener: tokio::net::UnixListener,
    signals: Signals,
    ready: &mut Option<File>,
) -> Result<Leave, Failure> {
    let Signals { mut terminate, mut interrupt, mut reload, rebind } = signals;
    recover::run(daemon).await.map_err(failure)?;
    daemon.settle_redis();
    let accepting = part(daemon, "for clients", listener::run(Arc::clone(daemon), listener, rebind));
    let scheduling = part(daemon, "that starts tasks", scheduler::run(Arc::clone(daemon)));
    let due = part(daemon, "that keeps due dates", scheduler::run_due(Arc::clone(daemon)));
    let exporting = part(daemon, "that serves figures", exporter::run(Arc::clone(daemon)));
    let backing_up = part(daemon, "that makes backups", backups::run(Arc::clone(daemon)));
    let socket = daemon.socket_path();
    tracing::info!(version = BUILD, pid = std::process::id(), socket = %socket.display(), "ready");
    say(ready, &Ready { ready: true, socket: Some(socket), ..Ready::default() });
    systemd::ready(&format!("serves {}", daemon.paths.state.display()));
    let watched = tokio::spawn(systemd::watchdog({
        let daemon = Arc::clone(daemon);
        // That this runs at all says that the daemon's thread does; the rest is the database.
        async move || daemon.store.last_event().await.is_ok() && daemon.store.responds().await.is_ok()
    }));
    loop {
        tokio::select! {
            _ = terminate.recv() => daemon.leave(Leave::Stop),
            _ = interrupt.recv() => daemon.leave(Leave::Stop),
            _ = reload.recv() => drop(tokio::spawn(reload_settings(Arc::clone(daemon)))),
            () = daemon.store.thread_ended() => {
                tracing::error!("a thread of the database has ended");
                daemon.leave(Leave::Failed);
            }
            () = daemon.is_leaving() => break,
        }
    }
    // What follows has its own limit of time.
    watched.abort();
    // All of them listen to `leaving`: after them nothing new is started or accepted, and
    // every session is in the roster.
    for ended in [accepting.await, scheduling.await, due.await, backing_up.await, exporting.await] {
        if let Err(error) = ended {
            tracing::error!(%error, "a part of the daemon had failed");
        }
    }
    // Said while we waited for them.
    tokio::select! {
        biased;
        _ = terminate.recv() => daemon.leave(Leave::Stop),
        _ = interrupt.recv() => daemon.leave(Leave::Stop),
        () = std::future::ready(()) => {}
    }
    let how = daemon.leaving.borrow().unwrap_or(Leave::Stop);
    tracing::info!(?how, sessions = daemon.roster.len(), "leaving");
    if matches!(how, Leave::Stop | Leave::StopAll) {
        systemd::stopping();
    }
    if how == Leave::StopAll {
        end_all(daemon).await;
    }
    Ok(how)
}

/// Reads the settings again, where a file system that does not answer holds up nobody.
async fn reload_settings(daemon: Arc<Daemon>) {
    let owner = Arc::clone(&daemon);
    match tokio::task::spawn_blocking(move || owner.reload()).await {
        Ok(Ok(Reloaded { restart_needed, .. })) if restart_needed.is_empty() => {
            tracing::info!("the settings have been read again");
        }
        Ok(Ok(Reloaded { restart_needed, .. })) => {
            let later = restart_needed.join(", ");
            tracing::info!(later, "the settings have been read again; some take effect after 'autodev daemon restart'");
        }
        Ok(Err(fault)) => {
            tracing::error!(error = fault.message, "the configuration is wrong; the last good one stays");
        }
        Err(error) => tracing::error!(%error, "the settings cannot be read again"),
    }
}

/// Runs a part of the daemon. Without it the daemon would be there and not do its work, so
/// when it ends too early the daemon leaves.
fn part(
    daemon: &Arc<Daemon>,
    what: &'static str,
    work: impl Future<Output = io::Result<()>> + Send + 'static,
) -> JoinHandle<()> {
    /// Dropped by a panic as well.
    struct Needed(Arc<Daemon>, &'static str);
    impl Drop for Needed {
        fn drop(&mut self) {
            if self.0.leaving.borrow().is_none() {
                tracing::error!("the part {} has ended", self.1);
                self.0.leave(Leave::Failed);
            }
        }
    }
    let needed = Needed(Arc::clone(daemon), what);
    tokio::spawn(async move {
        // All of it comes along, not only the word that is read.
        let needed = needed;
        if let Err(error) = work.await {
            tracing::error!(%error, "the part {} has failed", needed.1);
        }
    })
}

async fn end_all(daemon: &Arc<Daemon>) {
    for (uid, name) in daemon.roster.all() {
        match name.attempt() {
            Some(attempt) => match daemon.store.apply(attempt.task, Event::KillRequested, Actor::User).await {
                Ok(applied) => daemon.carry_out(&applied),
                Err(error) => tracing::debug!(%attempt, %error, "not killed"),
            },
            None => drop(daemon.roster.order(uid, Order::Stop(How::Now))),
        }
    }
    let all_left = async {
        loop {
            let left = daemon.session_left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if daemon.roster.is_empty() {
                return;
            }
            left.await;
        }
    };
    if tokio::time::timeout(KILL_ALL_LIMIT, all_left).await.is_err() {
        tracing::warn!(sessions = daemon.roster.len(), "sessions that have not ended are left to the next daemon");
    }
}

/// Becomes the binary that lies at our path now, perhaps a newer one. What was said on
/// our command line about the start itself (a descriptor, the background) has been done.
/// The instance's lock stays with this process all the time: nobody else gets in between.
fn restart(log: Option<&str>, left: &Left) -> ExitCode {
    // A client that finds the lock held and no socket sends a signal, which has no handler
    // until the new program has made one.
    for signal in [nix::sys::signal::SIGUSR1, nix::sys::signal::SIGHUP] {
        // SAFETY: ignoring a signal runs no code of ours.
        let _ = unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigIgn) };
    }
    systemd::starting_anew();
    let error = match std::env::current_exe() {
        Ok(exe) => {
            // After an upgrade the kernel marks the old file's name.
            let name = exe.to_string_lossy().trim_end_matches(" (deleted)").to_owned();
            let log = log.map(|log| format!("--log={log}"));
            let listener = left.listener.map(|listener| format!("--listen-fd={listener}"));
            let lock = format!("--lock-fd={}", left.lock);
            let exec = |program: &str| Command::new(program).arg(&lock).args(&listener).args(&log).exec();
            let error = exec(&name);
            drop(writeln!(io::stderr(), "autodevd: {name}: {error}; this version goes on"));
            exec("/proc/self/exe")
        }
        Err(error) => error,
    };
    drop(writeln!(io::stderr(), "autodevd: cannot start anew: {error}"));
    ExitCode::FAILURE
}
