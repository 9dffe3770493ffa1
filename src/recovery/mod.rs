//! What a daemon does about sessions it finds when it starts: gather the facts, make a
//! plan without touching anything, carry it out.

pub mod gather;
pub mod plan;

pub use gather::{Found, gather};
pub use plan::{Action, Facts, plan};
