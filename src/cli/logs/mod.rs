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

use follow::{follow, receive, wait_for_start};
use plain::Plain;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Bytes of a line, or of lines that match, that are kept in memory.
const MAX_KEPT: usize = 64 * 1024 * 1024;
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
line says whose it is; -q prints the sessions only. Exit status 1 says that nothing
matches, or that a part could not be read.

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
    let mut printer = Printer { ctx, recorded, form, at: 0, skipping: false, unfinished: Vec::new() };
    match args.lines {
        None => printer.print_to(known)?,
        Some(lines) => printer.print_last(lines, known)?,
    }
    if let Some((link, _)) = link {
        printer.goes_on_at(known);
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
    /// What is read is not printed: of what is missing there nothing is said.
    skipping: bool,
    /// Under --json the beginning of a line whose end has not come.
    unfinished: Vec<u8>,
}

impl Printer<'_> {
    /// Prints what is recorded up to `end`.
    fn print_to(&mut self, end: u64) -> Result<(), Fault> {
        self.each_to(end, |this, out| this.print(out))
    }

    /// Takes what is recorded up to `end`, and gives what comes of it to `each`.
    fn each_to(&mut self, end: u64, mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut buffer = vec![0; CHUNK];
        let mut out = Vec::new();
        while let Some((offset, length)) = self.recorded.read(self.at, end, &mut buffer)? {
            if !self.skipping {
                self.goes_on_at(offset);
            }
            self.form.take(&buffer[..length], &mut out);
            self.at = offset + length as u64;
            if !out.is_empty() {
                each(self, &out)?;
                out.clear();
            }
        }
        Ok(())
    }

    /// What comes next begins at `offset`; says what is missing before it.
    fn goes_on_at(&mut self, offset: u64) {
        self.recorded.missing(self.at, offset);
        self.at = offset;
    }

    /// Prints the last lines of what is recorded up to `end`.
    fn print_last(&mut self, lines: usize, end: u64) -> Result<(), Fault> {
        if !matches!(self.form, Form::Text(_)) {
            self.at = self.recorded.tail(lines)?;
            return self.print_to(end);
        }
        let mut looked = lines.saturating_mul(TAIL_FACTOR).max(usize::from(self.recorded.rows()));
        loop {
            let from = self.recorded.tail(looked)?;
            // Counted first, and printed the second time: so many lines may be more than
            // memory holds.
            self.skipping = true;
            let whole = self.text_from(from, end, |_, _| Ok(()))?;
            let found = whole + self.open_lines();
            if found >= lines || from <= self.recorded.reader().first() {
                let mut left = found.saturating_sub(lines);
                self.skipping = left > 0;
                self.text_from(from, end, |this, text| {
                    let wanted = after_lines(text, &mut left);
                    this.skipping = left > 0;
                    this.print(wanted)
                })?;
                self.skipping = false;
                if let Form::Text(plain) = &mut self.form {
                    plain.drop_above(lines);
                }
                return Ok(());
            }
            looked = looked.saturating_mul(TAIL_FACTOR);
        }
    }

    /// Gives the text of what was recorded between these to `each`, and how many lines of
    /// it are whole.
    fn text_from(
        &mut self,
        from: u64,
        to: u64,
        mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        self.form = Form::Text(Box::new(Plain::new(self.recorded.rows())));
        self.at = from;
        let mut whole = 0;
        self.each_to(to, |this, text| {
            whole += memchr::memchr_iter(b'\n', text).count();
            each(this, text)
        })?;
        Ok(whole)
    }

    /// Lines that can still change, and are printed later.
    fn open_lines(&self) -> usize {
        match &self.form {
            Form::Text(plain) => plain.open_lines(),
            Form::Bytes | Form::Shown(_) => 0,
        }
    }

    /// From now on lines are printed as soon as the next begins.
    fn settle(&mut self) -> Result<(), Fault> {
        let mut out = Vec::new();
        if let Form::Text(plain) = &mut self.form {
            plain.settle(&mut out);
        }
        self.print(&out)
    }

    /// Prints what the program writes, until it ends or nobody reads it any more.
    fn follow(&mut self, mut link: Link) -> Result<(), Fault> {
        loop {
            let message = match receive(&mut link) {
                Ok(Some(message)) => message,
                Ok(None) => return Err(self.ctx.output.unread()),
                // The keeper is gone. What it recorded last is all there will be.
                Err(_) => {
                    self.recorded.refresh()?;
                    let end = self.recorded.reader().end();
                    return self.print_to(end);
                }
            };
            match message {
                FromKeeper::Output { offset, bytes } => {
                    let mut out = Vec::new();
                    self.form.take(&bytes, &mut out);
                    // Where questions to the terminal were left out it is a little less than
                    // was written, so only `Skipped` says that something is missing.
                    self.at = offset + bytes.len() as u64;
                    self.print(&out)?;
                }
                FromKeeper::Skipped { from, to } => {
                    self.recorded.refresh()?;
                    self.at = from;
                    self.print_to(to)?;
                    self.goes_on_at(to);
                }
                FromKeeper::Exited(_) | FromKeeper::Detached { .. } => return Ok(()),
                _ => {}
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
        self.goes_on_at(self.recorded.written());
        let lost = self.recorded.lost_unnoted()?;
        if lost > 0 {
            self.ctx.output.note(&format!("[{lost} bytes could not be recorded so far: is the disk full?]"));
        }
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
            None if self.unfinished.len() > MAX_KEPT => self.unfinished.len(),
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

/// What is left of `text` after `lines` lines, and of those how many are still to come.
fn after_lines<'t>(text: &'t [u8], lines: &mut usize) -> &'t [u8] {
    let mut rest = text;
    while *lines > 0 {
        let Some(newline) = memchr::memchr(b'\n', rest) else { return &[] };
        rest = &rest[newline + 1..];
        *lines -= 1;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_skipped_wherever_they_are_cut() {
        let text = b"one\ntwo\nthree\nfour";
        for cut in 0..=text.len() {
            let (head, tail) = text.split_at(cut);
            for (skip, rest) in [(0, &text[..]), (1, b"two\nthree\nfour"), (3, b"four"), (4, b""), (9, b"")] {
                let mut left = skip;
                let printed = [after_lines(head, &mut left), after_lines(tail, &mut left)].concat();
                assert_eq!((printed.as_slice(), left), (rest, skip.saturating_sub(3)), "{cut} {skip}");
            }
        }
    }
}
