//! Files and directories that a power loss finds whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Writes a file (0600) so that after a power loss it is there whole or not at all, and is
/// there once this has returned.
///
/// # Errors
/// The system's own.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_names(path)
}

/// Makes a directory (0700), and those above it that are missing. Once this has returned,
/// what is durable in it is not lost with its name.
///
/// # Errors
/// The system's own.
pub fn directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_names(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = path.parent().ok_or(error)?;
            directory(above)?;
            directory(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the files in a directory last, with their names and its own.
///
/// # Errors
/// The system's own.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()?;
    sync_names(path)
}

/// Makes it last that `path` has its name.
fn sync_names(path: &Path) -> io::Result<()> {
    match path.parent() {
        // A relative path of one part.
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn directories_are_made_with_those_above() {
        let home = tempfile::tempdir().unwrap();
        let below = home.path().join("a/b/c");
        directory(&below).unwrap();
        directory(&below).unwrap();
        for made in [&below, &home.path().join("a")] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let file = below.join("file");
        write(&file, b"one").unwrap();
        write(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert!(directory(&file).is_err() && directory(&file.join("in it")).is_err());
        std::os::unix::fs::symlink("nowhere", home.path().join("link")).unwrap();
        assert!(directory(&home.path().join("link")).is_err());
    }
}
