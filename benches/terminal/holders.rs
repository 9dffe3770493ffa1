//! Who holds sessions: ours and the peers, each on sockets of its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::shared::instance::Instance;

/// Somebody who keeps programs in terminals.
pub trait Holder {
    fn name(&self) -> &'static str;

    /// A command that starts a program in a session at which nobody looks.
    fn open(&self, session: &str, program: &[String]) -> Command;

    /// A command that shows a session.
    fn attach(&self, session: &str) -> Command;

    /// Whether it makes something of what a program prints when nobody looks.
    fn has_screen(&self) -> bool {
        true
    }
}

/// Starts a session; its name.
pub fn open(holder: &dyn Holder, program: &[String]) -> String {
    // A name may belong to a session that is just ending.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let session = format!("s{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let opened = holder.open(&session, program).status();
    assert!(opened.expect("started").success(), "{}", holder.name());
    session
}

/// Ours first, then the peers that are installed.
pub fn all() -> Vec<Box<dyn Holder>> {
    let mut found: Vec<Box<dyn Holder>> = vec![Box::new(Ours(Instance::new(1)))];
    let peers: [fn() -> Box<dyn Holder>; 3] =
        [|| Box::new(Tmux::start()), || Box::new(Screen(sockets())), || Box::new(Dtach(sockets()))];
    for (name, start) in ["tmux", "screen", "dtach"].into_iter().zip(peers) {
        if is_installed(name) {
            found.push(start());
        }
    }
    found
}

/// Says so when it is not.
pub fn is_installed(peer: &str) -> bool {
    let version = Command::new(peer).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if version.is_err() {
        println!("{peer} is not installed and left out");
    }
    version.is_ok()
}

/// Of those found, the ones of these names.
pub fn some(names: &[&str]) -> Vec<Box<dyn Holder>> {
    all().into_iter().filter(|holder| names.contains(&holder.name())).collect()
}

/// For sockets, whose paths must be short.
fn sockets() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", "/nonexistent").env("SHELL", "/bin/sh");
    seen_by_people(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn seen_by_people(command: &mut Command) {
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
}

/// Ours.
pub struct Ours(pub Instance);

impl Holder for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn open(&self, session: &str, program: &[String]) -> Command {
        let mut command = self.0.command(&["open", "-q", "--detach", "--name", session, "--"]);
        command.args(program);
        command
    }

    fn attach(&self, session: &str) -> Command {
        let mut command = self.0.command(&["attach", session]);
        seen_by_people(&mut command);
        command
    }
}

impl Ours {
    /// The process that holds a session.
    pub fn keeper(&self, session: &str) -> u32 {
        let file = self.0.home().join("state/sessions/live").join(session).join("keeper.json");
        let file: autodev::paths::KeeperFile =
            serde_json::from_slice(&std::fs::read(file).expect("keeper.json")).expect("keeper.json");
        file.process.pid
    }
}

/// One server for all sessions.
pub struct Tmux(tempfile::TempDir);

impl Tmux {
    pub fn start() -> Self {
        let tmux = Tmux(sockets());
        // As many lines of history as are measured, colours as they are, the whole window.
        let config = "set -g history-limit 10000\nset -g status off\nset -as terminal-features ',*:RGB'\n";
        std::fs::write(tmux.0.path().join("config"), config).expect("a configuration");
        // Keeps the server there between the others.
        assert!(tmux.command(&["new-session", "-d", "sleep 1000"]).status().expect("tmux").success());
        tmux
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = command("tmux");
        command.arg("-u").arg("-S").arg(self.0.path().join("socket"));
        command.arg("-f").arg(self.0.path().join("config")).args(args);
        command
    }

    /// The server's process.
    pub fn server(&self) -> u32 {
        let shown = self.command(&["display-message", "-p", "#{pid}"]).stdout(Stdio::piped()).output();
        String::from_utf8_lossy(&shown.expect("tmux").stdout).trim().parse().expect("a process id")
    }
}

impl Holder for Tmux {
    fn name(&self) -> &'static str {
        "tmux"
    }

    fn open(&self, session: &str, program: &[String]) -> Command {
        let mut command = self.command(&["new-session", "-d", "-s", session]);
        command.args(program);
        command
    }

    fn attach(&self, session: &str) -> Command {
        self.command(&["attach-session", "-t", session])
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        drop(self.command(&["kill-server"]).status());
    }
}

/// A server for each session, which ends with its program.
struct Screen(tempfile::TempDir);

impl Screen {
    fn command(&self, args: &[&str]) -> Command {
        let config = self.0.path().join("config");
        std::fs::write(&config, "startup_message off\ndefscrollback 10000\n").expect("a configuration");
        let mut command = command("screen");
        command.env("SCREENDIR", directory(self.0.path())).arg("-U").arg("-c").arg(config).args(args);
        command
    }
}

/// Where screen has its sockets: its own, or it complains.
fn directory(sockets: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(sockets, std::fs::Permissions::from_mode(0o700)).expect("its own");
    sockets.to_owned()
}

impl Holder for Screen {
    fn name(&self) -> &'static str {
        "screen"
    }

    fn open(&self, session: &str, program: &[String]) -> Command {
        let mut command = self.command(&["-dmS", session]);
        command.args(program);
        command
    }

    fn attach(&self, session: &str) -> Command {
        self.command(&["-r", session])
    }
}

/// A server for each session, which ends with its program; without a screen.
struct Dtach(tempfile::TempDir);

impl Dtach {
    fn command(&self, way: &str, session: &str) -> Command {
        let mut command = command("dtach");
        command.arg(way).arg(self.0.path().join(session)).args(["-E", "-z"]);
        command
    }
}

impl Holder for Dtach {
    fn name(&self) -> &'static str {
        "dtach"
    }

    fn open(&self, session: &str, program: &[String]) -> Command {
        let mut command = self.command("-n", session);
        command.args(program);
        command
    }

    fn attach(&self, session: &str) -> Command {
        self.command("-a", session)
    }

    fn has_screen(&self) -> bool {
        false
    }
}
