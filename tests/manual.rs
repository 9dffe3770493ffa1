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

fn all_pages() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| (name.clone(), page(&name))).collect()
}

/// Those that explain.
fn pages() -> Vec<(String, String)> {
    all_pages().into_iter().filter(|(name, _)| name.ends_with(".7")).collect()
}

/// Verbs and options of a command are there; what stands for values is passed over.
fn can_be_given(root: &clap::Command, place: &str, line: &str) {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let Some(first) = words.iter().find(|word| !word.starts_with('-')) else { return };
    // 'autodev VERB --help', and what is no command.
    if !first.starts_with(|c: char| c.is_ascii_lowercase()) || *first == "is" {
        return;
    }
    let verb = root.find_subcommand(first).unwrap_or_else(|| panic!("{place}: '{line}': there is no verb {first}"));
    let mut verb = verb.clone();
    for word in words.iter().skip_while(|word| *word != first).skip(1) {
        // What follows is somebody else's.
        if matches!(*word, "--" | "|" | "||" | "&&" | ">") {
            return;
        }
        if let Some(option) = word.strip_prefix("--") {
            let option = option.split(['=', ',', '.', ')', ';', ']']).next().unwrap();
            let known = verb.get_arguments().any(|argument| argument.get_long() == Some(option));
            assert!(known || option == "help", "{place}: '{line}': there is no --{option}");
        } else if let Some(inner) = verb.find_subcommand(word) {
            verb = inner.clone();
        }
    }
}

/// What a text puts between such marks and begins with the program's name.
fn quoted(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let begin = format!("{mark}autodev ");
    let ends: Vec<&str> = text.match_indices(begin.as_str()).map(|(at, _)| &text[at + 1..]).collect();
    ends.into_iter().filter_map(move |rest| Some(rest.split_once(mark)?.0))
}

#[test]
fn commands_that_are_named_can_be_given() {
    let mut root = autodev::cli::command();
    root.build();
    let mut seen = 0;
    let mut give = |place: &str, line: &str| {
        can_be_given(&root, place, line);
        seen += 1;
    };
    for (name, text) in all_pages() {
        // A line of its own, in an example or above what it does.
        text.lines().filter(|line| line.starts_with("autodev ")).for_each(|line| give(&name, line));
        quoted(&text.replace('\n', " "), '\'').for_each(|line| give(&name, line));
    }
    for file in ["README.md", "RELIABILITY.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        quoted(&text, '`').for_each(|line| give(file, line));
    }
    // What errors advise, and settings say.
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    open.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"));
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        // Lines of a text that goes on, without what stands before them.
        let text = text.replace("\\\n", " ").replace("\n# ", " ");
        for line in quoted(&text, '\'').filter(|line| !line.contains(['\n', '{', '"'])) {
            give(&path.display().to_string(), line);
        }
    }
    assert!(seen > 300, "{seen}");
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
