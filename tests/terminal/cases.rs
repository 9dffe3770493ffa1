//! Every case of the table, in every engine.

use crate::join::{Joined, join};
use crate::state::difference;
use crate::table::{CASES, Case, SIZE};
use crate::tmux::Tmux;
use crate::xterm::Xterm;

#[test]
fn xterm_js_shows_the_same() {
    let Some(mut xterm) = Xterm::start() else { return };
    let mut wrong = String::new();
    for case in CASES.iter().filter(|case| case.unlike_xterm.is_none()) {
        let (stream, cut) = case.stream();
        let joined = join(SIZE, &stream, cut);
        let whole = xterm.run(SIZE, &[&stream[..cut], &stream[cut..]]);
        let there = xterm.run(SIZE, &[&joined.picture, &joined.rest]);
        for (when, (whole, there)) in ["when joined", "at the end"].iter().zip(whole.iter().zip(&there)) {
            let lines = difference(whole, there);
            if !lines.is_empty() {
                wrong.push_str(&format!(
                    "{}, {when}:\n{lines}  picture: {}\n",
                    case.name,
                    joined.picture.escape_ascii()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Cases in which xterm.js differs from others and from us on the way, and in what. At their
/// own cuts they are alike.
const OTHERWISE: [(&str, &str); 6] = [
    ("saved while waiting to wrap", "a cursor that is restored waits no longer"),
    ("alternate screen, cursor waiting below", "a cursor that is restored waits no longer"),
    ("tab stops in the alternate screen", "each screen has stops of its own"),
    ("region left behind", "each screen has a region of its own"),
    ("origin mode left behind", "each screen has a region of its own"),
    ("everything", "what is restored is a pen without link and underline colour"),
];

#[test]
fn xterm_js_ends_the_same_wherever_one_joins() {
    let Some(mut xterm) = Xterm::start() else { return };
    let mut wrong = String::new();
    let alike = |case: &&Case| case.unlike_xterm.is_none() && !OTHERWISE.iter().any(|(name, _)| *name == case.name);
    for case in CASES.iter().filter(alike) {
        let (stream, _) = case.stream();
        let whole = xterm.end(SIZE, &stream);
        let mut last = Vec::new();
        // What is not ASCII may belong to what stands before it.
        for cut in (0..stream.len()).filter(|cut| stream[*cut].is_ascii()) {
            let Joined { mut picture, rest } = join(SIZE, &stream, cut);
            picture.extend_from_slice(&rest);
            // Within a sequence it is the same as before.
            if picture == last {
                continue;
            }
            let lines = difference(&whole, &xterm.end(SIZE, &picture));
            if !lines.is_empty() {
                wrong.push_str(&format!("{}, joined before {}:\n{lines}", case.name, stream[cut..].escape_ascii()));
            }
            last = picture;
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn tmux_ends_the_same() {
    let Some(mut tmux) = Tmux::start(SIZE) else { return };
    let mut wrong = String::new();
    for case in CASES.iter().filter(|case| case.unlike_tmux.is_none()) {
        let (stream, cut) = case.stream();
        let Joined { picture, rest } = join(SIZE, &stream, cut);
        let [whole, there] = tmux.ends([&stream, &[picture, rest].concat()]);
        let lines = difference(&whole, &there);
        if !lines.is_empty() {
            wrong.push_str(&format!("{}:\n{lines}", case.name));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Leaves a terminal in as many states as possible.
const MESS: &str = "\x1b[5;10r\x1b[?6h\x1b[31;1;4:3;58;5;9mred\x1b7\x1b[?1049h\x1b[2;4r\x1b[3g\x1b[4h\x1b[?7l\x1b[?25l\
\x1b[?1;9;1000;1003;1004;1006;2004;2031h\x1b=\x1b[20h\x1b[12G\x1bH\x1b(0\x1b)0\x0e\x1b[>5u\x1b[5 q\x1b7\
\x1b]8;;http://old/\x1b\\link \u{4e2d}\x1b[?2026h\x1b]2;cut";

/// Whether a picture could take it back: what has scrolled off and the title stay, until
/// something else comes, and whether the cursor blinks is for the terminal to say.
fn stays(name: &str) -> bool {
    name.contains("history") || ["title", "mode cursorBlink"].contains(&name)
}

#[test]
fn xterm_js_shows_the_same_whatever_it_showed_before() {
    let Some(mut xterm) = Xterm::start() else { return };
    let mut wrong = String::new();
    for case in CASES {
        let (stream, cut) = case.stream();
        let Joined { picture, .. } = join(SIZE, &stream, cut);
        let mut fresh = xterm.run(SIZE, &[&picture]).remove(0);
        let mut used = xterm.run(SIZE, &[MESS.as_bytes(), &picture]).remove(1);
        for state in [&mut fresh, &mut used] {
            state.retain(|name, _| !stays(name));
        }
        let lines = difference(&fresh, &used);
        if !lines.is_empty() {
            wrong.push_str(&format!("{}:\n{lines}", case.name));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
