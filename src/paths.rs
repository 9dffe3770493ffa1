//! Where everything lies. The state directory is the identity of an instance.

use std::env;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{SessionName, Uid};
use crate::process::ProcessId;

/// The directories of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `config.toml`, `providers/`.
    pub config: PathBuf,
    /// Database, witness, locks, sessions, logs.
    pub state: PathBuf,
    /// Sockets only; vanishes at logout and is made again.
    pub runtime: PathBuf,
}

/// Why the directories cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum BadPaths {
    /// No home directory.
    #[error("neither AUTODEV_HOME nor HOME is set: set one of them to an absolute directory")]
    NoHome,
    /// A relative path where an absolute one is needed.
    #[error("{0} must be an absolute path, and is '{1}'")]
    Relative(&'static str, String),
}

impl Paths {
    /// From the environment: `AUTODEV_HOME` moves everything under one directory,
    /// otherwise the XDG base directories count.
    ///
    /// # Errors
    /// [`BadPaths`].
    pub fn from_env() -> Result<Self, BadPaths> {
        // `su` and `sudo` may leave the other user's.
        let ours = |dir: &PathBuf| {
            fs::metadata(dir).is_ok_and(|found| found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw())
        };
        let runtime = absolute("XDG_RUNTIME_DIR")?.filter(ours);
        if let Some(home) = absolute("AUTODEV_HOME")? {
            let state = home.join("state");
            let runtime = socket_directory(runtime, &state);
            return Ok(Paths { config: home.join("config"), state, runtime });
        }
        let home = absolute("HOME")?;
        let base = |variable, below: &str| -> Result<PathBuf, BadPaths> {
            match absolute(variable)? {
                Some(base) => Ok(base.join("autodev")),
                None => Ok(home.clone().ok_or(BadPaths::NoHome)?.join(below).join("autodev")),
            }
        };
        let state = base("XDG_STATE_HOME", ".local/state")?;
        let runtime = socket_directory(runtime, &state);
        Ok(Paths { config: base("XDG_CONFIG_HOME", ".config")?, state, runtime })
    }

    /// The user's settings.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The settings as the daemon last found them right.
    pub fn kept_config(&self) -> PathBuf {
        self.state.join("config.kept.toml")
    }

    /// The user's provider tables.
    pub fn providers(&self) -> PathBuf {
        self.config.join("providers")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.state.join("autodev.db")
    }

    /// The witness of the database's head.
    pub fn witness(&self) -> PathBuf {
        self.state.join("witness")
    }

    /// Says that this directory once held a database.
    pub fn marker(&self) -> PathBuf {
        self.state.join("INITIALIZED")
    }

    /// Copies of the database.
    pub fn backups(&self) -> PathBuf {
        self.state.join("backups")
    }

    /// What a restore has put in the place of, with the day and time in the name.
    pub fn quarantine(&self) -> PathBuf {
        self.state.join("quarantine")
    }

    /// A restored database that waits to be put in the place of the damaged one.
    pub fn restored(&self) -> PathBuf {
        self.state.join("autodev.db.restored")
    }

    /// The lock of the instance; names its holder and socket.
    pub fn daemon_lock(&self) -> PathBuf {
        self.state.join("daemon.lock")
    }

    /// The daemon's log, when it is not in the foreground.
    pub fn daemon_log(&self) -> PathBuf {
        self.state.join("autodevd.log")
    }

    /// The daemon's socket, when the lock file does not say another.
    pub fn daemon_socket(&self) -> PathBuf {
        self.daemon_socket_in(&self.runtime)
    }

    /// The daemon's socket in another directory than the runtime directory.
    pub fn daemon_socket_in(&self, directory: &Path) -> PathBuf {
        directory.join("daemon.sock")
    }

    /// Where sockets lie when the runtime directory cannot be made.
    pub fn spare_runtime(&self) -> PathBuf {
        self.state.join("run")
    }

    /// Directories of sessions whose end is not settled, and links to them by name.
    pub fn live_sessions(&self) -> PathBuf {
        self.state.join("sessions").join("live")
    }

    /// Directories and packs of sessions that are over.
    pub fn done_sessions(&self) -> PathBuf {
        self.state.join("sessions").join("done")
    }

    /// A number that differs between instances: from the state directory, which is an
    /// instance's identity.
    pub fn instance_number(&self) -> u64 {
        let digest = Sha256::digest(self.state.as_os_str().as_bytes());
        digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    /// The directory that a session is given.
    pub fn session_directory(&self, name: &SessionName, uid: Uid) -> SessionDir {
        SessionDir(self.live_sessions().join(name.directory(uid)))
    }

    /// The directory of one live session by its name: itself, or a link to it.
    pub fn live_session(&self, name: &SessionName) -> SessionDir {
        SessionDir(self.live_sessions().join(name.as_str()))
    }
}

fn absolute(variable: &'static str) -> Result<Option<PathBuf>, BadPaths> {
    match env::var_os(variable) {
        Some(value) if !value.is_empty() => {
            let path = PathBuf::from(value);
            if path.is_absolute() {
                Ok(Some(path))
            } else {
                Err(BadPaths::Relative(variable, path.display().to_string()))
            }
        }
        _ => Ok(None),
    }
}

/// Sockets of different instances of one user must not meet in the runtime directory.
fn socket_directory(runtime: Option<PathBuf>, state: &Path) -> PathBuf {
    match runtime {
        Some(runtime) => {
            let digest = Sha256::digest(state.as_os_str().as_bytes());
            let tag: String = digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
            runtime.join("autodev").join(tag)
        }
        None => state.join("run"),
    }
}

/// One session's directory and the files in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDir(pub PathBuf);

impl SessionDir {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Held by the keeper for its life.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// The launch specification.
    pub fn launch(&self) -> PathBuf {
        self.0.join("launch.json")
    }

    /// Who the keeper is and where its socket is: [`KeeperFile`].
    pub fn keeper(&self) -> PathBuf {
        self.0.join("keeper.json")
    }

    /// Made, once, just before the program is started.
    pub fn started(&self) -> PathBuf {
        self.0.join("started")
    }

    /// The exit record.
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// What the keeper has to say besides: its standard error.
    pub fn log(&self) -> PathBuf {
        self.0.join("keeper.log")
    }
}

/// What a keeper writes about itself, for clients and daemons that look for it. Valid
/// only while the lock beside it is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperFile {
    /// Version of the file's form: 1.
    pub v: u32,
    /// The keeper.
    pub process: ProcessId,
    /// Its socket.
    pub socket: PathBuf,
    /// The keeper's wire version.
    pub protocol: u16,
}

/// What the daemon writes into its lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFile {
    /// Version of the file's form: 1.
    pub v: u32,
    /// The daemon.
    pub process: ProcessId,
    /// Its socket.
    pub socket: PathBuf,
    /// Its generation: each start of a daemon has a higher one.
    pub generation: u64,
}

/// Whether a directory lies on a file system of another machine, where locks and
/// durability cannot be trusted: its name if so.
///
/// # Errors
/// When the file system cannot be asked.
pub fn network_file_system(directory: &Path) -> io::Result<Option<&'static str>> {
    // Magic numbers of linux/magic.h and the file systems' own headers.
    const NETWORK: [(i64, &str); 7] = [
        (0x6969, "NFS"),
        (0x517B, "SMB"),
        (0xFF53_4D42, "CIFS"),
        (0xFE53_4D42, "SMB2"),
        (0x0102_1997, "9P"),
        (0x5346_414F, "AFS"),
        (0x00C3_6400, "Ceph"),
    ];
    let found = nix::sys::statfs::statfs(directory)?.filesystem_type();
    Ok(NETWORK.iter().find(|(magic, _)| *magic == found.0).map(|(_, name)| *name))
}
