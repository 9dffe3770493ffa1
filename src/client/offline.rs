//! What can be asked where no daemon serves: the daemon's program is run for it, for only
//! that one opens the database.

use std::process::{Command, Stdio};

use super::start::program;
use crate::protocol::{Fault, FaultCode, Reply};

/// Runs the daemon's program with these arguments and gives its answer.
///
/// # Errors
/// The fault it answers with; `Unreachable` when it cannot be run or does not answer.
pub fn ask(arguments: &[&str]) -> Result<Reply, Fault> {
    let program = program();
    let failed = |what: &dyn std::fmt::Display| {
        Fault::new(FaultCode::Unreachable, format!("{} cannot be asked: {what}", program.display()))
            .hint("install 'autodevd' beside 'autodev', or put it on the PATH")
    };
    let output = Command::new(&program).args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    let answer: Result<Reply, Fault> = serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))?;
    answer
}
