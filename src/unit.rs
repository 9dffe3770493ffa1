//! The systemd units of an instance: their names, where they lie, and whether the service
//! manager is to be asked for the daemon.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::paths::Paths;

/// The service as it is shipped; 'autodev service install' fills in what is the user's.
pub const SERVICE: &str = include_str!("../config/autodevd.service");
/// The socket as it is shipped.
pub const SOCKET: &str = include_str!("../config/autodevd.socket");

/// What the shipped units call themselves and the program.
const NAME: &str = "autodevd";

/// What a service manager says to the process it has started, and to no other.
pub const SAID: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// The units of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Without `.service` or `.socket`.
    pub name: String,
    /// Where the user's units lie.
    pub directory: PathBuf,
}

impl Unit {
    /// The instance's units; `None` without a home directory. One that is not at the usual
    /// place has a name of its own.
    pub fn of(paths: &Paths) -> Option<Unit> {
        let name = match env::var_os("AUTODEV_HOME").filter(|home| !home.is_empty()) {
            None => NAME.to_owned(),
            Some(_) => format!("{NAME}-{:08x}", paths.instance_number() & 0xffff_ffff),
        };
        let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let config = config.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")))?;
        Some(Unit { name, directory: config.join("systemd/user") })
    }

    /// The service's name.
    pub fn service(&self) -> String {
        format!("{}.service", self.name)
    }

    /// The socket's name.
    pub fn socket(&self) -> String {
        format!("{}.socket", self.name)
    }

    /// The service's file.
    pub fn service_file(&self) -> PathBuf {
        self.directory.join(self.service())
    }

    /// The socket's file.
    pub fn socket_file(&self) -> PathBuf {
        self.directory.join(self.socket())
    }

    /// The socket is enabled: whoever needs the daemon asks the service manager for it.
    pub fn is_enabled(&self) -> bool {
        let link = self.directory.join("sockets.target.wants").join(self.socket());
        fs::metadata(link).is_ok_and(|found| found.is_file())
    }

    /// The service for this program, with these variables; in the sandbox that the shipped one
    /// only describes, if that is wanted.
    pub fn service_text(&self, program: &Path, environment: &[(String, String)], sandbox: bool) -> String {
        let shipped = format!("ExecStart=%h/.local/bin/{NAME}");
        let mut ours = format!("ExecStart={}", quoted(&program.to_string_lossy()));
        for (name, value) in environment {
            ours.push_str(&format!("\nEnvironment={}", quoted(&format!("{name}={value}"))));
        }
        let text = SERVICE.replace(&shipped, &ours);
        match sandbox {
            // Only settings have no blank behind the mark.
            true => text.lines().map(|line| format!("{}\n", setting_of(line).unwrap_or(line))).collect(),
            false => text,
        }
    }

    /// The socket.
    pub fn socket_text(&self) -> String {
        SOCKET.replace(&format!("%t/autodev/{NAME}.sock"), &format!("%t/autodev/{}.sock", self.name))
    }
}

/// A setting that stands in the file as a comment.
fn setting_of(line: &str) -> Option<&str> {
    line.strip_prefix('#').filter(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
}

/// As a unit file has a word: systemd.syntax(7). In a variable's value and in a program's path
/// a dollar sign means nothing.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{text}\"")
}

/// Lingering: the user's services run on after the last logout. `None` where that is not
/// known.
pub fn lingers() -> Option<bool> {
    let state = Path::new("/var/lib/systemd");
    let name = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten()?.name;
    state.is_dir().then(|| state.join("linger").join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_nothing_to_systemd() {
        let unit = Unit { name: "autodevd-1".into(), directory: "/d".into() };
        let text =
            unit.service_text(Path::new("/a b/autodevd"), &[("PATH".into(), "/100%/\"x\":$HOME\\".into())], false);
        assert!(
            text.contains("\nExecStart=\"/a b/autodevd\"\nEnvironment=\"PATH=/100%%/\\\"x\\\":$HOME\\\\\"\n"),
            "{text}"
        );
        assert!(text.contains("\n#NoNewPrivileges=yes\n"), "{text}");
        let text = unit.service_text(Path::new("/autodevd"), &[], true);
        assert!(
            text.contains("\nNoNewPrivileges=yes\nRestrictSUIDSGID=yes\n") && text.starts_with("# The daemon"),
            "{text}"
        );
        assert!(unit.socket_text().contains("ListenStream=%t/autodev/autodevd-1.sock\n"));
    }
}
