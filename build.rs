//! Links the programs at a fixed address, and statically where the system has a static C
//! library. A command line lives for a millisecond, a third of which the dynamic loader
//! would take; and there is a keeper for every session, each of which would have its own
//! copy of the pages that the loader rewrites.

use std::error::Error;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// The shared libraries that the standard library asks for by name.
const LIBRARIES: [&str; 2] = ["libc.a", "libm.a"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let gnu = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    let native = env::var("HOST").is_ok_and(|host| env::var("TARGET").is_ok_and(|target| target == host));
    if !gnu || !native {
        return Ok(());
    }
    // Not every distribution installs the static libraries with the compiler.
    let Some(found) = LIBRARIES.iter().map(|name| Some((*name, system_library(name)?))).collect::<Option<Vec<_>>>()
    else {
        return Ok(());
    };
    let out = PathBuf::from(env::var("OUT_DIR")?);
    prepare(&out, &found)?;
    // `-C target-feature=+crt-static` would say it better, but goes with no procedural macro
    // unless a target is named, which moves everything that is built to another place.
    println!("cargo::rustc-link-arg-bins=-static");
    println!("cargo::rustc-link-arg-bins=-L{}", out.display());
    Ok(())
}

/// A directory in which the linker finds the static libraries before the shared ones.
fn prepare(out: &Path, libraries: &[(&str, PathBuf)]) -> io::Result<()> {
    for (name, path) in libraries {
        let link = out.join(name);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link)?;
        }
        symlink(path, link)?;
    }
    // The static form of the shared unwinder has another name.
    fs::write(out.join("libgcc_s.a"), "INPUT(-lgcc_eh)\n")
}

fn system_library(name: &str) -> Option<PathBuf> {
    let asked = Command::new("cc").arg(format!("-print-file-name={name}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim_end());
    // The name alone comes back when there is no such file.
    path.is_absolute().then_some(path)
}
