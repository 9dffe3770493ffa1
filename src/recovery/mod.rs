//! What a daemon does about sessions it finds when it starts: gather the facts, make a
//! plan without touching anything, carry it out.

pub mod gather;
#[cfg(test)]
mod model;
mod pair;
pub mod plan;
pub mod words;

pub use gather::{Found, gather};
pub use pair::pair;
pub use plan::{Action, Facts, plan};
