//! The man pages are what the clap trees and the file of settings say.
//! `UPDATE_MAN=1 cargo test --test man` writes them anew.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;

use autodev::cli;
use autodev::daemon::options::Autodevd;
use clap::{Arg, Command, CommandFactory};

/// Every setting with its default.
const SETTINGS: &str = include_str!("../config/autodev.toml");

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
AUTODEV_GROUP_SETTING
a setting, over what files say: AUTODEV_QUEUE_SLOTS is queue.slots of
.BR autodev.toml (5)
.TP
EDITOR, VISUAL
the editor for prompts
.TP
NO_COLOR
no colours
.TP
COLUMNS
the width of tables
.PP
A program in a session finds in its environment AUTODEV_SESSION, the session's name; for a
task also AUTODEV_TASK_ID and AUTODEV_ATTEMPT, its number and that of the attempt; AUTODEV_SOCKET,
the daemon's socket at its start; AUTODEV_STATE, the directory of the instance; and AUTODEV_HOME
where that is set. With them
.B autodev
in a session means the instance the session belongs to.
"#;

const FILES: &str = r#".SH FILES
.TP
~/.config/autodev/config.toml
settings; the file .autodev/config.toml of a project sets what its tasks are when they do not say
.TP
~/.config/autodev/providers/
agents of your own:
.BR autodev-providers (7)
.TP
~/.local/state/autodev/
database, recordings, backups, outputs, and the log of a daemon in the background
.TP
$XDG_RUNTIME_DIR/autodev/
sockets
"#;

/// What a page says about another page.
const SEE_ALSO: &str = r#".SH "SEE ALSO"
.BR autodev (1),
.BR autodevd (8),
.BR autodev.toml (5),
.BR autodev-providers (7),
.BR autodev-recovery (7),
.BR autodev-redis (7),
.BR autodev-metrics (7),
.BR autodev-protocol (7)
"#;

/// The page of one command of `autodev`.
fn page(command: &Command, name: &str) -> String {
    let top = !name.contains('-');
    let command = command.clone().name(name.to_owned()).bin_name(name.replacen('-', " ", 1));
    let mut text = render(&command, "1");
    if top {
        text.push_str(ENVIRONMENT);
        text.push_str(FILES);
    }
    text + EXIT_STATUS + SEE_ALSO
}

/// A page as clap_mangen makes it, with the usage of `--help` as its synopsis, the verbs
/// of a verb explained in place, and what stands below the options of `--help` as sections
/// of its own, examples line by line.
fn render(command: &Command, section: &str) -> String {
    let man = clap_mangen::Man::new(command.clone()).date("").manual("autodev").section(section);
    let mut out = Vec::new();
    man.render_title(&mut out).unwrap();
    man.render_name_section(&mut out).unwrap();
    let mut text = take(&mut out);
    text += &format!(".SH SYNOPSIS\n{}\n", usage(command));
    man.render_description_section(&mut out).unwrap();
    man.render_options_section(&mut out).unwrap();
    text += &take(&mut out);
    if command.get_name() == "autodev" {
        text += ".SH VERBS\n";
        for (title, verbs) in cli::GROUPS {
            text += &format!(".SS {title}\n");
            for verb in verbs {
                let about = command.find_subcommand(verb).unwrap().get_about().unwrap().to_string();
                text += &format!(".TP\n.BR autodev\\-{verb} (1)\n{}\n", escape(&about));
            }
        }
        let help = command.get_after_help().unwrap().to_string();
        let examples = help.split("Examples:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        return text + &notes(&format!("Examples:\n{examples}"));
    } else if command.has_subcommands() {
        text += ".SH SUBCOMMANDS\n";
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            text += &format!(".SS {}\n{}\n", usage(verb), escape(&verb.get_about().unwrap().to_string()));
            let own =
                |argument: &&Arg| !argument.is_global_set() && !argument.is_hide_set() && argument.get_id() != "help";
            for argument in verb.get_arguments().filter(own) {
                let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
                let takes_value = argument.get_action().takes_values();
                let default: Vec<_> =
                    argument.get_default_values().iter().filter(|_| takes_value).map(|d| d.to_string_lossy()).collect();
                let default =
                    if default.is_empty() { String::new() } else { format!(" [default: {}]", default.join(",")) };
                text += &format!(
                    ".TP\n{}\n{}\n",
                    escape(&format!("{short}{argument}")),
                    escape(&format!("{}{default}", argument.get_help().unwrap()))
                );
            }
        }
    }
    text + &notes(&command.get_after_long_help().map(ToString::to_string).unwrap_or_default())
}

fn take(out: &mut Vec<u8>) -> String {
    String::from_utf8(std::mem::take(out)).unwrap()
}

fn usage(command: &Command) -> String {
    escape(command.clone().render_usage().to_string().strip_prefix("Usage: ").unwrap())
}

/// Paragraphs become notes; a line with a colon over indented ones becomes a section in
/// which lines stay as they are.
fn notes(text: &str) -> String {
    let (mut notes, mut sections) = (String::new(), String::new());
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        match block.split_once(":\n  ") {
            Some((title, lines)) if !title.contains('\n') => {
                sections += &format!(".SH \"{}\"\n.nf\n", title.to_uppercase());
                for line in lines.lines() {
                    sections += &format!("{}\n", escape(line.strip_prefix("  ").unwrap_or(line)));
                }
                sections += ".fi\n";
            }
            _ => {
                notes += if notes.is_empty() { ".SH NOTES\n" } else { ".PP\n" };
                notes += &paragraph(block);
            }
        }
    }
    notes + &sections
}

fn paragraph(text: &str) -> String {
    text.lines().map(|line| escape(line) + "\n").collect()
}

/// Text that means nothing to roff.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('~', "\\(ti");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

/// The page of the settings, from the file that describes them.
fn settings() -> String {
    let mut text = String::from(
        ".TH autodev.toml 5 \"\" \"\" autodev\n.SH NAME\nautodev.toml \\- the settings of autodev\n.SH DESCRIPTION\n",
    );
    let mut said = String::new();
    for line in SETTINGS.lines() {
        // The tables of providers are shown but not set.
        let words = line.trim_start_matches("# ");
        let is_setting = |(key, _): (&str, &str)| !key.contains(' ');
        if let Some(table) = words.strip_prefix('[') {
            text += &paragraph(&std::mem::take(&mut said));
            text += &format!(".SH [{}\n", escape(table));
        } else if words.split_once(" = ").is_some_and(is_setting) {
            text += &format!(".TP\n\\fB{}\\fR\n{}", escape(words), paragraph(&std::mem::take(&mut said)));
        } else if matches!(line, "" | "#") && !said.is_empty() {
            text += &format!(".PP\n{}", paragraph(&std::mem::take(&mut said)));
        } else if line.is_empty() {
            // Tables are apart from one another anyway.
        } else {
            said += &format!("{}\n", line.strip_prefix("# ").expect("a comment, a table or a setting"));
        }
    }
    text + SEE_ALSO
}

fn pages() -> BTreeMap<String, String> {
    let mut root = cli::command();
    root.build();
    let mut pages = BTreeMap::from([("autodev.1".to_owned(), page(&root, "autodev"))]);
    for verb in root.get_subcommands() {
        let name = format!("autodev-{}", verb.get_name());
        pages.insert(format!("{name}.1"), page(verb, &name));
    }
    let mut daemon = Autodevd::command();
    daemon.build();
    pages.insert("autodevd.8".to_owned(), render(&daemon, "8") + SEE_ALSO);
    pages.insert("autodev.toml.5".to_owned(), settings());
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
        // Those of section 7 explain, and are written by hand.
        assert!(pages.contains_key(&name) || name.ends_with(".7"), "man/{name} describes what does not exist");
    }
    // What a page refers to is there.
    for text in pages.values() {
        for other in text.lines().filter_map(|line| line.strip_prefix(".BR autodev")).filter(|rest| rest.contains(" ("))
        {
            let (name, section) = other.split_once(" (").unwrap();
            let file = format!("autodev{}.{}", name.replace('\\', ""), section.split(')').next().unwrap());
            assert!(directory().join(&file).exists(), "there is no man/{file}");
        }
    }
}

/// What one begins with is an example of its verb, where it is tried.
#[test]
fn first_examples_are_examples() {
    let mut root = cli::command();
    root.build();
    let help = root.get_after_help().unwrap().to_string();
    let examples = help.split("Examples:\n").nth(1).unwrap();
    let lines: Vec<&str> = examples.lines().map_while(|line| line.strip_prefix("  ")).collect();
    assert!(lines.len() > 2, "{help}");
    for line in lines {
        let verb = root.find_subcommand(line.split(' ').nth(1).unwrap()).unwrap();
        let own = verb.get_after_long_help().unwrap().to_string();
        assert!(own.lines().any(|one| one.trim() == line), "{line} is no example of its verb");
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
    let mut root = cli::command();
    root.build();
    check(&root, "autodev");
    root.debug_assert();
}

#[test]
fn every_setting_is_in_the_manual() {
    fn check(table: &toml::Table, page: &str) {
        for (key, value) in table {
            match value {
                toml::Value::Table(table) => check(table, page),
                value => {
                    let line = format!(".TP\n\\fB{}\\fR\n", escape(&format!("{key} = {value}")));
                    let (_, below) = page.split_once(&line).unwrap_or_else(|| panic!("{line} is missing"));
                    assert!(!below.starts_with('.'), "{key} is not explained");
                }
            }
        }
    }
    check(&SETTINGS.parse().unwrap(), &settings());
}

/// The formatter has nothing to complain about. Not every machine has one.
#[test]
fn every_page_can_be_shown() {
    for entry in fs::read_dir(directory()).unwrap() {
        let page = entry.unwrap().path();
        let name = page.display();
        match process::Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8"]).arg(&page).output() {
            Ok(output) => assert!(output.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => panic!("groff: {error}"),
        }
    }
}
