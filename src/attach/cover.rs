//! What of ours may lie over a session's picture.

use super::chooser::Chooser;
use super::line::Line;
use super::scroll::Scroll;
use crate::id::SessionName;

/// What of ours lies over the picture.
#[derive(Debug)]
pub(super) enum Cover {
    /// Nothing: output goes to the terminal.
    None,
    /// Nothing any more, but the picture asked for has not come yet.
    Lifted,
    /// Something to read; any key takes it away.
    Notice,
    /// The question whether to end the session.
    End,
    /// A command being typed.
    Command(Line),
    /// The list of sessions.
    Chooser(Box<Chooser>),
    /// What has scrolled off.
    Scroll(Box<Scroll>),
}

impl Cover {
    /// The session is shown, or will be as soon as its picture comes.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Cover::None | Cover::Lifted)
    }

    /// It takes every key until it is left, not only the next.
    pub(super) fn takes_all_keys(&self) -> bool {
        matches!(self, Cover::Command(_) | Cover::Chooser(_) | Cover::Scroll(_))
    }

    /// It has the terminal for itself: nothing of the picture is left to be seen.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Cover::Chooser(_) | Cover::Scroll(_))
    }
}

/// What a key has led to in one that takes all keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is to be painted again.
    Stay,
    /// The key means nothing there.
    Bell,
    /// It is to be taken away.
    Back,
    /// To another session.
    To(SessionName),
    /// The user's clipboard gets this.
    Copy {
        /// What.
        text: String,
        /// And it is taken away.
        back: bool,
    },
}
