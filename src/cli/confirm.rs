//! Asking a person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::protocol::Fault;

/// Somebody is there who can be asked.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether the person says yes; an empty line is no.
///
/// # Errors
/// When the terminal cannot be read or written.
pub fn yes(question: &str) -> Result<bool, Fault> {
    Ok(matches!(line(&format!("{question} [y/N] "))?.as_str(), "y" | "Y" | "yes"))
}

/// A line that the person types, without the blanks around it.
///
/// # Errors
/// When the terminal cannot be read or written.
pub fn line(prompt: &str) -> Result<String, Fault> {
    let failed = |error: io::Error| Fault::internal(format!("cannot ask: {error}"));
    write!(io::stderr(), "{prompt}").map_err(failed)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(answer.trim().to_owned())
}
