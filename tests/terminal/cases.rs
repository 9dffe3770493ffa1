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
