//! How long to wait between two moments of a recording.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::clock::Span;

/// A time in which nothing was printed is shortened to this, where nothing else is asked
/// for: long enough to see that something was waited for.
pub const IDLE_LIMIT: Span = Span(Duration::from_secs(2));
/// Slowest and fastest: beyond these nothing could be seen.
const SPEEDS: (f64, f64) = (0.01, 1_000.0);

/// How many times as fast as it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

impl Default for Speed {
    fn default() -> Self {
        Speed(1.0)
    }
}

impl Speed {
    /// Faster or slower by this factor, within bounds.
    pub fn times(self, factor: f64) -> Speed {
        Speed((self.0 * factor).clamp(SPEEDS.0, SPEEDS.1))
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let speed = text.parse::<f64>().ok().filter(|speed| (SPEEDS.0..=SPEEDS.1).contains(speed));
        speed.map(Speed).ok_or_else(|| format!("a number from {} to {} is expected", SPEEDS.0, SPEEDS.1))
    }
}

/// The time of a playback.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    speed: Speed,
    /// `None` for no limit.
    idle_limit: Option<Duration>,
    /// The moment of the recording that was reached, in milliseconds.
    ms: u32,
}

impl Pace {
    /// Beginning at `ms`; an `idle_limit` of zero is none.
    pub fn new(speed: Speed, idle_limit: Duration, ms: u32) -> Pace {
        Pace { speed, idle_limit: (!idle_limit.is_zero()).then_some(idle_limit), ms }
    }

    /// The moment that was reached, in milliseconds.
    pub fn ms(&self) -> u32 {
        self.ms
    }

    /// Goes on to another moment; how long it takes until then.
    pub fn reach(&mut self, ms: u32) -> Duration {
        let gap = Duration::from_millis(u64::from(ms.saturating_sub(self.ms)));
        self.ms = self.ms.max(ms);
        self.idle_limit.map_or(gap, |limit| gap.min(limit)).div_f64(self.speed.0)
    }

    /// Changes the speed by a factor; what is left of a time to wait with it.
    pub fn change(&mut self, factor: f64, left: Duration) -> Duration {
        let before = self.speed;
        self.speed = before.times(factor);
        left.mul_f64(before.0 / self.speed.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_shortened_and_sped_up() {
        let ms = Duration::from_millis;
        let mut pace = Pace::new("2".parse().unwrap(), ms(3_000), 100);
        assert_eq!(pace.reach(1_100), ms(500));
        assert_eq!(pace.reach(1_000), ms(0), "never backwards");
        assert_eq!(pace.reach(60_000), ms(1_500));
        assert_eq!(pace.change(0.5, ms(300)), ms(600));
        assert_eq!(pace.reach(61_000), ms(1_000));
        let mut pace = Pace::new(Speed::default(), Duration::ZERO, 0);
        assert_eq!(pace.reach(3_600_000), ms(3_600_000));
        for _ in 0..100 {
            pace.change(2.0, ms(1));
        }
        assert_eq!(pace.speed, Speed(SPEEDS.1));
    }

    #[test]
    fn speeds_are_numbers_within_bounds() {
        for bad in ["0", "-1", "fast", "NaN", "inf", "1e9", ""] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
        assert_eq!("0.5".parse(), Ok(Speed(0.5)));
        assert_eq!(Speed::default().to_string(), "1");
    }
}
