//! `make install` puts everything in its place, and `make uninstall` takes it away again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All files below a directory, by their names in it.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => open.push(entry.path()),
                false => drop(found.insert(entry.path().strip_prefix(root).unwrap().to_owned())),
            }
        }
    }
    found
}

#[test]
fn everything_is_put_in_its_place_and_taken_away() {
    let home = tempfile::tempdir().unwrap();
    let (built, root) = (home.path().join("built"), home.path().join("root"));
    fs::create_dir_all(built.join("release")).unwrap();
    for program in [env!("CARGO_BIN_EXE_autodev"), env!("CARGO_BIN_EXE_autodevd")] {
        let name = Path::new(program).file_name().unwrap();
        fs::copy(program, built.join("release").join(name)).unwrap();
    }
    let make = |target: &str| {
        let mut make = Command::new("make");
        // What is built already is taken.
        make.args(["--silent", "--old-file=build", "CARGO=false", target, "PREFIX=/opt/autodev"]);
        make.arg(format!("TARGET={}", built.display())).arg(format!("DESTDIR={}", root.display()));
        make.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        let output = make.output().unwrap();
        assert!(output.status.success(), "make {target}: {output:?}");
    };
    make("install");
    // A second time over the first, as with an upgrade.
    make("install");
    let prefix = root.join("opt/autodev");
    let there = files(&prefix);
    for name in [
        "bin/autodev",
        "bin/autodevd",
        "share/man/man1/autodev.1",
        "share/man/man1/autodev-submit.1",
        "share/man/man5/autodev.toml.5",
        "share/man/man7/autodev-redis.7",
        "share/man/man7/autodev-providers.7",
        "share/man/man7/autodev-protocol.7",
        "share/man/man7/autodev-recovery.7",
        "share/man/man8/autodevd.8",
        "share/bash-completion/completions/autodev",
        "share/zsh/site-functions/_autodev",
        "share/fish/vendor_completions.d/autodev.fish",
        "share/systemd/user/autodevd.service",
        "share/systemd/user/autodevd.socket",
        "share/autodev/redis.conf",
    ] {
        assert!(there.contains(Path::new(name)), "{name} is not in {there:#?}");
    }
    let pages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("man")).unwrap().count();
    assert_eq!(there.iter().filter(|path| path.starts_with("share/man")).count(), pages);
    let unit = fs::read_to_string(prefix.join("share/systemd/user/autodevd.service")).unwrap();
    assert!(unit.contains("\nExecStart=/opt/autodev/bin/autodevd\n"), "{unit}");
    let version = Command::new(prefix.join("bin/autodev")).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")));
    make("uninstall");
    assert_eq!(files(&root), BTreeSet::new());
}
