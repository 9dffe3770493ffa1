// The floor of every command: a program that does nothing.
fn main() {}
