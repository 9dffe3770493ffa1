//! What the benches have in common: what is asked of them, the
//! programs they start, and an instance to start those in.

pub mod asked;
pub mod disk;
pub mod instance;
pub mod process;
pub mod programs;
