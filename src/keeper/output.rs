//! What the program writes: to the recorder, the screen and whoever looks on. One that
//! looks on too slowly gets a fresh picture instead; the program never waits for it.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::client::{Client, Follower, Frame, OUT_LIMIT, Viewer};
use super::event_loop::{Keeper, Stage};
use super::{KEEP_BYTES, log};
use crate::process;
use crate::protocol::keeper::{self as wire, FromKeeper, Looks, MAX_OUTPUT, PICTURE_PART};
use crate::screen::Screen;
use crate::secret::{Redactor, TooMany};

/// Between two pictures for one viewer: 30 a second look fluent.
const PICTURE_EVERY: Duration = Duration::from_millis(33);
/// What the terminal holds when its program ends is read within this; more comes only
/// from a process that is not the session's.
const DRAIN: Duration = Duration::from_millis(200);

/// The screen, and how many bytes made it.
#[derive(Debug)]
pub struct Output {
    screen: Screen,
    history_bytes: u64,
    /// Bytes the program has written.
    offset: u64,
    /// Of those, bytes that were passed on to be kept: the end may be held back.
    kept: u64,
    redactor: Option<Redactor>,
    buffer: Vec<u8>,
    visible: Vec<u8>,
    flush_at: Option<Instant>,
    /// The bell was rung since somebody last typed.
    rang: bool,
    /// When the program last wrote.
    wrote_at: Instant,
}

impl Output {
    /// An empty screen.
    pub fn new(columns: u16, rows: u16, history_bytes: u64) -> Output {
        let screen = Screen::new(columns, rows, history_bytes);
        Output {
            screen,
            history_bytes,
            offset: 0,
            kept: 0,
            redactor: None,
            buffer: Vec::new(),
            visible: Vec::new(),
            flush_at: None,
            rang: false,
            wrote_at: Instant::now(),
        }
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        self.screen.size()
    }

    /// Bytes the program has written.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Values that are blotted out of what is kept.
    ///
    /// # Errors
    /// When they are too many.
    pub fn blot(&mut self, values: &[String]) -> Result<(), TooMany> {
        self.redactor = Redactor::new(values.iter().map(String::as_str))?;
        Ok(())
    }

    /// The same for a text that is kept with the output.
    pub fn blotted<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(redactor) = &self.redactor else { return Cow::Borrowed(text) };
        let mut text = text.to_vec();
        redactor.blot(&mut text);
        Cow::Owned(text)
    }

    /// When held-back output must be shown, if some is held back.
    pub fn flush_at(&self) -> Option<Instant> {
        self.flush_at
    }

    /// Shows held-back output.
    pub fn flush(&mut self) {
        self.flush_at = None;
        self.guard(Screen::flush);
    }

    /// The screen as text.
    pub fn text(&mut self, ansi: bool) -> String {
        self.guard(|screen| screen.text(ansi))
    }

    /// What the writer's terminal looks like.
    pub fn set_looks(&mut self, looks: Looks) {
        self.screen.set_looks(looks);
    }

    /// The row below all that the primary screen shows.
    pub fn below(&mut self) -> u16 {
        self.guard(Screen::below)
    }

    /// The program has called for somebody who has not come yet.
    pub fn rang(&self) -> bool {
        self.rang
    }

    /// Somebody typed: whoever was called has come.
    pub fn answered(&mut self) {
        self.rang = false;
    }

    /// How long the program has written nothing.
    pub fn quiet(&self) -> Duration {
        self.wrote_at.elapsed()
    }

    /// The window title, or nothing.
    pub fn title(&self) -> String {
        self.screen.title().unwrap_or_default()
    }

    /// The program asked for pastes to be marked.
    pub fn bracketed_paste(&self) -> bool {
        self.screen.bracketed_paste()
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.guard(|screen| screen.resize(columns, rows));
    }

    /// Runs the terminal model. A program's output may find a mistake in it; the session
    /// then loses its picture, not its life.
    fn guard<T: Default>(&mut self, work: impl FnOnce(&mut Screen) -> T) -> T {
        let screen = &mut self.screen;
        catch_unwind(AssertUnwindSafe(|| work(screen))).unwrap_or_else(|_| {
            log(&format!("the screen model failed at byte {}; it begins anew", self.offset));
            let (columns, rows) = self.screen.size();
            let looks = self.screen.looks();
            self.screen = Screen::new(columns, rows, self.history_bytes);
            self.screen.set_looks(looks);
            T::default()
        })
    }
}

/// Output as frames, of which `begin` bytes came before.
fn frames(begin: u64, bytes: &[u8]) -> Vec<Frame> {
    bytes.chunks(MAX_OUTPUT).map(|part| Rc::new(wire::output(begin, part))).collect()
}

impl Keeper {
    /// Takes what the program has written, a turn's worth of it.
    pub(super) fn take_output(&mut self, now: Instant) -> bool {
        let mut bytes = std::mem::take(&mut self.output.buffer);
        bytes.resize(MAX_OUTPUT, 0);
        let mut filled = 0;
        while filled < bytes.len() {
            match self.terminal.read(&mut bytes[filled..]) {
                0 => break,
                length => filled += length,
            }
        }
        if filled > 0 {
            self.deliver(&bytes[..filled], now);
            // Somebody may wait for the echo of a key.
            self.write_clients();
            self.keep(&bytes[..filled]);
            self.meter.output(now);
        }
        self.output.buffer = bytes;
        filled > 0
    }

    /// Takes all that the terminal still holds.
    pub(super) fn drain_output(&mut self, now: Instant) {
        while self.take_output(Instant::now()) && now.elapsed() < DRAIN {}
    }

    /// Nothing more comes: what was held back is kept.
    pub(super) fn keep_rest(&mut self) {
        let Some(mut redactor) = self.output.redactor.take() else { return };
        self.keep_blotted(redactor.end());
        self.output.redactor = Some(redactor);
    }

    /// Keeps output, without what nobody may find in it.
    fn keep(&mut self, bytes: &[u8]) {
        match self.output.redactor.take() {
            None => self.keep_blotted(bytes),
            Some(mut redactor) => {
                self.keep_blotted(redactor.feed(bytes));
                self.output.redactor = Some(redactor);
            }
        }
    }

    /// Gives it to the followers and the recorder.
    fn keep_blotted(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let begun_anew = self.pass_on(bytes);
        self.recorder.output(bytes);
        // Not before: it is asked for what is in the files by then.
        if begun_anew {
            self.recorder.flush();
        }
    }

    /// Gives it to the screen and to all who look on.
    fn deliver(&mut self, bytes: &[u8], now: Instant) {
        let output = &mut self.output;
        let begin = output.offset;
        output.offset += bytes.len() as u64;
        let mut visible = std::mem::take(&mut output.visible);
        output.guard(|screen| screen.feed(bytes, &mut visible));
        let answers = output.guard(Screen::take_answers);
        output.rang |= output.screen.take_rung();
        let calls = output.screen.take_calls();
        output.wrote_at = now;
        // Frame after frame: not later than the first of them was due.
        let due = output.screen.flush_after().map(|after| now + after);
        output.flush_at = due.map(|due| output.flush_at.map_or(due, |at| at.min(due)));
        // A program that asks but does not read gets no more answers.
        if !answers.is_empty() && !self.terminal.is_full() {
            self.terminal.push(&answers);
            self.terminal.write();
        }
        self.typing.saw(&visible, now);
        self.show(begin, &visible, &calls);
        visible.clear();
        visible.shrink_to(KEEP_BYTES);
        self.output.visible = visible;
    }

    /// Gives viewers what they may see of the output, or of that only the calls to the user
    /// when they get pictures.
    fn show(&mut self, begin: u64, visible: &[u8], calls: &[u8]) {
        let size = self.output.size();
        // Made once, for all who want it, when the first does.
        let mut seen: Option<Vec<Frame>> = None;
        for client in &mut self.clients {
            let over = client.is_over_limit();
            if let Some(viewer) = &mut client.viewer {
                viewer.needs_picture |= over || !fits(viewer, size);
                if !viewer.needs_picture {
                    let seen = seen.get_or_insert_with(|| frames(begin, visible));
                    seen.iter().for_each(|frame| client.stream(frame));
                } else if over {
                    client.drop_stream();
                } else if !calls.is_empty() && !fits(viewer, size) {
                    client.stream(&Rc::new(wire::output(begin, calls)));
                }
            }
        }
    }

    /// Gives followers all that is kept, as it is in the recording. Whether one of them
    /// begins anew behind it.
    fn pass_on(&mut self, bytes: &[u8]) -> bool {
        let begin = self.output.kept;
        self.output.kept += bytes.len() as u64;
        let mut whole: Option<Vec<Frame>> = None;
        let mut begun_anew = false;
        for client in &mut self.clients {
            let over = client.is_over_limit();
            match &mut client.follower {
                Some(Follower::Streaming) if over => client.follower = Some(Follower::Cut(begin)),
                Some(Follower::Streaming) => {
                    let whole = whole.get_or_insert_with(|| frames(begin, bytes));
                    whole.iter().for_each(|frame| client.stream(frame));
                }
                Some(Follower::Waiting { from, held, length, .. }) => {
                    held.extend(whole.get_or_insert_with(|| frames(begin, bytes)).iter().map(Rc::clone));
                    *length += bytes.len();
                    if *length > OUT_LIMIT {
                        // Begins later: what comes before is in the files.
                        (*from, *length) = (self.output.kept, 0);
                        *held = Vec::new();
                        begun_anew = true;
                    }
                }
                Some(Follower::Cut(_)) | None => {}
            }
        }
        begun_anew
    }

    /// Paints the viewers that need it, have read what they got, and may be painted again.
    pub(super) fn paint(&mut self, now: Instant) {
        if self.output.flush_at.is_some() {
            return;
        }
        for client in &mut self.clients {
            let wants =
                client.viewer.as_ref().is_some_and(|v| v.needs_picture && v.not_before.is_none_or(|at| at <= now));
            if wants && !client.wants_write() {
                picture(client, &mut self.output, now);
            }
        }
    }

    /// When [`Keeper::paint`] has something to do.
    pub(super) fn paint_deadline(&self, now: Instant) -> Option<Instant> {
        if self.output.flush_at.is_some() {
            return None;
        }
        let ready = self.clients.iter().filter(|client| !client.wants_write());
        let waiting = ready.filter_map(|client| client.viewer.as_ref().filter(|v| v.needs_picture));
        waiting.map(|viewer| viewer.not_before.unwrap_or(now)).min()
    }

    /// Gives terminal and screen another size.
    pub(super) fn resize(&mut self, columns: u16, rows: u16) {
        if (columns, rows) == self.output.size() {
            return;
        }
        self.output.resize(columns, rows);
        // The engine takes a history's worth for it.
        process::give_back_memory();
        let (columns, rows) = self.output.size();
        if let Err(error) = self.terminal.resize(columns, rows) {
            log(&format!("the terminal cannot be resized: {error}"));
        }
        self.recorder.resize(columns, rows);
        for viewer in self.clients.iter_mut().filter_map(|client| client.viewer.as_mut()) {
            viewer.paint_anew();
        }
        self.tell_status();
    }

    /// Programs are told what the terminal of who types looks like.
    pub(super) fn set_looks(&mut self, looks: Looks) {
        self.output.set_looks(looks);
        self.terminal.set_cell(looks.cell);
        let (columns, rows) = self.output.size();
        if let Err(error) = self.terminal.resize(columns, rows) {
            log(&format!("the terminal cannot be told its pixels: {error}"));
        }
    }

    /// A client wants output from now on, once all before is in the files.
    pub(super) fn follow(&mut self, index: usize, skipped: Option<u64>) {
        let from = self.output.kept;
        self.clients[index].follower = Some(Follower::Waiting { from, skipped, held: Vec::new(), length: 0 });
        match self.stage {
            Stage::Over(_) => self.caught_up(from),
            // All is in the files when the record is.
            Stage::Recording => {}
            _ => self.recorder.flush(),
        }
    }

    /// The recorder has done something.
    pub(super) fn take_progress(&mut self, now: Instant) {
        let progress = self.recorder.progress();
        if let Some(offset) = progress.flushed {
            self.caught_up(offset);
        }
        if let Some(record) = progress.exited {
            self.caught_up(self.output.kept);
            self.over(record, now);
        }
    }

    /// Everything before `flushed` is in the files.
    fn caught_up(&mut self, flushed: u64) {
        for client in &mut self.clients {
            match client.follower.take() {
                Some(Follower::Waiting { from, skipped, held, .. }) if from <= flushed => {
                    client.send(&match skipped {
                        Some(cut) => FromKeeper::Skipped { from: cut, to: from },
                        None => FromKeeper::Following { offset: from },
                    });
                    held.iter().for_each(|frame| client.stream(frame));
                    client.follower = Some(Follower::Streaming);
                }
                other => client.follower = other,
            }
        }
    }

    /// Followers that were cut off and have read all they got go on.
    pub(super) fn revive_followers(&mut self, now: Instant) {
        for index in 0..self.clients.len() {
            let client = &self.clients[index];
            if let (Some(Follower::Cut(from)), false) = (&client.follower, client.wants_write()) {
                let from = *from;
                self.follow(index, Some(from));
                self.dismiss_late(index, now);
            }
        }
    }

    /// Tells all who look on how it ended, after the last of the output.
    pub(super) fn dismiss_clients(&mut self, exited: &FromKeeper, now: Instant) {
        for index in 0..self.clients.len() {
            self.dismiss(index, exited, now);
        }
    }

    /// Tells one that has come, or caught up, after the end.
    pub(super) fn dismiss_late(&mut self, index: usize, now: Instant) {
        if let Stage::Over(record) = &self.stage {
            let exited = FromKeeper::Exited(record.clone());
            self.dismiss(index, &exited, now);
        }
    }

    fn dismiss(&mut self, index: usize, exited: &FromKeeper, now: Instant) {
        let client = &mut self.clients[index];
        if client.viewer.as_ref().is_some_and(|viewer| viewer.needs_picture) {
            client.drop_stream();
            picture(client, &mut self.output, now);
        }
        if client.viewer.is_some() {
            client.send(&FromKeeper::Below { row: self.output.below() });
        }
        // One that was cut off is told when it has caught up.
        if client.viewer.is_some() || matches!(client.follower, Some(Follower::Streaming)) {
            client.send(exited);
            // There is nothing more to see.
            (client.viewer, client.follower) = (None, None);
        }
    }
}

/// Its terminal is as large as the screen, or is none: what the program writes means the
/// same there.
fn fits(viewer: &Viewer, size: (u16, u16)) -> bool {
    let Viewer { attach, .. } = viewer;
    !attach.pictures && (attach.columns == 0 || (attach.columns, attach.rows) == size)
}

/// Queues a picture, and what must follow it so that the stream can go on from there.
fn picture(client: &mut Client, output: &mut Output, now: Instant) {
    let Some(viewer) = &mut client.viewer else { return };
    let size = output.size();
    let fits = fits(viewer, size);
    let theirs = if viewer.attach.columns == 0 { size } else { (viewer.attach.columns, viewer.attach.rows) };
    let history = std::mem::take(&mut viewer.history_lines);
    viewer.needs_picture = false;
    viewer.not_before = Some(now + PICTURE_EVERY);
    let offset = output.offset;
    let bytes = if fits {
        viewer.canvas.spoil();
        output.guard(|screen| screen.picture(theirs, history))
    } else {
        let mut canvas = std::mem::take(&mut viewer.canvas);
        let bytes = output.guard(|screen| screen.paint(&mut canvas, theirs, history));
        viewer.canvas = canvas;
        bytes
    };
    let (mut part, mut rest) = bytes.split_at(bytes.len().min(PICTURE_PART));
    client.send(&FromKeeper::Picture { offset, bytes: part.to_vec() });
    while part.len() == PICTURE_PART {
        (part, rest) = rest.split_at(rest.len().min(PICTURE_PART));
        client.send(&FromKeeper::Output { offset, bytes: part.to_vec() });
    }
    let ground = if fits && !output.screen.at_ground() { output.screen.since_ground() } else { &[] };
    for part in ground.chunks(MAX_OUTPUT) {
        client.send(&FromKeeper::Output { offset, bytes: part.to_vec() });
    }
}
