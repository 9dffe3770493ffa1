//! Every example in the help of a verb, which is also on its manual page, and every line for
//! agents in the README is typed at a terminal, on a machine where there is what it speaks of.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "attach/support.rs"]
#[allow(dead_code, reason = "written for more than this")]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Home, LONG, User};

const SIZE: (u16, u16) = (140, 40);

/// Programs that examples speak of and that the machine may not have. `jq` is the machine's
/// own where it has one.
const PROGRAMS: [(&str, &str); 9] = [
    ("claude", "test -e \"$HOME/broken\" && exit 1; echo ready; exec cat"),
    ("codex", "echo ready; exec cat"),
    ("htop", "echo ready; exec cat"),
    ("notify-send", "exit 0"),
    ("systemctl", "exit 0"),
    ("journalctl", "echo ready"),
    ("make", "echo made"),
    ("git", "echo 'a difference'"),
    ("jq", "cat > /dev/null"),
];

/// An example: the verb it belongs to, what is said above it, and the line.
#[derive(Debug)]
struct Example {
    verb: String,
    heading: String,
    line: String,
}

fn examples() -> Vec<Example> {
    let mut root = autodev::cli::command();
    root.build();
    let mut all = Vec::new();
    for verb in root.get_subcommands() {
        let help = verb.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let text = help.split("Examples:\n").nth(1).unwrap_or_default();
        let (mut heading, mut begun) = (String::new(), String::new());
        for line in text.lines().map(str::trim) {
            // A line that ends so goes on.
            begun.push_str(line);
            if line.ends_with('|') {
                begun.push(' ');
                continue;
            }
            let line = std::mem::take(&mut begun);
            if !line.contains("autodev ") || line.ends_with(':') {
                heading = line;
            } else {
                all.push(Example { verb: verb.get_name().to_owned(), heading: heading.clone(), line });
            }
        }
    }
    all
}

/// A machine with an instance of its own, where task 42 is as examples of this verb need it.
struct World(Home);

impl World {
    fn new(verb: &str) -> World {
        let world = World(Home::new());
        let bin = world.path().join("bin");
        fs::create_dir_all(world.path().join("usb")).unwrap();
        fs::create_dir_all(world.path().join("config")).unwrap();
        fs::create_dir_all(world.path().join(".config/fish/completions")).unwrap();
        fs::create_dir_all(world.path().join("target")).unwrap();
        fs::create_dir_all(&bin).unwrap();
        for (name, body) in PROGRAMS {
            if name == "jq" && Path::new("/usr/bin/jq").exists() {
                continue;
            }
            // Written by another process: while this one forks, a child would hold the file open
            // for writing, and it could not be run.
            let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
            assert!(Command::new("sh").args(["-c", write]).arg(bin.join(name)).arg(body).status().unwrap().success());
        }
        for name in ["prompt.md", "report.md", "target/coverage.html"] {
            fs::write(world.path().join(name), "a text").unwrap();
        }
        if verb != "init" {
            fs::write(world.path().join("config/config.toml"), "[queue]\nslots = 50\n").unwrap();
        }
        world.make(verb);
        world
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A shell line of the user's.
    fn shell(&self, line: &str) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_autodev")).parent().unwrap();
        let path = format!("{}:{}:/usr/bin:/bin", self.path().join("bin").display(), programs.display());
        // Some examples are bash's.
        // A pipe fails with any part of it, but for a stream that somebody ends.
        let line = if line.contains(" watch") { line.to_owned() } else { format!("set -o pipefail; {line}") };
        let mut shell = Command::new("bash");
        shell.args(["-c", &line]).env_clear().env("PATH", path).env("HOME", self.path());
        shell.env("AUTODEV_HOME", self.path()).env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
        shell
            .env("SHELL", "/bin/sh")
            .env("EDITOR", "sed -i s/prompt/text/")
            .env("XDG_RUNTIME_DIR", self.path())
            .current_dir(self.path());
        shell
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let output = self.shell(line).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("autodev {line} --json"))).unwrap()
    }

    /// Forty-one tasks, a forty-second, and what else there is.
    fn make(&self, verb: &str) {
        let ends = matches!(verb, "wait" | "history" | "stats");
        let line = format!("{{\"command\":\"true\",\"hold\":{},\"label\":\"nightly\"}}\n", !ends);
        // Enough of a history for who goes on in it.
        let tasks = if verb == "watch" { 1_300 } else { 40 };
        fs::write(self.path().join("batch"), line.repeat(tasks)).unwrap();
        self.ok("autodev submit -q --batch batch");
        let runs = "autodev submit -q --provider shell -- sh -c 'echo an error; echo ready; exec cat'";
        let forty_second = match verb {
            "attach" | "cancel" | "kill" | "pause" | "resume" | "send" | "detach" => runs,
            // Seven questions, of which the last is number 7.
            "answer" | "requests" => {
                "autodev submit -q --provider shell -- sh -c 'for i in 1 2 3 4 5 6 7 8; do autodev ask q & done; wait'"
            }
            "edit" | "hold" | "why" | "priority" => "autodev submit -q --after 41 --provider claude 'a prompt'",
            "release" | "recover" => "autodev submit -q --hold --provider claude 'a prompt'",
            "retry" => "touch broken; autodev submit -q --wait --provider claude 'a prompt' || rm broken",
            "outputs" => {
                "autodev submit -q --wait --provider shell -- sh -c 'autodev outputs add report.md'; autodev outputs 42"
            }
            _ => "autodev submit -q --wait --provider shell -- sh -c 'echo an error; echo a login page; sleep 0.1'",
        };
        if matches!(verb, "wait" | "history") {
            self.ok("autodev submit -q --provider shell -- true");
        } else {
            self.ok("autodev submit -q --hold --label nightly --provider shell -- sh -c true");
        }
        self.ok(forty_second);
        if matches!(verb, "attach" | "cancel" | "kill" | "rename" | "replay" | "send") {
            self.ok("autodev open claude --detach");
        }
        match verb {
            "cancel" | "hold" => drop(self.ok("autodev release 20-30")),
            "resume" => drop(self.ok("autodev pause 42; autodev pause")),
            "answer" => self.until("requests", |asked| asked.as_array().unwrap().len() >= 7),
            "attach" | "send" | "kill" | "detach" | "pause" => {
                self.until("sessions", |live| live.as_array().unwrap().iter().all(|one| one["state"] == "running"));
            }
            _ => {}
        }
    }

    fn until(&self, what: &str, is: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        while !is(&self.json(what)) {
            assert!(began.elapsed() < LONG, "{:#}", self.json(what));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Files that are not where an example has them.
    fn placed(&self, line: &str) -> String {
        let mut line = line.replace("/mnt/usb/", "$HOME/usb/").replace("/var/lib/node_exporter/", "$HOME/");
        if line.contains("restore") {
            let backup = self.json("backup")["path"].as_str().unwrap().to_owned();
            let copy = self.path().join("usb/autodev-20261123T221552Z-1234.db");
            fs::copy(&backup, copy).unwrap();
            self.ok("autodev daemon stop");
            fs::write(self.path().join("state/autodev.db"), "damaged").unwrap();
            line = line.replace("FILE", &backup);
        }
        line
    }
}

fn run(example: &Example) {
    let world = World::new(&example.verb);
    let mut line = world.placed(&example.line);
    if example.verb == "pause" && line.contains("resume") {
        // The second line of two.
        world.ok("autodev pause 42");
    }
    if example.heading.starts_with("zsh") && !Path::new("/usr/bin/zsh").exists() {
        line = line.replace("source <(", "").replace(')', "");
    } else if example.heading.starts_with("zsh") {
        line = format!("zsh -c 'autoload -Uz compinit && compinit -u && {line}'");
    }
    if example.heading.contains("agent's session") || example.verb == "ask" {
        return inside(&world, &line);
    }
    let mut user = User::run(world.shell(&line), SIZE);
    let has = |word: &str| line.split_whitespace().any(|one| one == word);
    match example.verb.as_str() {
        "attach" | "open" if !has("--detach") => {
            user.see("ready");
            user.type_(b"\x02d");
        }
        "watch" | "list" if has("watch") || has("--watch") => {
            if has("--watch") {
                user.see("nightly");
            } else {
                user.is_heard();
            }
            // Something happens, and then it is enough.
            world.ok("autodev submit -q --wait --provider shell -- true");
            user.type_(b"\x03");
            let status = user.ended();
            let shown = user.shown();
            // A pipe's other end is ended by the key itself.
            let by_key = status.signal() == Some(libc::SIGINT);
            assert!(by_key || matches!(status.code(), Some(0 | 130)), "{example:?}: {status}\n{shown}");
            return;
        }
        "init" => user.type_(b"\r\r\r"),
        "restore" => user.type_(b"y\r"),
        _ => {}
    }
    let status = user.ended();
    let shown = user.shown();
    // The recording is a short one, and says so.
    let early = status.code() == Some(4) && shown.contains("nothing is recorded at");
    assert!(status.success() || early, "{example:?}: {status}\n{shown}");
}

/// The line as a program in a session types it; whatever it asks is answered.
fn inside(world: &World, line: &str) {
    let script = world.path().join("in-session");
    fs::write(&script, line).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let task = world.ok("autodev submit -q --provider shell -- bash in-session").trim().to_owned();
    let began = Instant::now();
    loop {
        for asked in world.json("requests").as_array().unwrap() {
            world.ok(&format!("autodev answer {} yes", asked["id"]));
        }
        let state = world.json(&format!("show {task}"))["task"]["state"].clone();
        if state == "passed" {
            return;
        }
        let running = matches!(state.as_str(), Some("queued" | "starting" | "running" | "completing"));
        assert!(running && began.elapsed() < LONG, "{line}: {state}\n{}", world.ok(&format!("autodev logs {task}")));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Two at a time: each has an instance of its own, and mostly waits for it.
fn all_of(examples: &[Example]) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(example) = examples.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // What is wrong with the others is of interest, too.
                    if catch_unwind(AssertUnwindSafe(|| run(example))).is_err() {
                        wrong.lock().unwrap().push(&example.line);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn examples_of_the_help_can_be_typed() {
    let all = examples();
    assert!(all.len() > 100, "{}", all.len());
    all_of(&all);
}

#[test]
fn lines_of_the_readme_can_be_typed() {
    let readme = include_str!("../README.md");
    let blocks = readme.split("```sh agent\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let lines = blocks.flat_map(str::lines).map(str::to_owned);
    let all: Vec<Example> = lines
        .map(|line| {
            let verb = line.split_whitespace().nth(1).unwrap().to_owned();
            let agents = matches!(verb.as_str(), "note" | "ask" | "outputs");
            let heading = if agents { "In an agent's session:" } else { "" };
            Example { verb, heading: heading.into(), line }
        })
        // They need a server: tests/redis types them.
        .filter(|example| example.verb != "redis")
        .collect();
    assert!(all.len() > 6, "{all:?}");
    all_of(&all);
}

/// `man autodevd` has lines of its own.
#[test]
fn lines_of_the_daemons_page_can_be_typed() {
    let page = include_str!("../man/autodevd.8").replace("\\-", "-");
    let mut seen = 0;
    for line in page.lines().filter(|line| line.starts_with("autodevd ")) {
        // What it is for stands behind it.
        let Some((line, _)) = line.split_once("  ") else { continue };
        let world = World(Home::new());
        fs::create_dir_all(world.path().join("bin")).unwrap();
        let mut user = User::run(world.shell(line), SIZE);
        if line.contains("--daemonize") {
            assert!(user.ended().success(), "{line}: {}", user.shown());
            world.ok("autodev status --no-start");
        } else {
            user.see("ready");
            world.ok("autodev status --no-start");
            user.type_(b"\x03");
            assert!(user.ended().success(), "{line}: {}", user.shown());
        }
        seen += 1;
    }
    assert!(seen >= 3, "{seen}");
}

/// Code for shells completes at the first key, with what there is.
#[test]
fn shells_complete() {
    let world = World(Home::new());
    fs::create_dir_all(world.path().join("bin")).unwrap();
    fs::create_dir_all(world.path().join("functions")).unwrap();
    fs::create_dir_all(world.path().join(".config/fish/completions")).unwrap();
    world.ok("autodev open --name mine --detach -- cat; autodev submit -q --hold --provider shell -- true");
    world.ok("autodev completions bash > completions.bash; autodev completions zsh > functions/_autodev");
    world.ok("autodev completions fish > .config/fish/completions/autodev.fish");
    fs::write(world.path().join(".bashrc"), "PS1='$ '; . ./completions.bash\n").unwrap();
    let zsh = "PS1='$ '; fpath=($HOME/functions $fpath); autoload -Uz compinit; compinit -u\n";
    fs::write(world.path().join(".zshrc"), zsh).unwrap();
    for (shell, start) in [
        ("bash", "exec bash --rcfile .bashrc -i"),
        ("zsh", "exec zsh -i"),
        ("fish", "exec fish --init-command 'function fish_prompt; echo \"$ \"; end'"),
    ] {
        if !Path::new("/usr/bin").join(shell).exists() {
            eprintln!("skipped: there is no {shell}");
            continue;
        }
        let mut user = User::run(world.shell(start), SIZE);
        user.see_that("has a prompt", |screen| screen.lines().last().is_some_and(|line| line.starts_with('$')));
        user.type_(b"autodev attach mi\t");
        user.see("autodev attach mine");
        user.type_(b"\x15autodev subm\t");
        user.see("autodev submit");
        user.type_(b"\x15exit\r");
        user.ended();
    }
}
