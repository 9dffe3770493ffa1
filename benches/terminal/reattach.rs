//! From the attach until the last cell of a screen is drawn of which every cell has colours
//! of its own.

use std::fmt::Write;
use std::time::Instant;

use super::holders::{self, Holder};
use super::program::Stage;
use super::table::{self, Hold, median};
use super::tied::{LIMIT, Tied};

const SIZE: (u16, u16) = (200, 50);
const TIMES: usize = 30;
/// As many as are shown by default.
const HISTORY: usize = 500;
/// What stands in the last cell and nowhere else.
const MARK: &str = "█";

pub fn run() {
    let holders = holders::some(&["ours", "tmux", "screen"]);
    let mut stage = Stage::new();
    let picture = stage.file("picture", picture().as_bytes());
    let program = stage.write(&picture, 0);
    let sessions: Vec<_> = holders
        .iter()
        .map(|holder| {
            let session = holders::open(holder.as_ref(), &program);
            let running = stage.ready();
            // The first to look on gives the session its size.
            let mut first = Tied::start(SIZE, holder.attach(&session));
            first.settle();
            stage.go();
            first.settle();
            stage.printed(LIMIT).expect("printed");
            (session, running)
        })
        .collect();
    let ways: Vec<_> = std::iter::once((holders[0].as_ref(), &sessions[0].0, true))
        .chain(holders.iter().zip(&sessions).map(|(holder, (session, _))| (holder.as_ref(), session, false)))
        .collect();
    let mut times = vec![Vec::new(); ways.len()];
    for _ in 0..TIMES {
        for ((holder, session, exact), times) in ways.iter().zip(&mut times) {
            times.push(time(*holder, session, *exact));
        }
    }
    let names: Vec<_> = std::iter::once("exact").chain(holders.iter().map(|holder| holder.name())).collect();
    table::head("ms", &names);
    let figures: Vec<_> = times.iter().map(|times| median(times)).collect();
    table::row("until drawn, p50", &figures.iter().copied().map(Some).collect::<Vec<_>>());
    table::hold("ours, without history", figures[0], "ms", Hold::AtMost(20.0));
    table::hold("ours, with 500 lines of history", figures[1], "ms", Hold::AtMost(60.0));
}

fn time(holder: &dyn Holder, session: &str, exact: bool) -> f64 {
    let mut command = holder.attach(session);
    if exact {
        command.arg("--no-history");
    }
    let begun = Instant::now();
    let mut client = Tied::start(SIZE, command);
    client.wait_for(MARK.as_bytes());
    begun.elapsed().as_secs_f64() * 1e3
}

/// Some lines for history, then the screen.
fn picture() -> String {
    let mut out = String::new();
    let (columns, rows) = (usize::from(SIZE.0), usize::from(SIZE.1));
    for line in 0..HISTORY + rows {
        for column in 0..columns {
            let cell = line * columns + column;
            let (red, green, blue) = (cell % 256, cell / 256 % 256, 255 - cell % 256);
            let last = line + 1 == HISTORY + rows && column + 1 == columns;
            let shown = if last { MARK } else { &"abcdefghijklmnopqrstuvwxyz"[cell % 26..][..1] };
            write!(out, "\x1b[38;2;{red};{green};{blue};48;2;{blue};{red};{green}m{shown}").expect("in memory");
        }
    }
    out
}
