//! What is said between a keeper and its daemon or clients. Append-only: old keepers meet
//! new daemons and new clients. Message types and their bytes never change; a message may
//! get more fields at its end, which older readers ignore; unknown types are skipped by
//! their length.

mod wire;

use crate::id::Uid;

pub use wire::{BadMessage, MAX_FRAME, Whole, output, split};

/// The version this code speaks. Raised when messages or fields are added.
pub const VERSION: u16 = 5;
/// Most output bytes in one frame, so that keys never wait long behind output.
pub const MAX_OUTPUT: usize = 64 * 1024;
/// Bytes of a picture in its first frame. One of so many goes on as output, in parts of so
/// many, up to one that is shorter.
pub const PICTURE_PART: usize = MAX_FRAME - 64;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// The daemon: gives orders. There is one; a newer generation replaces an older.
    Controller = 1,
    /// A client: attaches, asks for the screen, sends keys.
    Client = 2,
}

/// How hard a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum How {
    /// Interrupt, then terminate, then kill.
    Gently = 1,
    /// Kill.
    Now = 2,
}

/// How a client attaches.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Attach {
    /// Only watches; its size does not count.
    pub read_only: bool,
    /// Detaches every other client first.
    pub takeover: bool,
    /// Never gets the stream, only pictures: its terminal is larger than it says, with lines
    /// of the client's own. Unknown to keepers before version 2.
    pub pictures: bool,
    /// Send lines that have scrolled off before the picture, at most this many.
    pub history_lines: u32,
    /// Columns of its terminal; 0 when not a terminal.
    pub columns: u16,
    /// Rows of its terminal.
    pub rows: u16,
}

/// To a keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToKeeper {
    /// First on each connection. A controller's generation must be at least the highest
    /// the keeper has seen, and becomes it.
    Hello {
        /// [`VERSION`].
        version: u16,
        /// What the connection is for.
        role: Role,
        /// The daemon's generation; 0 for clients.
        generation: u64,
    },
    /// Start the program. A second Go, or a Go after a Stop, does nothing.
    Go {
        /// The daemon's generation.
        generation: u64,
        /// Rising number of the order.
        order: u64,
    },
    /// End the session's whole tree. Before the program was started this latches: a later
    /// Go is refused.
    Stop {
        /// The daemon's generation.
        generation: u64,
        /// Rising number of the order.
        order: u64,
        /// How hard.
        how: How,
    },
    /// Freeze the tree, or let it run on.
    Freeze {
        /// The daemon's generation.
        generation: u64,
        /// Rising number of the order.
        order: u64,
        /// Freeze or thaw.
        frozen: bool,
    },
    /// The exit is in the daemon's database: leave.
    Acknowledge {
        /// The daemon's generation.
        generation: u64,
        /// Rising number of the order.
        order: u64,
    },
    /// Attach this client.
    Attach(Attach),
    /// Keys of an attached client, as its terminal sent them.
    Input(Vec<u8>),
    /// The client's terminal has a new size.
    Resize {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
    /// Send the picture again (the client's terminal was garbled or it skipped output).
    Repaint,
    /// What does the screen show? Answered by `Screen`.
    Screen {
        /// With colours and attributes as escape sequences.
        ansi: bool,
    },
    /// Type for a client that is not attached. Answered by `Done` once it is written to
    /// the terminal.
    Send {
        /// As a paste, where the program asked for pastes to be marked.
        paste: bool,
        /// Enter after it, as a write of its own once the text was echoed.
        enter: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Detach every attached client. Answered by `Done`.
    DetachAll,
    /// Send output from now on exactly as it is recorded, without a picture. Answered by
    /// `Following`.
    Follow,
    /// How is the session? Answered by `Status`.
    Status,
    /// Variables added to the environment of each step, from a controller, before Go.
    /// Secrets: never written down.
    Environment(Vec<(String, String)>),
    /// What the client's terminal looks like, for the program's questions.
    Looks(Looks),
    /// In which row will the cursor be below all that is shown, once the alternate screen is
    /// left? Answered by `Below`; not at all by keepers before version 2.
    Below,
    /// Values that are blotted out of what is kept, from a controller, before Go. Since
    /// version 3.
    Blot(Vec<String>),
    /// A text without those values, for what is kept elsewhere. Answered by `Redacted`. Since
    /// version 4.
    Redact(Vec<u8>),
    /// What do the session's processes use? Answered by `Usage`. Since version 5.
    Measure,
}

/// What programs may ask of the terminal they believe to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looks {
    /// The text's colour: red, green, blue.
    pub foreground: [u8; 3],
    /// The background's colour.
    pub background: [u8; 3],
    /// The cursor's colour.
    pub cursor: [u8; 3],
    /// Width and height of a cell in pixels; not known where one is 0.
    pub cell: (u16, u16),
}

/// A dark terminal.
impl Default for Looks {
    fn default() -> Self {
        Looks { foreground: [0xe5; 3], background: [0; 3], cursor: [0xe5; 3], cell: (0, 0) }
    }
}

/// From a keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromKeeper {
    /// First on each connection, after the other side's; unasked on the connection the
    /// keeper was born with, where it means that the keeper is ready.
    Hello(KeeperHello),
    /// The program runs.
    Started {
        /// Its process id.
        pid: u32,
        /// Its start time, clock ticks since boot (field 22 of /proc/PID/stat).
        start: u64,
    },
    /// The program has ended: the exit record as JSON.
    Exited(Vec<u8>),
    /// Output of the program.
    Output {
        /// Bytes the program had written before these.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Paints the whole screen, with all modes; output follows from `offset`.
    Picture {
        /// Bytes the program had written when it was made.
        offset: u64,
        /// Escape sequences for the client's terminal.
        bytes: Vec<u8>,
    },
    /// The screen as text.
    Screen {
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
        /// UTF-8, a line each.
        text: Vec<u8>,
    },
    /// How the session is; to controllers also whenever it changes.
    Status(KeeperStatus),
    /// It was not done: why, for a person.
    Refused {
        /// The kind.
        code: RefusedCode,
        /// For a person.
        reason: String,
    },
    /// It is done.
    Done,
    /// Output between these offsets was not sent; it is in the recording.
    Skipped {
        /// First byte left out.
        from: u64,
        /// First byte after the gap.
        to: u64,
    },
    /// This client is no longer attached.
    Detached {
        /// Why, for a person.
        reason: String,
    },
    /// Output follows from this offset.
    Following {
        /// Bytes written so far; all of them are in the recording's files.
        offset: u64,
    },
    /// The first row, from 0, below all that the primary screen shows; also sent before
    /// `Exited`.
    Below {
        /// The row; that of the screen's height when there is none.
        row: u16,
    },
    /// To controllers: a program inside a session was refused something. Since version 3.
    Intruder {
        /// Its process.
        pid: u32,
        /// What it asked for, in a word.
        what: String,
    },
    /// The text that was asked for. Since version 4.
    Redacted(Vec<u8>),
    /// What the session's processes use. Since version 5.
    Usage(Usage),
}

/// Who the keeper is and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeeperHello {
    /// Its [`VERSION`].
    pub version: u16,
    /// Its process id.
    pub pid: u32,
    /// Its start time, clock ticks since boot.
    pub start: u64,
    /// The highest generation it has seen.
    pub generation: u64,
    /// How far it has come.
    pub phase: Phase,
    /// The program's process id, 0 before and after.
    pub child: u32,
    /// The session's identity.
    pub uid: Uid,
    /// Its program's version, for people.
    pub build: String,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The program was not started; Go may come.
    NotStarted = 1,
    /// The program was started.
    Started = 2,
    /// The program has ended; `Exited` follows.
    Exited = 3,
}

/// How a session is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KeeperStatus {
    /// Columns of the screen.
    pub columns: u16,
    /// Rows of the screen.
    pub rows: u16,
    /// Attached clients that may type.
    pub writers: u32,
    /// Attached clients that only watch.
    pub watchers: u32,
    /// Bytes the program has written.
    pub bytes: u64,
    /// Bytes that could not be recorded.
    pub lost: u64,
    /// The tree is frozen.
    pub frozen: bool,
    /// The program has rung the bell, or sent a notification, since somebody last typed.
    pub rang: bool,
    /// Milliseconds since the program last wrote; since the keeper's start if it has not.
    pub quiet_ms: u64,
    /// The window title the program has set, or empty.
    pub title: String,
    /// Milliseconds that the program has run, without those in which it was frozen or the
    /// machine slept. Not known before version 3.
    pub ran_ms: Option<u64>,
}

/// What the processes of a session use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// Processor time of all of them, those that have ended included, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory now, in bytes; pages that several share count for each.
    pub memory_bytes: u64,
    /// Processes now.
    pub processes: u32,
    /// The most memory there was at a time, as far as anybody has looked.
    pub peak_memory_bytes: u64,
    /// The most processes there were at a time, as far as anybody has looked.
    pub peak_processes: u32,
}

/// Why a keeper refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RefusedCode {
    /// The order carries a generation lower than one seen; the text begins with the
    /// highest, in decimal.
    Generation = 1,
    /// It was stopped before the program was started.
    Latched = 2,
    /// Not possible now.
    State = 3,
    /// Another client types; `--takeover` or `-r` helps.
    Busy = 4,
    /// The message makes no sense on this connection.
    Protocol = 5,
    /// Too many clients or bytes.
    Limit = 6,
    /// Not for a program inside a session. Since version 3.
    Agent = 7,
}

#[cfg(test)]
mod tests;
