//! `autodev completions`: tab completion for your shell.

use clap::builder::PossibleValuesParser;
use clap_complete::env::Shells;

use super::{Context, Status};
use crate::protocol::Fault;

/// The variable that makes `autodev` answer a shell's completion.
pub const VARIABLE: &str = "AUTODEV_COMPLETE";

/// As a file of functions zsh reads the code when it is asked for a completion for the first
/// time: then it has to give one.
const AUTOLOADED: &str = "if [[ ${funcstack[1]-} = _autodev ]]; then _clap_dynamic_completer_autodev \"$@\"; fi\n";

/// Arguments of `autodev completions`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL", value_parser = PossibleValuesParser::new(Shells::builtins().names()))]
    shell: String,
}

const EXAMPLES: &str = "\
The code asks 'autodev' itself at each completion, so it knows task numbers and sessions
and never falls behind the program.

Examples:
  bash, in ~/.bashrc:
    source <(autodev completions bash)
  zsh, in ~/.zshrc after compinit:
    source <(autodev completions zsh)
  fish:
    autodev completions fish > ~/.config/fish/completions/autodev.fish";

/// Runs the verb.
///
/// # Errors
/// When the code cannot be written.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let shells = Shells::builtins();
    let shell =
        shells.completer(&args.shell).ok_or_else(|| Fault::usage(format!("no completion for '{}'", args.shell)))?;
    let mut code = Vec::new();
    shell
        .write_registration(VARIABLE, "autodev", "autodev", "autodev", &mut code)
        .map_err(|e| Fault::internal(format!("cannot write the completion code: {e}")))?;
    if args.shell == "zsh" {
        code.extend_from_slice(AUTOLOADED.as_bytes());
    }
    ctx.output.bytes(&code)?;
    Ok(Status::OK)
}
