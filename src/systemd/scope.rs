//! A control group for each session: a transient scope of the user's service manager. What
//! happens to the daemon's own unit does not concern it, and its limits are its own.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

use zbus::{Connection, OwnedObjectPath, Proxy, Variant, connection};

/// A session does not wait longer than this for its scope: without one it runs as well.
const LIMIT: Duration = Duration::from_millis(50);
const MANAGER: &str = "org.freedesktop.systemd1";

/// What a scope may take; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory; over it something in the scope is killed.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Hundredths of one processor.
    pub cpu_percent: Option<u64>,
}

/// Why a process is not in a scope of its own.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// There is no service manager of the user's to be asked.
    #[error("no service manager of the user's can be reached: {0}")]
    NoManager(String),
    /// It did not do it.
    #[error("the service manager has refused: {0}")]
    Refused(String),
    /// It has not answered in time.
    #[error("the service manager took longer than {} ms", LIMIT.as_millis())]
    Late,
}

/// The user's service manager.
#[derive(Clone, Debug)]
pub struct Manager(Connection);

impl Manager {
    /// Connects to it.
    ///
    /// # Errors
    /// `NoManager`, `Late`.
    pub async fn connect() -> Result<Manager, MoveError> {
        let connect = async {
            let address = address().ok_or_else(|| MoveError::NoManager("the user has no bus".into()))?;
            let builder = connection::Builder::address(address.as_str());
            builder.build().await.map(Manager).map_err(|error| MoveError::NoManager(error.to_string()))
        };
        timeout(LIMIT, connect).await.map_err(|_| MoveError::Late)?
    }

    /// Whether there may be one: there is a bus.
    pub fn is_there() -> bool {
        address().is_some()
    }

    /// Moves a process that has no children yet into a new scope; it is there when this
    /// returns.
    ///
    /// # Errors
    /// `Refused`, `Late`; the process is where it was, or will be moved a little later.
    pub async fn move_into_scope(&self, name: &str, about: &str, pid: u32, limits: Limits) -> Result<(), MoveError> {
        let work = async {
            let manager =
                Proxy::new(&self.0, MANAGER, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager").await?;
            // Heard of before it is asked: it is over at once.
            let () = manager.call("Subscribe", &()).await.or_else(already)?;
            let mut ended = manager.receive_signal("JobRemoved").await?;
            let mut properties = vec![
                ("Description", Variant::from(about)),
                ("PIDs", Variant::from(vec![pid])),
                ("CollectMode", Variant::from("inactive-or-failed")),
                // One process that is killed for want of memory does not take the others
                // with it.
                ("Delegate", Variant::from(true)),
            ];
            properties.extend(limits.memory.map(|bytes| ("MemoryMax", Variant::from(bytes))));
            properties.extend(limits.processes.map(|count| ("TasksMax", Variant::from(count))));
            properties
                .extend(limits.cpu_percent.map(|percent| ("CPUQuotaPerSecUSec", Variant::from(percent * 10_000))));
            let more: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
            let job: OwnedObjectPath = manager.call("StartTransientUnit", &(name, "fail", properties, more)).await?;
            while let Some(signal) = ended.next().await {
                let body = signal.body();
                let (_, path, _, result): (u32, OwnedObjectPath, String, String) = body.deserialize()?;
                if path == job {
                    return Ok(result);
                }
            }
            Ok::<_, zbus::Error>("its connection has ended".to_owned())
        };
        match timeout(LIMIT, work).await {
            Ok(Ok(result)) if result == "done" => Ok(()),
            Ok(Ok(result)) => Err(MoveError::Refused(result)),
            Ok(Err(error)) => Err(MoveError::Refused(error.to_string())),
            Err(_) => Err(MoveError::Late),
        }
    }
}

/// Subscribed already, over a connection of its own it is each time the same.
fn already(error: zbus::Error) -> Result<(), zbus::Error> {
    match &error {
        zbus::Error::MethodError(name, ..) if name.as_str().ends_with("AlreadySubscribed") => Ok(()),
        _ => Err(error),
    }
}

/// The bus that the manager is reached on. Its own socket speaks in names that zbus refuses;
/// without a bus of the user's (Debian: dbus-user-session) there are no scopes.
fn address() -> Option<String> {
    // Another may be named that somebody has started for a desktop.
    let own = env::var_os("XDG_RUNTIME_DIR").map(|runtime| PathBuf::from(runtime).join("bus"));
    match own.filter(|path| path.exists()) {
        Some(path) => Some(format!("unix:path={}", path.display())),
        None => env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|bus| !bus.is_empty()),
    }
}
