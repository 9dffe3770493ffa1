//! Finds programs the way a shell would, with the task's own environment.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Finds the first of `candidates`: a name on `PATH`, an absolute path, `~/…`, or
/// `$NAME` for the absolute path that a variable holds.
pub fn find(candidates: &[String], environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    candidates.iter().find_map(|candidate| {
        let candidate = match candidate.strip_prefix('$') {
            Some(variable) => environment.get(variable).filter(|value| value.starts_with('/'))?,
            None => candidate,
        };
        if let Some(below) = candidate.strip_prefix("~/") {
            return Some(Path::new(environment.get("HOME")?).join(below)).filter(|path| is_program(path));
        }
        if candidate.contains('/') {
            return Some(PathBuf::from(candidate)).filter(|path| path.is_absolute() && is_program(path));
        }
        // Entries that are empty or relative mean the directory of the task: a program
        // found there would be one that an agent may have written.
        let path = environment.get("PATH").map_or(DEFAULT_PATH, String::as_str);
        path.split(':')
            .filter(|directory| directory.starts_with('/'))
            .map(|directory| Path::new(directory).join(candidate))
            .find(|path| is_program(path))
    })
}

/// The program that `shim` only starts, if one of `places` has it: paths relative to the
/// directory the shim really lies in, with `{arch}` (`x86_64`) and `{npm_arch}` (`x64`).
///
/// Signals for a shim do not reach the tool, and a shim costs a second process.
pub fn native(shim: &Path, places: &[String]) -> Option<PathBuf> {
    if places.is_empty() {
        return None;
    }
    let real = shim.canonicalize().ok()?;
    // The package's installer may have put the right build in the shim's place already.
    if is_native(&real) {
        return None;
    }
    let directory = real.parent()?;
    let npm_arch = match ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    places.iter().find_map(|place| {
        let place = place.replace("{arch}", ARCH).replace("{npm_arch}", npm_arch);
        directory.join(place).canonicalize().ok().filter(|path| is_program(path))
    })
}

/// An ELF file, not a script.
fn is_native(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && &magic == b"\x7fELF"
}

fn is_program(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&s| s.to_owned()).collect()
    }

    #[test]
    fn the_first_candidate_that_is_there_wins() {
        let dir = tempfile::tempdir().unwrap();
        program(&dir.path().join("a/tool"));
        program(&dir.path().join("home/bin/other"));
        fs::write(dir.path().join("a/plain"), "").unwrap();
        fs::create_dir(dir.path().join("a/folder")).unwrap();
        let environment: BTreeMap<String, String> = [
            ("PATH", format!(":.:relative:{}", dir.path().join("a").display())),
            ("HOME", dir.path().join("home").display().to_string()),
            ("TOOL", dir.path().join("a/tool").display().to_string()),
            ("BARE", "tool".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let found = |list: &[&str]| find(&names(list), &environment);
        let tool = Some(dir.path().join("a/tool"));
        assert_eq!(found(&["missing", "plain", "folder", "tool"]), tool);
        assert_eq!(found(&["$NOT_SET", "$TOOL"]), tool);
        assert_eq!(found(&["~/bin/other"]), Some(dir.path().join("home/bin/other")));
        assert_eq!(found(&["$BARE", "./tool", "a/tool"]), None);
    }

    #[test]
    fn the_directory_of_the_task_is_not_searched() {
        let environment = BTreeMap::from([("PATH".to_owned(), String::from("::."))]);
        assert_eq!(find(&names(&["Makefile", "sh"]), &environment), None);
        assert!(find(&names(&["sh"]), &BTreeMap::new()).is_some());
    }

    #[test]
    fn the_native_program_is_found_behind_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let shim = root.join("lib/tool/bin/tool.js");
        program(&shim);
        program(&root.join(format!("lib/tool-native/{ARCH}/tool")));
        fs::create_dir(root.join("bin")).unwrap();
        symlink("../lib/tool/bin/tool.js", root.join("bin/tool")).unwrap();
        let places = names(&["../missing/tool", "../../tool-native/{arch}/tool"]);
        assert_eq!(native(&root.join("bin/tool"), &places), Some(root.join(format!("lib/tool-native/{ARCH}/tool"))));
        assert_eq!(native(&root.join("bin/tool"), &names(&["nothing"])), None);

        fs::write(&shim, b"\x7fELF...").unwrap();
        assert_eq!(native(&root.join("bin/tool"), &places), None, "it is the program itself");
    }
}
