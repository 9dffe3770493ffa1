//! Streams in, whole screens out.

use alacritty_terminal::grid::{Cursor, Dimensions, Grid};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};

use proptest::test_runner::{Config as ProptestConfig, RngSeed};

use super::Screen;
use super::lines::uncertain_end;
use super::pen::{ATTRIBUTES, OWN_LINK, Pen};

mod canvas;
mod engine;
mod handler;
mod joining;
mod limits;
mod picture;
mod plain;
mod queries;
mod rows;
mod stream;
mod text;

/// Bytes of history in tests: more than any of them scrolls off.
const HISTORY: u64 = 1 << 20;

/// So many random streams, always the same ones, so that a change is judged by itself. For
/// others: `PROPTEST_RNG_SEED=$RANDOM PROPTEST_CASES=30000 cargo test --lib screen::tests`.
fn cases(usual: u32) -> ProptestConfig {
    let given = |name| std::env::var_os(name).is_some();
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: if given("PROPTEST_CASES") { default.cases } else { usual },
        rng_seed: if given("PROPTEST_RNG_SEED") { default.rng_seed } else { RngSeed::Fixed(0) },
        max_global_rejects: default.cases.max(1024),
        failure_persistence: None,
        ..default
    }
}

fn screen(columns: u16, rows: u16) -> Screen {
    Screen::new(columns, rows, HISTORY)
}

/// Feeds and returns what viewers see.
fn feed(screen: &mut Screen, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut visible = Vec::new();
    screen.feed(bytes.as_ref(), &mut visible);
    visible
}

fn fed(columns: u16, rows: u16, bytes: impl AsRef<[u8]>) -> Screen {
    let mut screen = screen(columns, rows);
    feed(&mut screen, bytes);
    screen
}

/// Everything about a screen that a picture brings back, readable when it differs.
#[derive(Debug, PartialEq, Eq)]
struct State {
    shown: Vec<String>,
    cursor: String,
    saved: String,
    primary: Vec<String>,
    primary_cursor: String,
    history: Vec<String>,
    modes: String,
    settings: String,
}

/// What a picture can only set, not take back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Fresh,
    Used,
}

fn state(screen: &mut Screen, history: usize, before: Before) -> State {
    let grid = screen.engine.model().grid();
    let shown = lines(grid, 0, &waiting_cells([&grid.cursor, &grid.saved_cursor]));
    let (cursor, saved) = {
        let grid = screen.engine.model().grid();
        (cursor(&grid.cursor), cursor(&grid.saved_cursor))
    };
    let hidden = screen.engine.model().shadow.hidden.clone();
    let (primary, primary_cursor, history) = screen.engine.model().with_primary(|grid| {
        let kept = history.min(grid.history_size());
        let saved = hidden.as_ref().map_or(&grid.saved_cursor, |hidden| &hidden.saved_cursor);
        let mut lines = lines(grid, kept, &waiting_cells([&grid.cursor, saved]));
        let primary = lines.split_off(kept);
        (primary, self::cursor(&grid.cursor), lines)
    });
    let model = screen.engine.model();
    let (shadow, alternate) = (&model.shadow, model.alternate());
    let modes = format!(
        "{:?} region {:?} tabs {:?} charset {:?} keys {:?} other {} style {:?} hidden {:?} saved {:?} frame {}",
        model.mode(),
        shadow.region,
        shadow.tabs,
        shadow.charset,
        shadow
            .keys
            .iter()
            .take(1 + usize::from(alternate))
            .map(|keys| (keys.flags(), keys.entries().get(1..).unwrap_or_default().to_vec()))
            .collect::<Vec<_>>(),
        shadow.modify_other_keys,
        shadow.cursor_style,
        shadow.hidden.as_ref().map(|left| (left.by, self::cursor(&left.saved_cursor), &left.region, &left.tabs)),
        (shadow.saved[usize::from(alternate)], alternate.then_some(shadow.saved[0])),
        shadow.frame.is_some(),
    );
    let settings = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        shadow.title,
        shadow.modes,
        shadow.cursor_blink,
        shadow.alternate_scroll,
        shadow.urgency,
        (0..=258).filter_map(|index| model.colour(index)).collect::<Vec<_>>(),
    );
    let settings = if before == Before::Fresh { settings } else { String::new() };
    let mut names = Names::default();
    let mut all = |lines: Vec<String>| lines.into_iter().map(|line| names.plain(line)).collect::<Vec<_>>();
    let shown = all(shown);
    let primary = all(primary);
    let history = all(history);
    let [cursor, saved, primary_cursor, modes] =
        [cursor, saved, primary_cursor, modes].map(|line| all(vec![line]).remove(0));
    State { shown, cursor, saved, primary, primary_cursor, history, modes, settings }
}

/// Links without a name are numbered by the engine as they come; here by where they stand.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn plain(&mut self, line: String) -> String {
        let mut parts = line.split(OWN_NAME);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let (number, rest) = part.split_at(digits);
            let at = self.0.iter().position(|known| known == number).unwrap_or_else(|| {
                self.0.push(number.to_owned());
                self.0.len() - 1
            });
            out.push_str(&format!("link {at}{rest}"));
        }
        out
    }
}

/// How a picture names such links.
const OWN_NAME: &str = "autodev-";

/// The cells in which cursors wait to wrap: the picture writes them last, so that they
/// cannot be marked as wrapped at the same time.
fn waiting_cells(cursors: [&Cursor<Cell>; 2]) -> Vec<(Line, Column)> {
    let waiting = cursors.into_iter().filter(|cursor| cursor.input_needs_wrap);
    waiting.map(|cursor| (cursor.point.line, cursor.point.column)).collect()
}

fn lines(grid: &Grid<Cell>, history: usize, waiting: &[(Line, Column)]) -> Vec<String> {
    let first = -i32::try_from(history).unwrap();
    (first..=grid.bottommost_line().0)
        .map(Line)
        .map(|line| {
            let mut out = String::new();
            let mut pen = Pen::default();
            for column in (0..grid.columns()).map(Column) {
                let cell = &grid[line][column];
                let now = Pen::of(cell);
                if now != pen {
                    out.push_str(&format!("<{}>", describe(cell)));
                    pen = now;
                }
                if !cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
                    out.push(cell.c);
                    out.extend(cell.zerowidth().into_iter().flatten());
                }
                // Below the last line there is nothing it could go on in.
                let wraps = line < grid.bottommost_line() && cell.flags.contains(Flags::WRAPLINE);
                if wraps && !uncertain_end(&grid[line]) && !waiting.contains(&(line, column)) {
                    out.push('↩');
                }
            }
            out
        })
        .collect()
}

fn describe(cell: &Cell) -> String {
    let link = cell.hyperlink().map(|link| {
        let id = link.id().strip_suffix(OWN_LINK).map(|n| format!("{OWN_NAME}{n}")).unwrap_or(link.id().to_owned());
        (id, link.uri().to_owned())
    });
    format!("{:?} {:?} {:?} {:?} {:?}", cell.fg, cell.bg, cell.flags & ATTRIBUTES, cell.underline_color(), link)
}

fn cursor(cursor: &Cursor<Cell>) -> String {
    format!("{:?} waits {} {} {:?}", cursor.point, cursor.input_needs_wrap, describe(&cursor.template), cursor.charsets)
}

/// Asserts that a picture of `screen` brings a terminal to the same state, a fresh one
/// and one that has been used for something else.
fn assert_painted(screen: &mut Screen, note: &str) {
    let (columns, rows) = screen.size();
    let picture = screen.picture((columns, rows), u32::MAX);
    for before in [Before::Fresh, Before::Used] {
        let mut other = self::screen(columns, rows);
        if before == Before::Used {
            feed(&mut other, stream::MESS);
        }
        let visible = feed(&mut other, &picture);
        assert!(visible.ends_with(&picture), "{note}: pictures ask nothing");
        assert!(other.at_ground(), "{note}: a picture is whole");
        let kept = screen.engine.model().with_primary(|grid| grid.history_size());
        let (here, there) = (state(screen, kept, before), state(&mut other, kept, before));
        pretty_assert(&here, &there, note, &picture);
    }
}

fn pretty_assert(here: &State, there: &State, note: &str, picture: &[u8]) {
    if here != there {
        let (here, there) = (format!("{here:#?}"), format!("{there:#?}"));
        let differing: Vec<_> =
            here.lines().zip(there.lines()).filter(|(a, b)| a != b).map(|(a, b)| format!("- {a}\n+ {b}")).collect();
        panic!("{note}:\n{}\npicture: {}", differing.join("\n"), picture.escape_ascii());
    }
}
