//! `autodev providers`, on machines where this or that is installed.

// Helpers fail a test as the test itself would.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Command, Output};

struct Home(tempfile::TempDir);

impl Home {
    /// A machine on which these programs print this version.
    fn with(programs: &[(&str, &str)]) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        for directory in ["bin", "config", "config/providers"] {
            fs::create_dir(home.0.path().join(directory)).unwrap();
        }
        for (program, version) in programs {
            // Written by another process: one that another test starts meanwhile would
            // hold our descriptor, and a file that is open for writing cannot be run.
            let write = "printf '#!/bin/sh\necho \"%s\"\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
            let path = home.0.path().join("bin").join(program);
            let status = Command::new("/bin/sh").args(["-c", write, "sh", version]).arg(path).status().unwrap();
            assert!(status.success());
        }
        home
    }

    fn providers(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autodev"));
        command.arg("providers").args(arguments).env_clear();
        command.env("AUTODEV_HOME", self.0.path()).env("PATH", self.0.path().join("bin"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output
    }

    fn says(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.providers(arguments).stdout).unwrap()
    }
}

#[test]
fn installed_ones_have_version_and_path_others_how_to_install() {
    let home = Home::with(&[("claude", "2.1.330 (Claude Code)"), ("sh", "")]);
    let text = home.says(&[]);
    let claude = home.0.path().join("bin/claude");
    assert!(text.contains(&format!("claude\tyes\t2.1.330\t{}\t\n", claude.display())), "{text}");
    assert!(text.contains("codex\tno\t-\t\tnpm install -g @openai/codex\n"), "{text}");
    assert!(text.contains("shell\tyes\t-\t"), "{text}");

    let json: serde_json::Value = serde_json::from_str(&home.says(&["--json"])).unwrap();
    let view = &json[0];
    assert_eq!(
        (&view["name"], &view["installed"], &view["version"]),
        (&"claude".into(), &true.into(), &"2.1.330".into())
    );
    assert_eq!(view["modes"], serde_json::json!(["cli", "interactive"]));
    assert_eq!(view["source"], "built in");
    assert_eq!(home.says(&["-q"]), "claude\ncodex\ngemini\ncursor\nopencode\nshell\n");
    assert!(!home.0.path().join("state").exists(), "no daemon was started for it");
}

#[test]
fn the_users_tables_count_and_a_broken_one_is_told() {
    let home = Home::with(&[("mine", "mine 3.1")]);
    let tables = home.0.path().join("config/providers");
    let mine = "command = ['mine']\nversion = ['-V']\n[modes.cli]\nprompt = { stdin = [] }\n";
    fs::write(tables.join("mine.toml"), mine).unwrap();
    fs::write(tables.join("codex.toml"), "slotz = 1\n").unwrap();
    fs::write(home.0.path().join("config/config.toml"), "[providers.mine]\nslots = 2\n").unwrap();
    let output = home.providers(&["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let view = |name: &str| json.as_array().unwrap().iter().find(|view| view["name"] == name).unwrap().clone();
    assert_eq!((view("mine")["version"].as_str(), view("mine")["slots"].as_u64()), (Some("3.1"), Some(2)));
    assert_eq!(view("mine")["modes"], serde_json::json!(["cli"]));
    assert!(view("codex")["problem"].as_str().unwrap().contains("codex.toml:1:1"), "{}", view("codex"));
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(warned.contains("did you mean 'slots'?"), "{warned}");
    assert!(home.says(&[]).contains("codex\tbroken\t"));
}

#[test]
fn wrong_settings_do_not_hide_what_is_installed() {
    let home = Home::with(&[("claude", "1.0")]);
    fs::write(home.0.path().join("config/config.toml"), "x = 1").unwrap();
    let output = home.providers(&[]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("claude\tyes\t1.0"));
    assert!(!output.stderr.is_empty());
}
