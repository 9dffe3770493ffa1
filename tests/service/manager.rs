//! A real service manager of the user's, in namespaces of its own.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{DEADLINE, Instance, appears};

const SYSTEMD: &str = "/usr/lib/systemd/systemd";

/// Control groups of the second version, nothing that says that this is not a machine run
/// by systemd, and the manager.
const BEGIN: &str = "
set -e
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run/systemd
mkdir -p /run/systemd/system /sys/fs/cgroup/$GROUP
echo $$ > /sys/fs/cgroup/$GROUP/cgroup.procs
/usr/lib/systemd/systemd --user --log-target=null &
wait
";

struct Manager {
    instance: Instance,
    child: Child,
    /// Its process as we see it.
    pid: String,
}

impl Manager {
    /// `None` where none can be started, which is said; where one must be
    /// (AUTODEV_REQUIRE_SYSTEMD), that is a failure.
    fn start() -> Option<Manager> {
        let skip = |why: String| {
            assert!(std::env::var_os("AUTODEV_REQUIRE_SYSTEMD").is_none(), "{why}");
            eprintln!("skipped: {why}");
            None
        };
        let root = nix::unistd::geteuid().is_root();
        if !root || !Path::new(SYSTEMD).exists() {
            return skip(format!("a service manager of a test's own needs root and {SYSTEMD}"));
        }
        let instance = Instance::new();
        let runtime = instance.home().join("run");
        fs::DirBuilder::new().mode(0o700).create(&runtime).unwrap();
        fs::create_dir(runtime.join("systemd")).unwrap();
        let log = fs::File::create(instance.home().join("manager.log")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--mount-proc", "--cgroup", "--kill-child", "sh", "-c", BEGIN]);
        command.env_clear().envs(Self::environment(&instance)).env("GROUP", Self::group(&instance));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().unwrap();
        let ready = runtime.join("systemd/private");
        let began = Instant::now();
        while !ready.exists() {
            if let Some(status) = child.try_wait().unwrap() {
                let log = fs::read_to_string(instance.home().join("manager.log")).unwrap();
                return skip(format!("a service manager cannot be started here: {status}: {log}"));
            }
            assert!(began.elapsed() < DEADLINE, "the service manager does not start");
            thread::sleep(Duration::from_millis(10));
        }
        let below = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        Some(Manager { instance, child, pid: below.trim().to_owned() })
    }

    /// A control group of its own: several managers run at once.
    fn group(instance: &Instance) -> String {
        instance.home().file_name().unwrap().to_str().unwrap().to_owned()
    }

    fn environment(instance: &Instance) -> Vec<(&'static str, String)> {
        let home = instance.home().display().to_string();
        let bin = PathBuf::from(env!("CARGO_BIN_EXE_autodev")).parent().unwrap().display().to_string();
        vec![
            ("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap())),
            ("HOME", home.clone()),
            ("XDG_RUNTIME_DIR", format!("{home}/run")),
            ("LANG", "C.UTF-8".into()),
            ("SHELL", "/bin/sh".into()),
        ]
    }

    /// Runs a command of a user on that machine.
    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid, "--mount", "--pid", "--cgroup", "--"]).args(words);
        command.env_clear().envs(Self::environment(&self.instance)).current_dir(self.instance.work());
        command.stdin(Stdio::null()).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let output = self.run(&words);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {}\n{out}\n{err}", output.status);
        out.trim().to_owned()
    }

    /// A task that runs until the file it returns is removed.
    fn task(&self, name: &str) -> (String, PathBuf) {
        let file = self.instance.home().join(name);
        let begun = self.instance.home().join(format!("{name}.begun"));
        fs::write(&file, "").unwrap();
        let script = format!("touch {}; while test -e {}; do sleep 0.05; done", begun.display(), file.display());
        let words = ["autodev", "submit", "-q", "--provider", "shell", "--", "sh", "-c", &script];
        let output = self.run(&words);
        assert!(output.status.success(), "{output:?}");
        appears(&begun);
        (String::from_utf8(output.stdout).unwrap().trim().to_owned(), file)
    }

    fn keeper(&self, task: &str) -> String {
        let session = self.ok("autodev sessions --json");
        let sessions: serde_json::Value = serde_json::from_str(&session).unwrap();
        let found = sessions.as_array().unwrap().iter().find(|one| one["task"].as_i64() == task.parse().ok()).unwrap();
        let pid = found["keeper_pid"].as_u64().or_else(|| found["keeper"]["pid"].as_u64());
        pid.unwrap_or_else(|| panic!("{found:#}")).to_string()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.run(&["systemctl", "--user", "status", "--no-pager", "--all"]);
            eprintln!("{}", String::from_utf8_lossy(&log.stdout));
        }
        drop(self.run(&["autodev", "daemon", "stop", "--kill-sessions"]));
        // All that is in the namespace ends with its first process.
        drop(Command::new("kill").args(["-9", &self.pid]).status());
        drop(self.child.wait());
        for mount in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            remove_groups(&Path::new(mount).join(Self::group(&self.instance)));
        }
    }
}

/// Removes control groups, from below; those that are still in use stay.
fn remove_groups(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&below.path());
        }
    }
    drop(fs::remove_dir(group));
}

#[test]
fn sessions_outlive_everything_that_is_done_to_the_service() {
    let Some(manager) = Manager::start() else { return };
    manager.ok("autodev service install");
    assert_eq!(manager.ok("systemctl --user is-active autodevd.service"), "active");
    assert_eq!(manager.ok("systemctl --user is-enabled autodevd.socket"), "enabled");
    assert_eq!(manager.ok("autodev service status -q"), "active");
    let (task, file) = manager.task("first");
    // In a group of its own, and what it started as well.
    let keeper = manager.keeper(&task);
    let group = manager.ok(&format!("cat /proc/{keeper}/cgroup"));
    assert!(group.contains(&format!("/autodev-{task}.1-")) && group.contains(".scope"), "{group}");
    let scope = group.rsplit('/').next().unwrap();
    assert!(manager.ok(&format!("systemctl --user status --no-pager {scope}")).contains("sleep"));

    let doctor = manager.ok("autodev doctor");
    assert!(doctor.contains("1 of 1 sessions have a control group of their own"), "{doctor}");

    manager.ok("systemctl --user restart autodevd.service");
    assert!(manager.ok(&format!("autodev show {task} --json")).contains("\"running\""));
    manager.ok("systemctl --user reload autodevd.service");
    manager.ok("systemctl --user stop autodevd.service");
    assert_eq!(manager.run(&["systemctl", "--user", "is-active", "autodevd.service"]).status.code(), Some(3));
    // Who only wants to know does not start it, though systemd listens for it.
    let looks = [("autodev status --no-start", 3), ("autodev daemon status", 3), ("autodev health", 3)];
    for (line, code) in looks.into_iter().chain([("autodev daemon stop", 0)]) {
        let output = manager.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        assert_eq!(manager.run(&["systemctl", "--user", "is-active", "autodevd.service"]).status.code(), Some(3));
    }
    // Whoever needs it asks for it, and gets the service.
    manager.ok("autodev status");
    assert_eq!(manager.ok("systemctl --user is-active autodevd.service"), "active");
    assert_eq!(manager.keeper(&task), keeper);

    // Killed, it comes back by itself.
    let pid = manager.ok("autodev daemon status -q");
    manager.ok(&format!("kill -9 {pid}"));
    let began = Instant::now();
    while manager.ok("systemctl --user show --property NRestarts --value autodevd.service") == "0" {
        assert!(began.elapsed() < DEADLINE, "it does not come back");
        thread::sleep(Duration::from_millis(50));
    }
    manager.ok("autodev status");
    assert_ne!(manager.ok("autodev daemon status -q"), pid);
    // Told to leave, it stays away until somebody needs it.
    manager.ok("autodev daemon stop");
    assert_eq!(manager.run(&["systemctl", "--user", "is-active", "autodevd.service"]).status.code(), Some(3));
    // However often that is.
    for _ in 0..12 {
        manager.ok("autodev daemon stop");
        manager.ok("autodev status");
    }
    fs::remove_file(file).unwrap();
    manager.ok(&format!("autodev wait {task} --timeout 60s"));
    // What the manager says to the daemon is not said to agents.
    manager.ok("autodev submit --wait -q --provider shell -- env");
    let environment = manager.ok("autodev logs 2");
    assert!(environment.contains("AUTODEV_TASK_ID=2"), "{environment}");
    for name in autodev::unit::SAID {
        assert!(!environment.contains(name), "{environment}");
    }
    // Where it runs without its socket, it can be installed once more.
    manager.ok("systemctl --user stop autodevd.service autodevd.socket");
    manager.ok("systemctl --user start autodevd.service");
    manager.ok("autodev service install");
    assert_eq!(manager.ok("systemctl --user is-active autodevd.socket"), "active");
    manager.ok("autodev service uninstall");
    assert_eq!(manager.run(&["autodev", "service", "status"]).status.code(), Some(3));
}

#[test]
fn a_daemon_beside_the_service_keeps_it_from_starting_once() {
    let Some(manager) = Manager::start() else { return };
    // Started by hand, before the service was there.
    let (task, file) = manager.task("before");
    let pid = manager.ok("autodev daemon status -q");
    manager.ok("autodev service install");
    assert_ne!(manager.ok("autodev daemon status -q"), pid);
    assert_eq!(manager.ok("systemctl --user is-active autodevd.service"), "active");
    // The other way round: it leaves, says why, and is not started again and again.
    manager.ok("systemctl --user stop autodevd.service autodevd.socket");
    manager.ok("autodevd --daemonize");
    manager.run(&["systemctl", "--user", "start", "autodevd.service"]);
    let shown = manager.ok("systemctl --user show --property ExecMainStatus --property NRestarts autodevd.service");
    assert!(shown.contains("ExecMainStatus=75") && shown.contains("NRestarts=0"), "{shown}");
    manager.ok("autodev status");
    fs::remove_file(file).unwrap();
    manager.ok(&format!("autodev wait {task} --timeout 60s"));
}

/// A limit of a session's is its own: what goes over it does not concern the others.
#[test]
fn limits_are_those_of_one_session() {
    let Some(manager) = Manager::start() else { return };
    let controllers = manager.ok("cat /sys/fs/cgroup/cgroup.controllers");
    if !controllers.split(' ').any(|one| one == "pids") {
        eprintln!("skipped: this machine hands out no control of processes: {controllers}");
        return;
    }
    manager.ok("autodev config set scope.processes 20");
    manager.ok("autodev service install");
    let (calm, file) = manager.task("calm");
    let wild = "for i in $(seq 100); do sleep 30 & done 2>&1; true";
    let output = manager.run(&["autodev", "submit", "--wait", "-q", "--provider", "shell", "--", "sh", "-c", wild]);
    let printed = manager.ok("autodev logs 2");
    assert!(!output.status.success() && printed.contains("fork"), "{output:?} {printed}");
    assert!(manager.ok(&format!("autodev show {calm} --json")).contains("\"running\""));
    fs::remove_file(file).unwrap();
    manager.ok(&format!("autodev wait {calm} --timeout 60s"));
}

/// The journal gets whose session and task it is about as fields.
#[test]
fn what_is_logged_says_whose_it_is() {
    let Some(manager) = Manager::start() else { return };
    let journal = PathBuf::from(format!("/proc/{}/root/run/systemd/journal", manager.pid));
    fs::create_dir(&journal).unwrap();
    let ear = UnixDatagram::bind(journal.join("socket")).unwrap();
    ear.set_read_timeout(Some(DEADLINE)).unwrap();
    let script = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec autodevd --daemonize";
    // The log that the daemon opens for itself is the journal, as far as it knows.
    let state = manager.instance.home().join(".local/state/autodev");
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(&state, PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(state.join("autodevd.log"), "").unwrap();
    let script = format!("exec 2>>{}; {script}", state.join("autodevd.log").display());
    let output = manager.run(&["sh", "-c", &script]);
    assert!(output.status.success(), "{output:?}");
    manager.ok("autodev submit --wait -q --provider shell -- true");
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = ear.recv(&mut buffer).unwrap_or_else(|error| panic!("the journal does not hear of it: {error}"));
        let text = String::from_utf8_lossy(&buffer[..length]);
        if text.contains("ended") && text.contains("AUTODEV_OUTCOME") {
            // Names with their length and value: Journal Native Protocol.
            assert!(text.contains("AUTODEV_TASK") && text.contains("AUTODEV_SESSION"), "{text}");
            assert!(text.contains("1.1") && text.contains("succeeded"), "{text}");
            return;
        }
    }
}

/// What the sandbox takes away is gone, and agents work: they write, build, use namespaces.
#[test]
fn agents_work_in_the_sandbox() {
    let Some(manager) = Manager::start() else { return };
    let words = ["sh", "-c", "unshare --user --map-root-user --net true && cc --version"];
    if !manager.run(&words).status.success() {
        eprintln!("skipped: this machine has no compiler, or no namespaces for users");
        return;
    }
    manager.ok("autodev service install --sandbox");
    // It stays with the next one.
    manager.ok("autodev service install");
    let words = "set -e; grep -q 'NoNewPrivs:.1' /proc/self/status; touch made; ! chmod u+s made 2> /dev/null; \
        unshare --user --map-root-user --net true; echo 'int main(void) { return 0; }' > a.c; cc -o a a.c; ./a";
    let output = manager.run(&["autodev", "submit", "--wait", "--provider", "shell", "--", "sh", "-c", words]);
    assert!(output.status.success(), "{output:?} {}", manager.ok("autodev logs 1"));
}
