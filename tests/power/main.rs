//! The power is cut: a disk loses what was not flushed, daemon, keepers and programs are
//! gone at once, and nothing that was acknowledged is missing afterwards.
//! `AUTODEV_POWER_CUTS` says how often; the default is quick. Random choices follow from
//! `AUTODEV_SEED`, which is printed. Without leave to mount it is left out, and says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../common/mod.rs"]
mod common;
mod disk;
mod mount;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use autodev::process::{self, PidFd};
use common::Instance;
use common::random::Random;
use disk::{Disk, Honest};
use memchr::memmem;
use mount::Mounted;
use serde_json::Value;

/// Who submits at the same time.
const SUBMITTERS: usize = 4;

/// What somebody was told, and may rely on.
#[derive(Default)]
struct Told {
    submitted: Vec<i64>,
    /// With the attempt that has passed.
    passed: BTreeMap<i64, String>,
    cancelled: Vec<i64>,
}

/// An instance whose state is on a disk whose power can be cut.
struct Machine {
    instance: Instance,
    mounted: Option<Mounted>,
    random: Random,
}

impl Machine {
    /// `None` where nothing can be mounted.
    fn new() -> Option<Machine> {
        let instance = Instance::configured("[queue]\nslots = 4\n");
        for journal in ["ran", "kept"] {
            fs::write(instance.work().join(journal), "").unwrap();
        }
        fs::create_dir(instance.state()).unwrap();
        match Mounted::new(Disk::new(), &instance.state()) {
            Ok(mounted) => Some(Machine { instance, mounted: Some(mounted), random: Random::new() }),
            Err(error) => {
                println!("skipped: no file system can be mounted here: {error}");
                None
            }
        }
    }

    /// Work goes on for a while, then the power is cut; it comes back at once.
    fn work_until_cut(&mut self, told: &mut Told, honest: Honest) {
        let disk = self.mounted.as_ref().unwrap();
        disk.set_honest(honest);
        let all = Mutex::new(std::mem::take(told));
        let lasts = Duration::from_millis(100 + self.random.below(1500));
        let left = thread::scope(|scope| {
            for submitter in 0..SUBMITTERS {
                let (instance, all) = (&self.instance, &all);
                scope.spawn(move || submit(instance, submitter, all));
            }
            // The time at which a power cut comes is nobody's event.
            thread::sleep(lasts);
            let left = disk.cut(&mut self.random);
            kill_all(self.instance.home());
            left
        });
        *told = all.into_inner().unwrap();
        self.mounted = None;
        self.mounted = Some(Mounted::new(left, &self.instance.state()).unwrap());
        if self.random.below(2) == 0 {
            another_boot(&self.instance);
        }
    }

    /// What is not as it was told, or cannot be used.
    fn wrong(&self, told: &Told) -> Vec<String> {
        let instance = &self.instance;
        let start = instance.run(&["status"]);
        if !start.status.success() {
            return vec![format!("it does not start: {}", String::from_utf8_lossy(&start.stderr))];
        }
        let mut wrong = Vec::new();
        let open = instance.json(&["list"]);
        // What is held was to be cancelled, and nobody was told: it waits for ever.
        let open = open.as_array().unwrap().iter().filter(|task| task["state"] != "held");
        let open: Vec<String> = open.map(|task| task["id"].to_string()).collect();
        if !open.is_empty() {
            let open: Vec<&str> = open.iter().map(String::as_str).collect();
            instance.run(&[&["wait", "--timeout", "60s"], &open[..]].concat());
        }
        let all = instance.json(&["list", "--all", "--limit", "0"]);
        let all: BTreeMap<i64, &Value> =
            all.as_array().unwrap().iter().map(|task| (task["id"].as_i64().unwrap(), task)).collect();
        for task in &told.submitted {
            let Some(found) = all.get(task) else {
                wrong.push(format!("task {task} was acknowledged and is lost"));
                continue;
            };
            let expected = if told.cancelled.contains(task) { "cancelled" } else { "passed" };
            if found["state"] != expected {
                wrong.push(format!("task {task} is not {expected}: {found}"));
            }
            if told.passed.get(task).is_some_and(|passed| found["attempt"] != passed.as_str()) {
                wrong.push(format!("task {task} had passed, and has run again: {found}"));
            }
        }
        let kept = fs::read_to_string(instance.work().join("kept")).unwrap();
        let mut outputs: BTreeMap<&str, Value> = BTreeMap::new();
        for (task, name) in kept.lines().map(|line| line.split_once(' ').unwrap()) {
            let shown = outputs.entry(task).or_insert_with(|| {
                serde_json::from_slice(&instance.run(&["show", task, "--json"]).stdout).unwrap_or_default()
            });
            let mut names = shown["outputs"].as_array().into_iter().flatten().map(|output| &output["name"]);
            if !names.any(|known| known == name) {
                wrong.push(format!("{name} of task {task} was acknowledged and is lost"));
            }
        }
        let ran = fs::read_to_string(instance.work().join("ran")).unwrap();
        let mut starts: BTreeMap<&str, usize> = BTreeMap::new();
        ran.lines().for_each(|attempt| *starts.entry(attempt).or_default() += 1);
        wrong.extend(
            starts.iter().filter(|(_, n)| **n > 1).map(|(attempt, n)| format!("{attempt} was started {n} times")),
        );
        for task in &told.cancelled {
            if starts.keys().any(|attempt| attempt.split('.').next() == Some(&task.to_string())) {
                wrong.push(format!("task {task} was cancelled before it ran, and has run"));
            }
        }
        let doctor = String::from_utf8(instance.run(&["doctor", "--deep"]).stdout).unwrap();
        wrong.extend(doctor.lines().filter(|line| line.starts_with("error ")).map(str::to_owned));
        wrong
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        kill_all(self.instance.home());
        self.mounted = None;
    }
}

/// Submits, waits, cancels, until nobody answers any more.
fn submit(instance: &Instance, submitter: usize, told: &Mutex<Told>) {
    let script = "echo $AUTODEV_ATTEMPT >> ran; echo this is $AUTODEV_ATTEMPT
        [ $((AUTODEV_TASK_ID % 5)) -gt 0 ] || seq 10000
        echo made by $AUTODEV_ATTEMPT > made-$AUTODEV_ATTEMPT
        \"$0\" outputs add made-$AUTODEV_ATTEMPT > /dev/null && echo $AUTODEV_TASK_ID made-$AUTODEV_ATTEMPT >> kept
        sleep 0.05";
    for round in submitter.. {
        let hold: &[&str] = if round % 4 == 0 { &["--hold"] } else { &[] };
        let fixed = ["submit", "-q", "--provider", "shell", "--max-restarts", "100"];
        let submit =
            instance.run(&[&fixed[..], hold, &["--", "sh", "-c", script, env!("CARGO_BIN_EXE_autodev")]].concat());
        if !submit.status.success() {
            assert_ne!(submit.status.code(), Some(2), "{submit:?}");
            return;
        }
        let task = String::from_utf8(submit.stdout).unwrap().trim().to_owned();
        let number = task.parse().unwrap();
        told.lock().unwrap().submitted.push(number);
        if round % 4 == 0 {
            if !instance.run(&["cancel", &task]).status.success() {
                // Nobody was told, so both are right.
                told.lock().unwrap().submitted.retain(|known| *known != number);
                return;
            }
            told.lock().unwrap().cancelled.push(number);
        } else if round % 8 == 2 {
            instance.run(&["backup"]);
        } else if round % 2 == 1 {
            if !instance.run(&["wait", &task, "--timeout", "2s"]).status.success() {
                return;
            }
            let show = instance.run(&["show", &task, "--json"]);
            let Ok(shown) = serde_json::from_slice::<Value>(&show.stdout) else { return };
            let attempt = shown["task"]["attempt"].as_str().unwrap().to_owned();
            told.lock().unwrap().passed.insert(number, attempt);
        }
    }
}

/// Nothing of an instance lives on, as when the power is gone.
fn kill_all(home: &Path) {
    let home = home.to_str().unwrap().as_bytes();
    loop {
        let of_it = process::all().unwrap().into_iter().filter(|pid| {
            let file = |name| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            *pid != std::process::id()
                && [file("environ"), file("cmdline")].iter().any(|text| memmem::find(text, home).is_some())
        });
        let handles: Vec<PidFd> = of_it.filter_map(PidFd::open).collect();
        if handles.is_empty() {
            return;
        }
        for handle in handles {
            let _ = handle.signal(libc::SIGKILL);
            assert!(autodev::socket::readable(&handle, common::DEADLINE).unwrap());
        }
    }
}

/// What keepers have left is of another boot.
fn another_boot(instance: &Instance) {
    for session in fs::read_dir(instance.state().join("sessions/live")).into_iter().flatten().flatten() {
        let path = session.path().join("keeper.json");
        let Ok(text) = fs::read(&path) else { continue };
        let Ok(mut keeper) = serde_json::from_slice::<autodev::paths::KeeperFile>(&text) else { continue };
        keeper.process.boot_id = "an earlier boot".into();
        fs::write(path, serde_json::to_vec(&keeper).unwrap()).unwrap();
    }
}

fn cuts() -> usize {
    std::env::var("AUTODEV_POWER_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    let Some(mut machine) = Machine::new() else { return };
    let mut told = Told::default();
    for cut in 1..=cuts() {
        machine.work_until_cut(&mut told, Honest::Yes);
        let wrong = machine.wrong(&told);
        assert!(wrong.is_empty(), "cut {cut}: {wrong:#?}\n{}", machine.instance.log());
    }
    let Told { submitted, passed, cancelled } = told;
    println!("{} cuts, {} submitted, {} passed, {} cancelled", cuts(), submitted.len(), passed.len(), cancelled.len());
    assert!(!submitted.is_empty());
}

/// The same must fail on a disk that does not do what it says: else it would not notice.
#[test]
fn a_disk_that_does_not_flush_is_noticed() {
    for honest in [Honest::But("autodev.db-wal"), Honest::No] {
        let Some(mut machine) = Machine::new() else { return };
        let mut told = Told::default();
        let noticed = (0..10).find_map(|_| {
            machine.work_until_cut(&mut told, honest);
            machine.wrong(&told).into_iter().next()
        });
        println!("{honest:?}: {}", noticed.expect("nothing was noticed"));
    }
}
