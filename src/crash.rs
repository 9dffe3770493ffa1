//! Named points at which a test lets a daemon or a keeper die as `kill -9` would have it.
//! In a release there are none.

use std::process::Command;

/// The point at which to die.
#[cfg(debug_assertions)]
const POINT: &str = "AUTODEV_CRASH_POINT";
/// A file that is removed by dying: whoever comes by later lives on. As long as it holds a
/// number above 1, one less stands there afterwards: the how manieth dies.
#[cfg(debug_assertions)]
const FUSE: &str = "AUTODEV_CRASH_FUSE";

/// Dies here, if this is the point that was named, and nobody has died of it yet.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    if std::env::var_os(POINT).is_none_or(|point| point != name) {
        return;
    }
    let Some(fuse) = std::env::var_os(FUSE) else { return };
    let Ok(text) = std::fs::read_to_string(&fuse) else { return };
    match text.trim().parse::<u32>() {
        Ok(left) if left > 1 => drop(std::fs::write(&fuse, (left - 1).to_string())),
        _ => {
            if std::fs::remove_file(fuse).is_ok() {
                let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
}

/// Nothing: not a test.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_name: &str) {}

/// Gives the named point to a program that otherwise gets nothing of our environment.
#[cfg(debug_assertions)]
pub fn pass_on(command: &mut Command) {
    for name in [POINT, FUSE] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
}

/// Nothing: not a test.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn pass_on(_command: &mut Command) {}
