//! How fast a program can print: nobody looking, and with a client whose terminal takes all
//! it can. The bare terminal is read and nothing is made of it.

use std::process::Command;

use super::holders::{self, Holder};
use super::program::Stage;
use super::streams;
use super::table::{self, Hold};
use super::tied::{LIMIT, Size, Tied};

const VIEWS: [(&str, Option<Size>); 3] =
    [("detached", None), ("attached", Some((80, 24))), ("attached 200x50", Some((200, 50)))];

/// Short lines go at one of two gaits, whoever reads them: the kernel's, as it happens to
/// place who writes and who reads. So the bare terminal and ours take turns more often, and
/// what counts is all that was printed by all the time it took: a median would be one of the
/// two by chance.
const SHORT_LINES: &str = "short lines";
const TURNS: usize = 4;

pub fn run() {
    let holders = holders::all();
    let names: Vec<_> = std::iter::once("bare").chain(holders.iter().map(|holder| holder.name())).collect();
    for stream in streams::all() {
        let mut stage = Stage::new();
        let program = stage.write(&stage.file("stream", &stream.bytes), 0);
        let turns = if stream.name == SHORT_LINES { TURNS } else { 1 };
        let mut speeds = vec![vec![Vec::new(); names.len()]; VIEWS.len()];
        for _ in 0..super::rounds() {
            for ((_, view), speeds) in VIEWS.iter().zip(&mut speeds) {
                for turn in 0..turns {
                    speeds[0].push(speed_of_bare(&mut stage, &program));
                    for (holder, speeds) in holders.iter().zip(&mut speeds[1..]) {
                        let its_turn = turn == 0 || holder.name() == "ours";
                        if its_turn && (view.is_some() || holder.has_screen()) {
                            speeds.push(speed(&mut stage, holder.as_ref(), &program, *view));
                        }
                    }
                }
            }
        }
        table::head("MB/s", &names);
        for ((view, _), speeds) in VIEWS.iter().zip(&speeds) {
            let figures: Vec<_> = speeds.iter().map(|speeds| in_all(speeds)).collect();
            table::row(&format!("{}, {view}", stream.name), &figures);
            holds(stream.name, &names, &figures);
        }
    }
}

/// The speed of runs that printed as much each, taken together.
fn in_all(speeds: &[f64]) -> Option<f64> {
    let time: f64 = speeds.iter().map(|speed| speed.recip()).sum();
    (!speeds.is_empty()).then(|| speeds.len() as f64 / time)
}

fn holds(stream: &str, names: &[&str], figures: &[Option<f64>]) {
    let of = |name: &str| names.iter().position(|n| *n == name).and_then(|at| figures[at]);
    let Some(ours) = of("ours") else { return };
    let hold = |other: Option<f64>, name: &str, least: f64| {
        if let Some(other) = other {
            table::hold("ours", ours / other, &format!("x {name}"), Hold::AtLeast(least));
        }
    };
    if stream == SHORT_LINES {
        return hold(of("bare"), "bare", 0.9);
    }
    hold(of("tmux").into_iter().chain(of("screen")).reduce(f64::max), "the better", 1.0);
    match stream {
        "colour" => hold(of("tmux"), "tmux", 2.5),
        "unicode" => hold(of("tmux"), "tmux", 4.0),
        _ => {}
    }
}

fn speed_of_bare(stage: &mut Stage, program: &[String]) -> f64 {
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]);
    let _reader = Tied::start((80, 24), command).drain();
    let _running = stage.ready();
    stage.go();
    stage.printed(LIMIT).expect("printed").speed()
}

fn speed(stage: &mut Stage, holder: &dyn Holder, program: &[String], view: Option<Size>) -> f64 {
    let session = holders::open(holder, program);
    let _running = stage.ready();
    let _viewer = view.map(|size| {
        let mut viewer = Tied::start(size, holder.attach(&session));
        viewer.settle();
        viewer.drain()
    });
    stage.go();
    stage.printed(LIMIT).expect("printed").speed()
}
