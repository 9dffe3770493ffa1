//! What is done without a daemon that serves: the command line runs this program for it,
//! which answers with one line of JSON on standard output.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sys::stat::{Mode, umask};

use super::lock_file::last_generation;
use super::{doctor, recover};
use crate::door;
use crate::lock::FileLock;
use crate::paths::Paths;
use crate::protocol::view::RestoredView;
use crate::protocol::{Fault, FaultCode, Reply};
use crate::recovery::gather;
use crate::socket::private_directory;
use crate::store::{self, RestoreError, Restored, Wanted};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Job {
    /// Say what a start would do about the sessions there are, for 'autodev recover --dry-run'
    Preview,
    /// Look whether all is as it should be, for 'autodev doctor'
    Examine {
        /// Every byte that can be checked
        #[arg(long)]
        deep: bool,
    },
    /// List the backups, for 'autodev backup --list'
    Backups,
    /// Restore the database, for 'autodev restore'
    Restore {
        /// From this backup, instead of the newest that is whole
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Leave out what happened after the backup
        #[arg(long)]
        no_replay: bool,
    },
}

/// Does it and says what came of it.
pub fn run(job: &Job) -> ExitCode {
    if let Some(why) = door::inside_session() {
        let refused = Fault::new(FaultCode::Permission, format!("this is not done inside a session: {why}"));
        return say(&Err(refused.hint("use a shell of your own")));
    }
    let answer = Paths::from_env().map_err(|error| Fault::internal(error.to_string())).and_then(|paths| match job {
        Job::Backups => list(&paths),
        Job::Examine { deep } => Ok(Reply::Checks(doctor::examine(&paths, *deep))),
        Job::Restore { from, no_replay } => restore(&paths, from.clone(), *no_replay),
        Job::Preview => recover::preview_without(&paths).map(Reply::Recovery).map_err(refused),
    });
    say(&answer)
}

fn say(answer: &Result<Reply, Fault>) -> ExitCode {
    let said = serde_json::to_writer(io::stdout(), answer).map_err(io::Error::from);
    match said.and_then(|()| io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "autodevd: the answer cannot be given: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Restores, as the one who holds the instance's lock.
fn restore(paths: &Paths, from: Option<PathBuf>, no_replay: bool) -> Result<Reply, Fault> {
    umask(Mode::from_bits_truncate(0o077));
    private_directory(&paths.state).map_err(|error| Fault::internal(error.to_string()))?;
    let lock = FileLock::take(&paths.daemon_lock()).map_err(|error| Fault::internal(error.to_string()))?;
    let Some(lock) = lock else {
        return Err(
            Fault::conflict("a daemon serves this instance").hint("'autodev daemon stop' ends it; agents run on")
        );
    };
    let found = gather(paths).map_err(|error| Fault::internal(error.to_string()))?;
    let wanted = Wanted {
        from,
        no_replay,
        live: found.into_values().filter_map(|found| found.spec).collect(),
        generation: last_generation(&lock),
    };
    let Restored { from, from_event, replayed, lost, unreadable, missing, held, unknown, adopted, quarantine } =
        store::restore(paths, &wanted).map_err(|error| match error {
            RestoreError::Whole(why) | RestoreError::NoBackup(why) => Fault::conflict(why),
            other => Fault::new(FaultCode::NotStored, format!("nothing was restored: {other}")),
        })?;
    Ok(Reply::Restored(RestoredView {
        from: from.to_string_lossy().into_owned(),
        from_event,
        replayed,
        lost,
        unreadable,
        missing,
        held,
        unknown,
        adopted,
        quarantine: quarantine.to_string_lossy().into_owned(),
    }))
}

fn list(paths: &Paths) -> Result<Reply, Fault> {
    let listed =
        store::backups(paths).map_err(|error| Fault::internal(format!("{}: {error}", paths.backups().display())));
    listed.map(|all| Reply::Backups(all.into_iter().map(Into::into).collect()))
}

fn refused(why: String) -> Fault {
    Fault::new(FaultCode::Conflict, why)
}
