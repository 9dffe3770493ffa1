//! The command line.

fn main() -> std::process::ExitCode {
    autodev::cli::main()
}
