//! How fast a program can print: nobody looking, and with a client whose terminal takes all
//! it can. The bare terminal is read and nothing is made of it.

use std::process::Command;

use super::holders::{self, Holder};
use super::program::Stage;
use super::streams;
use super::table::{self, Hold, median};
use super::tied::{LIMIT, Size, Tied};

const VIEWS: [(&str, Option<Size>); 3] =
    [("detached", None), ("attached", Some((80, 24))), ("attached 200x50", Some((200, 50)))];

pub fn run() {
    let holders = holders::all();
    let names: Vec<_> = std::iter::once("bare").chain(holders.iter().map(|holder| holder.name())).collect();
    for stream in streams::all() {
        let mut stage = Stage::new();
        let program = stage.write(&stage.file("stream", &stream.bytes), 0);
        let mut bare = Vec::new();
        let mut speeds = vec![vec![Vec::new(); holders.len()]; VIEWS.len()];
        for _ in 0..super::rounds() {
            bare.push(speed_of_bare(&mut stage, &program));
            for ((_, view), speeds) in VIEWS.iter().zip(&mut speeds) {
                for (holder, speeds) in holders.iter().zip(speeds) {
                    if view.is_some() || holder.has_screen() {
                        speeds.push(speed(&mut stage, holder.as_ref(), &program, *view));
                    }
                }
            }
        }
        table::head("MB/s", &names);
        for ((view, _), speeds) in VIEWS.iter().zip(&speeds) {
            let figures: Vec<_> = std::iter::once(&bare)
                .chain(speeds)
                .map(|speeds| (!speeds.is_empty()).then(|| median(speeds)))
                .collect();
            table::row(&format!("{}, {view}", stream.name), &figures);
            holds(stream.name, &names, &figures);
        }
    }
}

fn holds(stream: &str, names: &[&str], figures: &[Option<f64>]) {
    let of = |name: &str| names.iter().position(|n| *n == name).and_then(|at| figures[at]);
    let Some(ours) = of("ours") else { return };
    let hold = |other: Option<f64>, name: &str, least: f64| {
        if let Some(other) = other {
            table::hold("ours", ours / other, &format!("x {name}"), Hold::AtLeast(least));
        }
    };
    if stream == "short lines" {
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
