//! The man pages are what the clap tree says. `UPDATE_MAN=1 cargo test --test man`
//! writes them anew.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use autodev::cli::Cli;
use clap::{Command, CommandFactory};

const EXIT_STATUS: &str = r#".SH "EXIT STATUS"
.TP
0
all is well
.TP
1
something failed, or the awaited task did
.TP
2
the command line makes no sense
.TP
3
no daemon can be reached
.TP
4
what was named does not exist
.TP
5
not allowed
.TP
6
it does not fit the current state
.TP
7
the awaited task was rejected by its acceptance
.TP
8
the awaited task is still pending
.TP
9
the awaited task was cancelled
.TP
75
a provider's limit is reached: try later
.TP
124
the awaited task reached its own time limit
.TP
130
interrupted
"#;

const ENVIRONMENT: &str = r#".SH ENVIRONMENT
.TP
AUTODEV_HOME
everything lies under this directory, instead of the XDG base directories
.TP
EDITOR, VISUAL
the editor for prompts
.TP
NO_COLOR
no colours
.TP
COLUMNS
the width of tables
"#;

/// The page of one command.
fn page(command: &Command, name: &str, top: bool) -> String {
    let command = command.clone().name(name.to_owned()).bin_name(name.replacen('-', " ", usize::from(!top)));
    let man = clap_mangen::Man::new(command).date("").manual("autodev");
    let mut bytes = Vec::new();
    man.render(&mut bytes).unwrap();
    let mut text = String::from_utf8(bytes).unwrap().replace(".SH EXTRA", ".SH NOTES");
    if top {
        text.push_str(ENVIRONMENT);
    }
    text.push_str(EXIT_STATUS);
    text
}

fn pages() -> BTreeMap<String, String> {
    let mut root = Cli::command();
    root.build();
    let mut pages = BTreeMap::from([("autodev.1".to_owned(), page(&root, "autodev", true))]);
    for verb in root.get_subcommands() {
        let name = format!("autodev-{}", verb.get_name());
        pages.insert(format!("{name}.1"), page(verb, &name, false));
    }
    pages
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

#[test]
fn pages_and_tree_agree() {
    let pages = pages();
    if std::env::var_os("UPDATE_MAN").is_some() {
        fs::create_dir_all(directory()).unwrap();
        for (name, text) in &pages {
            fs::write(directory().join(name), text).unwrap();
        }
    }
    for (name, text) in &pages {
        let there = fs::read_to_string(directory().join(name)).unwrap_or_default();
        assert!(there == *text, "man/{name} is not what the program says: run 'UPDATE_MAN=1 cargo test --test man'");
    }
    for entry in fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let ours = name.starts_with("autodev-") || name == "autodev.1";
        assert!(!ours || pages.contains_key(&name), "man/{name} describes a verb that does not exist");
    }
}

#[test]
fn every_option_and_verb_is_explained() {
    fn check(command: &Command, path: &str) {
        assert!(command.get_about().is_some(), "{path} has no description");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
        }
        for verb in command.get_subcommands() {
            check(verb, &format!("{path} {}", verb.get_name()));
        }
    }
    let mut root = Cli::command();
    root.build();
    check(&root, "autodev");
    root.debug_assert();
}
