//! Bringing a terminal of unknown state back to a known one.

/// Ends whatever sequence the terminal may be in the middle of.
pub(super) const BREAK_OFF: &[u8] = b"\x18\x1b\\";
/// Nothing is shown between these two, where the terminal knows mode 2026.
pub(super) const FRAME_START: &[u8] = b"\x1b[?2026h";
pub(super) const FRAME_END: &[u8] = b"\x1b[?2026l";

/// Keyboard protocols off and the primary screen shown. What some terminal might take for
/// something else comes before colours and cursor are reset; the kitty stack is one per
/// screen.
const LEAVE_ALTERNATE: &[u8] = b"\x1b[<99u\x1b[?1049l\x1b[<99u\x1b[>4;0m";

/// Modes off, in the order of their numbers: cursor keys, reverse video, origin, mouse
/// (9, 1000 to 1006, 1015, 1016), focus, paste, colour scheme and size reports.
const MODES_OFF: &[u8] =
    b"\x1b[?1;5;6l\x1b[?9;1000;1002;1003;1004;1005;1006;1015;1016l\x1b[?2004;2031;2048l\x1b[4;20l\x1b>";

/// Wrapping on, no region.
const PLAIN: &[u8] = b"\x1b[?7h\x1b[r";

/// ASCII, no link, no attributes.
pub(super) const PLAIN_PEN: &[u8] = b"\x1b(B\x1b)B\x1b*B\x1b+B\x0f\x1b]8;;\x1b\\\x1b[m";

/// The start of a picture: a terminal as if switched on, its primary screen empty, the
/// cursor hidden at the top left. Its scrollback and its colours stay.
pub(super) fn start(out: &mut Vec<u8>) {
    out.extend_from_slice(BREAK_OFF);
    out.extend_from_slice(FRAME_START);
    out.extend_from_slice(b"\x1b[?25l");
    out.extend_from_slice(LEAVE_ALTERNATE);
    out.extend_from_slice(b"\x1b[!p\x1b[?25l");
    out.extend_from_slice(MODES_OFF);
    out.extend_from_slice(PLAIN);
    out.extend_from_slice(PLAIN_PEN);
    out.extend_from_slice(b"\x1b[0 q");
    // Erasing what follows the cursor: erasing "all" makes some terminals keep the old
    // screen in their scrollback, once for every picture.
    out.extend_from_slice(b"\x1b[H\x1b[J");
}

/// Whether a picture begins with a terminal of any state; one that does not is only what has
/// changed.
pub fn is_whole(picture: &[u8]) -> bool {
    picture.starts_with(BREAK_OFF)
}

/// Puts a terminal back from every mode that a picture or a program may have set, without
/// clearing it: leaves the alternate screen, shows the cursor, switches mouse, paste,
/// focus, keypad and kitty keyboard off, resets pen, charset, region, origin, tab stops and
/// wrap. The cursor stays where it is, in the primary screen.
pub fn leave() -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(BREAK_OFF);
    out.extend_from_slice(FRAME_END);
    out.extend_from_slice(LEAVE_ALTERNATE);
    // Resetting region and origin mode moves the cursor, so it is saved; but some terminals
    // save origin mode with it: those know the soft reset, which leaves the cursor alone.
    out.extend_from_slice(b"\x1b[!p\x1b7");
    out.extend_from_slice(MODES_OFF);
    out.extend_from_slice(b"\x1b[?5W");
    out.extend_from_slice(PLAIN);
    out.extend_from_slice(b"\x1b8");
    out.extend_from_slice(PLAIN_PEN);
    out.extend_from_slice(b"\x1b[0 q\x1b[?25h");
    out
}
