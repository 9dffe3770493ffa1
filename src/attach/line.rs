//! A line that the user types below the picture: a command, something to search for.

use super::keys::Key;
use super::notice;

/// Characters of a line: no name or pattern is longer.
const LENGTH_MAX: usize = 256;

/// A line being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What stands before it.
    label: &'static str,
    text: String,
}

/// What a key has made of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// It goes on.
    On,
    /// It is done.
    Done(String),
    /// Never mind.
    Dropped,
}

impl Line {
    pub(super) fn new(label: &'static str) -> Line {
        Line { label, text: String::new() }
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: Key) -> Typed {
        match key {
            Key::Char(c) if self.text.chars().count() < LENGTH_MAX => self.text.push(c),
            Key::Backspace if self.text.pop().is_none() => return Typed::Dropped,
            Key::Control('u') => self.text.clear(),
            Key::Control('w') => {
                let kept = self.text.trim_end();
                self.text.truncate(kept.rfind(' ').map_or(0, |blank| blank + 1));
            }
            Key::Enter => return Typed::Done(std::mem::take(&mut self.text)),
            Key::Escape | Key::Control('c') => return Typed::Dropped,
            _ => {}
        }
        Typed::On
    }

    /// As it is shown in so many columns, with a mark where the next character goes: of a
    /// long one the end.
    pub(super) fn shown(&self, columns: usize) -> String {
        let room = columns.saturating_sub(notice::width(self.label) + 1);
        let mut text = self.text.as_str();
        while notice::width(text) > room
            && let Some(first) = text.chars().next()
        {
            text = &text[first.len_utf8()..];
        }
        format!("{}{text}_", self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_edit_the_line() {
        let mut line = Line::new(": ");
        for c in "attach  x".chars() {
            assert_eq!(line.key(Key::Char(c)), Typed::On);
        }
        line.key(Key::Backspace);
        line.key(Key::Control('w'));
        assert_eq!(line.shown(80), ": _");
        line.key(Key::Char('é'));
        assert_eq!(line.key(Key::Enter), Typed::Done("é".to_owned()));
        assert_eq!(line.key(Key::Backspace), Typed::Dropped);
        assert_eq!(line.key(Key::Escape), Typed::Dropped);
        for _ in 0..2 * LENGTH_MAX {
            line.key(Key::Char('x'));
        }
        assert_eq!(line.shown(1_000).len(), LENGTH_MAX + ": _".len());
        line.key(Key::Backspace);
        line.key(Key::Char('漢'));
        assert_eq!(
            (line.shown(8).as_str(), line.shown(5).as_str(), line.shown(2).as_str()),
            (": xxx漢_", ": 漢_", ": _")
        );
    }
}
