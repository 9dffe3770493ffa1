//! Every case of the table, in every engine.

use crate::join::join;
use crate::state::difference;
use crate::table::{CASES, SIZE};
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
