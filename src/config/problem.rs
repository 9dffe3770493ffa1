//! What is wrong in a file that a person wrote, and where: file, line, column, the line
//! itself with a mark under the place, and what would be right.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest line that is shown with an error; longer ones are cut around the place.
const MAX_SHOWN: usize = 160;
/// How alike two names must be for one to be suggested for the other, from 0 to 1.
const ALIKE: f64 = 0.75;

/// One thing that is wrong with a file or a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What would be right.
    pub hint: Option<String>,
}

/// Where something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file as a whole.
    File(PathBuf),
    /// A place in a file.
    Text {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The line, without control characters.
        text: String,
        /// Characters that are wrong, at least 1.
        width: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// What was typed at a command line.
    Typed,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Problem { message: message.into(), place: Place::File(file.to_owned()), hint: None }
    }

    /// A problem at the bytes `span` of the file's `text`.
    pub fn at(file: &Path, text: &str, span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        let place = match span {
            Some(span) => locate(file, text, span),
            None => Place::File(file.to_owned()),
        };
        Problem { message: message.into(), place, hint: None }
    }

    /// What the TOML reader says about `text`, made into our form.
    pub fn of_toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim().replace('\n', ", ");
        Problem::at(file, text, error.span(), message)
    }

    /// The same without the characters that are wrong, which may be a secret.
    #[must_use]
    pub fn veiled(mut self) -> Self {
        if let Place::Text { column, text, .. } = &mut self.place {
            let from = *column - 1;
            *text = text.chars().enumerate().map(|(at, c)| if at < from { c } else { '*' }).collect();
        }
        self
    }

    /// The same with no more of the line than its name: what it says may be a secret, and where
    /// the file cannot be read, nobody knows whose.
    #[must_use]
    pub fn discreet(mut self) -> Self {
        if let Place::Text { text, .. } = &mut self.place {
            let line = text.trim_start();
            let indent = text.len() - line.len();
            let name = line.find(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c)).unwrap_or(line.len());
            let kept = if line.starts_with('[') && !line.contains('"') {
                text.len()
            } else if line[name..].trim_start().starts_with(['=', ':', '"', '\'']) {
                indent + name
            } else {
                // A word alone goes on with what began above it.
                0
            };
            *text =
                text.char_indices().map(|(at, c)| if at >= kept && c.is_alphanumeric() { '*' } else { c }).collect();
        }
        self
    }

    /// The same with what would be right.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

fn locate(file: &Path, text: &str, span: Range<usize>) -> Place {
    let start = floor(text, span.start.min(text.len()));
    let end = floor(text, span.end.clamp(start, text.len()));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let column = text[line_start..start].chars().count();
    let width = text[start..end.min(line_end).max(start)].chars().count().max(1);
    let shown: String = text[line_start..line_end]
        .trim_end_matches('\r')
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_SHOWN.max(column + width).min(column + MAX_SHOWN))
        .collect();
    Place::Text {
        file: file.to_owned(),
        line: text[..line_start].matches('\n').count() + 1,
        column: column + 1,
        text: shown,
        width: width.min(MAX_SHOWN),
    }
}

/// The start of the character that holds byte `at`.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name in a file may be any characters.
        let message: String = self.message.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        match &self.place {
            Place::File(file) => write!(f, "{}: {message}", file.display())?,
            Place::Variable(name) => write!(f, "{name} in the environment: {message}")?,
            Place::Typed => f.write_str(&message)?,
            Place::Text { file, line, column, text, width } => {
                let (number, blank) = (line.to_string(), " ".repeat(line.to_string().len()));
                let skip = " ".repeat(column - 1);
                let mark = "^".repeat(*width);
                write!(
                    f,
                    "{}:{line}:{column}: {message}\n{blank} |\n{number} | {text}\n{blank} | {skip}{mark}",
                    file.display()
                )?;
            }
        }
        match &self.hint {
            Some(hint) if matches!(self.place, Place::Text { .. }) => write!(f, " {hint}"),
            Some(hint) => write!(f, ": {hint}"),
            None => Ok(()),
        }
    }
}

/// The one of `known` that `word` was probably meant to be; small letters and capitals are
/// alike.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&word, &name.to_lowercase()), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_the_place() {
        let text = "[queue]\n# Größe\nslotz = 4\n";
        let start = text.find("slotz").unwrap();
        let problem = Problem::at(Path::new("/c.toml"), text, Some(start..start + 5), "no such setting")
            .hint(Some("did you mean 'slots'?".into()));
        let expected = "/c.toml:3:1: no such setting\n  |\n3 | slotz = 4\n  | ^^^^^ did you mean 'slots'?";
        assert_eq!(problem.to_string(), expected);
    }

    #[test]
    fn columns_count_characters_and_no_span_panics() {
        let text = "ä = \"ü\"\r\nb";
        for start in 0..=text.len() + 2 {
            for end in start..=text.len() + 3 {
                let shown = Problem::at(Path::new("f"), text, Some(start..end), "x").to_string();
                assert!(shown.lines().count() == 4, "{shown}");
            }
        }
        let at = text.find('ü').unwrap();
        let Place::Text { line, column, .. } = locate(Path::new("f"), text, at..at + 2) else { panic!() };
        assert_eq!((line, column), (1, 6));
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for (text, wrong, shown) in [
            ("[redis]\nurl = hunter2\n", "hunter2", "url = *******"),
            ("passwrd = \"hunter2\" # x\n", "passwrd", "passwrd = \"*******\" # *"),
            ("password: \"hunter2\"\n", ":", "password: \"*******\""),
            ("url \"redis://:hunter2@h\"\n", "redis", "url \"*****://:*******@*\""),
            ("password = [\n  \"hunter2\",\n", "hunter2", "  \"*******\","),
            ("password = [\n  hunter2,\n", "hunter2", "  *******,"),
            ("[queue\nslotz = 4\n", "queue", "[queue"),
        ] {
            let at = text.find(wrong).unwrap();
            let problem = Problem::at(Path::new("f"), text, Some(at..at + wrong.len()), "x\u{1b}]0;").discreet();
            let said = problem.to_string();
            assert!(said.contains(&format!("| {shown}\n")) && !said.contains('\u{1b}'), "{said}");
        }
    }

    #[test]
    fn names_are_suggested_only_when_alike() {
        assert_eq!(nearest("slotz", ["slots", "prefix"]), Some("slots"));
        assert_eq!(nearest("ENTR", ["Enter", "Home"]), Some("Enter"));
        assert_eq!(nearest("xyz", ["slots", "prefix"]), None);
    }
}
