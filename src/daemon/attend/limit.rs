//! The task's time limit: counts while the program runs and is not frozen, and not while
//! the machine sleeps. What an adopted session has used before its keeper knows; one of an
//! older version does not, and then the clock on the wall has to do.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Span, Timestamp};

/// What is left of a time limit.
pub(crate) struct Limit {
    left: Option<Duration>,
    running_since: Option<Instant>,
    /// All of it, where what is left of it was only guessed.
    guessed_of: Option<Duration>,
}

impl Limit {
    /// That of a program that has not begun.
    pub fn new(timeout: Option<Span>) -> Self {
        Limit { left: timeout.map(|t| t.0).filter(|t| !t.is_zero()), running_since: None, guessed_of: None }
    }

    /// What is left for a program that would have been started at `started_at`, had it
    /// never been frozen; all of it for one that has not been started.
    pub fn remaining(timeout: Option<Span>, started_at: Option<Timestamp>) -> Self {
        let (Some(Span(limit)), Some(started_at)) = (timeout, started_at) else { return Limit::new(timeout) };
        let used = Timestamp::now().since(started_at);
        // One that ran out while nobody looked is over at once, not never.
        let left = limit.saturating_sub(used).max(Duration::from_millis(1));
        Limit { guessed_of: Some(limit).filter(|limit| !limit.is_zero()), ..Limit::new(Some(Span(left))) }
    }

    /// What its keeper knows better: how long the program has run until now. A clock that was
    /// set, or a machine that slept, makes no difference to that.
    pub fn ran(&mut self, ran: Duration, now: Instant) {
        if let Some(limit) = self.guessed_of.take()
            && self.left.is_some()
        {
            self.left = Some(limit.saturating_sub(ran).max(Duration::from_millis(1)));
            self.running_since = self.running_since.map(|_| now);
        }
    }

    /// What is left was guessed by the clock on the wall.
    pub fn is_guessed(&self) -> bool {
        self.guessed_of.is_some()
    }

    pub fn run(&mut self, now: Instant) {
        self.running_since.get_or_insert(now);
    }

    pub fn stop(&mut self, now: Instant) {
        if let (Some(left), Some(since)) = (&mut self.left, self.running_since.take()) {
            *left = left.saturating_sub(now.saturating_duration_since(since)).max(Duration::from_millis(1));
        }
    }

    /// Counts no more.
    pub fn lift(&mut self) {
        self.left = None;
    }

    /// Is over again after this long, if it counts then.
    pub fn postpone(&mut self, by: Duration, now: Instant) {
        self.running_since = self.running_since.map(|_| now);
        self.left = Some(by);
    }

    /// When it is over; never as long as it does not count.
    pub fn deadline(&self) -> Option<Instant> {
        // Beyond the end of time is never.
        self.running_since?.checked_add(self.left?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frozen_time_does_not_count() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let at = |seconds: u32| start + second * seconds;
        let mut limit = Limit::new(Some(Span(10 * second)));
        assert_eq!(limit.deadline(), None);
        limit.run(at(0));
        limit.stop(at(4));
        assert_eq!(limit.deadline(), None);
        limit.run(at(104));
        limit.run(at(105));
        assert_eq!(limit.deadline(), Some(at(110)));
        // Over in the moment it was frozen: over again when it runs on.
        limit.stop(at(110));
        limit.postpone(second, at(110));
        assert_eq!(limit.deadline(), None);
        limit.run(at(200));
        assert_eq!(limit.deadline(), Some(at(201)));
        limit.postpone(5 * second, at(201));
        assert_eq!(limit.deadline(), Some(at(206)));
        limit.lift();
        assert_eq!(limit.deadline(), None);
    }

    #[test]
    fn what_is_left_is_never_nothing_and_none_is_never() {
        assert_eq!(Limit::new(Some(Span(Duration::ZERO))).left, None);
        let mut guessed = Limit::remaining(Some(Span(Duration::from_secs(10))), Some(Timestamp(0)));
        let now = Instant::now();
        guessed.run(now);
        guessed.ran(Duration::from_secs(4), now);
        assert_eq!(guessed.deadline(), Some(now + Duration::from_secs(6)));
        guessed.ran(Duration::from_secs(9), now);
        assert_eq!(guessed.deadline(), Some(now + Duration::from_secs(6)), "what is known is not guessed again");
        let long_ago = Limit::remaining(Some(Span(Duration::from_secs(1))), Some(Timestamp(0)));
        assert_eq!(long_ago.left, Some(Duration::from_millis(1)));
        let mut endless = Limit::new(Some(Span(Duration::MAX)));
        endless.run(Instant::now());
        assert_eq!(endless.deadline(), None);
    }
}
