//! What tasks are when they do not say: by the project they work in, by the user, by default.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Context, output};
use crate::config::{self, Loaded, Origin, Submit};
use crate::paths::Paths;
use crate::protocol::Fault;
use crate::provider::Registry;

/// What counts in a directory.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What tasks are there when they do not say.
    pub submit: Submit,
    /// Why its provider does not count.
    pub refused: Option<Fault>,
}

/// Looks for what counts in a directory. Whatever a project says is told, once: nobody needs
/// to have seen its file.
pub struct Defaults {
    paths: Paths,
    is_quiet: bool,
    told: RefCell<BTreeSet<PathBuf>>,
}

impl Defaults {
    /// For one command.
    pub fn new(ctx: &Context) -> Defaults {
        Defaults { paths: ctx.paths.clone(), is_quiet: ctx.output.is_quiet(), told: RefCell::default() }
    }

    /// What counts in this directory.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn of(&self, directory: &Path) -> Result<Found, Fault> {
        // It need not be where the command was given.
        let loaded = Context::checked(config::load_in(&self.paths, directory)).map_err(|fault| {
            fault.hint(format!("'autodev config check', in {}, shows what is wrong with them", directory.display()))
        })?;
        let said = said_by_project(&loaded, &self.paths);
        let Some((file, _)) = said.first() else { return Ok(Found { submit: loaded.config.submit, refused: None }) };
        // It would have every prompt run as a command.
        let provider = &loaded.config.submit.provider;
        let chosen = said.iter().any(|(_, key)| key == "submit.provider");
        let commands = chosen
            && Registry::load(&self.paths)
                .get(provider)
                .is_some_and(|entry| !entry.is_agent() || entry.accepts_command());
        let refused = commands.then(|| {
            Fault::usage(format!("{} chooses provider {provider}, which runs what it is told", file.display()))
                .hint("a project may choose an agent; --provider chooses anything")
        });
        if !self.is_quiet && self.told.borrow_mut().insert(file.clone()) {
            let values = loaded.config.values();
            let each = said.iter().filter_map(|(_, key)| Some(format!("{key} = {}", values.get(key)?)));
            output::note(&format!("note: {} says {}", file.display(), each.collect::<Vec<_>>().join(", ")));
        }
        Ok(Found { submit: loaded.config.submit, refused })
    }
}

/// Settings that come from a project's file, with that.
fn said_by_project(loaded: &Loaded, paths: &Paths) -> Vec<(PathBuf, String)> {
    let own = paths.config_file();
    let of_project = |(key, origin): (&String, &Origin)| match origin {
        Origin::File { path, .. } if *path != own => Some((path.clone(), key.clone())),
        _ => None,
    };
    loaded.origins().filter_map(of_project).collect()
}
