//! An instance of its own, which ends with the measurement.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::programs;

pub struct Instance(tempfile::TempDir);

impl Instance {
    pub fn new(slots: u32) -> Self {
        // On the disk the project lies on, not on a tmpfs: durability has its price.
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
        let instance = Instance(home);
        fs::create_dir_all(instance.home().join("config")).expect("config");
        fs::write(instance.home().join("config/config.toml"), format!("[queue]\nslots = {slots}\n")).expect("config");
        instance.ok(&["daemon", "start"]);
        instance
    }

    pub fn home(&self) -> &Path {
        self.0.path()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(programs::path("autodev"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AUTODEV_HOME", self.home())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .current_dir(self.home());
        command
    }

    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("autodev");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The daemon's process.
    pub fn daemon(&self) -> u32 {
        let lock = fs::read(self.home().join("state/daemon.lock")).expect("daemon.lock");
        let lock: autodev::paths::LockFile = serde_json::from_slice(&lock).expect("daemon.lock");
        lock.process.pid
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        drop(self.command(&["daemon", "stop", "--kill-sessions"]).stderr(Stdio::null()).status());
    }
}
