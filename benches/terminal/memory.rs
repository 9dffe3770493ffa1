//! Memory that a session has for itself: empty, and after ten thousand lines. Of the tmux
//! server, what it has got more by the session.

use std::time::Duration;

use super::holders::{self, Holder, Ours, Tmux};
use super::program::Stage;
use super::shared::instance::Instance;
use super::shared::process::kib;
use super::streams;
use super::table::{self, Hold};
use super::tied::{LIMIT, Size, Tied};

const LINES: usize = 10_000;
const MIB: f64 = 1024.0;

pub fn run() {
    let ours = Ours(Instance::new(1));
    let tmux = holders::is_installed("tmux").then(Tmux::start);
    let text = streams::text(LINES * 77);
    table::head("KiB, private", &["empty", "lines"]);
    for size in [(80, 24), (200, 50)] {
        let [empty, full] = used(&ours, size, &text, &|session| private(ours.keeper(session)));
        table::row(&format!("keeper, {}x{}", size.0, size.1), &[Some(empty), Some(full)]);
        table::hold("ours, empty", empty / MIB, "MiB", Hold::AtMost(1.0));
        table::hold("ours, after 10 000 lines", full / MIB, "MiB", Hold::AtMost(5.0));
        if let Some(tmux) = &tmux {
            let before = private(tmux.server());
            let figures = used(tmux, size, &text, &|_| private(tmux.server()) - before);
            table::row(&format!("tmux, more, {}x{}", size.0, size.1), &figures.map(Some));
        }
    }
}

/// What is used when the program runs, and when it has printed.
fn used(holder: &dyn Holder, size: Size, text: &[u8], measure: &dyn Fn(&str) -> f64) -> [f64; 2] {
    let mut stage = Stage::new();
    let program = stage.write(&stage.file("lines", text), 0);
    let session = holders::open(holder, &program);
    let _running = stage.ready();
    if size != (80, 24) {
        Tied::start(size, holder.attach(&session)).settle();
    }
    let settle = || std::thread::sleep(Duration::from_millis(300));
    settle();
    let empty = measure(&session);
    stage.go();
    stage.printed(LIMIT).expect("printed");
    settle();
    [empty, measure(&session)]
}

/// In KiB.
pub fn private(pid: u32) -> f64 {
    kib(pid, "smaps_rollup", &["Private_Clean", "Private_Dirty"]) as f64
}
