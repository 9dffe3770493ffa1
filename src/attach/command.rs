//! What the user orders while attached: keys after the prefix, commands that are typed, and
//! what they bring over the picture.

use std::ops::ControlFlow::{Break, Continue};

use base64::Engine as _;

use super::chooser::Chooser;
use super::cover::{Cover, Outcome};
use super::keys::Key;
use super::line::{Line, Typed};
use super::run::{Flow, Loop};
use super::scroll::Scroll;
use super::{How, notice, open};
use crate::client::find;
use crate::id::SessionName;
use crate::place::Place;
use crate::protocol::Fault;
use crate::protocol::keeper::{Attach, FromKeeper, KeeperStatus, ToKeeper};
use crate::screen;

/// Most bytes that are copied: terminals take no more, or far less.
const COPY_MAX: usize = 512 * 1024;

/// A terminal of its own for what covers all: nothing of the session's modes, the alternate
/// screen, the wheel as arrow keys.
const WHOLE: &[u8] = b"\x1b[?1049h\x1b[?1007h";
/// What is pasted is told from keys.
const PASTES: &[u8] = b"\x1b[?2004h";
/// Back from it, but for the picture that follows.
const NOT_WHOLE: &[u8] = b"\x1b[?1007r";

/// What can be ordered, by key and by name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Order {
    Detach,
    Next,
    Previous,
    Choose,
    Scroll,
    Status,
    Redraw,
    Alone,
    End,
    Help,
    Type,
    Attach(SessionName),
}

impl Order {
    /// Others, or the program, notice: not for who only watches.
    fn disturbs(&self) -> bool {
        matches!(self, Order::Alone | Order::End)
    }
}

/// The orders that take nothing, with their keys, names, and what they do.
const ORDERS: [(char, &str, Order, &str); 11] = [
    ('d', "detach", Order::Detach, "detach; the session runs on"),
    ('n', "next", Order::Next, "next session"),
    ('p', "previous", Order::Previous, "previous session"),
    ('w', "choose", Order::Choose, "choose a session from the list"),
    ('[', "scroll", Order::Scroll, "scroll back, search, copy"),
    ('s', "status", Order::Status, "a line with the session's name, or none"),
    ('r', "redraw", Order::Redraw, "paint the screen anew"),
    ('D', "alone", Order::Alone, "detach all others"),
    ('x', "end", Order::End, "end the session gently; once more: at once"),
    (':', "", Order::Type, "type one of these by its name, or attach NAME"),
    ('?', "help", Order::Help, "this list"),
];

/// Reads a command that was typed: the beginning of a name is enough where it is the only
/// one.
fn parse(text: &str) -> Result<Order, String> {
    let text = text.trim();
    let (verb, rest) = text.split_once(' ').map_or((text, ""), |(verb, rest)| (verb, rest.trim()));
    if verb == "attach" {
        return rest.parse().map(Order::Attach).map_err(|_| format!("attach takes a session's name, not '{rest}'"));
    }
    let named = || ORDERS.iter().filter(|(_, name, ..)| !name.is_empty());
    let exact = named().find(|(_, name, ..)| *name == verb);
    let mut begun = named().filter(|(_, name, ..)| name.starts_with(verb));
    match (exact.or_else(|| begun.next()), begun.next()) {
        (Some((_, name, order, _)), other) if *name == verb || other.is_none() => match rest {
            "" => Ok(order.clone()),
            _ => Err(format!("{name} takes nothing more")),
        },
        (Some(_), Some(_)) => Err(format!("'{verb}' may mean several commands")),
        _ => Err(format!("there is no command '{verb}': type help")),
    }
}

impl Loop<'_> {
    /// A key of ours.
    pub(super) fn key(&mut self, key: Key) -> Flow {
        let after_prefix = std::mem::take(&mut self.after_prefix);
        let is_prefix = self.options.prefix.key() == key;
        if self.cover.is_nothing() || (after_prefix && !is_prefix) {
            return self.command(key);
        }
        // Whatever lies over the picture, the prefix is the prefix; typed twice it is a key.
        if is_prefix && !after_prefix {
            self.after_prefix = true;
            self.keys.ask();
            return Continue(());
        }
        let outcome = match &mut self.cover {
            Cover::None | Cover::Lifted => return Continue(()),
            Cover::Notice => Outcome::Back,
            Cover::End => {
                if !matches!(key, Key::Char('y' | 'Y')) {
                    return self.lift();
                }
                // Who asks again does not want to wait any longer.
                let now = self.ending.as_ref() == Some(&self.session);
                return match (self.end)(&self.session, now) {
                    Ok(()) => {
                        self.ending = Some(self.session.clone());
                        self.lift()
                    }
                    Err(fault) => self.fault(&fault),
                };
            }
            Cover::Command(line) => match line.key(key) {
                Typed::On => Outcome::Stay,
                Typed::Dropped => Outcome::Back,
                Typed::Done(text) if text.trim().is_empty() => Outcome::Back,
                Typed::Done(text) => {
                    return match parse(&text) {
                        Ok(order) => self.order_over(order),
                        Err(why) => self.notice(&[why]),
                    };
                }
            },
            Cover::Chooser(chooser) => chooser.key(key),
            Cover::Scroll(scroll) => scroll.key(key),
        };
        match outcome {
            Outcome::Stay => self.paint_cover(),
            Outcome::Bell => {
                self.keys.ask();
                self.bell()?;
            }
            Outcome::Back => return self.lift(),
            Outcome::To(session) if session == self.session => return self.lift(),
            Outcome::To(session) => return self.switch(session),
            Outcome::Copy { text, back } => {
                self.copy(&text);
                if back {
                    return self.lift();
                }
                self.paint_cover();
            }
        }
        Continue(())
    }

    /// A key after the prefix.
    fn command(&mut self, key: Key) -> Flow {
        let order = match key {
            Key::Char(c) => ORDERS.iter().find(|(key, ..)| *key == c).map(|(.., order, _)| order.clone()),
            _ => None,
        };
        match order {
            Some(order) => self.order_over(order),
            None => {
                // What asks for keys goes on asking.
                if !self.cover.is_nothing() {
                    self.keys.ask();
                }
                if key == Key::Escape { Continue(()) } else { self.bell() }
            }
        }
    }

    /// Carries out an order, with what lies over the picture taken away first, unless
    /// something else comes in its place.
    fn order_over(&mut self, order: Order) -> Flow {
        if !self.cover.is_nothing() && !matches!(order, Order::Help | Order::End | Order::Type) {
            self.lift()?;
        }
        self.order(order)
    }

    fn order(&mut self, order: Order) -> Flow {
        if self.options.read_only && order.disturbs() {
            return self.notice(&[format!("session {} is only watched from here", self.session)]);
        }
        match order {
            Order::Detach => return Break(How::Detached(None)),
            Order::Next => return self.switch_by(1),
            Order::Previous => return self.switch_by(-1),
            Order::Attach(session) => return self.switch(session),
            Order::Choose => match Chooser::open(self.paths, &self.session, self.options.inside.as_ref()) {
                Ok(chooser) => self.cover_with(Cover::Chooser(Box::new(chooser))),
                Err(fault) => return self.fault(&fault),
            },
            Order::Scroll => match Scroll::open(self.paths, &self.session, self.screen) {
                Ok(scroll) => self.cover_with(Cover::Scroll(Box::new(scroll))),
                Err(fault) => return self.fault(&fault),
            },
            Order::Status if !self.link.knows_pictures() => {
                return self.notice(&["this session was started by an older version, which spares no row".to_owned()]);
            }
            Order::Status => {
                self.options.status = !self.options.status;
                self.bar();
                self.attach_anew(false);
            }
            Order::Redraw => return self.lift(),
            Order::Alone => self.attach_anew(true),
            Order::End => {
                let session = &self.session;
                let question = match &self.ending {
                    Some(ending) if ending == session => {
                        format!("session {session} is being ended: end it at once? (y/n)")
                    }
                    _ => format!("end session {session} and everything in it? (y/n)"),
                };
                self.notice(&[question])?;
                self.cover = Cover::End;
            }
            Order::Help => return self.help(),
            Order::Type => self.cover_with(Cover::Command(Line::new(": "))),
        }
        Continue(())
    }

    fn help(&mut self) -> Flow {
        let prefix = self.options.prefix.name();
        let mut lines =
            vec![format!(" {}{}", self.session, if self.options.read_only { " (only watching)" } else { "" })];
        let orders = ORDERS.iter().filter(|(_, _, order, _)| !(self.options.read_only && order.disturbs()));
        lines.extend(orders.map(|(key, name, _, what)| format!(" {prefix} {key}     {name:<9} {what}")));
        if !self.options.read_only {
            lines.push(format!(" {prefix} {prefix:<5} {:<9} send {prefix} to the program", ""));
        }
        lines.push(" any key goes back".to_owned());
        self.notice(&lines)
    }

    fn bell(&mut self) -> Flow {
        self.unshown.push(b"\x07");
        Continue(())
    }

    fn fault(&mut self, fault: &Fault) -> Flow {
        self.notice(std::slice::from_ref(&fault.message))
    }

    /// Shows lines of ours; output does not go to the terminal meanwhile.
    fn notice(&mut self, lines: &[String]) -> Flow {
        if self.cover.is_whole() {
            self.unshown.push(NOT_WHOLE);
        }
        self.unshown.push(&notice::paint(lines, self.screen.0, self.screen.1));
        self.cover = Cover::Notice;
        self.keys.ask();
        Continue(())
    }

    /// Lays something over the picture that takes all keys.
    fn cover_with(&mut self, cover: Cover) {
        match (self.cover.is_whole(), cover.is_whole()) {
            (false, true) => {
                self.unshown.push(&screen::leave());
                self.unshown.push(WHOLE);
            }
            (true, false) => self.unshown.push(NOT_WHOLE),
            _ => {}
        }
        self.unshown.push(PASTES);
        self.cover = cover;
        self.paint_cover();
    }

    /// Has what takes all keys painted, and gives it the next one.
    pub(super) fn paint_cover(&mut self) {
        if self.cover.takes_all_keys() {
            self.keys.ask();
            self.unpainted = true;
        }
    }

    /// Paints what takes all keys.
    pub(super) fn paint_cover_now(&mut self) {
        let (columns, rows) = self.screen;
        let painted = match &mut self.cover {
            Cover::Command(line) => notice::paint(&[line.shown(usize::from(columns))], columns, rows),
            Cover::Chooser(chooser) => chooser.paint(self.screen),
            Cover::Scroll(scroll) => scroll.paint(),
            _ => return,
        };
        self.unshown.push(&painted);
    }

    /// Takes our lines away, and paints anew.
    pub(super) fn lift(&mut self) -> Flow {
        self.keys.ask_no_more();
        if self.cover.is_whole() {
            self.unshown.push(NOT_WHOLE);
        }
        self.cover = Cover::Lifted;
        if let Some(how) = self.ended.take() {
            self.last_picture();
            return Break(how);
        }
        self.send(&ToKeeper::Repaint);
        Continue(())
    }

    /// Of a session that has ended behind something of ours, its last picture. Its keeper is
    /// still there, most often.
    pub(super) fn last_picture(&mut self) {
        self.below = None;
        let Ok((_, first)) = open(self.paths, &self.session, self.way(false)) else { return };
        for message in first {
            match message {
                FromKeeper::Picture { bytes, .. } => self.unshown.picture(&bytes),
                FromKeeper::Below { row } => self.below = Some(row),
                _ => {}
            }
        }
    }

    /// To the clipboard of the user's terminal.
    fn copy(&mut self, text: &str) {
        let cut = (0..=text.len().min(COPY_MAX)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let encoded = base64::engine::general_purpose::STANDARD.encode(&text[..cut]);
        self.unshown.push(format!("\x1b]52;c;{encoded}\x07").as_bytes());
    }

    fn switch_by(&mut self, steps: isize) -> Flow {
        match find::neighbour(self.paths, &self.session, steps, self.options.inside.as_ref()) {
            Ok(Some(next)) => self.switch(next),
            Ok(None) => self.bell(),
            Err(fault) => self.fault(&fault),
        }
    }

    /// How to attach once more.
    pub(super) fn way(&self, takeover: bool) -> Attach {
        Attach { takeover, history_lines: 0, ..self.options.way(self.screen) }
    }

    /// Attaches to the same session in another way.
    fn attach_anew(&mut self, takeover: bool) {
        self.send(&ToKeeper::Attach(self.way(takeover)));
        self.cover = Cover::Lifted;
    }

    /// Attaches to another session.
    fn switch(&mut self, to: SessionName) -> Flow {
        if self.options.inside.as_ref().is_some_and(|own| find::is_same(self.paths, own, &to)) {
            return self.notice(&[format!("session {to} cannot be shown within itself")]);
        }
        match open(self.paths, &to, self.way(false)).and_then(|(link, first)| {
            link.set_nonblocking(true).map_err(|e| Fault::internal(e.to_string()))?;
            Ok((link, first))
        }) {
            Ok((link, first)) => {
                // Typed for the old one; it takes it now or is stuck.
                drop(self.unsent.write(|bytes| self.link.write(bytes)));
                self.link = link;
                self.place = Place::of(&self.paths.live_session(&to)).ok();
                self.session = to;
                self.unsent.clear();
                // The picture ends whatever was cut off.
                self.unshown.clear();
                if self.cover.is_whole() {
                    self.unshown.push(NOT_WHOLE);
                }
                self.cover = Cover::None;
                self.ended = None;
                self.status = KeeperStatus::default();
                for message in first {
                    self.message(message)?;
                }
                self.messages(true)?;
                if let Some(looks) = self.replies.known() {
                    self.send(&ToKeeper::Looks(looks));
                }
                self.send(&ToKeeper::Status);
            }
            Err(fault) => return self.fault(&fault),
        }
        Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_known_by_their_beginning() {
        assert_eq!(parse(" detach "), Ok(Order::Detach));
        assert_eq!(parse("de"), Ok(Order::Detach));
        assert_eq!(parse("sc"), Ok(Order::Scroll));
        assert_eq!(parse("attach 42.1"), Ok(Order::Attach("42.1".parse().unwrap())));
        assert!(parse("attach").is_err());
        assert_eq!(parse("s"), Err("'s' may mean several commands".to_owned()));
        assert_eq!(parse("next 3"), Err("next takes nothing more".to_owned()));
        assert_eq!(parse("wat"), Err("there is no command 'wat': type help".to_owned()));
    }
}
