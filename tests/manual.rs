//! The pages of section 7 explain, and are written by hand: what they name is what the
//! program has, and the commands in them can be given.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use autodev::config::SETTINGS;
use autodev::protocol::control::{Ask, Tell};
use autodev::protocol::frame::{Kind, MAX_FRAME};
use autodev::protocol::hello::{Hello, Role};

fn page(name: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name)).unwrap();
    text.replace("\\(aq", "'").replace("\\-", "-").replace("\\(ti", "~").replace("\\fI", "").replace("\\fR", "")
}

fn pages() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".7")).map(|name| (name.clone(), page(&name))).collect()
}

#[test]
fn commands_that_are_named_can_be_given() {
    let mut command = autodev::cli::command();
    command.build();
    let mut seen = 0;
    for (name, text) in pages() {
        let text = text.replace('\n', " ");
        // 'autodev …' in the text.
        for quoted in text.match_indices("'autodev ").map(|(at, _)| text[at + 1..].split('\'').next().unwrap()) {
            let words: Vec<&str> = quoted.split_whitespace().skip(1).collect();
            let verb = command.find_subcommand(words[0]);
            let mut verb = verb.unwrap_or_else(|| panic!("{name}: '{quoted}' is no verb")).clone();
            for word in &words[1..] {
                if let Some(option) = word.strip_prefix("--") {
                    let known = verb.get_arguments().any(|argument| argument.get_long() == Some(option));
                    assert!(known, "{name}: '{quoted}': there is no --{option}");
                } else if let Some(inner) = verb.find_subcommand(word) {
                    verb = inner.clone();
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

/// The words that a shell would give to `autodev` in this line.
fn words(line: &str) -> Vec<Vec<String>> {
    let home = tempfile::tempdir().unwrap();
    let script = format!(
        "autodev() {{ {{ printf '%s\\0' \"$@\"; printf '\\1'; }} >> \"$HOME/words\"; }}; jq() {{ cat > /dev/null; }}; {line}"
    );
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script]).env_clear().env("HOME", home.path()).env("PATH", "/nowhere").current_dir(home.path());
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let text = fs::read(home.path().join("words")).unwrap_or_default();
    let calls = text.split(|byte| *byte == 1).filter(|call| !call.is_empty());
    calls
        .map(|call| {
            let words = call.strip_suffix(b"\0").unwrap_or(call).split(|byte| *byte == 0);
            words.map(|word| String::from_utf8(word.to_vec()).unwrap()).collect()
        })
        .collect()
}

#[test]
fn examples_are_command_lines() {
    let mut root = autodev::cli::command();
    root.build();
    let mut seen = 0;
    for verb in root.get_subcommands() {
        let help = verb.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
        for line in examples.lines().map(str::trim).filter(|line| line.contains("autodev ")) {
            // Words of the text between them.
            if line.ends_with(':') || line.starts_with('#') {
                continue;
            }
            for words in words(line) {
                let command = autodev::cli::command();
                let parsed = command.try_get_matches_from(std::iter::once("autodev".to_owned()).chain(words.clone()));
                assert!(parsed.is_ok(), "{}: {line}: {words:?}: {}", verb.get_name(), parsed.unwrap_err());
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn settings_that_are_named_exist() {
    let known: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    for (name, text) in pages() {
        for line in text.lines() {
            // .B redis.url, or .BR redis.prefix ,
            let Some(words) = line.strip_prefix(".B ").or_else(|| line.strip_prefix(".BR ")) else { continue };
            let word = words.split_whitespace().next().unwrap_or_default();
            let group = word.split_once('.').map_or("", |(group, _)| group);
            if known.iter().any(|key| key.split('.').next() == Some(group)) && !group.is_empty() {
                assert!(known.contains(word), "{name}: there is no setting {word}");
            }
        }
    }
}

#[test]
fn the_protocols_numbers_are_those_of_the_program() {
    let text = page("autodev-protocol.7");
    assert!(Hello::mine(Role::Client).encode().starts_with(b"ADV\0") && text.contains("ADV and a zero"));
    assert_eq!((Role::Client as u8, Role::Daemon as u8), (1, 2));
    assert_eq!((Kind::Control as u8, Kind::Request as u8, Kind::Reply as u8, Kind::Refusal as u8), (0, 1, 2, 3));
    assert_eq!(MAX_FRAME, 2 << 20);
    assert_eq!(Ask::Ping.encode(), [1]);
    assert_eq!(Ask::Stop { kill_sessions: true }.encode(), [2, 1]);
    assert_eq!(Ask::Restart.encode(), [3]);
    assert_eq!(Ask::Resolve { name: "a".into() }.encode(), [4, 1, 0, b'a']);
    assert_eq!(Tell::Pong { pid: 1, since: 2, build: "b".into() }.encode().len(), 1 + 4 + 8 + 2 + 1);
    assert_eq!(Tell::Agreed.encode(), [66]);
    assert_eq!(Tell::Socket { path: "p".into() }.encode()[0], 67);
    assert_eq!(Tell::Refused { reason: "r".into() }.encode()[0], 68);
}

#[test]
fn every_key_of_a_providers_table_is_explained() {
    let text = page("autodev-providers.7");
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/providers");
    for table in fs::read_dir(tables).unwrap() {
        let table: toml::Table = fs::read_to_string(table.unwrap().path()).unwrap().parse().unwrap();
        for (key, value) in &table {
            assert!(text.contains(key.as_str()), "autodev-providers.7 does not explain {key}");
            let modes = (key == "modes").then(|| value.as_table()).flatten().into_iter().flatten();
            for (mode, value) in modes {
                assert!(text.contains(&format!("modes.{mode}")), "{mode}");
                for key in value.as_table().unwrap().keys() {
                    assert!(text.contains(key.as_str()), "autodev-providers.7 does not explain {key}");
                }
            }
        }
    }
    // The example is a table.
    let example = text.split(".nf\n").nth(1).unwrap().split(".fi").next().unwrap();
    let home = tempfile::tempdir().unwrap();
    let paths = autodev::paths::Paths {
        config: home.path().into(),
        state: home.path().join("state"),
        runtime: home.path().join("run"),
    };
    fs::create_dir(paths.providers()).unwrap();
    fs::write(paths.providers().join("mytool.toml"), example).unwrap();
    let registry = autodev::provider::Registry::load(&paths);
    assert_eq!(registry.problems(), Vec::<String>::new());
    assert!(registry.get("mytool").is_some());
}
