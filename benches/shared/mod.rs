//! What the benches have in common: the programs they start, and an instance to start them in.

pub mod disk;
pub mod instance;
pub mod process;
pub mod programs;
