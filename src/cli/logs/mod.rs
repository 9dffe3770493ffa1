//! `autodev logs`: what a session has printed, and what it prints.

mod follow;
mod grep;
mod plain;

use serde_json::json;

use super::recorded::Recorded;
use super::{Context, Status, complete, exit};
use crate::client::keeper_link::Link;
use crate::protocol::Fault;
use crate::protocol::keeper::FromKeeper;
use crate::screen::Screen;

use follow::{follow, wait_for_start};
use plain::Plain;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Bytes the last lines may have: `-n` of a program that prints one endless line ends.
const MAX_TAIL: usize = 64 * 1024 * 1024;
/// A line of text may come of several recorded ones, which rewrite one another: so many
/// more are looked at first, and again by this factor while they are too few.
const TAIL_FACTOR: usize = 8;

/// Arguments of `autodev logs`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// The session: a task's number for its last attempt (42), an attempt (42.1) or a
    /// session's name (claude-1)
    #[arg(value_name = "SESSION", required_unless_present = "grep", add = complete::sessions())]
    session: Option<String>,
    /// Go on until the program ends; a task that has not started is waited for
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines; with --grep the last N that match
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// The bytes as the program wrote them, escape sequences and all
    #[arg(long)]
    raw: bool,
    /// Only lines that match this regular expression; without SESSION of all sessions
    #[arg(short, long, value_name = "RE", conflicts_with_all = ["follow", "raw"])]
    grep: Option<String>,
    /// Upper and lower case are the same to --grep
    #[arg(short, long, requires = "grep")]
    ignore_case: bool,
}

const EXAMPLES: &str = "\
Prints plain text: colours are dropped, and lines that were rewritten (progress bars) are
shown as they became. With --raw at a terminal, questions to the terminal are left out.
With --json every line is an object of its own.

With --grep and no session all recordings are searched, the newest session first, and each
line says whose it is; -q prints the sessions only. Exit status 1 says that nothing matches.

Examples:
  autodev logs 42
  autodev logs -f -n 20 42
  autodev logs --raw 42.1 > typescript
  autodev logs --grep 'error|panic' -i -n 5";

/// Runs the verb.
///
/// # Errors
/// `NotFound` when there is no such session, `Conflict` when it has not started.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    if args.raw && ctx.output.is_json() {
        return Err(Fault::usage("--raw gives bytes, which JSON cannot hold").hint("give one of --raw and --json"));
    }
    let target = args.session.as_deref();
    if let Some(pattern) = &args.grep {
        let Args { ignore_case, lines: last, .. } = args;
        return grep::run(ctx, &grep::Wanted { session: target, pattern, ignore_case, last });
    }
    let target = target.unwrap_or_default();
    let mut recorded = match Recorded::find(ctx, target) {
        found if args.follow => wait_for_start(ctx, target, found)?,
        found => found?,
    };
    let link = if args.follow { follow(ctx, &recorded)? } else { None };
    recorded.refresh()?;
    let known = link.as_ref().map_or_else(|| recorded.reader().end(), |(_, offset)| *offset);
    let form = match (args.raw, ctx.output.terminal) {
        (true, false) => Form::Bytes,
        (true, true) => Form::Shown(Box::new(Screen::new(80, 24, 0))),
        (false, _) => Form::Text(Box::new(Plain::new(recorded.rows()))),
    };
    let first = recorded.reader().first();
    let mut printer = Printer { ctx, recorded, form, at: first, told: first, unfinished: Vec::new() };
    match args.lines {
        None => printer.print_to(known)?,
        Some(lines) => printer.print_last(lines, known)?,
    }
    if let Some((link, _)) = link {
        printer.settle()?;
        printer.follow(link)?;
    }
    let whole = printer.finish()?;
    Ok(if whole { Status::OK } else { exit::FAILED })
}

/// What becomes of the bytes.
enum Form {
    /// Nothing: they are printed.
    Bytes,
    /// What a terminal may see.
    Shown(Box<Screen>),
    /// Plain text.
    Text(Box<Plain>),
}

impl Form {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Form::Bytes => out.extend_from_slice(bytes),
            Form::Shown(screen) => {
                screen.feed(bytes, out);
                // Nobody is there to be answered.
                drop(screen.take_answers());
            }
            Form::Text(plain) => plain.feed(bytes, out),
        }
    }
}

struct Printer<'a> {
    ctx: &'a Context,
    recorded: Recorded<'a>,
    form: Form,
    /// Bytes of the program before what is printed next.
    at: u64,
    /// Up to here it was said what is missing.
    told: u64,
    /// Under --json the beginning of a line whose end has not come.
    unfinished: Vec<u8>,
}

impl Printer<'_> {
    /// Prints what is recorded up to `end`.
    fn print_to(&mut self, end: u64) -> Result<(), Fault> {
        self.each_to(end, |this, out| this.print(out))
    }

    /// Takes what is recorded up to `end`, and gives what comes of it to `each`.
    fn each_to(
        &mut self,
        end: u64,
        mut each: impl FnMut(&mut Self, &mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut buffer = vec![0; CHUNK];
        let mut out = Vec::new();
        while let Some((offset, length)) = self.recorded.read(self.at, end, &mut buffer)? {
            self.missing(offset);
            self.form.take(&buffer[..length], &mut out);
            self.at = offset + length as u64;
            if !out.is_empty() {
                each(self, &mut out)?;
                out.clear();
            }
        }
        Ok(())
    }

    /// Says once what lies between what was printed and `offset`.
    fn missing(&mut self, offset: u64) {
        if offset > self.at && offset > self.told {
            self.ctx.output.note(&format!("[{} bytes are not in the recording]", offset - self.at));
            self.told = offset;
        }
    }

    /// Prints the last lines of what is recorded up to `end`.
    fn print_last(&mut self, lines: usize, end: u64) -> Result<(), Fault> {
        if let Form::Text(_) = self.form {
            let mut looked = lines.saturating_mul(TAIL_FACTOR).max(usize::from(self.recorded.rows()));
            loop {
                let from = self.recorded.tail(looked)?;
                self.form = Form::Text(Box::new(Plain::new(self.recorded.rows())));
                self.start(from);
                let mut last = Vec::new();
                self.each_to(end, |_, out| {
                    last.append(out);
                    let enough = lines.saturating_mul(2).saturating_add(CHUNK);
                    if last.len() > 2 * MAX_TAIL || memchr::memchr_iter(b'\n', &last).count() > enough {
                        keep_last(&mut last, lines);
                    }
                    Ok(())
                })?;
                // What can still change counts as well, and is printed later.
                let open = match &self.form {
                    Form::Text(plain) => plain.open_lines(),
                    Form::Bytes | Form::Shown(_) => 0,
                };
                let found = memchr::memchr_iter(b'\n', &last).count() + open;
                if found >= lines || from <= self.recorded.reader().first() {
                    keep_last(&mut last, lines.saturating_sub(open));
                    if let Form::Text(plain) = &mut self.form {
                        plain.drop_above(lines);
                    }
                    return self.print(&last);
                }
                looked = looked.saturating_mul(TAIL_FACTOR);
            }
        }
        let from = self.recorded.tail(lines)?;
        self.start(from);
        self.print_to(end)
    }

    /// Goes on from `offset`, without a word about what lies before.
    fn start(&mut self, offset: u64) {
        self.at = offset;
        self.told = offset;
    }

    /// From now on lines are printed as soon as the next begins.
    fn settle(&mut self) -> Result<(), Fault> {
        let mut out = Vec::new();
        if let Form::Text(plain) = &mut self.form {
            plain.settle(&mut out);
        }
        self.print(&out)
    }

    /// Prints what the program writes, until it ends.
    fn follow(&mut self, mut link: Link) -> Result<(), Fault> {
        loop {
            match link.receive(None) {
                Ok(FromKeeper::Output { offset, bytes }) => {
                    let mut out = Vec::new();
                    self.form.take(&bytes, &mut out);
                    // Where questions to the terminal were left out it is a little less than
                    // was written, so only `Skipped` says that something is missing.
                    self.start(offset + bytes.len() as u64);
                    self.print(&out)?;
                }
                Ok(FromKeeper::Skipped { from, to }) => {
                    self.recorded.refresh()?;
                    self.start(from);
                    self.print_to(to)?;
                    self.missing(to);
                    self.start(to);
                }
                Ok(FromKeeper::Exited(_) | FromKeeper::Detached { .. }) => return Ok(()),
                Ok(_) => {}
                // The keeper is gone. What it recorded last is all there will be.
                Err(_) => {
                    self.recorded.refresh()?;
                    let end = self.recorded.reader().end();
                    return self.print_to(end);
                }
            }
        }
    }

    /// Prints what is left; `false` when something could not be read.
    fn finish(mut self) -> Result<bool, Fault> {
        let mut out = Vec::new();
        if let Form::Text(plain) = std::mem::replace(&mut self.form, Form::Bytes) {
            plain.finish(&mut out);
        }
        self.print(&out)?;
        self.print_objects(&self.unfinished)?;
        // Lost at the end, as on a full disk.
        self.missing(self.recorded.written());
        Ok(!self.recorded.is_damaged())
    }

    /// Prints `out`: under --json each line, of which text consists, as an object once it
    /// is whole.
    fn print(&mut self, out: &[u8]) -> Result<(), Fault> {
        if !self.ctx.output.is_json() {
            return self.ctx.output.bytes(out);
        }
        self.unfinished.extend_from_slice(out);
        let whole = match memchr::memrchr(b'\n', &self.unfinished) {
            // A line without end must not take all memory.
            None if self.unfinished.len() > MAX_TAIL => self.unfinished.len(),
            newline => newline.map_or(0, |newline| newline + 1),
        };
        let lines: Vec<u8> = self.unfinished.drain(..whole).collect();
        self.print_objects(&lines)
    }

    /// Prints lines as objects.
    fn print_objects(&self, lines: &[u8]) -> Result<(), Fault> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        for line in lines.strip_suffix(b"\n").unwrap_or(lines).split(|byte| *byte == b'\n') {
            let object = json!({ "session": self.recorded.session(), "line": String::from_utf8_lossy(line) });
            text.push_str(&format!("{object}\n"));
        }
        self.ctx.output.text(&text)
    }
}

/// Cuts `text`, which ends with a newline, down to its last `lines` lines and at most
/// [`MAX_TAIL`] bytes.
fn keep_last(text: &mut Vec<u8>, lines: usize) {
    let begins = match lines {
        0 => text.len(),
        _ => memchr::memrchr_iter(b'\n', text).nth(lines).map_or(0, |newline| newline + 1),
    };
    text.drain(..begins.max(text.len().saturating_sub(MAX_TAIL)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let kept = |lines| {
            let mut text = b"one\ntwo\nthree\n".to_vec();
            keep_last(&mut text, lines);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(kept(0), "");
        assert_eq!(kept(1), "three\n");
        assert_eq!(kept(2), "two\nthree\n");
        assert_eq!(kept(3), "one\ntwo\nthree\n");
        assert_eq!(kept(4), "one\ntwo\nthree\n");
        let mut empty = Vec::new();
        keep_last(&mut empty, 3);
        assert!(empty.is_empty());
    }
}
