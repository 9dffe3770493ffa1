//! Who typed what: lines for people, objects for programs.

use std::time::Duration;

use serde::Serialize;

use super::super::recorded::Recorded;
use super::super::table::{Column, Table};
use super::super::{Context, Status};
use crate::clock::Timestamp;
use crate::protocol::Fault;
use crate::recording::input::Input;

/// Keys of one source that follow one another within this many milliseconds are shown
/// together: so people type words.
const TOGETHER_MS: u32 = 1_000;

/// What one source typed without a pause, up to Enter.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Typed {
    at: Timestamp,
    /// Milliseconds since the beginning of the recording.
    ms: u32,
    source: &'static str,
    text: String,
    /// Bytes that the terminal did not show.
    hidden: u64,
    /// Bytes of a long input that are not in the recording.
    omitted: u64,
}

/// Prints what was typed from `from` milliseconds after the beginning on.
///
/// # Errors
/// When there is no timing, or it cannot be written.
pub fn print(ctx: &Context, recorded: &Recorded<'_>, from: u32) -> Result<Status, Fault> {
    let (began, _) = recorded.times()?;
    let mut inputs = recorded.reader().inputs();
    inputs.retain(|input| input.ms >= from);
    let all = together(inputs, began);
    if ctx.output.is_json() {
        ctx.output.json(&all)?;
    } else if all.is_empty() {
        ctx.output.note(&format!("nobody typed into session {}", recorded.session()));
    } else {
        let mut table = Table::new(&[Column::new("TIME"), Column::new("SOURCE"), Column::new("TEXT")]);
        for typed in all {
            let text = [caret(&typed.text), some(typed.hidden, "not shown"), some(typed.omitted, "more")];
            let text: Vec<String> = text.into_iter().filter(|part| !part.is_empty()).collect();
            table.row(vec![typed.at.local().into(), typed.source.into(), text.join(" ").into()]);
        }
        ctx.output.text(&table.render(&ctx.output))?;
    }
    Ok(Status::OK)
}

fn together(inputs: Vec<Input>, began: Timestamp) -> Vec<Typed> {
    let mut runs: Vec<(u32, Input)> = Vec::new();
    for input in inputs {
        let joins = |(last_ms, run): &(u32, Input)| {
            run.by == input.by
                && (run.hidden > 0) == (input.hidden > 0)
                && input.ms.saturating_sub(*last_ms) <= TOGETHER_MS
                && run.omitted == 0
                && !run.text.ends_with(b"\r")
                && !run.text.ends_with(b"\n")
        };
        match runs.last_mut().filter(|run| joins(run)) {
            Some((last_ms, run)) => {
                *last_ms = input.ms;
                run.text.extend_from_slice(&input.text);
                run.hidden += input.hidden;
                run.omitted += input.omitted;
            }
            None => runs.push((input.ms, input)),
        }
    }
    let typed = |(_, run): (u32, Input)| Typed {
        at: began.plus(Duration::from_millis(u64::from(run.ms))),
        ms: run.ms,
        source: run.by.name(),
        text: String::from_utf8_lossy(&run.text).into_owned(),
        hidden: run.hidden,
        omitted: run.omitted,
    };
    runs.into_iter().map(typed).collect()
}

fn some(bytes: u64, what: &str) -> String {
    match bytes {
        0 => String::new(),
        1 => format!("[1 byte {what}]"),
        bytes => format!("[{bytes} bytes {what}]"),
    }
}

/// Text with control characters as people write them: `^M` for Enter.
fn caret(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0'..='\x1f' => {
                out.push('^');
                // Ctrl takes two bits of a letter away.
                out.push(char::from(b'@' + u8::try_from(u32::from(c)).unwrap_or(0)));
            }
            '\x7f' => out.push_str("^?"),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::input::Typist;

    #[test]
    fn control_characters_are_written_with_a_caret() {
        assert_eq!(caret("ls\r\x1b[A\x03\x7f\0ü\u{9b}"), "ls^M^[[A^C^?^@ü\u{fffd}");
    }

    #[test]
    fn keys_are_put_together_to_lines() {
        let input =
            |ms, by, text: &[u8], hidden, omitted| Input { ms, offset: 0, by, text: text.to_vec(), hidden, omitted };
        let lines = together(
            vec![
                input(0, Typist::Prompt, b"go", 0, 9),
                input(10, Typist::Viewer, "ä".as_bytes().get(..1).unwrap(), 0, 0),
                input(20, Typist::Viewer, "ä".as_bytes().get(1..).unwrap(), 0, 0),
                input(900, Typist::Viewer, b"\r", 0, 0),
                input(950, Typist::Viewer, b"next", 0, 0),
                input(1_000, Typist::Viewer, b"", 1, 0),
                input(1_100, Typist::Viewer, b"", 2, 0),
                input(1_200, Typist::Send, b"x", 0, 0),
                input(2_201, Typist::Send, b"y", 0, 0),
            ],
            Timestamp(5_000),
        );
        let lines: Vec<_> = lines.iter().map(|l| (l.ms, l.source, l.text.as_str(), l.hidden, l.omitted)).collect();
        assert_eq!(
            lines,
            [
                (0, "prompt", "go", 0, 9),
                (10, "viewer", "ä\r", 0, 0),
                (950, "viewer", "next", 0, 0),
                (1_000, "viewer", "", 3, 0),
                (1_200, "send", "x", 0, 0),
                (2_201, "send", "y", 0, 0),
            ]
        );
    }
}
