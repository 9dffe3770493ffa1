//! What is done without a daemon that serves: the command line runs this program for it,
//! which answers with one line of JSON on standard output.

use std::io::{self, Write};
use std::process::ExitCode;

use super::recover;
use crate::paths::Paths;
use crate::protocol::{Fault, FaultCode, Reply};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Job {
    /// Say what a start would do about the sessions there are, for 'autodev recover --dry-run'
    Preview,
}

/// Does it and says what came of it.
pub fn run(job: &Job) -> ExitCode {
    let answer = Paths::from_env().map_err(|error| Fault::internal(error.to_string())).and_then(|paths| match job {
        Job::Preview => recover::preview_without(&paths).map(Reply::Recovery).map_err(refused),
    });
    let said = serde_json::to_writer(io::stdout(), &answer).map_err(io::Error::from);
    match said.and_then(|()| io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "autodevd: the answer cannot be given: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn refused(why: String) -> Fault {
    Fault::new(FaultCode::Conflict, why)
}
