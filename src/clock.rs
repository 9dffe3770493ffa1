//! Time: wall-clock instants and durations as they are stored, sent and shown.
//!
//! Only this file reads the system's clock for a date. Order is by sequence number,
//! never by time; waiting is done on the monotonic clock or on a timer that notices
//! clock changes, in the programs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment of wall-clock time: milliseconds since 1970-01-01 UTC. RFC 3339 in JSON, an
/// integer on the wire and in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The system's clock.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Later by `by`, stopping at the end of time.
    pub fn plus(self, by: Duration) -> Self {
        Timestamp(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// It has a date: the calendar ends with the year 9999.
    pub fn has_date(self) -> bool {
        jiff::Timestamp::from_millisecond(self.0).is_ok()
    }

    /// How long it is from `earlier` to this; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// In the user's time zone, `2026-11-22 20:41:48`.
    pub fn local(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => at.to_zoned(zone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            Err(_) => self.0.to_string(),
        }
    }
}

/// The user's time zone: `TZ`, else the system's. The file is read directly where that is
/// possible: looking a zone up by its name makes jiff read the whole tree of zones, which
/// takes longer than all else that a command does.
fn zone() -> TimeZone {
    static ZONE: LazyLock<TimeZone> = LazyLock::new(|| {
        let file = match std::env::var("TZ") {
            Err(_) => Some(PathBuf::from("/etc/localtime")),
            Ok(name) if is_zone_name(&name) => Some(Path::new("/usr/share/zoneinfo").join(name)),
            // A rule, a path: all that is not so common.
            Ok(_) => None,
        };
        let read = |file: PathBuf| TimeZone::tzif("local", &std::fs::read(file).ok()?).ok();
        file.and_then(read).unwrap_or_else(TimeZone::system)
    });
    ZONE.clone()
}

/// `Europe/Berlin`, and nothing that would lead elsewhere.
fn is_zone_name(name: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b));
    name.split('/').all(word)
}

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => self.0.fmt(f),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if out.is_human_readable() { out.collect_str(self) } else { self.0.serialize(out) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        if input.is_human_readable() {
            let text = String::deserialize(input)?;
            let at: jiff::Timestamp = text.parse().map_err(de::Error::custom)?;
            Ok(Timestamp(at.as_millisecond()))
        } else {
            i64::deserialize(input).map(Timestamp)
        }
    }
}

/// A length of time as people write it: `90s`, `1h30m`, `2 days`. Zero or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Self, BadTime> {
        let bad = || BadTime::Span(text.to_owned());
        if let Ok(seconds) = text.trim().parse::<u64>() {
            return Ok(Span(Duration::from_secs(seconds)));
        }
        let span: jiff::Span = text.trim().parse().map_err(|_| bad())?;
        let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
        Duration::try_from(length).map(Span).map_err(|_| bad())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&short(self.0))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if out.is_human_readable() {
            out.serialize_str(&exact(self.0))
        } else {
            u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX).serialize(out)
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        if input.is_human_readable() {
            String::deserialize(input)?.parse().map_err(de::Error::custom)
        } else {
            u64::deserialize(input).map(|ms| Span(Duration::from_millis(ms)))
        }
    }
}

/// A duration in as many units as it takes, for who reckons with it: `1d 1h 1m 1s`.
fn exact(length: Duration) -> String {
    let seconds = length.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds % 86_400 / 3_600, "h"),
        (seconds % 3_600 / 60, "m"),
        (seconds % 60, "s"),
        (u64::from(length.subsec_millis()), "ms"),
    ];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// A duration in at most two units, as tables show it: `1h 5m`, `12s`, `340ms`.
pub fn short(length: Duration) -> String {
    let seconds = length.as_secs();
    let two = |big: u64, unit: &str, small: u64, sub: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit} {small}{sub}") }
    };
    match seconds {
        0 if length.subsec_millis() > 0 => format!("{}ms", length.subsec_millis()),
        0..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// Reads a moment as people write it: RFC 3339, `2026-11-22 09:00`, `09:00` (the next
/// one), `now`, `today`, `yesterday`, `tomorrow`, or a span (`2h`), which is counted
/// from `now` by `direction`. Without an offset the user's time zone is meant.
pub fn parse_moment(text: &str, now: Timestamp, direction: Direction) -> Result<Timestamp, BadTime> {
    let bad = || BadTime::Moment(text.to_owned());
    let zone = zone();
    let zoned = jiff::Timestamp::from_millisecond(now.0).map_err(|_| bad())?.to_zoned(zone.clone());
    let midnight = |days: i64| -> Result<Timestamp, BadTime> {
        let date = zoned.date().checked_add(jiff::Span::new().days(days)).map_err(|_| bad())?;
        Ok(Timestamp(date.to_zoned(zone.clone()).map_err(|_| bad())?.timestamp().as_millisecond()))
    };
    let text = text.trim();
    match text {
        "now" => return Ok(now),
        "today" => return midnight(0),
        "yesterday" => return midnight(-1),
        "tomorrow" => return midnight(1),
        // An hour, a number of seconds, a year? Nobody can tell.
        number if number.bytes().all(|b| b.is_ascii_digit()) => return Err(bad()),
        _ => {}
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp(at.as_millisecond()));
    }
    // Before the time of day: that would be found in it as well.
    if let Ok(local) = text.parse::<jiff::civil::DateTime>() {
        return Ok(Timestamp(local.to_zoned(zone).map_err(|_| bad())?.timestamp().as_millisecond()));
    }
    if let Ok(time) = text.parse::<jiff::civil::Time>() {
        let today = zoned.date().to_datetime(time).to_zoned(zone.clone()).map_err(|_| bad())?;
        let at = Timestamp(today.timestamp().as_millisecond());
        let passed = match direction {
            Direction::Ahead => at < now,
            Direction::Back => at > now,
        };
        if !passed {
            return Ok(at);
        }
        let days = if direction == Direction::Ahead { 1 } else { -1 };
        let date = zoned.date().checked_add(jiff::Span::new().days(days)).map_err(|_| bad())?;
        let other = date.to_datetime(time).to_zoned(zone).map_err(|_| bad())?;
        return Ok(Timestamp(other.timestamp().as_millisecond()));
    }
    let Span(length) = text.parse().map_err(|_| bad())?;
    Ok(match direction {
        Direction::Ahead => now.plus(length),
        Direction::Back => Timestamp(now.0.saturating_sub(i64::try_from(length.as_millis()).unwrap_or(i64::MAX))),
    })
}

/// Which way a span given where a moment is expected counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `--at 2h`: in two hours.
    Ahead,
    /// `--since 2h`: two hours ago.
    Back,
}

/// A text that is not the time it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    /// Not a length of time.
    #[error("'{0}' is not a length of time: write 90s, 15m, 1h30m or 2d")]
    Span(String),
    /// Not a moment.
    #[error("'{0}' is not a time: write 09:00, 2026-11-22 09:00, tomorrow, 2h, or RFC 3339")]
    Moment(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_795_348_800_000); // 2026-11-22T12:00:00Z

    #[test]
    fn json_is_rfc_3339() {
        assert_eq!(serde_json::to_string(&NOON).unwrap(), "\"2026-11-22T12:00:00.000Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>("\"2026-11-22T12:00:00.000Z\"").unwrap(), NOON);
    }

    #[test]
    fn names_of_zones_lead_nowhere_else() {
        for name in ["Europe/Berlin", "UTC", "Etc/GMT+2", "America/Port-au-Prince"] {
            assert!(is_zone_name(name), "{name}");
        }
        for other in ["", "/etc/localtime", ":Europe/Berlin", "../passwd", "CET-1CEST,M3.5.0", "Europe//Berlin"] {
            assert!(!is_zone_name(other), "{other}");
        }
    }

    #[test]
    fn spans_read_as_written_by_people() {
        for (text, seconds) in
            [("90s", 90), ("1h30m", 5_400), ("1h 30m", 5_400), ("2d", 172_800), ("15", 15), ("0s", 0)]
        {
            assert_eq!(text.parse::<Span>().unwrap().0.as_secs(), seconds, "{text}");
        }
        for bad in ["", "-1s", "soon", "1x", "1 month 1"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_in_json_are_exact() {
        for (ms, text) in [
            (0, "0s"),
            (340, "340ms"),
            (90_061_000, "1d 1h 1m 1s"),
            (3_661_001, "1h 1m 1s 1ms"),
            (172_800_000, "2d"),
            (300_000, "5m"),
        ] {
            let span = Span(Duration::from_millis(ms));
            let json = serde_json::to_string(&span).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Span>(&json).unwrap(), span);
        }
        assert_eq!(serde_json::from_str::<Span>("\"1d 1h\"").unwrap().0.as_secs(), 90_000, "as it was written before");
    }

    #[test]
    fn moments_look_ahead_or_back() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(parse_moment("1h", NOON, Direction::Ahead).unwrap(), NOON.plus(hour));
        assert_eq!(parse_moment("1h", NOON, Direction::Back).unwrap().plus(hour), NOON);
        assert_eq!(parse_moment("2026-11-22T12:00:00Z", NOON, Direction::Back).unwrap(), NOON);
        assert!(parse_moment("09:00", NOON, Direction::Ahead).unwrap() >= NOON);
        assert!(parse_moment("09:00", NOON, Direction::Back).unwrap() <= NOON);
        let day = Duration::from_secs(24 * 3_600);
        let local = |text: &str| parse_moment(text, NOON, Direction::Back).unwrap();
        assert_eq!(local("2026-11-20 09:00").plus(day), local("2026-11-21 09:00:00"));
        assert_eq!(local("2026-11-20").plus(day), local("2026-11-21T00:00"));
        for bad in ["", "25:00", "2026-13-01", "soonish", "12"] {
            assert!(parse_moment(bad, NOON, Direction::Ahead).is_err(), "{bad}");
        }
    }

    #[test]
    fn short_uses_two_units() {
        for (ms, text) in
            [(0, "0s"), (340, "340ms"), (12_000, "12s"), (3_900_000, "1h 5m"), (60_000, "1m"), (90_000_000, "1d 1h")]
        {
            assert_eq!(short(Duration::from_millis(ms)), text);
        }
    }
}
