//! What the daemon says to systemd and takes from it. Without systemd all of it does
//! nothing, and the daemon is the same.

mod activation;
mod scope;
mod service;

pub use activation::{Passed, passed};
pub use scope::{Limits, Manager, MoveError};
pub use service::{ready, starting_anew, stopping, watchdog};
