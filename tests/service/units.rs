//! The units, with a `systemctl` that writes down what it is asked.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::common::Instance;

/// A home with a `systemctl` of its own, which says yes to everything and starts the daemon
/// when it is asked for.
struct Home(Instance);

impl Home {
    fn new() -> Home {
        let home = Home(Instance::new());
        let bin = home.0.home().join("bin");
        fs::create_dir(&bin).unwrap();
        let log = home.0.home().join("asked");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {log}\ncase \"$*\" in *' start '*.service) {daemon} --daemonize;; esac\n",
            log = log.display(),
            daemon = env!("CARGO_BIN_EXE_autodevd"),
        );
        fs::write(bin.join("systemctl"), script).unwrap();
        fs::set_permissions(bin.join("systemctl"), PermissionsExt::from_mode(0o755)).unwrap();
        home
    }

    fn command(&self, words: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = self.0.autodev(words);
        command.env("PATH", format!("{}:{path}", self.0.home().join("bin").display()));
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.0.home().join("asked")).unwrap_or_default()
    }

    fn directory(&self) -> PathBuf {
        self.0.home().join(".config/systemd/user")
    }

    /// The units that are there.
    fn units(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.retain(|name| name.contains('.') && !name.ends_with(".wants"));
        names.sort();
        names
    }
}

#[test]
fn units_are_written_and_removed() {
    let home = Home::new();
    home.0.ok(&["daemon", "start"]);
    home.ok(&["service", "install"]);
    let units = home.units();
    let [service, socket] = units.as_slice() else { panic!("{units:?}") };
    // An instance that is not the usual one has a name of its own.
    assert!(service.starts_with("autodevd-") && service.ends_with(".service") && socket.ends_with(".socket"));
    let text = fs::read_to_string(home.directory().join(service)).unwrap();
    assert!(text.contains(&format!("Environment=\"AUTODEV_HOME={}\"", home.0.home().display())), "{text}");
    assert!(text.contains(&format!("ExecStart=\"{}\"", env!("CARGO_BIN_EXE_autodevd"))), "{text}");
    let asked = home.asked();
    for word in ["daemon-reload", "enable", "stop"] {
        assert!(asked.contains(word), "{word}: {asked}");
    }
    // What is printed is what is written.
    let printed = home.ok(&["service", "install", "--print"]);
    assert!(printed.contains(&text), "{printed}");
    home.ok(&["service", "uninstall"]);
    assert_eq!(home.units(), Vec::<String>::new());
    assert!(home.asked().contains("disable --now"));
    assert_eq!(home.run(&["service", "uninstall"]).status.code(), Some(4));
}

#[test]
fn the_manager_is_asked_where_its_socket_is_enabled() {
    let home = Home::new();
    home.0.submit(&["--hold"], "true");
    home.0.ok(&["daemon", "stop"]);
    home.ok(&["service", "install"]);
    home.0.run(&["daemon", "stop"]);
    let before = home.asked();
    // Written but not enabled: as without it.
    home.ok(&["status"]);
    assert_eq!(home.asked(), before);
    home.0.ok(&["daemon", "stop"]);
    let socket = home.units().into_iter().find(|name| name.ends_with(".socket")).unwrap();
    let wants = home.directory().join("sockets.target.wants");
    fs::create_dir(&wants).unwrap();
    symlink(home.directory().join(&socket), wants.join(&socket)).unwrap();
    home.ok(&["status"]);
    let asked = home.asked();
    let last = asked.lines().last().unwrap();
    assert!(last.contains("--user") && last.contains("start") && last.contains(".service"), "{asked}");
    // Who only wants to know starts nothing.
    home.0.ok(&["daemon", "stop"]);
    for words in [&["status", "--no-start"][..], &["daemon", "status"], &["health"]] {
        assert_eq!(home.run(words).status.code(), Some(3), "{words:?}");
    }
    assert_eq!(home.asked(), asked);
    // With one that cannot start it, the reason is told.
    fs::write(home.0.home().join("bin/systemctl"), "#!/bin/sh\necho 'it is broken' >&2\nexit 1\n").unwrap();
    let output = home.run(&["status"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("it is broken"), "{output:?}");
    // Where no manager can be reached one is started as ever.
    fs::write(home.0.home().join("bin/systemctl"), "#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n").unwrap();
    home.ok(&["status"]);
}

#[test]
fn without_systemd_it_is_told() {
    let home = Home::new();
    fs::write(home.0.home().join("bin/systemctl"), "#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n").unwrap();
    let output = home.run(&["service", "install"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--daemonize"), "{output:?}");
    assert_eq!(home.units(), Vec::<String>::new());
}

#[test]
fn systemd_has_nothing_to_complain_about() {
    let home = Home::new();
    home.ok(&["service", "install"]);
    let runtime = tempfile::tempdir().unwrap();
    let units: Vec<PathBuf> = home.units().iter().map(|name| home.directory().join(name)).collect();
    let mut verify = Command::new("systemd-analyze");
    // Manual pages may not be installed.
    verify.args(["--user", "--man=no", "verify"]).args(&units);
    verify.env("XDG_RUNTIME_DIR", runtime.path()).env("HOME", home.0.home());
    match verify.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.trim().is_empty(), "{said}");
        }
        Err(error) => eprintln!("skipped: systemd-analyze: {error}"),
    }
}
