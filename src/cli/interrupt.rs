//! Ctrl-C ends the program with exit status 130.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// 128 + SIGINT.
const INTERRUPTED: libc::c_int = 130;

extern "C" fn leave(_: libc::c_int) {
    // SAFETY: _exit is async-signal-safe, and nothing is left half done: what a terminal
    // was set to is restored by who changed it, who takes this signal over.
    unsafe { libc::_exit(INTERRUPTED) }
}

/// Has an interrupt end the program, unless the program was started with interrupts
/// ignored, as `nohup` and background jobs of scripts are.
pub(super) fn exit_with_status() {
    let handle = |handler| SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only calls _exit.
    let before = unsafe { sigaction(Signal::SIGINT, &handle(SigHandler::Handler(leave))) };
    if let Ok(before) = before
        && matches!(before.handler(), SigHandler::SigIgn)
    {
        // SAFETY: puts back what was there.
        let _ = unsafe { sigaction(Signal::SIGINT, &before) };
    }
}
