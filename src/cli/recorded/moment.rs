//! Moments of a recording as people write them.

use std::time::Duration;

use super::Recorded;
use crate::clock::{Direction, Span, Timestamp, parse_moment, short};
use crate::protocol::Fault;

/// How many milliseconds after its beginning the moment `text` of a recording is: `+90s`
/// counts from there, `12:03:11` is the first such time of day, a date with a time or
/// RFC 3339 is what it says, and `now` is its end.
///
/// # Errors
/// `Usage` for what is no moment, `NotFound` for one that is not within the recording.
pub fn find(recorded: &Recorded<'_>, text: &str) -> Result<u32, Fault> {
    let (began, length) = recorded.times()?;
    resolve(text, began, length)
}

fn resolve(text: &str, began: Timestamp, length: u32) -> Result<u32, Fault> {
    let at = match text.trim().strip_prefix('+') {
        Some(span) => began.plus(span.parse::<Span>().map_err(|e| Fault::usage(e.to_string()))?.0),
        None if text.trim() == "now" => began.plus(Duration::from_millis(u64::from(length))),
        // A time of day would be one as well.
        None if !text.contains(':') && text.trim().parse::<Span>().is_ok() => {
            return Err(Fault::usage(format!("is '{text}' after the beginning, or ago?"))
                .hint(format!("'+{}' is so long after the beginning of the recording", text.trim())));
        }
        None => {
            // People write seconds: the one in which it began is within it.
            let second = Timestamp(began.0.div_euclid(1_000) * 1_000);
            let at = parse_moment(text, second, Direction::Ahead).map_err(|e| {
                Fault::usage(e.to_string()).hint("'+90s' is 90 seconds after the beginning of the recording")
            })?;
            if at >= second { at.max(began) } else { at }
        }
    };
    let end = began.plus(Duration::from_millis(u64::from(length)));
    match u32::try_from(at.0.saturating_sub(began.0)) {
        Ok(ms) if ms <= length => Ok(ms),
        _ => Err(Fault::not_found(format!("nothing is recorded at {}", at.local())).hint(format!(
            "the recording goes from {} to {}, {} long",
            began.local(),
            end.local(),
            short(end.since(began))
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FaultCode;

    #[test]
    fn moments_of_a_recording() {
        let began = parse_moment("2026-11-22 23:50:10.500", Timestamp(0), Direction::Back).unwrap();
        let found = |text: &str| resolve(text, began, 1_200_000).map_err(|fault| fault.code);
        for (text, ms) in [
            ("+0s", 0),
            ("+90s", 90_000),
            (" +1m30s", 90_000),
            ("+1200", 1_200_000),
            ("now", 1_200_000),
            ("23:50:10", 0),
            ("23:50:11", 500),
            ("23:50:11.25", 750),
            // After midnight.
            ("00:01:10.5", 660_000),
            ("2026-11-22 23:51:10.5", 60_000),
            ("2026-11-23 00:10:10", 1_199_500),
        ] {
            assert_eq!(found(text), Ok(ms), "{text}");
        }
        for text in ["+1201", "23:50:09", "2026-11-22 23:50:09", "00:10:11", "2020-01-01", "2026-11-22T00:00:00Z"] {
            assert_eq!(found(text), Err(FaultCode::NotFound), "{text}");
        }
        for text in ["5s", "90", "2h", "soon"] {
            assert_eq!(found(text), Err(FaultCode::Usage), "{text}");
        }
        for text in ["", "+", "+soon", "-3s", "25:00", "12"] {
            assert_eq!(found(text), Err(FaultCode::Usage), "{text}");
        }
        let hint = resolve("+2h", began, 1_200_000).unwrap_err().hint.unwrap();
        assert_eq!(hint, "the recording goes from 2026-11-22 23:50:10 to 2026-11-23 00:10:10, 20m long");
    }
}
