//! The pages of section 7 explain, and are written by hand: what they name is what the
//! program has, and the commands in them can be given.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

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
        // A line of its own, in an example or above what it does.
        let lines = text.lines().filter(|line| line.starts_with("autodev ")).map(str::to_owned);
        let text = text.replace('\n', " ");
        // 'autodev …' in the text.
        let quoted =
            text.match_indices("'autodev ").map(|(at, _)| text[at + 1..].split('\'').next().unwrap().to_owned());
        for quoted in lines.chain(quoted) {
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
    // What the page says, in its order, made of the program's own numbers.
    let (client, daemon) = (Role::Client as u8, Role::Daemon as u8);
    let (control, request, reply, refusal) =
        (Kind::Control as u8, Kind::Request as u8, Kind::Reply as u8, Kind::Refusal as u8);
    let pong = Tell::Pong { pid: 1, since: 2, build: "b".into() }.encode();
    let [ping, restart] = [Ask::Ping.encode()[0], Ask::Restart.encode()[0]];
    let stop = Ask::Stop { kill_sessions: true }.encode();
    let resolve = Ask::Resolve { name: "a".into() }.encode();
    let agreed = Tell::Agreed.encode()[0];
    let socket = Tell::Socket { path: "p".into() }.encode()[0];
    let refused = Tell::Refused { reason: "r".into() }.encode()[0];
    assert!(Hello::mine(Role::Client).encode().starts_with(b"ADV\0"));
    assert_eq!((pong.len(), stop[1], &resolve[1..]), (1 + 4 + 8 + 2 + 1, 1, &[1, 0, b'a'][..]));
    let said = [
        "4 bytes ADV and a zero.".to_owned(),
        format!("1 byte {client} from a client, {daemon} from a daemon."),
        format!("at most {} MiB", MAX_FRAME >> 20),
        format!(".TP {control} The control set"),
        format!(".TP {request}, {reply} A request, and a reply"),
        format!(".TP {refusal} Why the daemon will not talk"),
        format!(".TP {ping} Are you there? Answered by {}: the process (4 bytes)", pong[0]),
        format!(".TP {} and a byte Leave; with 1 end every session first. Answered by {agreed}", stop[0]),
        format!(".TP {restart} Leave, and have the program at your own path take your place. Answered by {agreed}"),
        format!(".TP {} and a text Where is the keeper of this session? Answered by {socket}", resolve[0]),
        format!("{refused} and a text is the answer"),
    ];
    let text = page("autodev-protocol.7").replace('\n', " ");
    let mut rest = text.as_str();
    for words in said {
        match rest.split_once(&words) {
            Some((_, after)) => rest = after,
            None => panic!("autodev-protocol.7 does not say '{words}' where it should: {rest}"),
        }
    }
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
