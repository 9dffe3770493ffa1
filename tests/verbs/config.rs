use std::fs;

use super::{one_slot, refused, running, state, text};
use crate::common::Instance;

#[test]
fn slots_count_at_once() {
    let instance = one_slot();
    let (first, gate) = running(&instance, "gate");
    let second = instance.submit(&[], "true");
    assert_eq!(state(&instance, second), "queued");
    assert_eq!(instance.ok(&["config", "set", "queue.slots", "2"]), "queue.slots = 2\n");
    assert_eq!(instance.wait(second), "passed", "nothing but the setting let it start");
    assert_eq!(instance.json(&["status"])["slots"], 2);
    assert_eq!(instance.ok(&["config", "get", "queue.slots"]), "2\n");
    assert_eq!(instance.ok(&["config", "unset", "queue.slots"]), "queue.slots has its default again\n");
    assert_eq!(instance.json(&["status"])["slots"], 4);
    gate.write("\n");
    assert_eq!(instance.wait(first), "passed");
}

#[test]
fn quiet_prints_names() {
    let instance = Instance::new();
    let names = instance.ok(&["config", "show", "--quiet"]);
    assert!(names.lines().any(|line| line == "queue.slots") && !names.contains('\t'), "{names}");
}

#[test]
fn a_wrong_variable_is_not_looked_for_in_the_file() {
    let instance = Instance::new();
    let output = instance.autodev(&["config", "show"]).env("AUTODEV_QUEUE_SLOTS", "many").output().unwrap();
    let error = text(&output.stderr);
    assert!(error.contains("AUTODEV_QUEUE_SLOTS") && error.contains("hint: unset the variable"), "{error}");
}

#[test]
fn wrong_words_change_nothing() {
    let instance = Instance::new();
    instance.ok(&["status"]);
    refused(
        &instance,
        &[
            (2, &["config", "set", "queue.slots", "0"], &["1 to 1000"]),
            (2, &["config", "set", "queue.slots", "many"], &["number"]),
            (2, &["config", "set", "queue.slotz", "1"], &["did you mean 'queue.slots'"]),
            (2, &["config", "get", "gibberish"], &["config show"]),
            (4, &["config", "unset", "queue.slots"], &["does not set"]),
        ],
    );
    assert!(!instance.home().join("config/config.toml").exists());
    assert_eq!(instance.ok(&["config", "check"]), "nothing is wrong\n");
    let all = instance.json(&["config", "show"]);
    assert!(all.as_array().unwrap().iter().any(|s| s["key"] == "queue.slots" && s["value"] == 4));
    let path = instance.ok(&["config", "path"]);
    assert!(path.ends_with("config/config.toml\n"), "{path}");
}

#[test]
fn a_provider_that_does_not_exist_is_warned_of() {
    let instance = Instance::new();
    let said = |args: &[&str]| {
        let output = instance.run(args);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stderr)
    };
    let limit = "warning: providers.cluade is set, but there is no provider 'cluade': did you mean 'claude'?\n";
    let default = "warning: submit.provider is set, but there is no provider 'codxe': did you mean 'codex'?\n";
    assert_eq!(said(&["config", "set", "providers.cluade.slots", "2"]), limit);
    assert_eq!(said(&["config", "set", "submit.provider", "codxe"]), default);
    assert_eq!(said(&["config", "set", "providers.claude.slots", "2"]), "", "only of what is being set");
    assert_eq!(said(&["config", "check"]), format!("{limit}{default}"));
    instance.ok(&["config", "unset", "providers.cluade.slots"]);
    instance.ok(&["config", "unset", "submit.provider"]);
    assert_eq!(said(&["config", "check"]), "");
}

#[test]
fn a_limit_that_is_not_set_is_the_tables() {
    let instance = Instance::new();
    refused(
        &instance,
        &[
            (4, &["config", "get", "providers.claude.per_directory"], &["is not set", "own table counts, and says 1"]),
            (4, &["config", "get", "providers.claude.slots"], &["is not set", "there is no limit"]),
            (4, &["config", "get", "providers.cluade.slots"], &["is not set", "no such provider"]),
        ],
    );
}

/// The daemon's own settings, and not those of the shell that asks.
#[test]
fn what_the_daemon_was_started_with_is_told() {
    let instance = Instance::new();
    // With a variable that is none it is not started at all: it would start nothing.
    let mistyped = instance.autodev(&["status"]).env("AUTODEV_QUEUE_SLOTZ", "1").output().unwrap();
    assert_eq!(mistyped.status.code(), Some(2), "{mistyped:?}");
    assert!(text(&mistyped.stderr).contains("AUTODEV_QUEUE_SLOTS"), "{mistyped:?}");
    assert!(!instance.state().join("daemon.lock").exists());
    let started = instance.autodev(&["daemon", "start"]).env("AUTODEV_QUEUE_SLOTS", "1").output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let said = instance.run(&["config", "set", "queue.slots", "9"]);
    assert!(text(&said.stderr).contains("AUTODEV_QUEUE_SLOTS"), "{said:?}");
    assert_eq!(instance.json(&["status"])["slots"], 1);
    assert!(instance.ok(&["daemon", "reload"]).contains("queue.slots is what AUTODEV_QUEUE_SLOTS says"));
    // Not even by hand.
    let by_hand = Instance::new();
    let started = by_hand.program("autodevd").arg("--daemonize").env("AUTODEV_QUEUE_SLOTZ", "1").output().unwrap();
    assert!(!started.status.success() && text(&started.stderr).contains("AUTODEV_QUEUE_SLOTS"), "{started:?}");
    // What commands read by themselves is theirs.
    let said = instance.autodev(&["config", "set", "submit.retries", "1"]).env("AUTODEV_SUBMIT_RETRIES", "3").output();
    assert!(text(&said.unwrap().stderr).contains("AUTODEV_SUBMIT_RETRIES is set in this shell"));
    // One in this shell is nothing to a daemon that runs.
    let said = instance.autodev(&["config", "set", "queue.slots", "8"]).env("AUTODEV_QUEUE_SLOTS", "3").output();
    assert!(!text(&said.unwrap().stderr).contains("this shell"));
}

/// What takes effect only later is told until it has, whoever reads the settings again.
#[test]
fn what_needs_a_restart_is_told() {
    let instance = Instance::new();
    instance.ok(&["daemon", "start"]);
    let pending = || instance.json(&["daemon", "reload"])["restart_needed"].clone();
    assert_eq!(pending(), serde_json::json!([]));
    instance.ok(&["config", "set", "daemon.connections", "77"]);
    for _ in 0..2 {
        assert_eq!(pending(), serde_json::json!(["daemon.connections"]));
    }
    instance.ok(&["config", "unset", "daemon.connections"]);
    assert_eq!(pending(), serde_json::json!([]));
    // By signal, as a service manager does it.
    fs::write(instance.home().join("config/config.toml"), "[queue]\nslots = 7\n[daemon]\nconnections = 78\n").unwrap();
    let daemon = autodev::process::PidFd::open(instance.daemon_pid()).unwrap();
    daemon.signal(libc::SIGHUP).unwrap();
    let began = std::time::Instant::now();
    while instance.json(&["status"])["slots"] != 7 || !instance.log().contains("daemon.connections") {
        assert!(began.elapsed() < crate::common::DEADLINE, "{}", instance.log());
    }
    assert!(instance.log().contains("read again"), "{}", instance.log());
    instance.ok(&["daemon", "restart"]);
    assert_eq!(pending(), serde_json::json!([]));
}

/// A daemon that finds a wrong file goes on with the last that was right.
#[test]
fn the_last_good_settings_count() {
    let instance = Instance::configured("[queue]\nslots = 9\n");
    assert_eq!(instance.json(&["status"])["slots"], 9);
    let file = instance.home().join("config/config.toml");
    fs::write(&file, "[queue\n").unwrap();
    instance.ok(&["daemon", "restart"]);
    let status = instance.json(&["status"]);
    assert_eq!((&status["slots"], &status["closed"]), (&9.into(), &"config".into()));
    // Taken out where it stands, though it is no setting.
    fs::write(&file, "[queue]\nslots = 9\nslotz = 3\n").unwrap();
    instance.ok(&["config", "unset", "queue.slotz"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "[queue]\nslots = 9\n");
    fs::write(&file, "[queue\n").unwrap();
    let check = instance.run(&["config", "check"]);
    assert!(check.status.code() == Some(1) && text(&check.stdout).contains("config.toml:1"), "{check:?}");
    // And it can be mended, though the file cannot be read.
    let mend = "printf '[queue]\\nslots = 3\\n' >";
    let edited = instance.autodev(&["config", "edit"]).env("EDITOR", mend).output().unwrap();
    assert!(edited.status.success(), "{edited:?}");
    let status = instance.json(&["status"]);
    assert_eq!((&status["slots"], &status["closed"]), (&3.into(), &serde_json::Value::Null));
}

/// Another command's change is not written over.
#[test]
fn edits_meet_others_changes() {
    let instance = Instance::configured("[queue]\nslots = 2\n");
    let editor = format!("{} config set queue.slots 5 >/dev/null; echo '# mine' >>", env!("CARGO_BIN_EXE_autodev"));
    let edited = instance.autodev(&["config", "edit"]).env("EDITOR", editor).output().unwrap();
    let error = text(&edited.stderr);
    assert!(edited.status.code() == Some(2) && error.contains("changed meanwhile"), "{error}");
    assert_eq!(instance.ok(&["config", "get", "queue.slots"]), "5\n");
}

/// With everything explained, a value stands where it is explained.
#[test]
fn values_stand_where_they_are_explained() {
    let instance = Instance::new();
    instance.ok(&["init", "--yes"]);
    let file = instance.home().join("config/config.toml");
    let before = fs::read_to_string(&file).unwrap();
    let explained = |text: &str, line: &str| {
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|one| *one == line).unwrap_or_else(|| panic!("no '{line}' in\n{text}"));
        assert!(lines[at - 1].starts_with('#'), "{text}");
    };
    instance.ok(&["config", "set", "redis.prefix", "mine"]);
    instance.ok(&["config", "set", "providers.claude.slots", "1"]);
    let after = fs::read_to_string(&file).unwrap();
    explained(&after, "prefix = \"mine\"");
    assert!(before.contains("\n# prefix = \"autodev\"\n") && !after.contains("# prefix = \"autodev\""), "{after}");
    let redis = after.find("[redis]").unwrap()..after.find("[providers.claude]").unwrap();
    assert!(after[redis].contains("# url = "), "what is said of [redis] stays there\n{after}");
    assert_eq!(instance.ok(&["config", "get", "redis.prefix"]), "mine\n");
    // Taken out again, nothing that was said is lost.
    instance.ok(&["config", "unset", "redis.prefix"]);
    instance.ok(&["config", "unset", "providers.claude.slots"]);
    let last = fs::read_to_string(&file).unwrap();
    assert_eq!(last, before);
    // What somebody has written is not an example.
    let own = "[queue]\n# slots = 8 would be too many, ask Bob\n\n[providers.claude]\nslots = 1\n\n[redis]\n# mine\n# url = \"redis://prod\"\n";
    fs::write(&file, own).unwrap();
    for (key, value) in [("queue.slots", "2"), ("redis.url", "redis://localhost"), ("providers.codex.slots", "2")] {
        instance.ok(&["config", "set", key, value]);
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("# slots = 8 would be too many, ask Bob\n"), "{text}");
    assert!(
        text.contains("# mine\n# url = \"redis://prod\"\n") && text.ends_with("\n[providers.codex]\nslots = 2\n"),
        "{text}"
    );
    let (redis, mine) = (text.find("[redis]").unwrap(), text.find("# mine").unwrap());
    assert!(redis < mine, "{text}");
    for key in ["queue.slots", "redis.url", "providers.codex.slots"] {
        instance.ok(&["config", "unset", key]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), own);
    fs::write(&file, "# mine, for ever\n\n[queue]\n# few\nslots = 2 # two\n# more\n").unwrap();
    instance.ok(&["config", "unset", "queue.slots"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "# mine, for ever\n\n[queue]\n# few\n# more\n");
}

/// A repository may say much, but not that a prompt is run as a command.
#[test]
fn a_project_runs_no_commands() {
    let instance = Instance::new();
    let file = instance.work().join(".autodev/config.toml");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, "[submit]\nprovider = \"shell\"\n").unwrap();
    let error = instance.fails(2, &["submit", "touch escaped"]);
    assert!(error.contains("provider shell") && error.contains(".autodev/config.toml"), "{error}");
    // What was asked for by the user is done.
    assert_eq!(instance.wait(instance.submit(&[], "true")), "passed");
    // A table of the user's own that runs commands is no better.
    let tables = instance.home().join("config/providers");
    fs::create_dir_all(&tables).unwrap();
    let table = "command = [\"sh\"]\nagent = false\n[modes.cli]\nprompt = { argument = [\"-c\", \"{prompt}\"] }\n";
    fs::write(tables.join("runner.toml"), table).unwrap();
    fs::write(&file, "[submit]\nprovider = \"runner\"\n").unwrap();
    assert!(instance.fails(2, &["submit", "touch escaped"]).contains("runs what it is told"));
    instance.ok(&["daemon", "reload"]);
    assert_eq!(
        instance.wait(instance.ok(&["submit", "-q", "--provider", "runner", "true"]).trim().parse().unwrap()),
        "passed"
    );
    // Whatever it says is told.
    fs::write(&file, "[submit]\nretries = 5\n").unwrap();
    let said = instance.run(&["submit", "--provider", "shell", "--hold", "--", "true"]);
    assert!(text(&said.stderr).contains("submit.retries = 5"), "{said:?}");
    // Names with what terminals obey do not reach one.
    fs::write(&file, "\"\\u001b]0;x\" = 1\n").unwrap();
    let check = instance.run(&["config", "check"]);
    assert!(check.status.code() == Some(1) && !text(&check.stdout).contains('\u{1b}'), "{check:?}");
    // Each line of a batch is of its own directory's project.
    let other = instance.home().join("other");
    fs::create_dir_all(other.join(".autodev")).unwrap();
    fs::write(&file, "").unwrap();
    fs::write(other.join(".autodev/config.toml"), "[submit]\nretries = 7\n").unwrap();
    let batch = instance.home().join("batch");
    let lines = format!(
        "{{\"command\":[\"true\"],\"hold\":true,\"dir\":\"{}\"}}\n{{\"command\":[\"true\"],\"hold\":true}}\n",
        other.display()
    );
    fs::write(&batch, lines).unwrap();
    let ids = instance.ok(&["submit", "-q", "--batch", batch.to_str().unwrap()]);
    let retries = ids.lines().map(|id| instance.json(&["show", id])["task"]["retries"].as_i64());
    assert_eq!(retries.collect::<Vec<_>>(), [Some(7), Some(0)]);
}

#[test]
fn a_link_to_nowhere_is_told() {
    let instance = Instance::new();
    let file = instance.home().join("config/config.toml");
    fs::create_dir(file.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(instance.home().join("nowhere"), &file).unwrap();
    assert!(instance.fails(2, &["config", "set", "queue.slots", "2"]).contains("link"));
    instance.fails(6, &["init", "--yes"]);
    assert!(file.is_symlink());
}
