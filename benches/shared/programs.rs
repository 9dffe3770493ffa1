//! Where the programs lie that are measured: ours, and small ones to compare with.
//!
//! They are copies, as an installation makes them: a linker writes a file in pieces, and
//! each piece costs the kernel a step of its own whenever the program is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Our two programs, and those of `benches/floors` that are named.
pub fn install(floors: &[&str]) {
    fs::create_dir_all(directory()).expect("a directory for the programs");
    for (name, built) in [("autodev", env!("CARGO_BIN_EXE_autodev")), ("autodevd", env!("CARGO_BIN_EXE_autodevd"))] {
        put(Path::new(built), name);
    }
    let built = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    for name in floors {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/floors").join(format!("{name}.rs"));
        let built = built.path().join(name);
        let done = Command::new("rustc").args(["-O", "--edition=2024", "-o"]).arg(&built).arg(source).status();
        assert!(done.expect("rustc").success());
        put(&built, name);
    }
}

/// An installed program.
pub fn path(name: &str) -> PathBuf {
    directory().join(name)
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs")
}

fn put(built: &Path, name: &str) {
    // Under another name first: the one there may be running.
    let (new, installed) = (directory().join(format!("{name}.new")), path(name));
    fs::write(&new, fs::read(built).expect("built")).expect("copied");
    fs::set_permissions(&new, fs::metadata(built).expect("built").permissions()).expect("made executable");
    fs::rename(new, installed).expect("installed");
}
