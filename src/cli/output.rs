//! Where results go and in which form: data on standard output, all else on standard
//! error.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::table::plain_lines;
use super::{Global, Status};
use crate::attach::terminal;
use crate::protocol::Fault;
use crate::task::Status as State;

/// Exit status when nobody reads our output any more: 128 + SIGPIPE, as other tools have.
const BROKEN_PIPE: u8 = 141;

/// Columns of a terminal that does not say.
const DEFAULT_WIDTH: usize = 80;

/// The form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people; tab-separated when not a terminal.
    Text,
    /// JSON.
    Json,
    /// Ids only.
    Quiet,
}

/// Standard output and standard error.
#[derive(Debug)]
pub struct Output {
    /// The form asked for.
    pub form: Form,
    /// Standard output is a terminal.
    pub terminal: bool,
    /// Colours may be used on standard output.
    pub colour: bool,
    broken: Cell<bool>,
}

impl Output {
    /// As the options and the environment want it.
    pub fn new(global: &Global) -> Self {
        let terminal = io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let colour =
            terminal && !global.no_color && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        let form = match (global.json, global.quiet) {
            (true, _) => Form::Json,
            (false, true) => Form::Quiet,
            (false, false) => Form::Text,
        };
        Output { form, terminal, colour, broken: Cell::new(false) }
    }

    /// JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Only ids were asked for.
    pub fn is_quiet(&self) -> bool {
        self.form == Form::Quiet
    }

    /// Columns of the terminal: `COLUMNS`, else what the terminal says.
    pub fn width(&self) -> usize {
        let wished = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).filter(|c| *c > 0);
        wished
            .or_else(|| terminal::window(io::stdout().as_fd()).map(|(columns, _)| usize::from(columns)))
            .unwrap_or(DEFAULT_WIDTH)
    }

    /// Writes text as it is to standard output, at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&self, text: &str) -> Result<(), Fault> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes as they are to standard output, at once.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| {
            self.broken.set(error.kind() == io::ErrorKind::BrokenPipe);
            Fault::internal(format!("cannot write to standard output: {error}"))
        })
    }

    /// What to end with when nobody reads standard output any more, although there is
    /// nothing to write at the moment.
    pub fn unread(&self) -> Fault {
        self.broken.set(true);
        Fault::internal("nobody reads standard output any more")
    }

    /// Writes one line to standard output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&self, line: &str) -> Result<(), Fault> {
        self.text(&format!("{line}\n"))
    }

    /// Writes a value as one line of JSON to standard output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn json<T: Serialize>(&self, value: &T) -> Result<(), Fault> {
        let text = serde_json::to_string(value).map_err(|e| Fault::internal(format!("cannot be JSON: {e}")))?;
        self.line(&text)
    }

    /// Says something for people on standard error. Nobody listening is no error. What a
    /// program has written may be in it, and must not reach the terminal as it is.
    pub fn note(&self, text: &str) {
        note(text);
    }

    /// Tells the fault, if there is one, and gives the program's exit status.
    pub fn finish(&self, result: Result<Status, Fault>) -> ExitCode {
        match result {
            Ok(Status(code)) => ExitCode::from(code),
            Err(_) if self.broken.get() => ExitCode::from(BROKEN_PIPE),
            Err(fault) => {
                if self.is_json() {
                    report(&fault);
                } else {
                    self.note(&format!("error: {}", fault.message));
                    if let Some(hint) = &fault.hint {
                        self.note(&format!("hint: {hint}"));
                    }
                }
                ExitCode::from(fault.code.exit_status())
            }
        }
    }
}

/// Writes a fault as a JSON object to standard error.
pub fn report(fault: &Fault) {
    let text = serde_json::to_string(fault).unwrap_or_else(|_| fault.message.clone());
    drop(writeln!(io::stderr(), "{text}"));
}

/// Columns and rows of the terminal on standard output, if it is one and knows both.
pub fn window_size() -> Option<(u16, u16)> {
    terminal::window(io::stdout().as_fd()).filter(|(_, rows)| *rows > 0)
}

/// The colour of a task's state.
pub fn style_of(state: State) -> Style {
    let colour = match state {
        State::Running => AnsiColor::Green,
        State::Starting | State::Completing => AnsiColor::Cyan,
        State::Held | State::Paused => AnsiColor::Yellow,
        State::Failed | State::Error | State::Timeout => AnsiColor::Red,
        State::Passed => AnsiColor::BrightGreen,
        State::Cancelled => AnsiColor::BrightBlack,
        State::Queued => return Style::new(),
    };
    Style::new().fg_color(Some(colour.into()))
}
/// Tells a person something besides; where nobody reads it, it does not matter.
pub(super) fn note(text: &str) {
    drop(writeln!(io::stderr(), "{}", plain_lines(text)));
}
