//! The settings of a project: `.autodev/config.toml` in a repository, for everybody who
//! works on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where it lies in a project.
pub const PROJECT_FILE: &str = ".autodev/config.toml";
/// What a project may set: what its tasks are when they do not say. Everything else is the
/// user's own affair.
pub(super) const GROUP: &str = "submit";

/// The file that counts for tasks in this directory: the nearest up to the top of the
/// repository, or in the directory itself where there is none. One of another user does not
/// count: somebody could have put it there.
pub(super) fn file(directory: &Path) -> Option<PathBuf> {
    let directory = directory.canonicalize().ok()?;
    let top = directory.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&directory);
    let within = directory.ancestors().take_while(|above| above.starts_with(top));
    let own = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|found| [0, nix::unistd::geteuid().as_raw()].contains(&found.uid()))
    };
    within.map(|above| above.join(PROJECT_FILE)).find(|file| file.exists()).filter(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_within_the_repository_counts() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        let (repository, inner) = (root.join("repository"), root.join("repository/inner"));
        let put = |above: &Path| {
            fs::create_dir_all(above.join(".autodev")).unwrap();
            fs::write(above.join(PROJECT_FILE), "").unwrap();
        };
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(file(&inner), None);
        // Above the repository, and where there is none: not looked at.
        put(&root);
        fs::create_dir(repository.join(".git")).unwrap();
        assert_eq!(file(&inner), None);
        assert_eq!(file(&root), Some(root.join(PROJECT_FILE)));
        put(&repository);
        assert_eq!(file(&inner), Some(repository.join(PROJECT_FILE)));
        put(&inner);
        assert_eq!(file(&inner), Some(inner.join(PROJECT_FILE)));
        assert_eq!(file(&root.join("nowhere")), None);
    }
}
