//! What the rest of the daemon asks of the store: a method each. What it does stands in
//! the module of its subject.

mod follow;
mod inside;
mod reads;
mod sessions;
mod tasks;
mod times;
