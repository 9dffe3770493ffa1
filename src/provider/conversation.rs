//! What was said between a tool and its model: whether the tool still has it, and under
//! which name, so that an interrupted attempt can be gone on with.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use memchr::memmem;

/// Most bytes at the beginning of an attempt's output in which a tool says how it calls
/// its conversation.
pub const MAX_PRINTED: usize = 64 * 1024;
/// Longest name of a conversation, in bytes.
const MAX_NAME: usize = 128;
/// Directories that are looked into for one pattern: those a tool makes are by project or
/// by day.
const MAX_DIRECTORIES: usize = 20_000;
/// As much of a conversation's file is looked through.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// What the tool is told when it goes on.
pub const GO_ON: &str = "You were interrupted, and have been started again in the same directory. Look at what is \
                         done already, then go on with your task and finish it.";

/// Whether the tool has the conversation: one of `patterns` leads to a file that holds all
/// of `texts`. Patterns are paths that begin with `~` or `$NAME`, in which `*` within a part
/// stands for anything; one whose variable is not set leads nowhere. In both
/// `{conversation}` is its name. `variable` looks up the tool's environment.
pub fn exists(
    patterns: &[String],
    texts: &[String],
    conversation: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> bool {
    let named = |text: &String| text.replace("{conversation}", conversation);
    let texts: Vec<String> = texts.iter().map(named).collect();
    patterns.iter().map(named).any(|pattern| {
        let mut parts = pattern.split('/').filter(|part| !part.is_empty());
        let root = match parts.next() {
            Some("~") => variable("HOME"),
            Some(first) => first.strip_prefix('$').and_then(&variable),
            None => None,
        };
        let parts: Vec<&str> = parts.collect();
        let mut search = Search { texts: &texts, directories: MAX_DIRECTORIES };
        root.filter(|root| root.starts_with('/')).is_some_and(|root| search.leads(&PathBuf::from(root), &parts))
    })
}

struct Search<'a> {
    texts: &'a [String],
    /// How many may still be listed.
    directories: usize,
}

impl Search<'_> {
    fn leads(&mut self, at: &Path, parts: &[&str]) -> bool {
        let Some((part, rest)) = parts.split_first() else { return self.is_it(at) };
        if !part.contains('*') {
            return self.leads(&at.join(part), rest);
        }
        if self.directories == 0 {
            return false;
        }
        self.directories -= 1;
        let Ok(listed) = fs::read_dir(at) else { return false };
        listed.flatten().any(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| fits(name, part)) && self.leads(&entry.path(), rest)
        })
    }

    fn is_it(&self, file: &Path) -> bool {
        if !file.is_file() {
            return false;
        }
        let read = || {
            let mut content = Vec::new();
            File::open(file)?.take(MAX_FILE).read_to_end(&mut content).map(|_| content)
        };
        let holds_all = |content: Vec<u8>| self.texts.iter().all(|t| memmem::find(&content, t.as_bytes()).is_some());
        self.texts.is_empty() || read().is_ok_and(holds_all)
    }
}

/// Whether a name is as a pattern says, in which `*` stands for anything.
fn fits(name: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return name == pattern };
    let Some(rest) = name.strip_prefix(before) else { return false };
    (0..=rest.len()).any(|skip| rest.get(skip..).is_some_and(|rest| fits(rest, after)))
}

/// The name that follows the words `after` in what a tool has printed.
pub fn printed(output: &[u8], after: &str) -> Option<String> {
    let text = String::from_utf8_lossy(output.get(..MAX_PRINTED).unwrap_or(output));
    // Terminals are told to print some words in bold, in the middle of them.
    let plain = without_escapes(&text);
    let (_, rest) = plain.split_once(after)?;
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = rest.trim_start_matches(' ');
    let end = name.find(|c| !is_of_name(c))?;
    name.get(..end).filter(|name| !name.is_empty() && name.len() <= MAX_NAME).map(str::to_owned)
}

/// Without `ESC [ … letter`.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.find(|c: char| ('@'..='~').contains(&c)).and_then(|end| after.get(end + 1..)).unwrap_or("");
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_where_the_patterns_lead() {
        let home = tempfile::tempdir().unwrap();
        let there = home.path().join("state/2026/11/23");
        fs::create_dir_all(&there).unwrap();
        fs::write(there.join("talk-0930-abc.jsonl"), "").unwrap();
        let variable = |name: &str| {
            let value = match name {
                "HOME" => home.path().to_owned(),
                "STATE" => home.path().join("state"),
                "RELATIVE" => "state".into(),
                _ => return None,
            };
            Some(value.display().to_string())
        };
        let found = |pattern: &str, id| exists(&[pattern.to_owned()], &[], id, variable);
        assert!(found("~/state/*/*/*/talk-*-{conversation}.jsonl", "abc"));
        assert!(found("$STATE/2026/*/*/*{conversation}*", "abc"));
        let holds = |text: &str| {
            let texts = ["said".to_owned(), text.to_owned()];
            exists(&["~/state/*/*/*/*".to_owned()], &texts, "abc", variable)
        };
        fs::write(there.join("talk-0930-abc.jsonl"), "abc said").unwrap();
        assert!(holds("{conversation}") && !holds("nothing"));
        for (pattern, id) in [
            ("~/state/*/*/*/talk-*-{conversation}.jsonl", "abd"),
            ("~/state/*/*/talk-*-{conversation}.jsonl", "abc"),
            ("~/state/*/*/*", "abc"),
            ("$NOTHING/2026/*/*/*{conversation}*", "abc"),
            ("$RELATIVE/2026/*/*/*{conversation}*", "abc"),
            ("/etc/passwd", ""),
            ("", ""),
        ] {
            assert!(!found(pattern, id), "{pattern}");
        }
    }

    #[test]
    fn what_a_tool_prints_is_found_between_colours() {
        let output = b"\x1b[2mTool v1\x1b[0m\r\n\x1b[1msession id:\x1b[0m 01a2-b3c4_d\r\nhello";
        assert_eq!(printed(output, "session id:").as_deref(), Some("01a2-b3c4_d"));
        for none in [&b"session id: \r\n"[..], b"session id: cut", b"sessionid: x\n", b""] {
            assert_eq!(printed(none, "session id:"), None, "{none:?}");
        }
        let long = format!("session id: {}\n", "x".repeat(MAX_NAME + 1));
        assert_eq!(printed(long.as_bytes(), "session id:"), None);
        let late = format!("{}session id: x\n", "\n".repeat(MAX_PRINTED));
        assert_eq!(printed(late.as_bytes(), "session id:"), None);
    }
}
