//! The recorder: one thread that owns the files, so that the loop never waits for a disk.
//! A bounded queue lies between them; when it is full, output becomes a gap.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::time::{ClockId, clock_gettime};

use super::{Complaint, KEEP_BYTES};
use crate::clock::Timestamp;
use crate::durable;
use crate::paths::SessionDir;
use crate::place::Place;
use crate::process;
use crate::protocol::exit::ExitRecord;
use crate::protocol::launch::RecordingLimits;
use crate::recording::Writer;
use crate::recording::input::{MAX_INPUT, Typist};

/// Output that may wait for the disk: a tenth of a second of the fastest program, and
/// minutes of an agent.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// After an overflow the queue must have drained to this, so that gaps are few and long
/// rather than many and short.
const RESUME_BYTES: usize = QUEUE_BYTES / 2;
/// Items that may wait before a new size is left out, and output counts as of the moment of
/// that before it. Gaps are one at most between two of these; flushes come from clients,
/// which are few.
const QUEUE_ITEMS: usize = 64 * 1024;
/// Output waits so long for more before the thread is woken: a write for each key or line
/// would cost more than what is written, and wake the thread in the way of the echo.
const GATHER: Duration = Duration::from_millis(5);
/// And no longer than until there is so much.
const GATHER_BYTES: usize = 256 * 1024;
/// Nothing was recorded for this long: there is time to compress. A program that prints all
/// the time needs the processor more.
const CALM: Duration = Duration::from_millis(500);
/// Enough for a hash, a path and a JSON record, several times.
const STACK: usize = 128 * 1024;
/// Pause between tries to write the exit record to a disk that fails.
const RECORD_RETRY: Duration = Duration::from_secs(1);

/// The loop's side.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    /// When the recording began, since the machine was started.
    began: Duration,
    /// The queue overflowed and has not drained yet.
    overflowed: bool,
    /// When the thread is to be told of what waits.
    wake_at: Option<Instant>,
}

/// What the recorder has done since it was last asked.
#[derive(Debug, Default)]
pub struct Progress {
    /// All output before this offset is in the files, where a flush asked for it.
    pub flushed: Option<u64>,
    /// The exit record as it lies on disk, durable.
    pub exited: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Wakes the loop.
    event: EventFd,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    /// The thread waits.
    idle: bool,
    progress: Progress,
    lost: u64,
}

#[derive(Debug, Default)]
struct Queue {
    items: Vec<(u32, Item)>,
    /// The bytes of all `Item::Output` and `Item::Input`, one after the other.
    bytes: Vec<u8>,
}

impl Queue {
    /// Empty, it need not keep what it needed once.
    fn give_back(&mut self) {
        self.bytes.shrink_to(KEEP_BYTES);
        self.items.shrink_to(KEEP_BYTES / size_of::<(u32, Item)>());
    }
}

#[derive(Debug)]
enum Item {
    Output(usize),
    Gap(u64),
    Resize(u16, u16),
    /// Who, bytes of text, and how many more were typed.
    Input(Typist, usize, u64),
    Hidden(Typist, u64),
    Flush,
    Finish(Box<ExitRecord>),
}

impl Recorder {
    /// Starts the thread. The clock of the recording begins now.
    ///
    /// # Errors
    /// When there can be no thread, or the directory cannot be opened.
    pub fn start(dir: &SessionDir, limits: RecordingLimits) -> io::Result<Recorder> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), event });
        let theirs = Arc::clone(&shared);
        let place = Place::of(dir)?;
        let writer = Writer::new(place.dir.path().to_owned(), limits, Timestamp::now());
        std::thread::Builder::new()
            .name("recorder".into())
            .stack_size(STACK)
            .spawn(move || work(&theirs, writer, &place))?;
        Ok(Recorder { shared, began: since_boot(), overflowed: false, wake_at: None })
    }

    /// Records output; what does not fit into the queue is noted as lost.
    pub fn output(&mut self, bytes: &[u8]) {
        let ms = self.ms();
        let mut state = self.shared.lock();
        let waiting = state.queue.bytes.len();
        self.overflowed = waiting + bytes.len() > QUEUE_BYTES || (self.overflowed && waiting > RESUME_BYTES);
        if self.overflowed {
            state.lost += bytes.len() as u64;
            match state.queue.items.last_mut() {
                Some((_, Item::Gap(length))) => *length += bytes.len() as u64,
                _ => state.queue.items.push((ms, Item::Gap(bytes.len() as u64))),
            }
        } else {
            state.queue.bytes.extend_from_slice(bytes);
            // Of a disk that hangs the moments become coarse, so that they take little room.
            let many = state.queue.items.len() >= QUEUE_ITEMS;
            match state.queue.items.last_mut() {
                Some((at, Item::Output(length))) if *at == ms || many => *length += bytes.len(),
                _ => state.queue.items.push((ms, Item::Output(bytes.len()))),
            }
        }
        let enough = state.queue.bytes.len() >= GATHER_BYTES || self.overflowed;
        drop(state);
        self.gather(enough);
    }

    /// When [`Recorder::wake`] has something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Tells the thread of what has waited long enough.
    pub fn wake(&mut self, now: Instant) {
        if self.wake_at.is_some_and(|at| at <= now) {
            self.wake_at = None;
            self.shared.wake(self.shared.lock());
        }
    }

    /// Something waits that need not be written at once unless there is enough of it.
    fn gather(&mut self, enough: bool) {
        if enough {
            self.wake_at = None;
            self.shared.wake(self.shared.lock());
        } else {
            self.wake_at.get_or_insert_with(|| Instant::now() + GATHER);
        }
    }

    /// Notes a new size of the screen.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.push(Item::Resize(columns, rows));
    }

    /// Notes what was typed, `more` bytes beyond `text` included. When there is much to do
    /// only how much it was.
    pub fn input(&mut self, by: Typist, text: &[u8], more: u64) {
        let ms = self.ms();
        let mut state = self.shared.lock();
        if state.queue.items.len() < QUEUE_ITEMS {
            let room = QUEUE_BYTES.saturating_sub(state.queue.bytes.len());
            let (text, beyond) = text.split_at(text.len().min(MAX_INPUT).min(room));
            state.queue.bytes.extend_from_slice(text);
            state.queue.items.push((ms, Item::Input(by, text.len(), more + beyond.len() as u64)));
        }
        drop(state);
        self.gather(false);
    }

    /// Notes that so many bytes were typed that nobody is to see.
    pub fn hidden(&self, by: Typist, bytes: u64) {
        self.push(Item::Hidden(by, bytes));
    }

    /// Asks to be told when everything so far is in the files.
    pub fn flush(&self) {
        self.push(Item::Flush);
    }

    /// Ends the recording: fills in what it knows about it, makes the exit record
    /// durable, then says so.
    pub fn finish(&self, record: ExitRecord) {
        self.push(Item::Finish(Box::new(record)));
    }

    /// What was done since this was last asked.
    pub fn progress(&self) -> Progress {
        // Reading only resets the event; nothing there is no error.
        let _ = self.shared.event.read();
        std::mem::take(&mut self.shared.lock().progress)
    }

    /// Bytes of output that could not be recorded so far.
    pub fn lost(&self) -> u64 {
        self.shared.lock().lost
    }

    fn push(&self, item: Item) {
        let ms = self.ms();
        let mut state = self.shared.lock();
        if state.queue.items.len() < QUEUE_ITEMS || matches!(item, Item::Flush | Item::Finish(_)) {
            state.queue.items.push((ms, item));
        }
        self.shared.wake(state);
    }

    fn ms(&self) -> u32 {
        u32::try_from(since_boot().saturating_sub(self.began).as_millis()).unwrap_or(u32::MAX)
    }
}

/// A clock that also runs while the machine is suspended: a recording tells when things
/// were.
fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

impl AsRawFd for Recorder {
    /// Readable when there is [`Recorder::progress`].
    fn as_raw_fd(&self) -> RawFd {
        self.shared.event.as_raw_fd()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; were it so, the state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::take(&mut state.idle) {
            drop(state);
            self.changed.notify_one();
        }
    }

    fn tell(&self) {
        // Only full when nobody has read 2^64 of them.
        let _ = self.event.write(1);
    }
}

/// The thread. Takes all that waits at once, so that a slow disk gets few large writes; while
/// nothing waits it compresses.
fn work(shared: &Shared, mut writer: Writer, place: &Place) {
    let mut batch = Queue::default();
    let mut complaint = Complaint::default();
    let mut compressed = false;
    let mut last = Instant::now();
    loop {
        let mut state = shared.lock();
        while state.queue.items.is_empty() {
            let calm_in = CALM.saturating_sub(last.elapsed());
            if calm_in.is_zero() && writer.can_compress() {
                drop(state);
                writer.compress();
                complain(&mut writer, &mut complaint);
                compressed = true;
                state = shared.lock();
                continue;
            }
            if std::mem::take(&mut compressed) {
                process::give_back_memory();
            }
            batch.give_back();
            state.queue.give_back();
            state.idle = true;
            let changed = &shared.changed;
            state = if writer.can_compress() {
                changed.wait_timeout(state, calm_in).map_or_else(|e| e.into_inner().0, |(state, _)| state)
            } else {
                changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
        last = Instant::now();
        state.idle = false;
        std::mem::swap(&mut state.queue, &mut batch);
        drop(state);

        let lost = writer.lost();
        let mut gaps = 0;
        let mut rest = batch.bytes.as_slice();
        let mut flush = false;
        let mut record = None;
        for (ms, item) in batch.items.drain(..) {
            match item {
                Item::Output(length) => {
                    let (bytes, after) = rest.split_at(length.min(rest.len()));
                    writer.output(ms, bytes);
                    rest = after;
                }
                Item::Gap(bytes) => {
                    writer.gap(ms, bytes);
                    gaps += bytes;
                }
                Item::Resize(columns, rows) => writer.resize(ms, columns, rows),
                Item::Input(by, length, more) => {
                    let (text, after) = rest.split_at(length.min(rest.len()));
                    writer.input(ms, by, text, more);
                    rest = after;
                }
                Item::Hidden(by, bytes) => writer.hidden(ms, by, bytes),
                Item::Flush => flush = true,
                Item::Finish(finished) => record = Some(finished),
            }
        }
        if record.is_some() {
            writer.finish();
        } else {
            writer.flush();
        }
        complain(&mut writer, &mut complaint);
        batch.bytes.clear();

        let mut state = shared.lock();
        // The queue's own gaps were counted when they were made.
        state.lost += writer.lost() - lost - gaps;
        if flush {
            state.progress.flushed = Some(writer.offset());
        }
        drop(state);
        if flush {
            shared.tell();
        }
        if let Some(mut record) = record {
            record.recording_bytes = writer.offset();
            record.recording_sha256 = writer.sha256();
            record.recording_lost = writer.lost();
            // Plain fields: this cannot fail.
            let json = serde_json::to_vec_pretty(&*record).unwrap_or_default();
            while let Err(error) = durable::write(&place.dir.exit(), &json) {
                if place.is_gone() {
                    complaint.log(format!("the exit record cannot be written, its directory was removed: {error}"));
                    break;
                }
                complaint.log(format!("the exit record cannot be written, trying again and again: {error}"));
                std::thread::park_timeout(RECORD_RETRY);
            }
            shared.lock().progress.exited = Some(json);
            shared.tell();
            return;
        }
    }
}

fn complain(writer: &mut Writer, complaint: &mut Complaint) {
    if let Some(error) = writer.take_error() {
        complaint.log(format!("the recording cannot be written: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::id::Uid;
    use crate::protocol::exit::{ExitReason, VERSION};
    use crate::task::Exit;

    fn record() -> ExitRecord {
        ExitRecord {
            v: VERSION,
            session: "42.1".parse().unwrap(),
            uid: Uid::new(),
            reason: ExitReason::Ended,
            exit: Exit::default(),
            error: None,
            started_at: None,
            ended_at: Timestamp(0),
            recording_bytes: 0,
            recording_sha256: String::new(),
            recording_lost: 0,
            leftovers: 0,
            used: None,
            boot_id: String::new(),
        }
    }

    fn wait(recorder: &Recorder, mut pick: impl FnMut(Progress) -> bool) {
        let limit = Duration::from_secs(20);
        loop {
            assert!(crate::socket::readable(&recorder.shared.event, limit).unwrap());
            if pick(recorder.progress()) {
                return;
            }
        }
    }

    /// A disk that hangs: opening a pipe nobody reads does so until somebody does.
    #[test]
    fn output_never_waits_for_a_disk_and_what_was_lost_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = crate::recording::segment(dir.path(), 1);
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let limits = RecordingLimits { max_bytes: 1 << 30, segment_bytes: 1 << 20 };
        let mut recorder = Recorder::start(&SessionDir(dir.path().to_owned()), limits).unwrap();
        let part = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            recorder.output(&part);
        }
        // The first megabytes may be in the thread's hands, the queue holds eight.
        let lost = recorder.lost();
        assert!((4 << 20..20 << 20).contains(&lost), "{lost}");
        recorder.finish(record());
        drop(File::open(&pipe).unwrap());
        let mut told = Vec::new();
        wait(&recorder, |progress| {
            progress.exited.is_some_and(|json| {
                told = json;
                true
            })
        });
        let written: ExitRecord = serde_json::from_slice(&told).unwrap();
        assert_eq!(written.recording_bytes, 20 << 20);
        assert_eq!(written.recording_lost, recorder.lost());
        assert!(written.recording_lost >= lost);
        assert_eq!(std::fs::read(dir.path().join("exit.json")).unwrap(), told);
    }

    #[test]
    fn the_record_follows_a_directory_that_is_moved_and_is_told_when_it_is_gone() {
        let limits = RecordingLimits { max_bytes: 1 << 30, segment_bytes: 1 << 20 };
        for gone in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (here, there) = (dir.path().join("here"), dir.path().join("there"));
            std::fs::create_dir(&here).unwrap();
            let mut recorder = Recorder::start(&SessionDir(here.clone()), limits).unwrap();
            if gone {
                std::fs::remove_dir_all(&here).unwrap();
            } else {
                std::fs::rename(&here, &there).unwrap();
            }
            recorder.output(b"hello");
            recorder.finish(record());
            wait(&recorder, |progress| progress.exited.is_some());
            assert_eq!(there.join("exit.json").exists(), !gone);
        }
    }

    #[test]
    fn a_flush_is_told_when_all_before_it_is_in_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let limits = RecordingLimits { max_bytes: 1 << 30, segment_bytes: 1 << 20 };
        let mut recorder = Recorder::start(&SessionDir(dir.path().to_owned()), limits).unwrap();
        recorder.output(b"hello");
        recorder.flush();
        wait(&recorder, |progress| progress.flushed == Some(5));
        assert_eq!(std::fs::read(crate::recording::segment(dir.path(), 1)).unwrap(), b"hello");
        recorder.finish(record());
        wait(&recorder, |progress| progress.exited.is_some());
    }
}
