//! `autodev send`: types into a session.

mod change;
mod key_names;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use change::Change;

use super::exit::PENDING;
use super::{Context, Status, complete, target};
use crate::client::find;
use crate::clock::Span;
use crate::id::SessionName;
use crate::protocol::keeper::{FromKeeper, ToKeeper};
use crate::protocol::{Fault, FaultCode};

/// Bytes that may be typed at once: with its frame this fits into a keeper's message.
const MAX_BYTES: usize = 1024 * 1024 - 64;

/// How long a change of the screen is waited for: programs that react do so at once, and
/// an agent that thinks shows that it does.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);

/// Arguments of `autodev send`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The session: a task's number for its last attempt (42), an attempt (42.1) or a
    /// session's name (claude-1)
    #[arg(value_name = "SESSION", add = complete::sessions())]
    session: String,
    /// The text to type; words are joined by blanks
    #[arg(value_name = "TEXT")]
    text: Vec<String>,
    /// Press Enter at the end, once the text was echoed
    #[arg(short, long)]
    enter: bool,
    /// Press this key after the text: C-c, M-x, Enter, Escape, Tab, BSpace, Up, F1; can be
    /// repeated
    #[arg(short, long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Give the text as a paste, where the program asked for pastes to be marked; a text
    /// of several lines always is one
    #[arg(short, long)]
    paste: bool,
    /// Paste the contents of this file; - is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "text")]
    file: Option<PathBuf>,
    /// Return only when the screen shows something else than before, be it the echo of what
    /// was sent; at most for the time of --timeout
    #[arg(long)]
    wait_change: bool,
    /// How long --wait-change waits (30s by default); then the exit status is 8
    #[arg(long, value_name = "TIME", requires = "wait_change")]
    timeout: Option<Span>,
}

const EXAMPLES: &str = "\
Returns once the session's terminal has taken everything. Nobody needs to be attached.

Examples:
  autodev send 42 'yes, go on' --enter
  autodev send 42 --key C-c
  autodev send 42 --wait-change --key Down && autodev screen 42
  git diff | autodev send claude-1 -f - --enter";

/// Runs the verb. It returns once the keeper has written everything to the terminal.
///
/// # Errors
/// `Usage` for a key that does not exist or nothing to send, `NotFound` for a session that
/// is not there, `Conflict` for one that has ended.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    let messages = messages(&args)?;
    let session = target::live(ctx, &args.session)?;
    let (mut link, _) = find::connect(&ctx.paths, &session)?;
    let mut change = match args.wait_change {
        true => Some(Change::from_now(ctx, &session)?),
        false => None,
    };
    for message in messages {
        target::ask(&mut link, &session, &message, |answer| matches!(answer, FromKeeper::Done).then_some(()))
            .map_err(|fault| not_read(fault, &session))?;
    }
    if let Some(change) = &mut change {
        let limit = args.timeout.map_or(CHANGE_LIMIT, |limit| limit.0);
        if !change.wait(limit) {
            ctx.output.note(&format!("session {session} shows what it showed before"));
            return Ok(PENDING);
        }
    }
    if ctx.output.is_json() {
        ctx.output.json(&json!({ "session": session }))?;
    }
    Ok(Status::OK)
}

/// A keeper answers when the terminal has taken everything, and that a program may refuse.
fn not_read(fault: Fault, session: &SessionName) -> Fault {
    if fault.code != FaultCode::Unreachable {
        return fault;
    }
    Fault::conflict(format!("session {session}: its program does not read what is typed"))
        .hint("do not send it again: the rest is typed as soon as the program reads")
}

/// What to ask the keeper for: the text, the keys, and Enter.
fn messages(args: &Args) -> Result<Vec<ToKeeper>, Fault> {
    let mut keys = Vec::new();
    for name in &args.keys {
        let bytes = key_names::bytes(name).map_err(|error| {
            Fault::usage(error.to_string()).hint("keys are named as in tmux: C-c, M-x, Enter, Escape, Up, PageUp, F1")
        })?;
        keys.push(ToKeeper::Send { paste: false, enter: false, bytes });
    }
    let text = match &args.file {
        Some(file) => read(file)?,
        None => args.text.join(" ").into_bytes(),
    };
    if text.len() > MAX_BYTES {
        // How many it is nobody knows: a file is not read any further.
        return Err(Fault::usage(format!("more than {MAX_BYTES} bytes cannot be sent at once"))
            .hint("have the program read a file"));
    }
    if text.is_empty() && keys.is_empty() && !args.enter {
        return Err(Fault::usage("there is nothing to send").hint("give a text, --key or --enter"));
    }
    let paste = args.paste || args.file.is_some() || text.contains(&b'\n');
    let mut messages = Vec::new();
    if keys.is_empty() {
        // In one message, so that the keeper can wait for the echo before Enter.
        messages.push(ToKeeper::Send { paste, enter: args.enter, bytes: text });
    } else {
        if !text.is_empty() {
            messages.push(ToKeeper::Send { paste, enter: false, bytes: text });
        }
        messages.append(&mut keys);
        if args.enter {
            messages.push(ToKeeper::Send { paste: false, enter: true, bytes: Vec::new() });
        }
    }
    Ok(messages)
}

fn read(file: &PathBuf) -> Result<Vec<u8>, Fault> {
    let read = |input: &mut dyn Read| {
        let mut bytes = Vec::new();
        // One more than allowed tells that it is too long.
        input.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let result: io::Result<Vec<u8>> = if file.as_os_str() == "-" {
        read(&mut io::stdin().lock())
    } else {
        File::open(file).and_then(|mut f| read(&mut f))
    };
    result.map_err(|error| Fault::usage(format!("{} cannot be read: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn sent(words: &[&str]) -> Result<Vec<ToKeeper>, Fault> {
        messages(&Line::try_parse_from([&["send", "42"], words].concat()).unwrap().args)
    }

    fn send(bytes: &[u8], paste: bool, enter: bool) -> ToKeeper {
        ToKeeper::Send { paste, enter, bytes: bytes.to_vec() }
    }

    #[test]
    fn text_keys_and_enter_go_in_order() {
        assert_eq!(sent(&["fix", "it", "--enter"]).unwrap(), [send(b"fix it", false, true)]);
        assert_eq!(
            sent(&["--key", "C-c", "-k", "Up"]).unwrap(),
            [send(b"\x03", false, false), send(b"\x1b[A", false, false)]
        );
        assert_eq!(
            sent(&["x", "--key", "Tab", "--enter", "--paste"]).unwrap(),
            [send(b"x", true, false), send(b"\t", false, false), send(b"", false, true)]
        );
        assert_eq!(sent(&["two\nlines"]).unwrap(), [send(b"two\nlines", true, false)]);
        assert_eq!(sent(&["--enter"]).unwrap(), [send(b"", false, true)]);
    }

    #[test]
    fn senseless_requests_are_usage_errors() {
        for words in [&[][..], &["--key", "Entr"], &[&"x".repeat(MAX_BYTES + 1)], &["-f", "/nonexistent"]] {
            assert_eq!(sent(words).unwrap_err().code, crate::protocol::FaultCode::Usage);
        }
        // What may be sent fits into a frame.
        let most = sent(&[&"x".repeat(MAX_BYTES)]).unwrap();
        assert!(most[0].encode().len() <= crate::protocol::keeper::MAX_FRAME);
    }
}
