//! How long the program has run.

use std::time::{Duration, Instant};

/// Counts while it runs; not while the machine sleeps, whose clock this is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stopwatch {
    before: Duration,
    since: Option<Instant>,
}

impl Stopwatch {
    /// It runs from now on.
    pub fn run(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// It does not run any more.
    pub fn stop(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.before += now.saturating_duration_since(since);
        }
    }

    /// All the time it has run until now.
    pub fn total(&self, now: Instant) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watch = Stopwatch::default();
        assert_eq!(watch.total(at(5)), Duration::ZERO);
        watch.run(at(5));
        watch.run(at(6));
        assert_eq!(watch.total(at(8)), Duration::from_secs(3));
        watch.stop(at(9));
        watch.stop(at(10));
        assert_eq!(watch.total(at(20)), Duration::from_secs(4));
        watch.run(at(20));
        assert_eq!(watch.total(at(21)), Duration::from_secs(5));
    }
}
