//! The line of ours below a session's picture, where the user asked for it. The session's
//! terminal is one row lower then, so that nothing is ever covered.

use crate::clock::Timestamp;
use crate::id::SessionName;
use crate::protocol::keeper::KeeperStatus;

use super::notice;

/// Escape sequences that paint the lowest row of a terminal of this size, and leave
/// everything else as it is.
pub(super) fn paint(
    session: &SessionName,
    status: &KeeperStatus,
    read_only: bool,
    prefix: &str,
    now: Timestamp,
    (columns, rows): (u16, u16),
) -> Vec<u8> {
    let mut left = format!(" {session}");
    if read_only {
        left.push_str(" (watching)");
    }
    if status.frozen {
        left.push_str(" paused");
    }
    if status.watchers > 0 {
        left.push_str(&format!(" · {} watching", status.watchers));
    }
    if !status.title.is_empty() {
        left.push_str(&format!(" · {}", status.title));
    }
    let local = now.local();
    // Hours and minutes of `YYYY-MM-DD HH:MM:SS`.
    let right = format!(" {prefix} ? for help · {} ", local.get(11..16).unwrap_or(""));
    let columns = usize::from(columns);
    let line = notice::fit(&left, columns.saturating_sub(notice::width(&right))) + &right;
    // Without wrapping: a terminal may give a character more columns than we do.
    let mut out = format!("\x1b7\x1b[{rows};1H\x1b[?7l\x1b[0;7m").into_bytes();
    out.extend_from_slice(notice::fit(&line, columns).as_bytes());
    out.extend_from_slice(b"\x1b[0m\x1b[?7h\x1b8");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_the_lowest_row_exactly() {
        let status = KeeperStatus { watchers: 2, title: "vi\u{1b}m".to_owned(), ..KeeperStatus::default() };
        let session = "42.1".parse().unwrap();
        let painted = paint(&session, &status, true, "C-b", Timestamp(0), (60, 24));
        let text = String::from_utf8(painted).unwrap();
        assert!(text.starts_with("\x1b7\x1b[24;1H\x1b[?7l\x1b[0;7m 42.1 (watching) · 2 watching · vi m "), "{text:?}");
        let line = text.split(";7m").nth(1).unwrap().split('\x1b').next().unwrap();
        assert_eq!(line.chars().count(), 60);
        assert!(line.contains(" C-b ? for help · "));
        paint(&session, &status, false, "C-b", Timestamp(0), (5, 1));
    }
}
