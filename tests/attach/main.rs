//! Sessions as a user sees and uses them: the real binaries, real terminals, no daemon.

mod logs;
mod support;
mod talking;
mod viewing;
