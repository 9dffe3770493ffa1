//! Ctrl-C ends the program with exit status 130.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// 128 + SIGINT.
const INTERRUPTED: libc::c_int = 130;

/// Standard error is a terminal, which shows `^C`: the shell's prompt belongs below it.
static TERMINAL: AtomicBool = AtomicBool::new(false);

extern "C" fn leave(_: libc::c_int) {
    if TERMINAL.load(Ordering::Relaxed) {
        // SAFETY: write is async-signal-safe, and the byte is static.
        unsafe { libc::write(libc::STDERR_FILENO, b"\n".as_ptr().cast(), 1) };
    }
    // SAFETY: _exit is async-signal-safe, and nothing is left half done: what a terminal
    // was set to is restored by who changed it, who takes this signal over.
    unsafe { libc::_exit(INTERRUPTED) }
}

/// Has an interrupt end the program, unless the program was started with interrupts
/// ignored, as `nohup` and background jobs of scripts are.
pub(super) fn exit_with_status() {
    TERMINAL.store(stderr().is_terminal(), Ordering::Relaxed);
    let handle = |handler| SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only calls write and _exit.
    let before = unsafe { sigaction(Signal::SIGINT, &handle(SigHandler::Handler(leave))) };
    if let Ok(before) = before
        && matches!(before.handler(), SigHandler::SigIgn)
    {
        // SAFETY: puts back what was there.
        let _ = unsafe { sigaction(Signal::SIGINT, &before) };
    }
}

/// Interrupts from the terminal are not for us until this is dropped.
pub(super) struct Ignored([Option<(Signal, SigAction)>; 2]);

/// Leaves interrupts to the program in the foreground.
pub(super) fn ignore() -> Ignored {
    let nothing = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    Ignored([Signal::SIGINT, Signal::SIGQUIT].map(|signal| {
        // SAFETY: ignoring a signal runs no code.
        unsafe { sigaction(signal, &nothing) }.ok().map(|before| (signal, before))
    }))
}

impl Drop for Ignored {
    fn drop(&mut self) {
        for (signal, before) in self.0.iter().flatten() {
            // SAFETY: puts back what was there.
            let _ = unsafe { sigaction(*signal, before) };
        }
    }
}
