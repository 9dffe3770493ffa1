//! Links the programs at a fixed address. A keeper is one small process for each session:
//! without this, every one of them gets pages of its own for pointers that the loader
//! rewrites at each start, and every command line pays for the rewriting.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-no-pie");
}
