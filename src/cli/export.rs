//! `autodev export`: a session's recording for other programs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::recorded::Recorded;
use super::recorded::playback::{Playback, Played};
use super::target::SessionArg;
use super::{Context, Status, exit};
use crate::protocol::Fault;
use crate::recording::input::Input;

/// Bytes given to standard output at once.
const BLOCK: usize = 64 * 1024;
/// What programs in a session take their terminal for.
const TERM: &str = "xterm-256color";

/// Arguments of `autodev export`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    target: SessionArg,
    /// As an asciicast, version 2, which asciinema and its players read
    #[arg(long, required = true)]
    cast: bool,
    /// Write to this file instead of standard output; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the file if it is there
    #[arg(short, long, requires = "output")]
    force: bool,
    /// With what was typed; passwords are not in the recording
    #[arg(long)]
    input: bool,
}

const EXAMPLES: &str = "\
Questions to the terminal are left out, and bytes that are no text become a replacement
character. Of a session that still runs there is what was printed up to now.

Examples:
  autodev export 42 --cast -o login.cast
  autodev export 42.1 --cast | gzip > 42.cast.gz";

/// Runs the verb.
///
/// # Errors
/// `NotFound` for a session that is not there, `Conflict` for one that has printed nothing
/// and for a file that is there already.
pub fn run(ctx: &Context, args: Args) -> Result<Status, Fault> {
    if ctx.output.is_json() {
        return Err(Fault::usage("an asciicast is lines of JSON already").hint("leave --json out"));
    }
    let recorded = Recorded::find(ctx, &args.target.session)?;
    let mut cast = Cast::new(recorded, args.input);
    match args.output.as_deref().filter(|path| *path != Path::new("-")) {
        None => {
            let mut block = String::new();
            while cast.next(&mut block)? {
                if block.len() >= BLOCK {
                    ctx.output.text(&std::mem::take(&mut block))?;
                }
            }
            ctx.output.text(&block)?;
        }
        Some(path) => to_file(path, args.force, &mut cast)?,
    }
    Ok(if cast.playback.recorded().is_damaged() { exit::FAILED } else { Status::OK })
}

/// Writes a file that is not there yet; with `force` one beside it, which takes its place
/// when it is whole. What is no file, as a device, is written to. Nobody else may read it:
/// what a program shows is for its user.
fn to_file(path: &Path, force: bool, cast: &mut Cast<'_>) -> Result<(), Fault> {
    let failed = |error: &io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Fault::conflict(format!("{} is there already", path.display())).hint("--force overwrites it")
        }
        _ => Fault::internal(format!("cannot write {}: {error}", path.display())),
    };
    // A link stays, and what it leads to is replaced.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let found = fs::metadata(path).ok();
    if found.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(Fault::usage(format!("{} is a directory", path.display())).hint("name a file in it"));
    }
    if found.as_ref().is_some_and(|found| !found.is_file()) {
        let file = OpenOptions::new().write(true).open(path).map_err(|error| failed(&error))?;
        return write(file, cast, &failed);
    }
    let mut to = path.as_os_str().to_owned();
    if force {
        to.push(format!(".{}.tmp", std::process::id()));
    }
    let to = PathBuf::from(to);
    let mut new = OpenOptions::new();
    let file = new.write(true).create_new(true).mode(0o600).open(&to).map_err(|error| failed(&error))?;
    let mut written = write(file, cast, &failed);
    if written.is_ok() && force {
        written = fs::rename(&to, path).map_err(|error| failed(&error));
    }
    if written.is_err() {
        drop(fs::remove_file(&to));
    }
    written
}

fn write(file: File, cast: &mut Cast<'_>, failed: &dyn Fn(&io::Error) -> Fault) -> Result<(), Fault> {
    let mut out = BufWriter::new(file);
    let mut block = String::new();
    while cast.next(&mut block)? {
        out.write_all(block.as_bytes()).map_err(|error| failed(&error))?;
        block.clear();
    }
    out.flush().map_err(|error| failed(&error))
}

/// A recording as lines of an asciicast.
struct Cast<'a> {
    playback: Playback<'a>,
    inputs: std::iter::Peekable<std::vec::IntoIter<Input>>,
    /// The first line was written.
    begun: bool,
    visible: Vec<u8>,
}

impl<'a> Cast<'a> {
    fn new(recorded: Recorded<'a>, with_input: bool) -> Cast<'a> {
        let inputs = if with_input { recorded.reader().inputs() } else { Vec::new() };
        let inputs = inputs.into_iter().peekable();
        Cast { playback: Playback::new(recorded), inputs, begun: false, visible: Vec::new() }
    }

    /// Adds what comes next; `false` at the end.
    fn next(&mut self, out: &mut String) -> Result<bool, Fault> {
        if !self.begun {
            self.begun = true;
            self.header(out);
            // The first size is in the header.
            if self.playback.next_ms() == Some(0) && self.playback.next_is_resize() {
                self.playback.play(&mut self.visible)?;
            }
            return Ok(true);
        }
        let next = self.playback.next_ms();
        if let Some(input) = self.inputs.next_if(|input| next.is_none_or(|ms| input.ms <= ms)) {
            if !input.text.is_empty() {
                event(out, input.ms, "i", &String::from_utf8_lossy(&input.text));
            }
            return Ok(true);
        }
        let Some(ms) = next else { return Ok(false) };
        // Characters and sequences come whole.
        match self.playback.play(&mut self.visible)? {
            Some(Played::Resize) => {
                let (columns, rows) = self.playback.size();
                event(out, ms, "r", &format!("{columns}x{rows}"));
            }
            _ if self.visible.is_empty() => {}
            _ => event(out, ms, "o", &String::from_utf8_lossy(&self.visible)),
        }
        self.visible.clear();
        Ok(true)
    }

    fn header(&self, out: &mut String) {
        let (columns, rows) = self.playback.size();
        let recorded = self.playback.recorded();
        let mut header = json!({
            "version": 2,
            "width": columns,
            "height": rows,
            "title": format!("autodev {}", recorded.session()),
            "env": { "TERM": TERM },
        });
        if let Some(began) = recorded.reader().began() {
            header["timestamp"] = json!(began.0.div_euclid(1_000));
        }
        out.push_str(&format!("{header}\n"));
    }
}

fn event(out: &mut String, ms: u32, kind: &str, text: &str) {
    let (seconds, thousandths) = (ms / 1_000, ms % 1_000);
    out.push_str(&format!("[{seconds}.{thousandths:03},\"{kind}\",{}]\n", json!(text)));
}
