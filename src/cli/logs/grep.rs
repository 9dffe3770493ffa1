//! `autodev logs --grep`: lines that match, of one session or of all.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use regex::bytes::{Regex, RegexBuilder};
use serde_json::json;

use super::super::recorded::{Recorded, all};
use super::super::{Context, Status, exit};
use super::plain::Plain;
use super::{CHUNK, MAX_KEPT};
use crate::id::SessionName;
use crate::protocol::Fault;

/// A longer line is searched in pieces of this: memory must not depend on what a program
/// prints.
const MAX_LINE: usize = 1024 * 1024;

/// What is searched for.
pub(super) struct Wanted<'t> {
    /// The session; all of them without one.
    pub session: Option<&'t str>,
    /// What a line must match.
    pub pattern: &'t str,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// Only the last matches.
    pub last: Option<usize>,
}

/// Searches; exit status 1 says that there is nothing, or that not all could be read.
pub(super) fn run(ctx: &Context, wanted: &Wanted<'_>) -> Result<Status, Fault> {
    let pattern = RegexBuilder::new(wanted.pattern).case_insensitive(wanted.ignore_case).build();
    let pattern = pattern.map_err(|error| Fault::usage(format!("'{}': {error}", wanted.pattern)))?;
    let mut search =
        Search { ctx, pattern, many: wanted.session.is_none(), left: wanted.last, found: false, damaged: false };
    match wanted.session {
        Some(session) => search.session(Recorded::find(ctx, session)?)?,
        None => {
            let whole = all::each(ctx, |recorded| {
                search.session(recorded)?;
                Ok(if search.left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            search.damaged |= !whole;
        }
    }
    Ok(if search.found && !search.damaged { Status::OK } else { exit::FAILED })
}

struct Search<'a> {
    ctx: &'a Context,
    pattern: Regex,
    /// Each line says whose it is.
    many: bool,
    /// Matches that are still wanted, where not all are.
    left: Option<usize>,
    found: bool,
    /// Something could not be read, as was said.
    damaged: bool,
}

impl Search<'_> {
    fn session(&mut self, recorded: Recorded<'_>) -> Result<(), Fault> {
        let session = recorded.session().clone();
        let mut lines = Lines::of(recorded);
        let mut last = Last::default();
        let mut block = Vec::new();
        loop {
            block.clear();
            let more = match lines.next(&mut block) {
                Ok(more) => more,
                // What was read of it is searched, and the others are.
                Err(fault) => {
                    self.damaged = true;
                    self.ctx.output.note(&format!("session {session}: {}", fault.message));
                    return self.print_last(&session, last);
                }
            };
            let whole =
                block.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line));
            let mut matches = whole.filter(|line| self.pattern.is_match(line)).peekable();
            if matches.peek().is_some() {
                self.found = true;
                if self.ctx.output.is_quiet() {
                    return self.ctx.output.line(session.as_str());
                }
            }
            match self.left {
                Some(left) => matches.for_each(|line| last.push(line, left)),
                None => {
                    let text: String = matches.map(|line| self.line(&session, line)).collect();
                    self.ctx.output.text(&text)?;
                }
            }
            if !more {
                self.damaged |= lines.recorded.is_damaged();
                return self.print_last(&session, last);
            }
        }
    }

    fn print_last(&mut self, session: &SessionName, last: Last) -> Result<(), Fault> {
        self.left = self.left.map(|left| left.saturating_sub(last.lines.len()));
        let text: String = last.lines.iter().map(|line| self.line(session, line)).collect();
        self.ctx.output.text(&text)
    }

    fn line(&self, session: &SessionName, line: &[u8]) -> String {
        let text = String::from_utf8_lossy(line);
        if self.ctx.output.is_json() {
            format!("{}\n", json!({ "session": session, "line": text }))
        } else if self.many {
            format!("{session}:{text}\n")
        } else {
            format!("{text}\n")
        }
    }
}

/// The last matches of a session, at most [`MAX_KEPT`] bytes of them.
#[derive(Default)]
struct Last {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Last {
    fn push(&mut self, line: &[u8], most: usize) {
        self.lines.push_back(line.to_vec());
        self.bytes += line.len();
        while self.lines.len() > most || self.bytes > MAX_KEPT {
            let Some(first) = self.lines.pop_front() else { return };
            self.bytes -= first.len();
        }
    }
}

/// The lines of a recording, some at a time.
struct Lines<'a> {
    recorded: Recorded<'a>,
    /// Taken at the end.
    plain: Option<Plain>,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// The beginning of a line.
    unfinished: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn of(recorded: Recorded<'a>) -> Lines<'a> {
        let end = recorded.reader().end();
        let plain = Some(Plain::new(recorded.rows()));
        Lines { recorded, plain, at: 0, end, buffer: vec![0; CHUNK], unfinished: Vec::new() }
    }

    /// Adds whole lines to `block`; `false` when these were the last.
    fn next(&mut self, block: &mut Vec<u8>) -> Result<bool, Fault> {
        block.append(&mut self.unfinished);
        let read = self.recorded.read(self.at, self.end, &mut self.buffer)?;
        self.recorded.missing(self.at, read.map_or(self.end, |(offset, _)| offset));
        match (read, &mut self.plain) {
            (Some((offset, length)), Some(plain)) => {
                plain.feed(&self.buffer[..length], block);
                self.at = offset + length as u64;
            }
            _ => {
                if let Some(plain) = self.plain.take() {
                    plain.finish(block);
                }
                return Ok(false);
            }
        }
        match memchr::memrchr(b'\n', block) {
            Some(newline) => self.unfinished = block.split_off(newline + 1),
            None if block.len() < MAX_LINE => self.unfinished = std::mem::take(block),
            None => {}
        }
        Ok(true)
    }
}
