//! The daemon and the keeper.

fn main() {}
