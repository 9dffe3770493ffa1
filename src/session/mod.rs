//! The daemon's side of a session: making its keeper, talking to it, knowing which live,
//! clearing away what a lost keeper leaves.

pub mod launch;
pub mod link;
pub mod names;
pub mod roster;
pub mod sweep;

pub use launch::{Launched, launch};
pub use link::{Link, LinkError};
pub use roster::{Order, Roster};
