//! Settings: the documented file, precedence, mistakes, edits, and the verb.

// Helpers fail a test as the test itself would.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use autodev::config::{self, Config, Loaded, Origin, SETTINGS};
use autodev::paths::Paths;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn with(text: &str) -> Home {
        let home = Home::new();
        fs::create_dir(home.paths().config).unwrap();
        fs::write(home.paths().config_file(), text).unwrap();
        home
    }

    fn paths(&self) -> Paths {
        let root = self.0.path();
        Paths { config: root.join("config"), state: root.join("state"), runtime: root.join("run") }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.paths().config_file()).unwrap()
    }

    fn load(&self, environment: &[(&str, &str)]) -> Result<Loaded, String> {
        let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        config::load_from(&self.paths().config_file(), environment).map_err(|error| error.to_string())
    }

    fn autodev(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autodev"));
        command.args(arguments).env_clear().env("AUTODEV_HOME", self.0.path()).envs(environment.iter().copied());
        command.output().unwrap()
    }

    /// Standard output of a command that must end well.
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.autodev(arguments, &[]);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit code and standard error of a command that must not.
    fn refuses(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.autodev(arguments, &[]);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn the_documented_file_has_every_setting_and_its_default() {
    let home = Home::with(config::DOCUMENTED);
    let loaded = home.load(&[]).unwrap();
    assert_eq!(loaded.config, Config::default());
    for key in Config::default().values().keys() {
        assert!(matches!(loaded.origin(key), Origin::File { .. }), "{key} is not in config/autodev.toml");
    }

    // With the comments off, limits of providers are there too.
    let open = config::DOCUMENTED.replace("# [providers", "[providers").replace("# slots", "slots");
    let home = Home::with(&open.replace("# per_directory", "per_directory"));
    let documented: BTreeSet<String> =
        home.load(&[]).unwrap().config.values().into_keys().map(|key| key.replace(".claude.", ".*.")).collect();
    let known: BTreeSet<String> = SETTINGS.iter().map(|setting| setting.key.to_owned()).collect();
    assert_eq!(documented, known);
}

#[test]
fn every_setting_can_be_set_in_the_file_and_by_variable() {
    for setting in &SETTINGS {
        let (key, variable) = (setting.key.replace('*', "claude"), setting.variable().replace('*', "CLAUDE"));
        let other = match setting.key {
            "attach.prefix" => "C-a",
            "agents.allow_submit" => "true",
            "backup.interval" => "2h",
            "backup.max_bytes" => "1 GiB",
            "daemon.auto_restart" => "false",
            "daemon.disk_reserve" => "1 GiB",
            "daemon.log" => "debug",
            "daemon.log_json" => "true",
            "environment.allow" => "JAVA_HOME,CARGO_*",
            "recording.segment_bytes" => "1 MiB",
            "recording.max_bytes" => "1 GiB",
            "attach.history_bytes" => "1 MiB",
            "redis.password" => "env:SECRET",
            "metrics.listen" => "127.0.0.1:9464",
            "scope.enabled" => "false",
            "scope.memory_max" => "1 GiB",
            "scope.processes" => "70",
            "redis.titles" | "redis.tls" => "true",
            "redis.tls_ca" | "redis.tls_cert" | "redis.tls_key" => "/etc/some.pem",
            "redis.url" => "redis://localhost",
            "submit.provider" => "codex",
            "submit.on_interrupt" => "hold",
            "submit.timeout" => "2h",
            _ => "7",
        };
        let home = Home::new();
        config::set(&home.paths(), &key, other).unwrap();
        let by_file = home.load(&[]).unwrap();
        let by_variable = Home::new().load(&[(variable.as_str(), other)]).unwrap();
        assert_eq!(by_file.config, by_variable.config, "{key}");
        assert_ne!(by_file.config, Config::default(), "{key}");
        assert_eq!(by_variable.origin(&key), &Origin::Variable(variable));
    }
}

#[test]
fn a_variable_wins_over_the_file_and_the_file_over_the_default() {
    let home = Home::with("[queue]\nslots = 6\n\n[attach]\nhistory_lines = 9\n[providers.my-tool]\nslots = 1\n");
    let environment = [
        ("AUTODEV_QUEUE_SLOTS", "8"),
        ("AUTODEV_ATTACH_HISTORY_LINES", ""),
        ("AUTODEV_PROVIDERS_MY_TOOL_SLOTS", "3"),
        ("AUTODEV_HOME", "/x"),
        ("AUTODEV_SESSION", "1.1"),
        ("AUTODEV_TASK_ID", "1"),
    ];
    let loaded = home.load(&environment).unwrap();
    assert_eq!(loaded.config.queue.slots, 8);
    assert_eq!(loaded.config.attach.history_lines, 9, "an empty variable is as good as none");
    assert_eq!(loaded.config.providers["my-tool"].slots, Some(3));
    assert_eq!(loaded.origin("queue.slots").to_string(), "environment: AUTODEV_QUEUE_SLOTS");
    let origin = Origin::File { path: home.paths().config_file(), line: 5 };
    assert_eq!(loaded.origin("attach.history_lines"), &origin);
    assert_eq!(loaded.origin("daemon.log"), &Origin::Default);
}

#[test]
fn the_same_setting_may_be_written_in_several_ways() {
    for text in ["queue.slots = 6", "queue = { slots = 6 }", "[queue]\n\"slots\" = 6", "[queue]\r\nslots = 6 # six\r\n"]
    {
        assert_eq!(Home::with(text).load(&[]).unwrap().config.queue.slots, 6, "{text}");
    }
    assert_eq!(Home::new().load(&[]).unwrap().config, Config::default(), "no file sets nothing");
    assert_eq!(Home::with("").load(&[]).unwrap().config, Config::default());
}

#[test]
fn mistakes_are_shown_where_they_are() {
    for (text, expected) in [
        (
            "[queue]\nslotz = 4",
            "2:1: there is no setting 'queue.slotz'\n  |\n2 | slotz = *\n  | ^^^^^ did you mean 'slots'?",
        ),
        ("[quue]\nslots = 4", "1:2: there is no setting 'quue'\n  |\n1 | [quue]\n  |  ^^^^ did you mean 'queue'?"),
        ("[queue]\nslots = 0", "2:9: queue.slots: 0 is not within 1 to 1000\n"),
        ("[queue]\nslots = \"4\"", "2:9: queue.slots: \"4\" is not a number from 1 to 1000\n"),
        ("[queue]\nslots = 4.5", "2:9: queue.slots: 4.5 is not a number"),
        ("[queue]\nslots = 99999999999999999999", "2:9:"),
        ("[queue]\nslots = { a = 1 }", "queue.slots: is not a plain value"),
        ("[queue.slots]\na = 1", "queue.slots: is not a plain value"),
        ("queue = 4", "1:9: 'queue' is a group of settings, not one"),
        ("[[queue]]\nslots = 4", "'queue' is a group of settings, not one"),
        ("[queue]\nslots = ", "2:9:"),
        ("[queue]\nslots = 1\nslots = 2", "3:1: duplicate key"),
        ("[attach]\nprefix = \"x\"", "'x' is not a key with Control"),
        ("[submit]\ntimeout = \"soon\"", "'soon' is not a length of time"),
        ("[providers.\"Bad Name\"]\nslots = 1", "there is no setting 'providers.Bad Name'"),
        ("[environment]\nallow = [\"A=B\"]", "is not the name of a variable"),
        ("[environment]\nallow = [[\"A\"]]", "is not the name of a variable"),
        ("[environment]\nallow = [1979-05-27]", "environment.allow: is not a plain value"),
        (
            "[recording]\nmax_bytes = 200000",
            "2:13: recording.max_bytes (200000) must be at least twice recording.segment",
        ),
        ("\"queue.slots\" = 4", "there is no setting 'queue.slots'"),
        ("\u{0}", "1:2:"),
    ] {
        let error = Home::with(text).load(&[]).unwrap_err();
        assert!(error.contains(expected), "{text}\n--- expected\n{expected}\n--- got\n{error}");
    }
    let error = Home::with("x = 1\n[queue]\nslots = 0\n").load(&[("AUTODEV_ATTACH_PREFIX", "b")]).unwrap_err();
    assert_eq!(error.matches("\n\n").count(), 2, "all are told at once:\n{error}");
}

#[test]
fn files_that_are_none_are_refused() {
    let home = Home::with("");
    let file = home.paths().config_file();
    fs::write(&file, b"[queue]\n\xff").unwrap();
    assert!(home.load(&[]).unwrap_err().contains("line 2 is not UTF-8"));
    fs::write(&file, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert!(home.load(&[]).unwrap_err().contains("larger than"));
    fs::write(&file, format!("{}1{}", "a=[".repeat(2_000), "]".repeat(2_000))).unwrap();
    assert!(home.load(&[]).is_err());
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(home.load(&[]).unwrap_err().contains("not a regular file"));
}

#[test]
fn mistakes_in_variables_are_named() {
    for (name, value, expected) in [
        (
            "AUTODEV_QUEUE_SLOTS",
            "many",
            "AUTODEV_QUEUE_SLOTS in the environment: \"many\" is not a number from 1 to 1000",
        ),
        ("AUTODEV_QUEUE_SLOTZ", "4", "there is no such setting: did you mean AUTODEV_QUEUE_SLOTS?"),
        ("AUTODEV_RECORDING_MAX_BYTES", "1 MiB", "AUTODEV_RECORDING_MAX_BYTES in the environment: recording.max_bytes"),
    ] {
        let error = Home::new().load(&[(name, value)]).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn edits_keep_what_stands_around_them() {
    let before = "# mine\n[queue] # here\nslots = 6   # six\n\n[submit]\n# nothing yet\n";
    let home = Home::with(before);
    assert_eq!(config::set(&home.paths(), "queue.slots", "7").unwrap(), "7");
    assert_eq!(home.text(), before.replace("6 ", "7 "));
    config::set(&home.paths(), "providers.claude.slots", "1").unwrap();
    config::set(&home.paths(), "submit.timeout", "90m").unwrap();
    let text = home.text();
    assert!(text.starts_with("# mine\n[queue] # here\nslots = 7   # six\n"), "{text}");
    assert!(text.contains("[providers.claude]\nslots = 1") && !text.contains("[providers]"), "{text}");
    assert_eq!(home.load(&[]).unwrap().config.submit.timeout.to_string(), "1h 30m");

    assert!(config::unset(&home.paths(), "queue.slots").unwrap());
    assert!(!config::unset(&home.paths(), "queue.slots").unwrap());
    assert!(!config::unset(&home.paths(), "attach.prefix").unwrap());
    assert!(!config::unset(&Home::new().paths(), "queue.slots").unwrap());
    assert_eq!(home.load(&[]).unwrap().config.queue.slots, Config::default().queue.slots);
    assert!(home.text().contains("# here"));
}

#[test]
fn edits_that_would_be_wrong_change_nothing() {
    let text = "[recording]\nmax_bytes = \"1 MiB\"\nsegment_bytes = \"512 KiB\"\n";
    let home = Home::with(text);
    let refuse = |key: &str, value: &str| config::set(&home.paths(), key, value).unwrap_err().to_string();
    assert!(refuse("recording.segment_bytes", "1 MiB").contains("at least twice"));
    assert_eq!(refuse("queue.slotz", "1"), "there is no setting 'queue.slotz': did you mean 'queue.slots'?");
    assert!(refuse("queue", "1").contains("is a group of settings: it has queue.slots"));
    assert!(refuse("", "1").contains("there is no setting"));
    assert_eq!(refuse("queue.slots", "0"), "queue.slots: 0 is not within 1 to 1000");
    assert_eq!(home.text(), text);

    let broken = Home::with("[queue\n");
    assert!(config::set(&broken.paths(), "queue.slots", "3").is_err());
    assert_eq!(broken.text(), "[queue\n");
    // A wrong value can be set right.
    let wrong = Home::with("[queue]\nslots = 0\n");
    config::set(&wrong.paths(), "queue.slots", "3").unwrap();
    assert_eq!(wrong.text(), "[queue]\nslots = 3\n");
}

#[test]
fn a_link_stays_a_link_and_permissions_stay() {
    let home = Home::new();
    let real = home.0.path().join("dotfiles.toml");
    fs::write(&real, "").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(home.paths().config).unwrap();
    symlink("../dotfiles.toml", home.paths().config_file()).unwrap();
    config::set(&home.paths(), "queue.slots", "3").unwrap();
    assert!(fs::symlink_metadata(home.paths().config_file()).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "[queue]\nslots = 3\n");
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);

    let fresh = Home::new();
    config::set(&fresh.paths(), "queue.slots", "3").unwrap();
    assert_eq!(fs::metadata(fresh.paths().config_file()).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = fs::read_dir(fresh.paths().config).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["config.toml"], "nothing is left lying about");
}

#[test]
fn edits_at_once_are_not_lost() {
    let home = Home::new();
    let commands: Vec<_> = (0..8)
        .map(|n| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_autodev"));
            command.args(["config", "set", &format!("providers.p{n}.slots"), "5", "-q"]);
            command.env_clear().env("AUTODEV_HOME", home.0.path()).spawn().unwrap()
        })
        .collect();
    for mut command in commands {
        assert!(command.wait().unwrap().success());
    }
    assert_eq!(home.load(&[]).unwrap().config.providers.len(), 8);
}

#[test]
fn what_needs_a_restart_is_known() {
    let before = Config::default();
    let mut after = before.clone();
    after.queue.slots = 9;
    assert!(after.restart_needed(&before).is_empty());
    after.daemon.log_json = true;
    after.daemon.connections = 9;
    assert_eq!(after.restart_needed(&before), ["daemon.connections", "daemon.log_json"]);
}

#[test]
fn the_verb_shows_gets_sets_and_checks() {
    let home = Home::new();
    assert_eq!(home.says(&["config", "path"]), format!("{}\n", home.paths().config_file().display()));
    assert_eq!(home.says(&["config", "get", "queue.slots"]), "4\n");
    assert_eq!(home.says(&["config", "set", "queue.slots", "9"]), "queue.slots = 9\n");
    assert_eq!(home.says(&["config", "get", "queue.slots"]), "9\n");
    assert_eq!(home.says(&["config", "get", "queue.slots", "--json"]), "9\n");
    assert_eq!(home.says(&["config", "get", "attach.prefix"]), "C-b\n");
    assert_eq!(home.says(&["config", "set", "environment.allow", "A,B_*", "-q"]), "");
    assert_eq!(home.says(&["config", "get", "environment.allow"]), "A,B_*\n");
    let shown = home.says(&["config", "show", "--origin"]);
    assert!(shown.contains(&format!("queue.slots\t9\t{}:2\n", home.paths().config_file().display())), "{shown}");
    assert!(shown.contains("attach.prefix\t\"C-b\"\tdefault\n"), "{shown}");
    let rows: Vec<BTreeMap<String, serde_json::Value>> =
        serde_json::from_str(&home.says(&["config", "show", "--json"])).unwrap();
    assert_eq!(rows.iter().find(|row| row["key"] == "queue.slots").unwrap()["value"], 9);
    assert_eq!(home.says(&["config", "check"]), "nothing is wrong\n");
    assert_eq!(home.says(&["config", "unset", "queue.slots"]), "queue.slots has its default again\n");
    assert!(!Path::new(&home.paths().state).exists(), "no daemon was started for any of this");

    let set = home.autodev(&["config", "set", "queue.slots", "5"], &[("AUTODEV_QUEUE_SLOTS", "2")]);
    assert!(String::from_utf8(set.stderr).unwrap().contains("AUTODEV_QUEUE_SLOTS is set in this shell, and wins"));
}

#[test]
fn the_verb_refuses_with_the_right_status() {
    let home = Home::with("[queue]\nslots = 4\n");
    let told = home.refuses(&["config", "get", "queue.slotz"]);
    assert_eq!(told, (2, "error: there is no setting 'queue.slotz'\nhint: did you mean 'queue.slots'?\n".into()));
    assert_eq!(home.refuses(&["config", "get", "providers.claude.slots"]).0, 4);
    assert_eq!(home.refuses(&["config", "unset", "attach.prefix"]).0, 4);
    assert_eq!(home.refuses(&["config", "set", "queue.slots", "-1"]).0, 2);
    assert_eq!(home.refuses(&["config", "set", "queue.slots"]).0, 2);

    fs::write(home.paths().config_file(), "[queue]\nslots = 0\n").unwrap();
    fs::create_dir(home.paths().providers()).unwrap();
    fs::write(home.paths().providers().join("mine.toml"), "comand = ['x']").unwrap();
    let (status, error) = home.refuses(&["config", "show"]);
    assert_eq!(status, 2);
    assert!(
        error.contains("config.toml:2:9: queue.slots: 0 is not within") && error.contains("| slots = 0"),
        "{error}"
    );
    let check = home.autodev(&["config", "check"], &[]);
    let found = String::from_utf8(check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(1));
    assert!(
        found.contains("config.toml:2:9") && found.contains("mine.toml:1:1") && found.contains("'command'?"),
        "{found}"
    );
    let json = home.autodev(&["config", "check", "--json"], &[]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json["ok"].as_bool(), json["problems"].as_array().unwrap().len()), (Some(false), 2));
}

/// What editors and other programs are told of the settings; UPDATE_MAN writes it anew, with
/// the manual.
#[test]
fn the_shipped_schema_is_what_the_program_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/autodev.schema.json");
    let said = Home::new().says(&["config", "schema"]);
    if std::env::var_os("UPDATE_MAN").is_some() {
        fs::write(&file, &said).unwrap();
    }
    assert!(fs::read_to_string(&file).unwrap_or_default() == said, "run 'UPDATE_MAN=1 cargo test --test config'");
}

#[test]
fn the_file_can_be_edited_as_a_whole() {
    let home = Home::with("# mine\n[queue]\nslots = 3\n");
    let edit = |script: &str| home.autodev(&["config", "edit"], &[("VISUAL", script), ("PATH", "/usr/bin:/bin")]);
    let output = edit("sed -i 's/slots = 3/slots = 5/'");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(home.text(), "# mine\n[queue]\nslots = 5\n");
    // Something wrong is told, kept where it was written, and does not count.
    let output = edit("sed -i 's/slots/slotz/'");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("did you mean 'slots'") && said.contains("is kept in"), "{said}");
    assert_eq!(home.text(), "# mine\n[queue]\nslots = 5\n");
    let kept = said.split("is kept in ").nth(1).unwrap().trim();
    assert!(fs::read_to_string(kept).unwrap().contains("slotz"));
    fs::remove_file(kept).unwrap();
    // Nothing changed is nothing written.
    assert!(edit("true").status.success());
}

#[test]
fn a_file_that_is_not_there_begins_with_all_settings_commented_out() {
    let home = Home::new();
    let edit = |script: &str| home.autodev(&["config", "edit"], &[("VISUAL", script), ("PATH", "/usr/bin:/bin")]);
    assert!(edit("true").status.success());
    assert!(!home.paths().config_file().exists());
    let output = edit("sed -i 's/^# slots = 4/slots = 9/'");
    assert!(output.status.success(), "{output:?}");
    let loaded = home.load(&[]).unwrap().config;
    let mut expected = Config::default();
    expected.queue.slots = 9;
    assert_eq!(loaded, expected);
}

#[test]
fn a_project_says_what_its_tasks_are() {
    let home = Home::with("[submit]\nretries = 1\n");
    let project = home.0.path().join("project");
    fs::create_dir_all(project.join(".autodev")).unwrap();
    let file = project.join(config::PROJECT_FILE);
    fs::write(&file, "[submit]\nretries = 4\ntimeout = \"2h\"\n").unwrap();
    let run = |words: &[&str], environment: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autodev"));
        command.args(words).env_clear().env("AUTODEV_HOME", home.0.path()).env("PATH", "/usr/bin:/bin");
        command.envs(environment.iter().copied()).current_dir(&project).output().unwrap()
    };
    let get = |key: &str, environment: &[(&str, &str)]| {
        String::from_utf8(run(&["config", "get", key], environment).stdout).unwrap().trim().to_owned()
    };
    assert_eq!(get("submit.retries", &[]), "4");
    assert_eq!(get("submit.retries", &[("AUTODEV_SUBMIT_RETRIES", "7")]), "7");
    let shown = String::from_utf8(run(&["config", "show", "--origin"], &[]).stdout).unwrap();
    assert!(
        shown.contains(&format!("submit.timeout\t\"2h\"\t{}:3", file.canonicalize().unwrap().display())),
        "{shown}"
    );
    // In its directory, wherever the command is given.
    let submit = |dir: &Path| {
        let dir = dir.to_str().unwrap();
        let output = home.autodev(&["submit", "--hold", "-q", "--provider", "shell", "--dir", dir, "true"], &[]);
        let task = String::from_utf8(output.stdout).unwrap();
        let shown = home.says(&["show", task.trim(), "--json"]);
        serde_json::from_str::<serde_json::Value>(&shown).unwrap()["task"]["retries"].as_u64().unwrap()
    };
    assert_eq!((submit(&project), submit(home.0.path())), (4, 1));
    drop(home.autodev(&["daemon", "stop"], &[]));
    // What is the user's own affair.
    fs::write(&file, "[queue]\nslots = 100\n").unwrap();
    let output = run(&["config", "check"], &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("config.toml:2:") && said.contains("[submit] only"), "{said}");
}
